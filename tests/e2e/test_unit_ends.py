"""How units end beside "done": on another prover, superseded, handed back, or with the batch around them."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from bench.noop import noop_work
from provery.core.controls import FOLLOW_STREAM, PROVE_BATCH, BatchInput, BatchOutcome, FollowInput, Order
from provery.core.queues import CPU, IO, ORCHESTRATE, task_queue
from provery.core.types import Stage, Unit, UnitStatus, Work
from tests.support.engine import Engine, engine
from workers.queues import QueueSpec

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def attempts(noop: Engine, unit: Unit) -> list[dict[str, Any]]:
    story: Any = await noop.environment.ledger.audit(unit)
    return list(story["attempts"])


def with_fallback(work: Work, prover: str) -> Work:
    """The same work with another prover to fall back on in its prove stage."""
    stages = tuple(
        replace(s, fallback_provers=(prover,)) if s.stage is Stage.PROVE else s for s in work.plan.stages
    )
    return replace(work, plan=replace(work.plan, stages=stages))


@pytest.mark.parametrize("express", [False, True])
async def test_a_fallback_prover_has_all_the_plans_attempts(noop: Engine, express: bool) -> None:
    params: Any = {"fail": {"prove": ["ProverCrashed", -1]}}
    work = with_fallback(
        noop_work(f"fallback-{express}", params=params, attempts=2, express=express), "second"
    )
    with pytest.raises(WorkflowFailureError):
        await noop.run(work)
    tried = Counter(row["prover"] for row in await attempts(noop, work.unit) if row["stage"] == "prove")
    assert tried["second"] == 2
    assert tried["noop"] == (4 if express else 2)  # express tries twice, then the staged plan does


async def test_a_resumed_stage_has_all_its_attempts_again(noop: Engine) -> None:
    params: Any = {"fail": {"prove": ["ProverCrashed", 3]}}
    handle = await noop.start(noop_work("resumed", params=params, attempts=2, park=True))
    while (await handle.query("progress"))["status"] != "parked":
        await asyncio.sleep(0.05)
    await handle.execute_update("resume", Order())
    assert (await handle.result()).status is UnitStatus.DONE


@pytest.mark.parametrize("express", [False, True])
async def test_a_superseded_unit_is_skipped_and_no_failure(noop: Engine, express: bool) -> None:
    params: Any = {"fail": {"submit": ["Superseded", -1]}, "log": str(noop.log())}
    work = noop_work(f"late-{express}", params=params, express=express)
    outcome = await noop.run(work)
    assert outcome.status is UnitStatus.SKIPPED
    assert "told to fail" in outcome.reason
    row = await noop.environment.ledger.unit("noop", "bench", work.unit.key)
    assert row is not None
    assert (row.status, row.error_kind) == (UnitStatus.SKIPPED, "Superseded")
    assert noop.computed()[-1].split()[1:3] == ["conclude", "skipped"]


async def test_units_that_were_through_stay_done_when_their_batch_is_cancelled(noop: Engine) -> None:
    through = noop_work("through", express=True)
    await noop.run(through)
    slow = noop_work("slow", params={"sleep": {"prove": 30}}, express=True)
    works = (through, slow)
    await noop.environment.ledger.claim([slow])
    handle = await noop.client.start_workflow(
        PROVE_BATCH,
        BatchInput(works),
        id="prove-batch/noop/bench/mixed",
        task_queue=task_queue(ORCHESTRATE, noop.env),
        result_type=BatchOutcome,
    )
    while not [a for a in await attempts(noop, slow.unit) if a["stage"] == "prove"]:
        await asyncio.sleep(0.05)
    await handle.cancel()
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert await handle.query("progress") == {
        through.unit.workflow_id: "done",
        slow.unit.workflow_id: "cancelled",
    }


async def test_a_stream_reports_each_unit_as_it_ended_and_claims_it_first(noop: Engine) -> None:
    """The discovered units are those of the no-op system; one of them is already done, one belongs to a batch."""
    done, taken = (noop_work(f"u{i}", stream="followed", ordinal=i) for i in (1, 2))
    await noop.run(done)
    await noop.environment.ledger.claim([taken], "prove-batch/noop/followed/x")
    ends = await noop.client.execute_workflow(
        FOLLOW_STREAM,
        FollowInput("noop", "followed", first=1, last=3),
        id="follow/noop/followed/test",
        task_queue=task_queue(ORCHESTRATE, noop.env),
        result_type=dict[str, str],
    )
    assert ends == {
        "prove/noop/followed/u1": "done",
        "prove/noop/followed/u2": "running in prove-batch/noop/followed/x",
        "prove/noop/followed/u3": "done",
    }
    row = await noop.environment.ledger.unit("noop", "followed", "u3")
    assert row is not None
    assert row.plan is not None  # so that it can be re-proved


@pytest.mark.parametrize(("retries", "ends"), [(2, True), (1, False)])
async def test_a_look_that_failed_is_repeated_as_often_as_asked(
    noop: Engine, retries: int, ends: bool
) -> None:
    stream = "fails-2" if ends else "fails-3"
    look = noop.client.execute_workflow(
        FOLLOW_STREAM,
        FollowInput("noop", stream, first=1, last=1, retries=retries, retry_s=0.05),
        id=f"follow/noop/{stream}/test",
        task_queue=task_queue(ORCHESTRATE, noop.env),
        result_type=dict[str, str],
    )
    if ends:
        assert await look == {f"prove/noop/{stream}/u1": "done"}
        return
    with pytest.raises(WorkflowFailureError):
        await look


async def test_a_plan_of_a_higher_generation_reopens_a_done_unit(noop: Engine) -> None:
    work = noop_work("invalid-later", params={"log": str(noop.log())})
    await noop.run(work)
    again = replace(work, plan=work.plan.from_stage(Stage.SUBMIT, 1))
    assert (await noop.environment.ledger.claim([again]))[0].status is UnitStatus.RUNNING
    assert (await noop.run(again)).status is UnitStatus.DONE
    assert [line.split()[1] for line in noop.computed()] == [*(s.value for s in Stage), "submit"]


async def test_a_drained_stage_is_recorded_as_handed_back(
    server: WorkflowEnvironment, tmp_path: Path
) -> None:
    first = (QueueSpec(ORCHESTRATE, True, False, 0, 1.0), QueueSpec(IO, False, True, 4, 1.0))
    work = noop_work("drained", params={"sleep": {"witness": 3}})
    async with engine(server, tmp_path, specs=first) as made:
        prefix = made.env["PROVERY_TASK_QUEUE_PREFIX"]
        cpu = (QueueSpec(CPU, False, True, 4, 0.3),)
        async with engine(server, tmp_path, specs=cpu, PROVERY_TASK_QUEUE_PREFIX=prefix):
            handle = await made.start(work)
            while not [a for a in await attempts(made, work.unit) if a["stage"] == "witness"]:
                await asyncio.sleep(0.05)
        (drained,) = [a for a in await attempts(made, work.unit) if a["stage"] == "witness"]
        assert drained["outcome"] == "handed_back"
        async with engine(server, tmp_path, specs=cpu, PROVERY_TASK_QUEUE_PREFIX=prefix):
            assert (await handle.result()).status is UnitStatus.DONE
