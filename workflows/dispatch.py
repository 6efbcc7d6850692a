"""Starting activities and units: which, where, for how long, and what the Temporal UI says of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import TypedDict

from temporalio import workflow
from temporalio.common import Priority, RetryPolicy, TypedSearchAttributes

with workflow.unsafe.imports_passed_through():
    from provery.core import lane_controls, stages
    from provery.core.details import unit_details, unit_summary
    from provery.core.lane_controls import Entered, LaneStage, Leave
    from provery.core.stages import (
        STAGE_ACTIVITIES,
        Conclusion,
        ExpressInput,
        ExpressResult,
        FusedInput,
        FusedResult,
    )
    from provery.core.types import Plan, StageInput, StagePlan, StageResult, Unit, UnitStatus, Work
    from provery.core.visibility import priority, search_attributes
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


class _ChildOptions(TypedDict):
    """How a unit's workflow is started by another."""

    id: str
    search_attributes: TypedSearchAttributes
    static_summary: str
    static_details: str
    priority: Priority


def stage(given: StageInput, plan: Plan) -> workflow.ActivityHandle[StageResult]:
    """Start one stage, or one shard of it."""
    name = given.plan.stage.value
    label = name + (f" {given.shard + 1}/{given.shards}" if given.shard is not None else "")
    with workflow.create_event_group(name, label=name).scope():
        return workflow.start_activity(
            STAGE_ACTIVITIES[name],
            given,
            **_options(
                Work(given.unit, plan),
                given.plan.queue,
                [[given.plan]],
                label,
                given.plan.prover,
                _name(given.unit),
            ),
        )


def fused(given: FusedInput, plan: Plan) -> workflow.ActivityHandle[FusedResult]:
    """Start stages that share a dispatch."""
    unit, plans = given.first.unit, [given.first.plan, *given.then]
    label = " + ".join(p.stage.value for p in plans)
    provers = dict.fromkeys(p.prover for p in plans)
    with workflow.create_event_group(label, label=label).scope():
        return workflow.start_activity(
            stages.fused,
            given,
            **_options(Work(unit, plan), given.first.plan.queue, [plans], label, *provers, _name(unit)),
        )


def express(works: Sequence[Work]) -> workflow.ActivityHandle[ExpressResult]:
    """Start all stages of units of one stream and queue in one activity."""
    first, *others = works
    what = f"{len(works)} units" if others else _name(first.unit)
    runs = [work.plan.stages for work in works]
    return workflow.start_activity(
        stages.express,
        ExpressInput(tuple(works)),
        **_options(first, first.plan.express_queue, runs, "express", what),
    )


def enter_lane(given: LaneStage, plan: Plan) -> workflow.ActivityHandle[Entered]:
    """Start bringing a submit stage into its lane, or asking what became of it there."""
    name = given.given.plan.stage.value
    work = Work(given.given.unit, plan)
    with workflow.create_event_group(name, label=name).scope():
        return workflow.start_activity(
            lane_controls.enter_lane,
            given,
            **_options(work, given.given.plan.queue, [[given.given.plan]], name, "lane", _name(work.unit)),
        )


async def leave_lane(leave: Leave, plan: Plan) -> bool:
    """Take a unit's call out of its lane; whether nothing of it can land any more."""
    left: bool = await workflow.execute_activity(
        lane_controls.leave_lane,
        leave,
        task_queue=options.task_queue("io"),
        start_to_close_timeout=timedelta(minutes=2),
        schedule_to_close_timeout=options.CONCLUDE_GIVE_UP,
        heartbeat_timeout=timedelta(seconds=10),
        retry_policy=options.RETRY,
        summary=f"leave the lane · {leave.phase.value}",
        priority=priority([Work(leave.unit, plan)]),
    )
    return left


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
        priority=priority([Work(conclusion.unit, plan)]),
    )


def child(work: Work) -> _ChildOptions:
    """Options of a unit's workflow that another workflow starts."""
    return _ChildOptions(
        id=work.unit.workflow_id,
        search_attributes=search_attributes(work.unit, work.plan),
        static_summary=unit_summary(work.unit),
        static_details=unit_details(work),
        priority=priority([work]),
    )


def _options(work: Work, queue: str, runs: Sequence[Sequence[StagePlan]], *summary: str) -> _Options:
    """Options of an activity.

    Args:
        work: Whose priority it has.
        queue: Where it runs.
        runs: For each unit in it, the stages that run one after the other.
        summary: What the UI shows of it; empty parts are left out.
    """
    plans = [plan for run in runs for plan in run]
    return _Options(
        task_queue=options.task_queue(queue),
        start_to_close_timeout=timedelta(seconds=max(sum(p.timeout_s for p in run) for run in runs)),
        schedule_to_close_timeout=timedelta(seconds=max(p.give_up_s for p in plans)),
        heartbeat_timeout=timedelta(seconds=max(p.heartbeat_s for p in plans)),
        retry_policy=options.RETRY,
        cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        priority=priority([work]),
        summary=" · ".join(filter(None, summary)),
    )


def _name(unit: Unit) -> str:
    return unit.title or unit.key
