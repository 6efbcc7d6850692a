"""Memory of the workers over 10,000 units: it must be flat once caches are warm."""

from __future__ import annotations

import asyncio
from pathlib import Path

from bench.noop import noop_work
from bench.results import Figures, figure
from bench.stack import stack
from provery.client import Provery

WORKERS = (("--queue", "orchestrate"), ("--queue", "io,cpu", "--slots", "8"))
UNITS, BATCH, BATCHES_AT_ONCE, WARM = 10_000, 50, 4, 3_000
"""The workflow cache holds 1,000 workflows: it is full long before ``WARM`` units have passed."""


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
                if first % 500 == 0:
                    # Units with a workflow of their own fill the cache that batches would not.
                    await engine.run([noop_work(f"m{first}-single-{i}", express=True) for i in range(10)])
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
        growth = max(0.0, (late - early) / (UNITS - WARM) * 2)
    return {
        "worker_memory_ratio_10k": figure(
            late / early,
            "ratio",
            f"mean resident memory, later half of {UNITS - WARM} units over earlier",
        ),
        "worker_memory_mb": figure(late / 2**20, "MiB", "orchestrate and io+cpu workers together"),
        "worker_memory_bytes_per_unit": figure(growth, "B", "growth per unit after warming up"),
    }
