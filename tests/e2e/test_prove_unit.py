"""ProveUnit on a real server: the path, its failures, its orders."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from temporalio.client import WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from bench.noop import noop_work
from provery.core.controls import Order, UnitProgress
from provery.core.types import Json, Stage, Unit, UnitOutcome, UnitStatus
from tests.support.engine import Engine

T = TypeVar("T")
pytestmark = pytest.mark.asyncio(loop_scope="session")


def logged(noop: Engine, **params: Json) -> dict[str, Json]:
    return {"log": str(noop.log()), "bytes": 10, **params}


async def until(check: Callable[[], T], timeout: float = 20.0) -> T:
    """Wait for a condition of the outside world."""
    deadline = asyncio.get_running_loop().time() + timeout
    while not (value := check()):
        assert asyncio.get_running_loop().time() < deadline, "did not happen in time"
        await asyncio.sleep(0.02)
    return value


def corrupt(path: Path) -> None:
    """Change bytes in place, keeping the size."""
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.write(b"corrupt")


async def audited(noop: Engine, unit: Unit) -> Any:
    """The unit's audit, untyped: what JSON readers see."""
    return await noop.environment.ledger.audit(unit)


async def progress(handle: WorkflowHandle[Any, UnitOutcome]) -> UnitProgress:
    seen: UnitProgress = await handle.query("progress", result_type=UnitProgress)
    return seen


async def test_a_unit_walks_all_six_stages_in_order(noop: Engine) -> None:
    work = noop_work("walk", params=logged(noop))
    outcome = await noop.run(work)
    assert outcome.status is UnitStatus.DONE
    assert [line.split()[1] for line in noop.computed()] == [s.value for s in Stage]
    row = await noop.environment.ledger.unit("noop", "bench", "walk")
    assert row is not None
    assert row.status is UnitStatus.DONE


async def test_a_finished_unit_started_again_computes_nothing(noop: Engine) -> None:
    work = noop_work("again", params=logged(noop))
    first = await noop.run(work)
    second = await noop.run(work)
    assert second.outputs == first.outputs
    assert len(noop.computed()) == 6


async def test_a_plan_without_compress_has_no_compress(noop: Engine) -> None:
    stages = [s for s in Stage if s is not Stage.COMPRESS]
    await noop.run(noop_work("short", params=logged(noop), stages=stages))
    assert [line.split()[1] for line in noop.computed()] == [s.value for s in stages]


async def test_express_runs_all_stages_in_one_activity(noop: Engine) -> None:
    handle = await noop.start(noop_work("express", params=logged(noop), express=True))
    outcome = await handle.result()
    assert outcome.status is UnitStatus.DONE
    assert len(noop.computed()) == 6
    history = await handle.fetch_history()
    scheduled = [e for e in history.events if e.HasField("activity_task_scheduled_event_attributes")]
    assert len(scheduled) == 1
    seen = await progress(handle)
    assert [stage.status for stage in seen.stages] == ["done"] * 6
    assert seen.stages[-1].outputs == outcome.outputs
    assert seen.facts == outcome.facts


async def test_shards_run_in_parallel_and_each_once(noop: Engine) -> None:
    outcome = await noop.run(noop_work("shards", params=logged(noop, shards=5)))
    assert outcome.status is UnitStatus.DONE
    proved = sorted(line.split()[2] for line in noop.computed() if line.split()[1] == "prove")
    assert proved == ["0", "1", "2", "3", "4"]


async def test_a_fan_out_continues_as_new_without_repeating_a_shard(noop: Engine) -> None:
    # The server suggests continue-as-new at 400 events here: 150 shards need at least two runs.
    handle = await noop.start(noop_work("many", params=logged(noop, shards=150)))
    first_run = handle.first_execution_run_id
    assert (await handle.result()).status is UnitStatus.DONE
    proved = [line.split()[2] for line in noop.computed() if line.split()[1] == "prove"]
    assert sorted(map(int, proved)) == list(range(150))
    described = await noop.client.get_workflow_handle(handle.id).describe()
    assert described.run_id != first_run


