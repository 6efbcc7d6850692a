"""Lanes on a real Temporal server and a real chain."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from bench.noop import noop_work
from provery.core.controls import Order
from provery.core.lane_records import Fate, LaneOrder, Phase, Submission
from provery.core.lanes import Chain
from provery.core.types import Stage, UnitOutcome, UnitStatus, Work
from tests.support.anvil import GWEI, Anvil
from tests.support.engine import Engine, engine
from tests.support.laned import (
    CONTRACT,
    SENDER,
    data,
    environment,
    lane_of,
    laned_work,
    prepared,
    read,
)
from tests.support.rpc_proxy import RpcProxy, lose_answers

_chains = itertools.count(40_000)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@dataclass
class Rig:
    """A chain, an engine whose system submits to it, and an eye on both."""

    anvil: Anvil
    proxy: RpcProxy
    engine: Engine
    chain: Chain
    policy: Path

    @property
    def lane(self) -> str:
        return lane_of(self.chain.chain_id)

    def allow(self, **policies: dict[str, Any]) -> None:
        self.policy.write_text(json.dumps(policies))

    async def submissions(self, work: Work) -> list[Submission]:
        unit = work.unit
        return await self.engine.environment.ledger.lanes.of_unit(f"{unit.system}/{unit.stream}/{unit.key}")

    async def submission(self, work: Work) -> Submission | None:
        return next(iter(await self.submissions(work)), None)

    async def until(
        self, work: Work, check: Callable[[Submission], object], timeout: float = 30.0
    ) -> Submission:
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            found = await self.submission(work)
            if found is not None and check(found):
                return found
            assert asyncio.get_running_loop().time() < deadline, f"did not happen in time: {found}"
            await asyncio.sleep(0.05)

    async def mined(self, check: Callable[[], Awaitable[bool]], timeout: float = 30.0) -> None:
        """Make blocks until a check holds."""
        deadline = asyncio.get_running_loop().time() + timeout
        while not await check():
            assert asyncio.get_running_loop().time() < deadline, "did not happen in time"
            await self.anvil.mine()
            await asyncio.sleep(0.2)

    async def order(self, name: str, work: Work | None = None, **more: str) -> str:
        unit = "" if work is None else f"{work.unit.stream_id}/{work.unit.key}"
        handle = self.engine.client.get_workflow_handle(self.lane)
        said: str = await handle.execute_update(name, LaneOrder(name, "", unit, by="op", **more))
        return said

    async def gapless(self) -> None:
        """Every nonce that was signed at is used, and nothing waits."""
        used = await self.chain.nonce()
        for row in await self.engine.environment.ledger.lanes.recent(self.lane, 100):
            assert all(t.nonce < used for t in row.transactions)
        assert await self.anvil.pending() == []


@pytest_asyncio.fixture(loop_scope="session")
async def rig(server: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Rig]:
    # A chain of its own for each test: the server keeps the lanes of all of them.
    chain_id = next(_chains)
    async with Anvil(tmp_path / "anvil", chain_id=chain_id) as anvil, RpcProxy(anvil.url) as proxy:
        await prepared(anvil)
        policy = tmp_path / "policy.json"
        settings: Any = environment(proxy.url, policy)
        async with engine(server, tmp_path / "home", **settings) as made:
            chain = await anvil.open(SENDER)
            yield Rig(anvil, proxy, made, chain, policy)
            lane = server.client.get_workflow_handle(lane_of(chain_id))
            await lane.terminate("the test is over")
            await chain.close()


async def finished(handle: WorkflowHandle[Any, UnitOutcome]) -> UnitOutcome:
    async with asyncio.timeout(60):
        return await handle.result()


async def test_a_unit_lands_and_tells_what_it_cost(rig: Rig) -> None:
    work = laned_work("rising", 1)
    outcome = await rig.engine.run(work)
    assert outcome.status is UnitStatus.DONE
    assert await read(rig.chain, "height()") == 1
    found = await rig.submission(work)
    assert found is not None
    (transaction,) = found.transactions
    assert found.phase is Phase.LANDED
    assert outcome.facts["transaction"] == transaction.hash
    assert outcome.facts["fee_wei"] == str(found.fee)
    assert found.fee == (transaction.gas_used or 0) * (transaction.gas_price or 0) > 0
    audit: Any = await rig.engine.environment.ledger.audit(work.unit)
    assert [e["event"] for e in audit["events"] if e["event"] in ("entered", "signed", "sent", "landed")] == [
        "entered", "signed", "sent", "landed",
    ]  # fmt: skip
    assert [a["outcome"] for a in audit["attempts"] if a["stage"] == "submit"] == ["done"]
    again = await rig.engine.run(work)
    assert again.status is UnitStatus.DONE
    assert await rig.chain.nonce() == 1
    await rig.gapless()


async def test_an_ordered_stream_lands_in_order_whatever_comes_first(rig: Rig) -> None:
    works = [laned_work("rising", n) for n in (4, 2, 3, 1)]
    handles = []
    for work in works:
        handles.append(await rig.engine.start(work))
        await asyncio.sleep(0.2)
    outcomes = [await finished(handle) for handle in handles]
    assert {o.status for o in outcomes} == {UnitStatus.DONE}
    assert await read(rig.chain, "height()") == 4
    assert await rig.chain.nonce() == 4
    await rig.gapless()


async def test_what_the_contract_has_is_superseded_and_nothing_is_sent(rig: Rig) -> None:
    await rig.anvil.call(
        "eth_sendTransaction", {"from": (await rig.anvil.call("eth_accounts"))[0], "to": CONTRACT,
                                "data": data("lift(uint256)", 7)},
    )  # fmt: skip
    work = laned_work("rising", 3)
    outcome = await rig.engine.run(work)
    assert (outcome.status, outcome.error_kind) == (UnitStatus.SKIPPED, "Superseded")
    assert "the contract is at 7" in outcome.reason
    assert await rig.chain.nonce() == 0


async def test_above_the_cap_it_waits_and_then_lands_without_a_second_proof(rig: Rig) -> None:
    rig.allow(all={"max_fee_per_gas": 1})
    work = laned_work("free", 1, params={"log": str(rig.engine.log())})
    handle = await rig.engine.start(work)
    found = await rig.until(work, lambda s: s.waits_for == "fees")
    assert "the cap is" in found.reason
    other = laned_work("rising", 1)
    rig.allow(free={"max_fee_per_gas": 1})
    assert (await rig.engine.run(other)).status is UnitStatus.DONE  # the one that waits holds up no other
    lane = rig.engine.client.get_workflow_handle(rig.lane)
    details = (await lane.query("__temporal_workflow_metadata")).current_details
    assert "lower fees" in details.replace("\u00a0", " ")
    assert (await rig.order("raise_cap", work, max_fee=str(100 * GWEI))).startswith("the cap is")
    assert (await finished(handle)).status is UnitStatus.DONE
    assert [line.split()[1] for line in rig.engine.computed()].count("prove") == 1
    await rig.gapless()


@pytest.mark.timeout(150)
async def test_ten_minutes_above_the_cap_cost_no_proof_and_no_transaction_and_then_it_lands(rig: Rig) -> None:
    """Fifty blocks of twelve seconds, each of them dearer than the stream allows."""
    rig.allow(all={"max_fee_per_gas": 50 * GWEI})
    await rig.anvil.next_base_fee(100 * GWEI)
    await rig.anvil.mine()
    began = (await rig.chain.head()).timestamp
    works = [laned_work("rising", n, params={"log": str(rig.engine.log())}) for n in (1, 2)]
    handles = [await rig.engine.start(work) for work in works]
    waits: set[tuple[str, str]] = set()
    while (await rig.chain.head()).timestamp < began + 600:
        await rig.anvil.next_base_fee(100 * GWEI)
        await rig.anvil.pass_time(12)
        await rig.anvil.mine()
        await asyncio.sleep(0.2)
        found = await rig.submission(works[0])
        if found is not None:
            waits.add((found.phase, found.waits_for))
            assert found.transactions == ()
        assert await rig.chain.nonce() == 0
        assert await rig.anvil.pending() == []
    assert waits >= {("waiting", "fees")}
    assert waits <= {("waiting", "turn"), ("waiting", "fees")}
    waiting = await rig.submission(works[0])
    assert waiting is not None
    assert "gwei, the cap is 50" in waiting.reason
    shown = await provery(rig, "lane", "show", rig.lane.removeprefix("lane/"))
    assert [s["transactions"] for s in shown["open"]] == [[], []]
    assert {s["unit"]: s["waits_for"] for s in shown["open"]} == {
        "laned/rising/1": "fees",
        "laned/rising/2": "turn",
    }
    registry = rig.engine.environment.metrics
    assert registry.get_sample_value("provery_lane_waiting", {"lane": rig.lane, "for": "fees"}) == 1
    assert _proofs(rig) == 2

    await rig.anvil.next_base_fee(10 * GWEI)
    await rig.anvil.mine()
    outcomes = [await finished(handle) for handle in handles]
    assert {outcome.status for outcome in outcomes} == {UnitStatus.DONE}
    assert _proofs(rig) == 2, "one each, before the fee fell"
    assert await read(rig.chain, "height()") == 2
    assert await rig.chain.nonce() == 2
    for nonce, work in enumerate(works):
        found = await rig.submission(work)
        assert found is not None
        (transaction,) = found.transactions
        assert (transaction.nonce, transaction.fate) == (nonce, Fate.LANDED)
        assert transaction.max_fee <= 50 * GWEI
        audit: Any = await rig.engine.environment.ledger.audit(work.unit)
        assert [a["stage"] for a in audit["attempts"]].count("prove") == 1
    await rig.gapless()


def _proofs(rig: Rig) -> int:
    return [line.split()[1] for line in rig.engine.computed()].count("prove")


async def test_a_stuck_transaction_is_bumped_at_its_nonce(rig: Rig) -> None:
    rig.allow(all={"stuck_after_s": 1.0})
    await rig.anvil.automine(False)
    work = laned_work("free", 1)
    handle = await rig.engine.start(work)
    first = (await rig.until(work, lambda s: s.phase is Phase.SENT)).transactions[0]
    bumped = await rig.until(work, lambda s: len(s.transactions) > 1)
    assert {t.nonce for t in bumped.transactions} == {0}
    assert bumped.transactions[1].max_fee * 100 >= first.max_fee * 110
    await rig.mined(lambda: _settled(rig, work))
    assert (await finished(handle)).status is UnitStatus.DONE
    found = await rig.submission(work)
    assert found is not None
    assert [t.fate for t in found.transactions].count(Fate.LANDED) == 1
    assert set(t.fate for t in found.transactions) == {Fate.LANDED, Fate.REPLACED}
    assert await read(rig.chain, "counted(uint256)", 1) == 1
    await rig.gapless()


async def _settled(rig: Rig, work: Work) -> bool:
    found = await rig.submission(work)
    return found is not None and found.phase.settled


async def test_a_reorganisation_of_depth_three_costs_nothing_but_time(rig: Rig) -> None:
    rig.allow(all={"confirmations": 5})
    work = laned_work("free", 2)
    handle = await rig.engine.start(work)
    await rig.until(work, lambda s: s.phase is Phase.INCLUDED)
    await rig.anvil.mine(2)
    await asyncio.sleep(1)
    await rig.anvil.automine(False)
    await rig.anvil.reorg(3)
    await rig.until(work, lambda s: s.phase is Phase.SENT)
    await rig.mined(lambda: _settled(rig, work))
    assert (await finished(handle)).status is UnitStatus.DONE
    assert await read(rig.chain, "counted(uint256)", 2) == 1
    audit: Any = await rig.engine.environment.ledger.audit(work.unit)
    assert "reorganised" in [e["event"] for e in audit["events"]]
    await rig.gapless()


async def test_a_landing_that_is_undone_is_sent_again_and_what_follows_waits(rig: Rig) -> None:
    rig.allow(all={"confirmations": 2})
    log = str(rig.engine.log())
    first = laned_work("rising", 1, params={"log": log})
    handle = await rig.engine.start(first)
    await rig.until(first, lambda s: s.phase is Phase.INCLUDED)
    await rig.anvil.mine()
    assert (await finished(handle)).status is UnitStatus.DONE
    landed = await rig.submission(first)
    assert landed is not None
    await rig.anvil.automine(False)
    await rig.anvil.reorg(2)  # as deep as the confirmations: more than anybody waits for
    assert await read(rig.chain, "height()") == 0
    assert await rig.chain.nonce() == 0
    second = laned_work("rising", 2)
    handle = await rig.engine.start(second)
    waits = await rig.until(second, lambda s: s.waits_for != "turn")
    again = await rig.until(first, lambda s: s.phase is Phase.SENT)
    assert waits.transactions == ()
    assert "which is gone" in again.reason
    assert [(t.hash, t.nonce, t.raw) for t in again.transactions] == [
        (t.hash, t.nonce, t.raw) for t in landed.transactions
    ]
    (shown,) = (await provery(rig, "explain", "laned/rising/1"))["lane"]
    assert (shown["phase"], shown["transactions"][0]["fate"]) == ("sent", "live")
    await rig.mined(lambda: _settled(rig, second))
    assert (await finished(handle)).status is UnitStatus.DONE
    assert await read(rig.chain, "height()") == 2
    assert await rig.chain.nonce() == 2
    assert (await rig.engine.run(first)).facts["transaction"] == landed.transactions[0].hash
    found = await rig.submission(first)
    assert found is not None
    assert (found.phase, len(found.transactions)) == (Phase.LANDED, 1)
    assert [line.split()[1] for line in rig.engine.computed()].count("prove") == 1
    audit: Any = await rig.engine.environment.ledger.audit(first.unit)
    assert "undone" in [e["event"] for e in audit["events"]]
    labels = {"lane": rig.lane, "stream": "laned/rising"}
    assert rig.engine.environment.metrics.get_sample_value("provery_lane_undone_total", labels) == 1
    await rig.gapless()


@pytest.mark.long
@pytest.mark.timeout(120)
async def test_an_empty_lane_still_looks_at_what_has_landed(rig: Rig) -> None:
    work = laned_work("free", 6)
    await rig.engine.run(work)
    await rig.anvil.automine(False)
    await rig.anvil.reorg(1)
    await rig.anvil.mine()
    again = await rig.until(work, lambda s: s.phase is Phase.SENT, timeout=90.0)
    await rig.mined(lambda: _settled(rig, work))
    found = await rig.submission(work)
    assert found is not None
    assert [t.raw for t in found.transactions] == [t.raw for t in again.transactions]
    assert await read(rig.chain, "counted(uint256)", 6) == 1
    await rig.gapless()


async def test_a_nonce_used_outside_is_found_and_another_is_taken(rig: Rig) -> None:
    rig.allow(all={"confirmations": 2, "stuck_after_s": 60.0})
    await rig.anvil.automine(False)
    work = laned_work("free", 3)
    handle = await rig.engine.start(work)
    sent = await rig.until(work, lambda s: s.phase is Phase.SENT and s.transactions[0].sent_at)
    await rig.anvil.drop(sent.transactions[0].hash)
    await _outside(rig, nonce=0)
    await rig.anvil.mine()
    await rig.until(work, lambda s: "used outside" in s.reason or s.nonce == 1)
    await rig.mined(lambda: _settled(rig, work))
    assert (await finished(handle)).status is UnitStatus.DONE
    found = await rig.submission(work)
    assert found is not None
    assert [(t.nonce, t.fate) for t in found.transactions] == [(0, Fate.DISPLACED), (1, Fate.LANDED)]
    assert await read(rig.chain, "counted(uint256)", 3) == 1
    await rig.gapless()


async def _outside(rig: Rig, nonce: int) -> None:
    """Somebody else signs with the account's key."""
    await rig.anvil.call(
        "eth_sendTransaction",
        {"from": rig.chain.sender, "to": rig.chain.sender, "nonce": hex(nonce), "value": "0x1",
         "maxFeePerGas": hex(500 * GWEI), "maxPriorityFeePerGas": hex(100 * GWEI)},
    )  # fmt: skip


