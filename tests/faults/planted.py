"""Violations planted into a live rig: a harness that does not count them would prove nothing."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace

import redis.asyncio as redis_client

from tests.faults.accounting import count
from tests.faults.cases import Case, Seen, gather, requests
from tests.faults.rig import Rig, until

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
    seen.bull = [await rig.add(id, order) for id, order in orders.items()]
    (job,) = orders
    if not await until(lambda: _settled(rig, seen), 120, 0.1):
        raise AssertionError(f"an undisturbed job was not proved; see {rig.home / 'logs'}")
    honest = count(await gather(rig, seen))
    missed = [] if honest.clean else [f"nothing: an honest run counts as {honest}"]
    for told, commit in _CRIMES.items():
        await commit(rig, job, seen.bull[0])
        if not any(told in line for line in count(await gather(rig, seen)).why):
            missed.append(told)
    if not await _orphan_counted(rig, seen):
        missed.append("an orphan")
    return missed


async def _settled(rig: Rig, seen: Seen) -> bool:
    return not await rig.held(seen.bull) and all([await rig.status(id) == "done" for id in seen.ids])


async def _forge(rig: Rig, job: str, outcome: str, started: float) -> None:
    """An attempt at the prove stage like the real one."""
    await rig.sql(
        """insert into attempts (id, memo_key, unit_id, params_sha256, stage, shard, generation, number, workflow_id,
               run_id, queue, worker, host, prover, device, started_at, ended_at, outcome, error_kind, error, cpu_s,
               peak_rss, cost, note)
           select %s, memo_key, unit_id, params_sha256, stage, shard, generation, number, workflow_id, run_id, queue,
               worker, host, prover, device, %s, %s, %s, '', '', 0, 0, 0, ''
           from attempts where unit_id = %s and stage = 'prove' and outcome = 'done' limit 1""",
        uuid.uuid4().hex, started, started + 1, outcome, f"queue/prove/{job}",
    )  # fmt: skip


async def _attempt_again(rig: Rig, job: str, bull: str) -> None:
    await _forge(rig, job, "lost", time.time())


async def _computed_twice(rig: Rig, job: str, bull: str) -> None:
    await _forge(rig, job, "done", 1.0)


async def _result_again(rig: Rig, job: str, bull: str) -> None:
    await rig.sql(
        """insert into stage_results
           select (r).* from (select jsonb_populate_record(s, jsonb_build_object('memo_key', %s::text)) as r
                              from stage_results s where unit_id = %s and stage = 'witness' limit 1) forged""",
        uuid.uuid4().hex, f"queue/prove/{job}",
    )  # fmt: skip


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
