"""Starting activities: which, where, for how long, and what the Temporal UI says of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypedDict

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy

with workflow.unsafe.imports_passed_through():
    from provery.core import stages
    from provery.core.stages import (
        STAGE_ACTIVITIES,
        Conclusion,
        ExpressInput,
        ExpressResult,
        FusedInput,
        FusedResult,
    )
    from provery.core.types import Plan, StageInput, StagePlan, StageResult, Unit, UnitStatus, Work
    from workflows import options


class _Options(TypedDict):
    """How an activity is scheduled."""

    task_queue: str
    start_to_close_timeout: timedelta
    schedule_to_close_timeout: timedelta
    heartbeat_timeout: timedelta
    retry_policy: RetryPolicy
    cancellation_type: workflow.ActivityCancellationType
    priority: Priority
    summary: str


def stage(given: StageInput, plan: Plan) -> workflow.ActivityHandle[StageResult]:
    """Start one stage, or one shard of it."""
    name = given.plan.stage.value
    label = name + (f" {given.shard + 1}/{given.shards}" if given.shard is not None else "")
    with workflow.create_event_group(name, label=name).scope():
        return workflow.start_activity(
            STAGE_ACTIVITIES[name], given, **_options(given.unit, plan, given.plan.queue, [given.plan], label)
        )


def fused(given: FusedInput, plan: Plan) -> workflow.ActivityHandle[FusedResult]:
    """Start stages that share a dispatch."""
    plans = [given.first.plan, *given.then]
    label = " + ".join(p.stage.value for p in plans)
    with workflow.create_event_group(label, label=label).scope():
        return workflow.start_activity(
            stages.fused, given, **_options(given.first.unit, plan, given.first.plan.queue, plans, label)
        )


def express(work: Work) -> workflow.ActivityHandle[ExpressResult]:
    """Start all stages of a unit in one activity."""
    plan = work.plan
    return workflow.start_activity(
        stages.express,
        ExpressInput((work,)),
        **_options(work.unit, plan, plan.express_queue, plan.stages, "express"),
    )


async def conclude(conclusion: Conclusion, plan: Plan) -> UnitStatus:
    """Write down how a unit ended; the status that stands."""
    return await workflow.execute_activity(
        stages.conclude,
        conclusion,
        task_queue=options.task_queue("io"),
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=options.CONCLUDE_GIVE_UP,
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=options.RETRY,
        summary=f"conclude · {conclusion.status.value}",
        priority=options.priority(plan, conclusion.unit),
    )


def _options(unit: Unit, plan: Plan, queue: str, plans: Sequence[StagePlan], label: str) -> _Options:
    """Options of an activity that runs the stages ``plans`` one after the other."""
    provers = dict.fromkeys(p.prover for p in plans if p.prover) if label != "express" else {}
    return _Options(
        task_queue=options.task_queue(queue),
        start_to_close_timeout=timedelta(seconds=sum(p.timeout_s for p in plans)),
        schedule_to_close_timeout=timedelta(seconds=max(p.give_up_s for p in plans)),
        heartbeat_timeout=timedelta(seconds=max(p.heartbeat_s for p in plans)),
        retry_policy=options.RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        priority=options.priority(plan, unit),
        summary=" · ".join([label, *provers, unit.title or unit.key]),
    )