async def test_a_refusal_fails_the_unit_by_the_contracts_own_words(rig: Rig) -> None:
    work = laned_work("closing", 0)
    with pytest.raises(WorkflowFailureError) as caught:
        await rig.engine.run(work)
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "Reverted"
    assert "Closed()" in cause.message
    assert await rig.chain.nonce() == 0  # the estimate had said so


async def test_a_revert_in_a_block_names_the_error_and_costs_what_it_costs(rig: Rig) -> None:
    await rig.anvil.automine(False)
    work = laned_work("closing", await rig.anvil.height() + 2)
    handle = await rig.engine.start(work)
    sent = await rig.until(work, lambda s: s.phase is Phase.SENT and s.transactions[0].sent_at)
    await rig.anvil.drop(sent.transactions[0].hash)
    await rig.anvil.mine(3)  # the window closes before it is in a block
    await rig.mined(lambda: _settled(rig, work))
    with pytest.raises(WorkflowFailureError) as caught:
        await finished(handle)
    assert isinstance(caught.value.cause, ApplicationError)
    assert "Closed()" in caught.value.cause.message
    found = await rig.submission(work)
    assert found is not None
    assert found.fee > 0
    await rig.gapless()


async def test_an_answer_lost_after_the_node_took_it_is_no_second_transaction(rig: Rig) -> None:
    rig.proxy.fault = lose_answers("eth_sendRawTransaction")
    work = laned_work("free", 5)
    handle = await rig.engine.start(work)
    assert (await finished(handle)).status is UnitStatus.DONE
    found = await rig.submission(work)
    assert found is not None
    assert len(found.transactions) == 1
    assert await read(rig.chain, "counted(uint256)", 5) == 1
    await rig.gapless()


