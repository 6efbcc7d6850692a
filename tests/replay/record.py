"""Record histories of the workflows, for the replay tests.

    python -m tests.replay.record NAME...      (no names: every scenario that has no file yet)

A recorded history is never recorded again: it stands for the units in flight when a new version is deployed. A
new scenario is a new name. Host names and process ids do not matter to replay.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError

from bench.noop import noop_work
from provery.core.controls import FOLLOW_STREAM, PROVE_BATCH, BatchInput, FollowInput, Order, batch_id
from provery.core.lane_records import LaneOrder
from provery.core.queues import ORCHESTRATE, task_queue
from tests.support.anvil import Anvil
from tests.support.engine import Engine, engine, temporal_server
from tests.support.laned import environment, lane_of, laned_work, prepared

HISTORIES = Path(__file__).parent / "histories"
Record = Callable[[Engine], Awaitable[str]]
"""Runs a scenario to its end; returns the workflow's id."""


async def staged(made: Engine) -> str:
    await made.run(noop_work("staged", params={"bytes": 8}))
    return "prove/noop/bench/staged"


async def express(made: Engine) -> str:
    await made.run(noop_work("express", params={"bytes": 8}, express=True))
    return "prove/noop/bench/express"


async def fused(made: Engine) -> str:
    work = noop_work("fused", params={"bytes": 64, "fail": {"prove": ["ResourceExhausted", 1]}}, fused=True)
    work = replace(
        work,
        plan=replace(
            work.plan, stages=tuple(replace(s, fallback_queue="cpu-large") for s in work.plan.stages)
        ),
    )
    await made.run(work)
    return "prove/noop/bench/fused"


async def failed(made: Engine) -> str:
    with contextlib.suppress(WorkflowFailureError):
        await made.run(noop_work("failed", params={"fail": {"verify": ["ProofRejected", -1]}}))
    return "prove/noop/bench/failed"


async def moved_after_oom(made: Engine) -> str:
    work = noop_work(
        "moved", params={"fail": {"prove": ["ResourceExhausted", 1]}}, fallback_queue="cpu-large"
    )
    await made.run(work)
    return "prove/noop/bench/moved"


async def sharded(made: Engine) -> str:
    await made.run(noop_work("sharded", params={"shards": 40}, brief=False))
    return "prove/noop/bench/sharded"


async def ordered(made: Engine) -> str:
    handle = await made.start(noop_work("ordered", params={"sleep": {"prove": 1.0}, "bytes": 8}))
    await handle.execute_update("pause", Order("look", by="recorder"))
    await handle.execute_update("resume", Order())
    await asyncio.sleep(0.5)
    await handle.execute_update("move", Order(stage="prove", queue="cpu-large"))
    await handle.execute_update("reprove", Order(stage="witness"))
    await handle.result()
    return handle.id


async def parked(made: Engine) -> str:
    handle = await made.start(noop_work("parked", params={"fail": {"prove": ["InvalidInput", 1]}}, park=True))
    while (await handle.query("progress"))["status"] != "parked":
        await asyncio.sleep(0.05)
    await handle.execute_update("resume", Order())
    await handle.result()
    return handle.id


async def cancelled(made: Engine) -> str:
    handle = await made.start(noop_work("cancelled", params={"sleep": {"prove": 30}}))
    await asyncio.sleep(0.7)
    await handle.execute_update("cancel", Order("no longer needed"))
    await handle.result()
    return handle.id


async def batch(made: Engine) -> str:
    works = (
        noop_work("b1", params={"bytes": 8}, express=True),
        noop_work("b2", params={"fail": {"witness": ["InvalidWitness", -1]}}, express=True),
        noop_work(
            "b3",
            params={"fail": {"prove": ["ResourceExhausted", 1]}},
            express=True,
            fallback_queue="cpu-large",
        ),
    )
    await made.environment.ledger.claim(works)
    name = batch_id("noop", "bench", "0" * 64)
    await made.client.execute_workflow(
        PROVE_BATCH, BatchInput(works), id=name, task_queue=task_queue(ORCHESTRATE, made.env)
    )
    return name


