"""Cases of lanes: calls on their way to a contract."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from provery.client import Provery, connect
from provery.core.errors import ProveryError
from provery.core.lane_records import Fate, Phase
from provery.core.lanes import Chain
from provery.core.types import UnitStatus, Work
from provery.local.servers import TemporalServer
from tests.faults.accounting import Evidence, count
from tests.faults.cases import LANE, Case
from tests.faults.gates import BEFORE_CONFIRM, BEFORE_SEND
from tests.faults.rig import L1, POLICY, REVIVAL_S, Rig, until
from tests.faults.seen import DONE_S, Seen
from tests.support.anvil import GWEI
from tests.support.laned import CONTRACT, SENDER, data, lane_of, laned_work, read
from tests.support.rpc_proxy import edits, lose_answers

REACH_S = 90.0
MISLED_S = 4.0
"""How long a node lies, or fees are above the cap."""
STEPS = (
    "signed",
    "sent",
    "bumped",
    "included",
    "reorganised",
    "undone",
    "displaced",
    "landed",
    "superseded",
    "reverted",
)
"""Events that show that a lane goes on."""
_numbers = itertools.count(1)


@dataclass
class Calls:
    """The units of a case, and how they are to end."""

    rig: Rig
    l1: L1
    chain: Chain
    works: list[Work]
    ends: UnitStatus = UnitStatus.DONE

    @property
    def landings(self) -> int:
        return 1 if self.ends is UnitStatus.DONE else 0

    def allow(self, **policy: Any) -> None:
        self.l1.policy.write_text(json.dumps({"all": {**POLICY, **policy}}))


async def run(rig: Rig, case: Case) -> Seen:
    """Start two units, break something between two steps of their lane, wait for both."""
    assert rig.l1 is not None
    server = rig.servers["temporal"]
    assert isinstance(server, TemporalServer)
    number, chain = next(_numbers), await rig.l1.anvil.open(SENDER)
    try:
        calls = Calls(rig, rig.l1, chain, await works(case, chain, number))
        seen = Seen([work.unit.key for work in calls.works], "-")
        act = _ACTS.get(case.gate, _killed)
        if case.fault == LANE:
            await act(calls, seen, None)
        starter = Provery(await connect(server.env), rig.ledger, server.env)
        if act in (_killed, _first, _outside, _reorg):
            rig.hold(case.gate if act is _killed else _GATES[act])
        await starter.start(calls.works)
        try:
            await act(calls, seen, case)
        finally:
            rig.release()
            await rig.mend()
            calls.l1.proxy.fault = None
            calls.allow()
            await calls.l1.anvil.block_every(1)
        if not await until(lambda: ended(calls), DONE_S, 0.1):
            seen.problems.append(f"not ended in {DONE_S:.0f} s")
        await gather(calls, seen)
    finally:
        await chain.close()
    for name in rig.collapsed:
        seen.problems.append(f"{name} ended by itself: {rig.process(name).log_tail()[-600:]}")
    return seen


async def works(case: Case, chain: Chain, number: int) -> list[Work]:
    """Units whose stages all run where they are submitted."""
    if case.gate == "another prover first":
        height = await read(chain, "height()")
        works = [laned_work("lifting", height + 1, key=f"case-{number}")]
    elif case.gate == "revert":
        head = await chain.head()
        works = [laned_work("closing", head.number + 4, key=f"case-{number}", params={"gas": 100_000})]
    else:
        works = [laned_work("free", 1_000 * number + n, key=f"case-{number}-{n}") for n in (1, 2)]
    return [
        replace(w, plan=replace(w.plan, stages=tuple(replace(s, queue="io") for s in w.plan.stages)))
        for w in works
    ]


# what is done


async def _reached(calls: Calls, seen: Seen, gate: str) -> None:
    if not await until(lambda: calls.rig.reached(gate), REACH_S, 0.01):
        seen.problems.append(f"{gate} was not reached in {REACH_S:.0f} s")


async def _killed(calls: Calls, seen: Seen, case: Case | None) -> None:
    assert case is not None
    await _reached(calls, seen, case.gate)
    await calls.rig.kill(case.fault)
    seen.broken = time.time()
    calls.rig.release()
    await asyncio.sleep(REVIVAL_S)
    seen.orphans += await calls.rig.orphans()


async def _lost(calls: Calls, seen: Seen, case: Case | None) -> None:
    if case is None:
        calls.l1.proxy.fault = lose_answers("eth_sendRawTransaction")
        return
    await until(lambda: _some(calls, lambda s: bool(s.transactions)), REACH_S)
    await asyncio.sleep(MISLED_S)
    seen.broken = time.time()


async def _spike(calls: Calls, seen: Seen, case: Case | None) -> None:
    if case is None:
        await calls.l1.anvil.block_every(0)
        return
    if not await until(lambda: _some(calls, lambda s: s.phase is Phase.SENT), REACH_S):
        seen.problems.append("nothing was sent")
    await calls.l1.anvil.next_base_fee(200 * GWEI)
    await calls.l1.anvil.mine()
    seen.broken = time.time()
    if not await until(lambda: _some(calls, lambda s: len(s.transactions) > 1), REACH_S):
        seen.problems.append("it was not replaced")


async def _reorg(calls: Calls, seen: Seen, case: Case | None) -> None:
    if case is not None:
        await _reached(calls, seen, BEFORE_CONFIRM)
        # The lane is at its door; what it saw is gone when it looks again. Fewer blocks than the confirmations.
        await calls.l1.anvil.block_every(0)
        seen.broken = time.time()
        await calls.l1.anvil.reorg(3)


async def _first(calls: Calls, seen: Seen, case: Case | None) -> None:
    if case is None:
        return
    calls.ends = UnitStatus.SKIPPED
    await _reached(calls, seen, BEFORE_SEND)
    anvil = calls.l1.anvil
    rival, number = (await anvil.call("eth_accounts"))[0], int(str(calls.works[0].unit.params["number"]))
    call = {"from": rival, "to": CONTRACT, "data": data("lift(uint256)", number)}
    await anvil.call("eth_sendTransaction", call)
    await until(lambda: _height(calls, number), REACH_S)
    seen.broken = time.time()


async def _outside(calls: Calls, seen: Seen, case: Case | None) -> None:
    if case is None:
        return
    await _reached(calls, seen, BEFORE_SEND)
    nonce = await calls.chain.nonce()
    call = {"from": calls.chain.sender, "to": calls.chain.sender, "nonce": hex(nonce), "value": "0x1"}
    await calls.l1.anvil.call("eth_sendTransaction", call)
    await until(lambda: _nonce(calls, nonce + 1), REACH_S)
    seen.broken = time.time()


async def _stale(calls: Calls, seen: Seen, case: Case | None) -> None:
    def behind(method: str, answer: dict[str, Any]) -> object:
        if method == "eth_getTransactionReceipt":
            return {**answer, "result": None}
        if method == "eth_getTransactionCount" and int(answer["result"], 16) > 0:
            return {**answer, "result": hex(int(answer["result"], 16) - 1)}
        return None

    if case is None:
        calls.l1.proxy.fault = edits(behind)
        return
    await until(lambda: _some(calls, lambda s: bool(s.transactions)), REACH_S)
    await asyncio.sleep(MISLED_S)
    seen.broken = time.time()


async def _dear(calls: Calls, seen: Seen, case: Case | None) -> None:
    if case is None:
        calls.allow(max_fee_per_gas=1)
        return
    if not await until(lambda: _some(calls, lambda s: s.waits_for == "fees"), REACH_S):
        seen.problems.append("nothing waited for lower fees")
    await asyncio.sleep(MISLED_S)
    seen.broken = time.time()


async def _revert(calls: Calls, seen: Seen, case: Case | None) -> None:
    calls.ends = UnitStatus.FAILED
    if case is None:
        await calls.l1.anvil.block_every(0)
        return
    if not await until(lambda: _some(calls, lambda s: s.phase is Phase.SENT), REACH_S):
        seen.problems.append("nothing was sent")
    for pending in await calls.l1.anvil.pending():
        await calls.l1.anvil.drop(pending)
    await calls.l1.anvil.mine(5)
    seen.broken = time.time()


Act = Callable[[Calls, Seen, Case | None], Awaitable[None]]
_ACTS: dict[str, Act] = {
    "answer lost": _lost,
    "fee spike": _spike,
    "reorg of depth 3": _reorg,
    "another prover first": _first,
    "nonce used outside": _outside,
    "stale node": _stale,
    "fees above the cap": _dear,
    "revert": _revert,
}
_GATES = {_first: BEFORE_SEND, _outside: BEFORE_SEND, _reorg: BEFORE_CONFIRM}


# what came of it


async def _some(calls: Calls, check: Callable[[Any], bool]) -> bool:
    return any(check(s) for s in await _submissions(calls))


async def _height(calls: Calls, number: int) -> bool:
    return await read(calls.chain, "height()") >= number


async def _nonce(calls: Calls, number: int) -> bool:
    return await calls.chain.nonce() >= number


async def _submissions(calls: Calls) -> list[Any]:
    try:
        return [
            s
            for work in calls.works
            for s in await calls.rig.ledger.lanes.of_unit(f"{work.unit.stream_id}/{work.unit.key}")
        ]
    except ProveryError:
        return []


async def ended(calls: Calls) -> bool:
    try:
        rows = [await calls.rig.ledger.unit(w.unit.system, w.unit.stream, w.unit.key) for w in calls.works]
    except ProveryError:
        return False
    return all(row is not None and row.status.terminal for row in rows)


async def gather(calls: Calls, seen: Seen) -> None:
    """As for jobs: the contract's counter is the row, the ledger's end of the unit is the event."""
    rows, events, audits = {}, [], {}
    for work in calls.works:
        unit, number = work.unit, int(str(work.unit.params["number"]))
        audit: Any = await calls.rig.ledger.audit(unit)
        steps = [e for e in audit["events"] if e["event"] in STEPS]
        audits[unit.key] = {**audit, "steps": steps}
        row = await calls.rig.ledger.unit(unit.system, unit.stream, unit.key)
        landed = await read(calls.chain, "counted(uint256)", number) if unit.stream == "free" else 0
        if landed != (calls.landings if unit.stream == "free" else 0):
            seen.problems.append(f"{unit.key} landed {landed} times")
        as_wanted = row is not None and row.status is calls.ends
        said = "done" if as_wanted else row.status.value if row else "lost"
        rows[unit.key] = {"status": said, "proof": True, "error": row and row.reason}
        if row is not None and row.status.terminal:
            events.append({"event": "completed", "jobId": unit.key, "at": row.updated_at})
    seen.evidence = Evidence(
        audits=audits,
        rows=rows,
        events=events,
        orphans=seen.orphans or await calls.rig.orphans(),
        deliveries={w.unit.key: w.unit.key for w in calls.works},
    )
    seen.counts = count(seen.evidence)
    await _nonces(calls, seen)


async def _nonces(calls: Calls, seen: Seen) -> None:
    """No gap: whatever was signed is used, by us or by a stranger, and nothing waits behind a hole."""
    used = await calls.chain.nonce()
    for s in await _submissions(calls):
        seen.problems += [f"nonce {t.nonce} of {used} is not used" for t in s.transactions if t.nonce >= used]
        if sum(t.fate in (Fate.LANDED, Fate.REVERTED) for t in s.transactions) > 1:
            seen.problems.append(f"{s.name} took more than one nonce")
    if await calls.l1.anvil.pending():
        seen.problems.append("a transaction was left behind")
    row = await calls.rig.ledger.lanes.row(lane_of())
    if row is None:
        seen.problems.append("the ledger has no lane")