async def test_operators_pause_cancel_and_skip(rig: Rig) -> None:
    await rig.anvil.automine(False)
    one, two, three = (laned_work("free", n, key=f"op{n}") for n in (1, 2, 3))
    first = await rig.engine.start(one)
    await rig.until(one, lambda s: s.phase is Phase.SENT)
    second, third = await rig.engine.start(two), await rig.engine.start(three)
    await rig.until(three, lambda s: True)
    assert await rig.order("skip", two, reason="not wanted") == "skipped"
    assert (await finished(second)).status is UnitStatus.SKIPPED
    assert "to oneself" in await rig.order("cancel", one, reason="a mistake")
    await rig.until(one, lambda s: any(t.kind == "cancel" for t in s.transactions))
    assert await rig.order("pause", reason="maintenance") == "paused"
    await rig.mined(lambda: _settled(rig, one))
    outcome = await finished(first)
    assert (outcome.status, outcome.reason) == (UnitStatus.CANCELLED, "cancelled by an operator")
    assert await read(rig.chain, "counted(uint256)", 1) == 0
    waiting = await rig.until(three, lambda s: "paused" in s.reason)
    assert waiting.phase is Phase.WAITING
    await rig.order("resume")
    await rig.mined(lambda: _settled(rig, three))
    assert (await finished(third)).status is UnitStatus.DONE
    await rig.gapless()


