"""Fused stages on a real server: one dispatch, but still stages of their own in every other respect."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError

from bench.noop import noop_work
from provery.core.controls import Order, UnitProgress
from provery.core.types import Json, Stage, UnitOutcome, UnitStatus, Work
from tests.support.engine import Engine

pytestmark = pytest.mark.asyncio(loop_scope="session")

ALL = [s.value for s in Stage]


def fused(noop: Engine, key: str, **params: Json) -> Work:
    """Fetch, then four stages in one dispatch, then submit."""
    return noop_work(key, params={"log": str(noop.log()), "bytes": 10, **params}, fused=True)


async def dispatched(handle: WorkflowHandle[Any, UnitOutcome]) -> list[str]:
    """Activities that were scheduled, by type."""
    history = await handle.fetch_history()
    return [
        event.activity_task_scheduled_event_attributes.activity_type.name
        for event in history.events
        if event.HasField("activity_task_scheduled_event_attributes")
    ]


async def recorded(noop: Engine, work: Work, stage: str) -> None:
    """Wait until a stage's result is in the ledger."""
    while True:
        audit: Any = await noop.environment.ledger.audit(work.unit)
        if stage in [result["stage"] for result in audit.get("results", [])]:
            return
        await asyncio.sleep(0.05)


def computed(noop: Engine) -> list[str]:
    return [line.split()[1] for line in noop.computed()]


async def test_stages_on_one_queue_share_a_dispatch_and_keep_their_own_results(noop: Engine) -> None:
    work = fused(noop, "fused")
    handle = await noop.start(work)
    assert (await handle.result()).status is UnitStatus.DONE
    assert await dispatched(handle) == ["fetch", "fused", "submit"]
    assert computed(noop) == ALL
    audit: Any = await noop.environment.ledger.audit(work.unit)
    assert [a["stage"] for a in audit["attempts"]] == ALL
    progress = await handle.query("progress", result_type=UnitProgress)
    assert [(row.stage, row.status, len(row.outputs)) for row in progress.stages] == [
        (name, "done", 1) for name in ALL
    ]


async def test_a_unit_that_ends_in_fused_stages_is_done(noop: Engine) -> None:
    work = fused(noop, "short")
    work = replace(work, plan=replace(work.plan, stages=work.plan.stages[:5]))
    await noop.run(work)
    row = await noop.environment.ledger.unit("noop", "bench", "short")
    assert row is not None
    assert row.status is UnitStatus.DONE


async def test_another_queue_is_another_dispatch(noop: Engine) -> None:
    work = fused(noop, "apart")
    work = replace(work, plan=work.plan.to_queue(Stage.COMPRESS, "cpu-large"))
    handle = await noop.start(work)
    await handle.result()
    assert await dispatched(handle) == ["fetch", "fused", "compress", "verify", "submit"]


async def test_an_invalid_stage_is_named_and_neither_it_nor_the_ones_before_run_again(noop: Engine) -> None:
    with pytest.raises(WorkflowFailureError) as caught:
        await noop.run(fused(noop, "invalid", fail={"compress": ["InvalidWitness", -1]}))
    assert isinstance(caught.value.cause, ApplicationError)
    assert "compress failed" in str(caught.value.cause)
    assert caught.value.cause.type == "InvalidWitness"
    row = await noop.environment.ledger.unit("noop", "bench", "invalid")
    assert row is not None
    assert (row.status, row.stage) == (UnitStatus.FAILED, "compress")
    assert computed(noop) == ["fetch", "witness", "prove", "conclude"]


async def test_each_stage_has_all_its_attempts(noop: Engine) -> None:
    work = fused(noop, "crash", fail={"prove": ["ProverCrashed", 2], "verify": ["ProverCrashed", 2]})
    assert (await noop.run(work)).status is UnitStatus.DONE
    assert computed(noop) == ALL


async def test_out_of_memory_moves_the_stage_that_ran_out(noop: Engine) -> None:
    work = fused(noop, "memory", fail={"prove": ["ResourceExhausted", 1]})
    work = replace(
        work,
        plan=replace(
            work.plan, stages=tuple(replace(s, fallback_queue="cpu-large") for s in work.plan.stages)
        ),
    )
    handle = await noop.start(work)
    assert (await handle.result()).status is UnitStatus.DONE
    assert await dispatched(handle) == ["fetch", "fused", "prove", "fused", "submit"]
    assert computed(noop) == ALL


async def test_a_witness_in_pieces_is_proved_in_pieces(noop: Engine) -> None:
    handle = await noop.start(fused(noop, "pieces", shards=3))
    assert (await handle.result()).status is UnitStatus.DONE
    assert await dispatched(handle) == ["fetch", "fused", "prove", "prove", "prove", "fused", "submit"]
    assert sorted(computed(noop)) == sorted([*ALL, "prove", "prove"])


async def test_a_lost_artifact_between_fused_stages_is_made_again(noop: Engine) -> None:
    """The stage before is forgotten and computed anew; nothing else is."""
    work = fused(noop, "mend", fail={"verify": ["ArtifactMissing", 1]})
    assert (await noop.run(work)).status is UnitStatus.DONE
    assert [computed(noop).count(name) for name in ALL] == [1] * 6


async def test_a_pause_starts_no_further_stage(noop: Engine) -> None:
    work = fused(noop, "pause", sleep={"prove": 3.0})  # a cancellation comes with a heartbeat's answer
    handle = await noop.start(work)
    await recorded(noop, work, "witness")
    await handle.execute_update("pause", Order(reason="lunch"))
    await asyncio.sleep(4)
    assert computed(noop) == ["fetch", "witness"]
    await handle.execute_update("resume", Order())
    assert (await handle.result()).status is UnitStatus.DONE
    assert computed(noop) == ALL


async def test_a_store_that_was_away_costs_no_finished_stage(noop: Engine) -> None:
    handle = await noop.start(fused(noop, "away", fail={"verify": ["StoreUnavailable", 1]}))
    assert (await handle.result()).status is UnitStatus.DONE
    assert await dispatched(handle) == ["fetch", "fused", "submit"]
    assert computed(noop) == ALL


@pytest.mark.parametrize("express", [False, True])
async def test_a_pause_that_is_taken_back_at_once_fails_nothing(noop: Engine, express: bool) -> None:
    """The cancelled activity may report back only after the resume."""
    work = fused(noop, f"hesitant-{express}", sleep={"prove": 3.0})
    handle = await noop.start(replace(work, plan=replace(work.plan, express=express)))
    await recorded(noop, work, "witness")
    await handle.execute_update("pause", Order(reason="no"))
    await handle.execute_update("resume", Order(reason="yes"))
    assert (await handle.result()).status is UnitStatus.DONE
    assert computed(noop) == ALL
