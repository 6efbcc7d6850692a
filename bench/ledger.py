"""What the ledger costs, one call at a time and in batches of 32.

``python -m bench.ledger`` measures a fresh SQLite file; give the URL of an empty Postgres database to measure that.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from pathlib import Path

from provery.core.access import AuditEntry
from provery.core.ports import Attempt, AttemptEnd
from provery.core.types import ArtifactRef, Plan, Stage, StagePlan, StageResult, Unit, Work, digest_json
from provery.stores.access_keys import SqlApiKeys
from provery.stores.ledger import SqlLedger, open_ledger

ROUNDS = 300


def _attempt(unit: Unit, number: int) -> Attempt:
    return Attempt(
        id=uuid.uuid4().hex, memo_key=digest_json([unit.key, number]), unit=unit, stage="prove", shard=None, number=1,
        workflow_id=unit.workflow_id, run_id="run", queue="cpu", worker="cpu@bench:1", host="bench",
        started_at=time.time(), prover="native",
    )  # fmt: skip


def _end(attempt: Attempt) -> AttemptEnd:
    refs = tuple(
        ArtifactRef(f"file:///a/sha256/ab/{n}", "ab" * 32, 800, n) for n in ("proof.json", "public.json")
    )
    result = StageResult(
        Stage.PROVE, attempt.memo_key, refs, {"circuit": "membership"}, seconds=0.1, prover="native"
    )
    return AttemptEnd(attempt.id, time.time(), "done", cpu_s=0.1, peak_rss=10**8, result=result)


async def _timed(times: list[float], call: Callable[[], Awaitable[object]]) -> None:
    started = time.perf_counter()
    await call()
    times.append((time.perf_counter() - started) * 1e3)


async def measure(ledger: SqlLedger, size: int, rounds: int) -> dict[str, list[float]]:
    """Times in ms of each call for batches of ``size``."""
    times: dict[str, list[float]] = {
        name: [] for name in ("claim", "begin", "finish", "finish+done", "begin (found)")
    }
    plan = Plan(tuple(StagePlan(stage, "cpu") for stage in Stage))
    for round_ in range(rounds):
        units = [Unit("bench", f"size{size}", f"{round_}-{n}", {"n": n}) for n in range(size)]
        works = [Work(unit, plan) for unit in units]
        first, second = ([_attempt(unit, n) for unit in units] for n in (1, 2))
        await _timed(times["claim"], lambda works=works: ledger.claim(works))  # type: ignore[misc]
        await _timed(times["begin"], lambda a=first: ledger.begin(a))  # type: ignore[misc]
        early, ends = [_end(a) for a in first], [_end(a) for a in second]
        await _timed(times["finish"], lambda e=early: ledger.finish(e))  # type: ignore[misc]
        await ledger.begin(second)
        await _timed(times["finish+done"], lambda e=ends, u=units: ledger.finish(e, u))  # type: ignore[misc]
        await _timed(times["begin (found)"], lambda a=first: ledger.begin(a))  # type: ignore[misc]
    return times


async def measure_access(ledger: SqlLedger, size: int, rounds: int) -> dict[str, list[float]]:
    """Times in ms of what a request to an HTTP API costs, ``size`` of them at once."""
    times: dict[str, list[float]] = {
        name: [] for name in ("key", "key (known)", "take", "append", "take+append")
    }
    access = ledger.access
    secrets = [(await access.keys.add("bench", ["prove"]))[1] for _ in range(size)]
    take = partial(access.buckets.take, per_minute=6e5, burst=1e4)
    entry = AuditEntry(time.time(), "key:bench", "prove", "cached", 1.5, {"request": "ab" * 32})

    async def both(bucket: str) -> None:
        await take(bucket)
        await access.audit.append(entry)

    async def all_of(calls: Iterable[Awaitable[object]]) -> None:
        await asyncio.gather(*calls)

    for _ in range(rounds):
        fresh = SqlApiKeys(ledger._database)
        for name in ("key", "key (known)"):
            await _timed(times[name], lambda k=fresh: all_of(k.find(s) for s in secrets))  # type: ignore[misc]
        await _timed(times["take"], lambda: all_of(take(f"b{n}") for n in range(size)))
        await _timed(times["append"], lambda: all_of(access.audit.append(entry) for _ in range(size)))
        await _timed(times["take+append"], lambda: all_of(both(f"b{n}") for n in range(size)))
    return times


async def main() -> None:
    """Measure and print a table."""
    with tempfile.TemporaryDirectory() as folder:
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{Path(folder) / 'ledger.db'}"
        ledger = open_ledger(url)
        print(f"{ledger.name.split(':')[0]}, ms per call{'median':>20}{'P99':>10}")
        for size, rounds in ((1, ROUNDS), (32, ROUNDS // 5)):
            measured = {
                **await measure(ledger, size, rounds),
                **await measure_access(ledger, size, rounds),
            }
            for name, times in measured.items():
                times = sorted(times[rounds // 10 :])
                p99 = times[int(len(times) * 0.99)]
                print(f"{f'{name}, {size}':<25}{statistics.median(times):>10.2f}{p99:>10.2f}")
        await ledger.close()


if __name__ == "__main__":
    asyncio.run(main())
