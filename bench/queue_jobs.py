"""Membership jobs from Redis to the table: Provery beside a plain bullmq + snarkjs worker, on the same jobs.

Both take the same 1,000 requests from a Redis of their own at the same concurrency, on this machine, one after the
other in slices, so that a change of the machine's speed meets both. Times run from the first job's hand-over to the
last row's ``done``.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import statistics
import time
from pathlib import Path

from bench.results import Figures, figure
from bench.stack import Stack, stack, start_worker
from provery.core.ports import CircuitFiles
from provery.local.demo import produce
from provery.local.servers import RedisServer
from provery.local.shipped import register_shipped
from provery.local.toolchain import find, node_modules
from provery.provers.circuits import CircuitRegistry
from provery.stores.artifacts import open_store

JOBS, SLICES = 1_000, 5
CONCURRENCY = 64
PLAIN = Path(__file__).parent / "node" / "plain_worker.mjs"
WORKERS = (
    ("--queue", "orchestrate"),
    ("--queue", "io,cpu", "--slots", "2"),
    ("--ingress", "queue/prove"),
)


async def run(home: Path) -> Figures:
    """Measure slices in turn; the ratio of each pair, then the median."""
    async with stack(home, (), redis=True, WORKER_CONCURRENCY=str(CONCURRENCY), QUEUE_NAME="prove") as made:
        made.env |= ledger_env(home)
        await register_shipped(made.env)
        circuit = await resolve(made, home)
        for args in WORKERS:
            await start(made, args)
        plain_redis = RedisServer(home / "plain")
        async with plain_redis:
            plain = await start_plain(plain_redis.url, circuit, home)
            try:
                ours, theirs, ratios = await slices(made, plain_redis.url, home)
            finally:
                plain.terminate()
                await plain.wait()
    mine, other = JOBS / sum(ours), JOBS / sum(theirs)
    return {
        "queue_jobs_ratio": figure(
            statistics.median(ratios),
            "ratio",
            f"{JOBS} membership jobs in {SLICES} slices at concurrency {CONCURRENCY}: "
            f"{mine:.1f} jobs/s against {other:.1f} of bullmq + snarkjs; slices "
            + ", ".join(f"{r:.2f}" for r in ratios),
        ),
        "queue_jobs_per_s": figure(mine, "1/s", f"Redis to table, concurrency {CONCURRENCY}"),
    }


async def slices(made: Stack, plain_redis: str, home: Path) -> tuple[list[float], list[float], list[float]]:
    """Seconds per slice of ours and theirs, and the paired ratios."""
    ours, theirs = [], []
    size = JOBS // SLICES
    await one_slice(made.env["REDIS_URL"], home / "queue.db", 20, "warm")
    await one_slice(plain_redis, home / "plain.db", 20, "warm")
    for number in range(SLICES):
        ours.append(await one_slice(made.env["REDIS_URL"], home / "queue.db", size, f"s{number}"))
        theirs.append(await one_slice(plain_redis, home / "plain.db", size, f"s{number}"))
    return ours, theirs, [b / a for a, b in zip(ours, theirs, strict=True)]


async def one_slice(redis_url: str, database: Path, count: int, prefix: str) -> float:
    """Add ``count`` jobs; seconds from the first row to the last one done.

    The producer runs until all jobs are in Redis; it competes for the cores with whoever proves, alike for both.
    """
    began = time.monotonic()
    adding = asyncio.create_task(produce(redis_url, "prove", count, seed=7, prefix=f"{prefix}-"))
    first = 0.0
    while True:
        seen, done, failed = await asyncio.to_thread(counts, database, prefix)
        if seen and not first:
            first = time.monotonic()
        if failed:
            raise RuntimeError(f"{failed} jobs failed in slice {prefix}")
        if done == count:
            await adding
            return time.monotonic() - first
        if time.monotonic() - began > 600:
            raise RuntimeError(f"slice {prefix}: {done} of {count} after 600 s")
        await asyncio.sleep(0.02)


def counts(database: Path, prefix: str) -> tuple[int, int, int]:
    """Rows of a slice: all, done, failed."""
    if not database.exists():
        return 0, 0, 0
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)
    try:
        rows = dict(
            connection.execute(
                "select status, count(*) from zkp_jobs where id like ? group by status", (f"{prefix}-%",)
            ).fetchall()
        )
    except sqlite3.OperationalError:
        return 0, 0, 0
    finally:
        connection.close()
    return sum(rows.values()), rows.get("done", 0), rows.get("failed", 0)


def ledger_env(home: Path) -> dict[str, str]:
    """Where everything is."""
    return {
        "PROVERY_LEDGER_URL": f"sqlite:///{home / 'ledger.db'}",
        "PROVERY_ARTIFACTS_URL": (home / "artifacts").as_uri(),
        "DATABASE_URL": f"sqlite:///{home / 'queue.db'}",
    }


async def resolve(made: Stack, home: Path) -> CircuitFiles:
    """The membership circuit's files, for the plain worker."""
    store = open_store(made.env["PROVERY_ARTIFACTS_URL"], cache=home / "cache" / "artifacts", env=made.env)
    return await CircuitRegistry(made.ledger.catalog, store, env=made.env, home=home).resolve("membership")


async def start(made: Stack, args: tuple[str, ...]) -> None:
    """Start one of our workers."""
    name = " ".join(args)
    made.workers[name] = await start_worker(made.env, args, made.home / f"{len(made.workers)}.log")


async def start_plain(redis_url: str, circuit: CircuitFiles, home: Path) -> asyncio.subprocess.Process:
    """Start the Node worker and wait for its ``ready``."""
    process = await asyncio.create_subprocess_exec(
        str(find("node")),
        "--no-warnings",
        str(PLAIN),
        "prove",
        str(CONCURRENCY),
        str(circuit.wasm),
        str(circuit.zkey),
        str(circuit.vkey),
        str(home / "plain.db"),
        env={**os.environ, "REDIS_URL": redis_url, "NODE_MODULES_BASE": str(node_modules())},
        stdout=asyncio.subprocess.PIPE,
    )
    if process.stdout is None:
        raise RuntimeError("no output to wait for")
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    if line.strip() != b"ready":
        raise RuntimeError(f"the plain worker said {line!r}")
    return process
