"""Violations planted into a live rig: a harness that does not count them would prove nothing."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import redis.asyncio as redis_client

from provery.client import Provery, connect
from provery.local.servers import TemporalServer
from tests.faults import calls
from tests.faults.accounting import count
from tests.faults.cases import CALL, LANE, Case, requests
from tests.faults.rig import Rig, until
from tests.faults.seen import Seen, gather
from tests.support.laned import CONTRACT, SENDER, data

_ORPHAN = """
import os, sys, time
if os.fork():
    os._exit(0)
os.setsid()
print(os.getpid(), flush=True)
os.close(1)
time.sleep(60)
"""


async def planted(rig: Rig) -> list[str]:
    """Prove one honest job, then do everything to it that must not happen; returns what was not counted."""
    orders = requests(Case("nobody", "planted"))
    seen = Seen(list(orders), "-")
    await seen.deliver(rig, orders)
    (job,) = orders
    if not await until(lambda: _settled(rig, seen), 60, 0.1):
        raise AssertionError(f"an undisturbed job was not proved; see {rig.home / 'logs'}")
    honest = count(await gather(rig, seen))
    missed = [] if honest.clean else [f"nothing: an honest run counts as {honest}"]
    for told, commit in _CRIMES.items():
        await commit(rig, job, next(iter(seen.bull)))
        if not any(told in line for line in count(await gather(rig, seen)).why):
            missed.append(told)
    if not await _orphan_counted(rig, seen):
        missed.append("an orphan")
    return missed + await planted_calls(rig)


async def planted_calls(rig: Rig) -> list[str]:
    """Land a call undisturbed, then once more from elsewhere, and leave a transaction behind a gap."""
    assert rig.l1 is not None
    case = Case(LANE, "planted" + CALL)
    chain = await rig.l1.anvil.open(SENDER)
    try:
        made, server = (
            calls.Calls(rig, rig.l1, chain, await calls.works(case, chain, 999)),
            rig.servers["temporal"],
        )
        assert isinstance(server, TemporalServer)
        await Provery(await connect(server.env), rig.ledger, server.env).start(made.works)
        if not await until(lambda: calls.ended(made), 60, 0.1):
            raise AssertionError(f"an undisturbed call did not land; see {rig.home / 'logs'}")
        seen = Seen([work.unit.key for work in made.works], "-")
        await calls.gather(made, seen)
        missed = [] if seen.counts.clean and not seen.problems else [f"nothing: {seen.problems}"]
        unit, other = made.works[0].unit, (await rig.l1.anvil.call("eth_accounts"))[1]
        again = data("count(uint256)", int(str(unit.params["number"])))
        await rig.l1.anvil.call("eth_sendTransaction", {"from": other, "to": CONTRACT, "data": again})
        nonce = hex(await chain.nonce() + 2)
        behind = {"from": chain.sender, "to": other, "nonce": nonce, "gas": hex(21_000)}
        left = await rig.l1.anvil.call("eth_sendTransaction", behind)
        await asyncio.sleep(2.5)
        await calls.gather(made, seen)
        await rig.l1.anvil.drop(left)
        crimes = (f"{unit.key} landed 2 times", "a transaction was left behind")
        return missed + [crime for crime in crimes if crime not in seen.problems]
    finally:
        await chain.close()


async def _settled(rig: Rig, seen: Seen) -> bool:
    return not await rig.held(list(seen.bull)) and all([await rig.status(id) == "done" for id in seen.ids])


async def _copy(rig: Rig, table: str, job: str, stage: str, **changes: object) -> None:
    """Add a row like one of the job's, but for some columns."""
    await rig.sql(
        f"""insert into {table}
            select (r).* from (select jsonb_populate_record(t, %s::jsonb) as r from {table} t
                               where unit_id = %s and stage = %s limit 1) copied""",  # noqa: S608 - constants
        json.dumps(changes), f"queue/prove/{job}", stage,
    )  # fmt: skip


async def _attempt_again(rig: Rig, job: str, bull: str) -> None:
    now = time.time()
    await _copy(rig, "attempts", job, "prove", id=uuid.uuid4().hex, started_at=now, outcome="lost")


async def _computed_twice(rig: Rig, job: str, bull: str) -> None:
    await _copy(rig, "attempts", job, "prove", id=uuid.uuid4().hex, started_at=1.0, outcome="done")


async def _result_again(rig: Rig, job: str, bull: str) -> None:
    await _copy(rig, "stage_results", job, "witness", memo_key=uuid.uuid4().hex)


async def _submitted_again(rig: Rig, job: str, bull: str) -> None:
    for _ in range(2):
        await rig.sql(
            """insert into submissions (request_key, unit_id, destination, detail, intended_at, cost)
               values (%s, %s, 'nowhere', '{}', 1, 0)""",
            uuid.uuid4().hex, f"queue/prove/{job}",
        )  # fmt: skip


async def _delivered_again(rig: Rig, job: str, bull: str) -> None:
    async with redis_client.from_url(rig.redis_url) as client:
        await client.xadd("bull:prove:events", {"event": "completed", "jobId": bull, "prev": "active"})


async def _written_again(rig: Rig, job: str, bull: str) -> None:
    await rig.sql("update zkp_jobs set proof = '{}' where id = %s", job)


async def _gone_back(rig: Rig, job: str, bull: str) -> None:
    await rig.sql("update zkp_jobs set status = 'running' where id = %s", job)


async def _left_in_redis(rig: Rig, job: str, bull: str) -> None:
    async with redis_client.from_url(rig.redis_url) as client:
        await client.hset(f"bull:prove:{bull}", "data", "{}")


async def _row_gone(rig: Rig, job: str, bull: str) -> None:
    await rig.sql("delete from zkp_jobs where id = %s", job)


async def _orphan_counted(rig: Rig, seen: Seen) -> bool:
    """Leave a process behind that knows the rig's home, as a prover does."""
    argv = [sys.executable, "-I", "-S", "-c", _ORPHAN, str(rig.home)]
    made = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.PIPE)
    pid = int((await made.communicate())[0])
    try:
        evidence = replace(await gather(rig, seen), orphans=await rig.orphans(0.2))
        return pid in evidence.orphans and count(evidence).orphans == 1
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


_CRIMES: dict[str, Callable[[Rig, str, str], Awaitable[object]]] = {
    "prove began again after its result was recorded": _attempt_again,
    "prove was computed 2 times": _computed_twice,
    "2 results of witness": _result_again,
    "submitted again": _submitted_again,
    "ended 2 times in Redis": _delivered_again,
    "its result was written again": _written_again,
    "went back from done": _gone_back,
    "Redis still holds job": _left_in_redis,
    "has no row": _row_gone,
}
"""What must be said, by the violation that it is to be said of."""