async def test_an_order_to_the_unit_takes_it_out_or_waits_for_what_was_sent(rig: Rig) -> None:
    rig.allow(free={"max_fee_per_gas": 1})
    waiting = laned_work("free", 8, key="waits")
    handle = await rig.engine.start(waiting)
    await rig.until(waiting, lambda s: s.waits_for == "fees")
    await handle.execute_update("skip", Order("old"))
    assert (await finished(handle)).status is UnitStatus.SKIPPED
    rig.allow()
    await rig.anvil.automine(False)
    sent = laned_work("free", 9, key="sent")
    handle = await rig.engine.start(sent)
    await rig.until(sent, lambda s: s.phase is Phase.SENT)
    await handle.execute_update("cancel", Order("too late"))
    await asyncio.sleep(0.5)
    await rig.mined(lambda: _settled(rig, sent))
    assert (await finished(handle)).status is UnitStatus.DONE
    row = await rig.engine.environment.ledger.unit("laned", "free", "sent")
    assert row is not None
    assert row.status is UnitStatus.DONE


async def test_a_parked_unit_goes_again_when_its_operator_resumes_it(rig: Rig) -> None:
    work = laned_work("closing", 0, key="parked", park=True)
    handle = await rig.engine.start(work)
    while (await handle.query("progress"))["status"] != "parked":
        await asyncio.sleep(0.1)
    await handle.execute_update("resume", Order())
    await rig.until(work, lambda s: s.phase is Phase.WAITING)
    while (await handle.query("progress"))["status"] != "parked":
        await asyncio.sleep(0.1)
    await handle.execute_update("cancel", Order("enough"))
    assert (await finished(handle)).status is UnitStatus.CANCELLED


