"""Discovery on a schedule, and backfill: find the units that are due and prove them, a bounded number at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import (
    ActivityError,
    ChildWorkflowError,
    WorkflowAlreadyStartedError,
    is_cancelled_exception,
)

with workflow.unsafe.imports_passed_through():
    from provery.core.controls import FOLLOW_STREAM, PROVE_UNIT, FollowInput, ProveInput
    from provery.core.stages import DiscoverInput, DiscoverResult, discover
    from provery.core.types import UnitOutcome, UnitStatus, Work
    from workflows import dispatch, options

_FAILED = UnitStatus.FAILED.value


@workflow.defn(name=FOLLOW_STREAM)
class FollowStream:
    """One look at a stream: discover, start each due unit as a child, wait for them; again where that failed."""

    @workflow.run
    async def run(self, given: FollowInput) -> dict[str, str]:
        """Returns each due unit's workflow id with its end, its reason, or where else it is running."""
        for _ in range(given.retries):
            try:
                ends = await self._look(given)
            except ActivityError as error:
                if is_cancelled_exception(error):
                    raise
            else:
                if not any(end.startswith(_FAILED) for end in ends.values()):
                    return ends
            await workflow.sleep(timedelta(seconds=given.retry_s))
        return await self._look(given)

    async def _look(self, given: FollowInput) -> dict[str, str]:
        found: DiscoverResult = await workflow.execute_activity(
            discover,
            DiscoverInput(given.system, given.stream, first=given.first, last=given.last),
            task_queue=options.task_queue("io"),
            start_to_close_timeout=timedelta(minutes=5),
            schedule_to_close_timeout=timedelta(hours=1),
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=options.RETRY,
            summary=f"discover · {given.system}/{given.stream}",
        )
        places = asyncio.Semaphore(given.parallel)

        async def one(work: Work) -> str:
            async with places:
                return await self._prove(work)

        ends = await asyncio.gather(*(one(work) for work in found.works))
        proved = {work.unit.workflow_id: end for work, end in zip(found.works, ends, strict=True)}
        return {**found.elsewhere, **proved}

    async def _prove(self, work: Work) -> str:
        try:
            outcome: UnitOutcome = await workflow.execute_child_workflow(
                PROVE_UNIT,
                ProveInput(work),
                result_type=UnitOutcome,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                **dispatch.child(work),
            )
        except WorkflowAlreadyStartedError:
            return "running elsewhere"
        except ChildWorkflowError as error:
            return f"{_FAILED}: {error.cause}"
        return f"{outcome.status.value}: {outcome.reason}" if outcome.reason else outcome.status.value