async def test_invalid_input_fails_once_and_names_the_stage(noop: Engine) -> None:
    work = noop_work("invalid", params=logged(noop, fail={"prove": ["InvalidWitness", -1]}))
    with pytest.raises(WorkflowFailureError) as caught:
        await noop.run(work)
    cause = caught.value.cause
    assert isinstance(cause, ApplicationError)
    assert cause.type == "InvalidWitness"
    assert "prove" in cause.message
    audit = await audited(noop, work.unit)
    assert [a["outcome"] for a in audit["attempts"] if a["stage"] == "prove"] == ["failed"]
    row = await noop.environment.ledger.unit("noop", "bench", "invalid")
    assert row is not None
    assert (row.status, row.stage) == (UnitStatus.FAILED, "prove")
    assert "invalid conclude failed InvalidWitness" in noop.computed()


async def test_a_corrected_unit_with_the_same_key_proves(noop: Engine) -> None:
    bad = noop_work("corrected", params=logged(noop, fail={"witness": ["InvalidWitness", -1]}))
    with pytest.raises(WorkflowFailureError):
        await noop.run(bad)
    good = replace(bad, unit=replace(bad.unit, params=logged(noop)))
    assert (await noop.run(good)).status is UnitStatus.DONE


async def test_a_crash_is_retried_as_often_as_the_plan_says(noop: Engine) -> None:
    work = noop_work("crash", params=logged(noop, fail={"prove": ["ProverCrashed", 2]}), attempts=3)
    assert (await noop.run(work)).status is UnitStatus.DONE
    work = noop_work("crashes", params=logged(noop, fail={"prove": ["ProverCrashed", -1]}), attempts=2)
    with pytest.raises(WorkflowFailureError):
        await noop.run(work)
    audit = await audited(noop, work.unit)
    assert len([a for a in audit["attempts"] if a["stage"] == "prove"]) == 2


async def test_out_of_memory_goes_to_the_larger_queue(noop: Engine) -> None:
    params = logged(noop, fail={"prove": ["ResourceExhausted", 1]})
    work = noop_work("oom", params=params, fallback_queue="cpu-large")
    assert (await noop.run(work)).status is UnitStatus.DONE
    audit = await audited(noop, work.unit)
    queues = [a["queue"].rpartition("-c")[2] for a in audit["attempts"] if a["stage"] == "prove"]
    assert queues == ["pu", "pu-large"]


async def test_a_lost_artifact_is_computed_again_and_nothing_else(noop: Engine) -> None:
    params = logged(noop, fail={"verify": ["InvalidInput", -1]})
    work = noop_work("lost", params=params)
    with pytest.raises(WorkflowFailureError):
        await noop.run(work)
    results = await audited(noop, work.unit)
    (last,) = [r for r in results["results"] if r["stage"] == "compress"]
    corrupt(Path(last["outputs"][0]["uri"].removeprefix("file://")))
    assert len(noop.computed()) == 5  # four stages and the conclusion
    with pytest.raises(WorkflowFailureError):
        await noop.run(work)
    stages = [line.split()[1] for line in noop.computed()]
    assert stages.count("compress") == 2
    assert stages.count("prove") == 1


async def test_pause_holds_the_next_stage_and_resume_goes_on(noop: Engine) -> None:
    handle = await noop.start(noop_work("paused", params=logged(noop, sleep={"fetch": 2.0})))
    while (await progress(handle)).stage != "fetch":  # an order before the first stage would hold that one
        await asyncio.sleep(0.05)
    await handle.execute_update("pause", Order("maintenance", by="op"))
    await until(lambda: len(noop.computed()) == 1)
    await asyncio.sleep(0.3)
    assert len(noop.computed()) == 1
    seen = await progress(handle)
    assert (seen.status, seen.reason) == ("paused", "maintenance")
    assert any("by op" in note for note in seen.notes)
    await handle.execute_update("resume", Order())
    assert (await handle.result()).status is UnitStatus.DONE