async def test_a_unit_of_an_express_plan_finds_its_lane(rig: Rig) -> None:
    work = laned_work("free", 11, express=True)
    assert (await rig.engine.run(work)).status is UnitStatus.DONE
    assert await read(rig.chain, "counted(uint256)", 11) == 1


async def test_a_unit_whose_workflow_is_lost_lands_once_and_finds_its_result(rig: Rig) -> None:
    await rig.anvil.automine(False)
    work = laned_work("free", 31, key="orphaned", params={"log": str(rig.engine.log())})
    handle = await rig.engine.start(work)
    await rig.until(work, lambda s: s.phase is Phase.SENT)
    await handle.terminate("lost")
    await rig.mined(lambda: _settled(rig, work))
    assert (await rig.engine.run(work)).status is UnitStatus.DONE
    assert await read(rig.chain, "counted(uint256)", 31) == 1
    assert await rig.chain.nonce() == 1
    assert [line.split()[1] for line in rig.engine.computed()].count("prove") == 1
    lane = rig.engine.client.get_workflow_handle(rig.lane)
    assert (await lane.describe()).status is WorkflowExecutionStatus.RUNNING
    other = laned_work("free", 32)
    await rig.anvil.automine(True)
    assert (await rig.engine.run(other)).status is UnitStatus.DONE


