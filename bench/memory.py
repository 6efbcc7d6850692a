"""Memory of the workers over 10,000 units: it must be flat once caches are warm."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.noop import noop_work
from bench.results import Figures, figure
from bench.stack import stack
from provery.client import Provery

WORKERS = (("--queue", "orchestrate"), ("--queue", "io,cpu", "--slots", "8"))
WARM, MEASURED, BATCH, BATCHES_AT_ONCE = 5_000, 10_000, 4, 8
"""A worker keeps its last 1,000 workflows in memory: ``WARM`` units are 1,250 workflows, so that cache is full."""
UNITS = WARM + MEASURED


async def run(home: Path) -> Figures:
    """Prove no-op units in express batches and compare resident memory at the end with that after warming up."""
    async with stack(home, WORKERS) as made:
        engine = Provery(made.client, made.ledger, made.env)
        gate = asyncio.Semaphore(BATCHES_AT_ONCE)
        seen: list[tuple[int, int]] = []
        finished = 0

        async def batch(first: int) -> None:
            nonlocal finished
            async with gate:
                await engine.run_batch(
                    [noop_work(f"m{i}", express=True) for i in range(first, first + BATCH)]
                )
                finished += BATCH
                if finished % 500 == 0:
                    seen.append((finished, sum(made.rss().values())))

        await asyncio.gather(*(batch(first) for first in range(0, UNITS, BATCH)))
        warm = [rss for units, rss in seen if units >= WARM]
        half = len(warm) // 2
        early, late = sum(warm[:half]) / half, sum(warm[half:]) / len(warm[half:])
        growth = (late - early) / MEASURED * 2
    return {
        "worker_memory_ratio_10k": figure(
            late / early,
            "ratio",
            f"mean resident memory, later half of {MEASURED} units over earlier",
        ),
        "worker_memory_mb": figure(late / 2**20, "MiB", "orchestrate and io+cpu workers together"),
        "worker_memory_bytes_per_unit": figure(growth, "B", "growth per unit after warming up"),
    }