async def test_cancel_ends_a_running_stage_within_two_seconds(noop: Engine) -> None:
    handle = await noop.start(noop_work("cancelled", params=logged(noop, sleep={"prove": 60})))
    await until(lambda: len(noop.computed()) == 2)
    await asyncio.sleep(0.3)
    began = asyncio.get_running_loop().time()
    await handle.execute_update("cancel", Order("not needed"))
    outcome = await handle.result()
    assert asyncio.get_running_loop().time() - began < 2.5
    assert (outcome.status, outcome.reason, outcome.stage) == (UnitStatus.CANCELLED, "not needed", "prove")


async def test_a_cancel_through_temporal_is_written_down_too(noop: Engine) -> None:
    handle = await noop.start(noop_work("cancelled2", params=logged(noop, sleep={"prove": 60})))
    await until(lambda: len(noop.computed()) == 2)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    row = await noop.environment.ledger.unit("noop", "bench", "cancelled2")
    assert row is not None
    assert row.status is UnitStatus.CANCELLED


async def test_skip_wants_a_reason(noop: Engine) -> None:
    handle = await noop.start(noop_work("skipped", params=logged(noop, sleep={"prove": 60})))
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("skip", Order())
    await handle.execute_update("skip", Order("superseded upstream"))
    assert (await handle.result()).status is UnitStatus.SKIPPED


async def test_a_parked_unit_waits_for_its_operator(noop: Engine) -> None:
    params = logged(noop, fail={"verify": ["ProofRejected", 1]})
    handle = await noop.start(noop_work("parked", params=params, park=True))
    while (await progress(handle)).status != "parked":
        await asyncio.sleep(0.05)
    assert "ProofRejected" in (await progress(handle)).reason
    await handle.execute_update("resume", Order())
    assert (await handle.result()).status is UnitStatus.DONE


async def test_reprove_computes_again_from_its_stage(noop: Engine) -> None:
    handle = await noop.start(noop_work("reproved", params=logged(noop, sleep={"submit": 2})))
    await until(lambda: len(noop.computed()) == 5)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("reprove", Order(stage="polish"))
    await handle.execute_update("reprove", Order("new key", stage="prove"))
    assert (await handle.result()).status is UnitStatus.DONE
    lines = [line.split() for line in noop.computed()]
    assert [(stage, generation) for _, stage, _, generation in lines] == [
        ("fetch", "0"), ("witness", "0"), ("prove", "0"), ("compress", "0"), ("verify", "0"),
        ("prove", "1"), ("compress", "1"), ("verify", "1"), ("submit", "1"),
    ]  # fmt: skip


async def test_move_takes_a_running_stage_to_another_queue(noop: Engine) -> None:
    handle = await noop.start(noop_work("moved", params=logged(noop, sleep={"prove": 3})))
    await until(lambda: len(noop.computed()) == 2)
    await handle.execute_update("move", Order(stage="prove", queue="cpu-large"))
    assert (await handle.result()).status is UnitStatus.DONE
    seen = await progress(handle)
    assert next(s.queue for s in seen.stages if s.stage == "prove") == "cpu-large"


async def test_the_ui_alone_explains_a_unit(noop: Engine) -> None:
    handle = await noop.start(noop_work("explained", params=logged(noop)))
    await handle.result()
    text = await handle.query("__temporal_workflow_metadata")
    details = text.current_details
    assert "| prove" in details
    assert "prove.bin" in details
    assert "file://" in details
    events = (await handle.fetch_history()).events
    summaries = [
        json.loads(e.user_metadata.summary.data) for e in events if e.user_metadata.HasField("summary")
    ]
    assert any("prove · noop" in s for s in summaries)