@pytest.mark.timeout(300)
async def test_under_load_the_lane_continues_as_new_and_loses_nobody(rig: Rig) -> None:
    # The server suggests continue-as-new at 400 events here.
    works = [laned_work("free", n, key=f"load{n}") for n in range(100, 150)]
    await rig.engine.environment.ledger.claim(works)
    first = await rig.engine.start(works[0])
    await finished(first)
    lane = rig.engine.client.get_workflow_handle(rig.lane)
    run = (await lane.describe()).run_id
    handles = [await rig.engine.start(work) for work in works[1:]]
    async with asyncio.timeout(250):
        outcomes = await asyncio.gather(*(handle.result() for handle in handles))
    assert {outcome.status for outcome in outcomes} == {UnitStatus.DONE}
    assert (await lane.describe()).run_id != run
    assert [await read(rig.chain, "counted(uint256)", n) for n in range(100, 150)] == [1] * 50
    assert await rig.chain.nonce() == 50
    await rig.gapless()


@pytest.mark.timeout(120)
async def test_a_unit_proved_again_over_several_runs_enters_again(rig: Rig) -> None:
    rig.allow(free={"max_fee_per_gas": 1})
    params: dict[str, Any] = {"bytes": 8, "number": 7, "shards": 90, "join": ["compress"]}
    work = noop_work("wide", stream="free", ordinal=7, params=params, parallel=64)
    stages = tuple(replace(s, lane=s.stage is Stage.SUBMIT) for s in work.plan.stages)
    work = Work(replace(work.unit, system="laned"), replace(work.plan, stages=stages))
    handle = await rig.engine.start(work)
    await rig.until(work, lambda s: s.waits_for == "fees")
    run = (await handle.describe()).run_id
    await handle.execute_update("reprove", Order("a better prover", stage="prove"))
    await rig.until(work, lambda s: s.phase is Phase.CANCELLED)
    rig.allow()
    assert (await finished(handle)).status is UnitStatus.DONE
    assert (await rig.engine.client.get_workflow_handle(handle.id).describe()).run_id != run
    assert await read(rig.chain, "counted(uint256)", 7) == 1


