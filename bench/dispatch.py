"""Cost of orchestration: a unit of six no-op stages, and the dispatch of one remote stage.

Four shapes take turns, so that they meet the same machine: a unit of six remote stages; the same with its four stages
on the cpu queue fused, as brief stages are planned; the same as an express plan; and six bare Temporal activities
without Provery.

``dispatch`` is what a unit waits between two stages: from one activity's completion event to the next one's start
event, which holds a workflow task, its scheduling and the hand-over to a worker in another process.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from bench.bare import WORKFLOWS, Bare
from bench.noop import noop_work
from bench.results import Figures, figure
from bench.stack import Stack, stack
from provery.client import Provery
from provery.core.types import UnitOutcome

WORKERS = (("--queue", "orchestrate"), ("--queue", "io"), ("--queue", "cpu", "--slots", "32"))
WARM, UNITS, LOADED_UNITS = 20, 100, 250
LOADED_RATE = 50 / 6
"""Units a second that make 50 stages a second."""


def quantile(values: list[float], q: float) -> float:
    """Nearest-rank quantile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))]


async def gaps(handle: WorkflowHandle[object, UnitOutcome]) -> list[float]:
    """Milliseconds between each activity's completion and the next one's start."""
    completed, found = None, []
    async for event in handle.fetch_history_events():
        at = event.event_time.ToNanoseconds() / 1e6
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED and completed is not None:
            found.append(at - completed)
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            completed = at
    return found


async def unit(
    made: Stack,
    provery: Provery,
    key: str,
    took: list[float],
    dispatch: list[float],
    *,
    express: bool = False,
    fused: bool = False,
) -> None:
    """Prove one no-op unit and note its times."""
    began = time.perf_counter()
    (started,) = await provery.start([noop_work(key, express=express, fused=fused)])
    handle = made.client.get_workflow_handle(started.workflow_id)
    await handle.result()
    took.append((time.perf_counter() - began) * 1000)
    if not (express or fused):
        dispatch += await gaps(handle)


async def bare(made: Stack, key: str, took: list[float]) -> None:
    """Run six bare activities and note the time."""
    began = time.perf_counter()
    await made.client.execute_workflow(Bare.run, key, id=f"bare/{key}", task_queue=WORKFLOWS)
    took.append((time.perf_counter() - began) * 1000)


@contextlib.asynccontextmanager
async def bare_workers(made: Stack) -> AsyncIterator[None]:
    """The floor's two worker processes."""
    address = made.env["TEMPORAL_ADDRESS"]
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.bare", address, role, env=made.env, stderr=asyncio.subprocess.DEVNULL
        )
        for role in ("workflows", "activities")
    ]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            await process.wait()


async def run(home: Path) -> Figures:
    """Measure one unit at a time, then 50 stages a second."""
    async with stack(home, WORKERS) as made:
        provery = Provery(made.client, made.ledger, made.env)
        took: list[float] = []
        alone: list[float] = []
        joined: list[float] = []
        quick: list[float] = []
        floor: list[float] = []
        async with bare_workers(made):
            for i in range(WARM + UNITS):
                await unit(made, provery, f"one{i}", took, alone)
                await unit(made, provery, f"fused{i}", joined, [], fused=True)
                await unit(made, provery, f"express{i}", quick, [], express=True)
                await bare(made, f"{i}", floor)
        del took[:WARM], joined[:WARM], quick[:WARM], floor[:WARM], alone[: WARM * 5]
        loaded: list[float] = []
        began, tasks = time.perf_counter(), []
        for i in range(LOADED_UNITS):
            await asyncio.sleep(max(0.0, began + i / LOADED_RATE - time.perf_counter()))
            tasks.append(asyncio.create_task(unit(made, provery, f"load{i}", [], loaded)))
        await asyncio.gather(*tasks)
        rate = LOADED_UNITS * 6 / (time.perf_counter() - began)
    return {
        "unit6_p50_ms": figure(
            statistics.median(joined),
            "ms",
            f"six no-op stages, the four on one queue fused, {UNITS} units one at a time;"
            f" p90 {quantile(joined, 0.9):.1f}",
        ),
        "unit6_apart_p50_ms": figure(
            statistics.median(took), "ms", f"the same stages, none fused; p90 {quantile(took, 0.9):.1f}"
        ),
        "unit6_express_p50_ms": figure(
            statistics.median(quick), "ms", "the same six stages as an express plan: one activity, six memos"
        ),
        "unit6_bare_p50_ms": figure(
            statistics.median(floor), "ms", "six bare Temporal activities on the same server, taking turns"
        ),
        "unit6_to_bare_ratio": figure(
            statistics.median(joined) / statistics.median(floor),
            "ratio",
            "a unit's time over bare Temporal's",
        ),
        "unit6_apart_to_bare_ratio": figure(
            statistics.median(took) / statistics.median(floor), "ratio", "the same with no stage fused"
        ),
        "dispatch_p50_ms": figure(
            statistics.median(alone), "ms", f"{len(alone)} dispatches, one unit at a time"
        ),
        "dispatch_p99_ms": figure(quantile(alone, 0.99), "ms", "the same dispatches"),
        "dispatch_p50_ms_at_50": figure(
            statistics.median(loaded), "ms", f"{len(loaded)} dispatches at {rate:.1f} stages/s"
        ),
        "dispatch_p99_ms_at_50": figure(
            quantile(loaded, 0.99), "ms", f"{len(loaded)} dispatches at {rate:.1f} stages/s"
        ),
    }