async def backfill(made: Engine) -> str:
    given = FollowInput("noop", "bench", first=1, last=4, parallel=2)
    await made.client.execute_workflow(
        FOLLOW_STREAM, given, id="follow/noop/bench/backfill", task_queue=task_queue(ORCHESTRATE, made.env)
    )
    return "follow/noop/bench/backfill"


async def laned(made: Engine) -> str:
    """A unit through a lane, which an order finds too late; its lane is the next scenario."""
    handle = await made.start(laned_work("free", 1, key="laned"))
    await handle.result()
    return handle.id


async def laned_skipped(made: Engine) -> str:
    lane = made.client.get_workflow_handle(lane_of())
    await lane.execute_update("pause", LaneOrder("pause", "", reason="look", by="recorder"))
    handle = await made.start(laned_work("free", 2, key="laned-skipped"))
    await asyncio.sleep(1.5)
    await handle.execute_update("skip", Order("no longer needed"))
    await handle.result()
    return handle.id


async def lane(made: Engine) -> str:
    handle = made.client.get_workflow_handle(lane_of())
    await handle.execute_update("resume", LaneOrder("resume", ""))
    work = laned_work("closing", 0, key="lane")
    with contextlib.suppress(WorkflowFailureError):
        await made.run(work)
    with contextlib.suppress(WorkflowUpdateFailedError):
        await handle.execute_update("skip", LaneOrder("skip", "", "laned/closing/lane"))
    return lane_of()


async def lane_waits(made: Engine) -> str:
    """Recorded alone: the lane of a call that waits until an order raises its cap."""
    Path(made.env["LANED_POLICY"]).write_text(json.dumps({"free": {"max_fee_per_gas": 1}}))
    handle = await made.start(laned_work("free", 3, key="lane-waits"))
    await asyncio.sleep(4)
    order = LaneOrder("raise_cap", "", "laned/free/lane-waits", max_fee=str(10**12))
    await made.client.get_workflow_handle(lane_of()).execute_update("raise_cap", order)
    await handle.result()
    return lane_of()


SCENARIOS: dict[str, Record] = {
    f.__name__: f
    for f in (
        staged,
        fused,
        express,
        failed,
        moved_after_oom,
        sharded,
        ordered,
        parked,
        cancelled,
        batch,
        backfill,
        laned,
        laned_skipped,
        lane,
        lane_waits,
    )
}


def scrubbed(value: Any) -> Any:
    """Without stack traces, which replay does not look at and which hold paths of this machine."""
    if isinstance(value, dict):
        return {k: "" if k == "stackTrace" else scrubbed(v) for k, v in value.items()}
    return [scrubbed(v) for v in value] if isinstance(value, list) else value


async def main(names: list[str]) -> None:
    HISTORIES.mkdir(exist_ok=True)
    wanted = names or [n for n in SCENARIOS if not (HISTORIES / f"{n}.json").exists()]
    with tempfile.TemporaryDirectory(prefix="provery-") as home:
        async with AsyncExitStack() as held:
            server = await held.enter_async_context(temporal_server())
            anvil = await held.enter_async_context(Anvil(Path(home) / "anvil"))
            await prepared(anvil)
            settings: Any = environment(anvil.url, Path(home) / "policy.json")
            made = await held.enter_async_context(engine(server, Path(home), **settings))
            for name in wanted:
                path = HISTORIES / f"{name}.json"
                if path.exists():
                    raise SystemExit(f"{path} exists; a recorded history is never recorded again")
                workflow_id = await SCENARIOS[name](made)
                history = await made.client.get_workflow_handle(workflow_id).fetch_history()
                path.write_text(json.dumps(scrubbed(json.loads(history.to_json())), indent=1) + "\n")
                sys.stdout.write(f"{name}: {len(history.events)} events\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