async def provery(rig: Rig, *words: str, status: int = 0) -> Any:
    """A command in a process of its own; its JSON."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", *words, "--json",
        env={**rig.engine.env, "PYTHONPATH": os.getcwd()}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode == status, said
    return json.loads(said)


async def test_the_commands_show_and_steer_a_lane(rig: Rig) -> None:
    rig.allow(free={"max_fee_per_gas": 1})
    work = laned_work("free", 21, key="shown")
    handle = await rig.engine.start(work)
    await rig.until(work, lambda s: s.waits_for == "fees")
    lane = rig.lane.removeprefix("lane/")
    (listed,) = (await provery(rig, "lane", "list"))["lanes"]
    assert (listed["lane"], listed["open"]) == (lane, 1)
    shown = await provery(rig, "lane", "show", lane)
    assert (shown["open"][0]["unit"], shown["open"][0]["waits_for"]) == ("laned/free/shown", "fees")
    refused = await provery(rig, "lane", "cancel", "laned/free/other", status=5)
    assert "in no lane" in refused["error"]["message"]
    raised = await provery(rig, "lane", "raise-cap", "laned/free/shown", "--gwei", "100")
    assert raised["said"] == "the cap is 100000000000 wei per gas"
    assert (await finished(handle)).status is UnitStatus.DONE
    shown = await provery(rig, "lane", "show", lane)
    assert (shown["open"], shown["settled"][0]["phase"]) == ([], "landed")
    explained = await provery(rig, "explain", "laned/free/shown")
    (submission,) = explained["lane"]
    (transaction,) = submission["transactions"]
    assert (submission["phase"], transaction["fate"], transaction["nonce"]) == ("landed", "landed", 0)
    assert int(submission["fee_wei"]) == transaction["gas_used"] * int(transaction["gas_price_wei"])
    late = await provery(rig, "lane", "skip", "laned/free/shown", status=4)
    assert "left the lane" in late["error"]["message"]


async def test_an_order_wakes_a_lane_that_has_ended(rig: Rig) -> None:
    await rig.engine.run(laned_work("free", 22))
    handle = rig.engine.client.get_workflow_handle(rig.lane)
    await handle.terminate("as if it had been idle")
    lane = rig.lane.removeprefix("lane/")
    assert (await provery(rig, "lane", "pause", lane))["said"] == "paused"
    (listed,) = (await provery(rig, "lane", "list"))["lanes"]
    assert listed["paused"]
    assert (await provery(rig, "lane", "resume", lane))["said"] == "resumed"


async def test_the_metrics_tell_of_the_lane(rig: Rig) -> None:
    work = laned_work("rising", 1)
    await rig.engine.run(work)
    registry = rig.engine.environment.metrics
    labels = {"lane": rig.lane, "stream": "laned/rising"}
    found = await rig.submission(work)
    assert found is not None
    assert registry.get_sample_value("provery_lane_landed_total", labels) == 1
    assert registry.get_sample_value("provery_lane_spent_wei_total", labels) == found.fee
    seen = registry.get_sample_value("provery_lane_sign_to_seen_seconds_count", {"lane": rig.lane})
    assert seen == 1
