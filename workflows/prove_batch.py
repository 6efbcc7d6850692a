"""Many small units in one workflow: dispatch is paid once, and each unit keeps its own row, result and audit trail."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, ChildWorkflowError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from provery.core.controls import PROVE_BATCH, PROVE_UNIT, BatchInput, BatchOutcome, ProveInput
    from provery.core.stages import Conclusion, ExpressResult
    from provery.core.types import UnitOutcome, UnitStatus, Work
    from workflows import dispatch, failures


@workflow.defn(name=PROVE_BATCH)
class ProveBatch:
    """Proves units of one stream and one express queue together; id ``prove-batch/<system>/<stream>/<digest>``."""

    @workflow.init
    def __init__(self, given: BatchInput) -> None:
        self._works = given.works
        self._outcomes: dict[str, UnitOutcome] = {}

    @workflow.run
    async def run(self, given: BatchInput) -> BatchOutcome:
        """One express activity; units that want their staged plan get a workflow of their own."""
        try:
            result: ExpressResult = await dispatch.express(self._works)
            self._outcomes = {outcome.unit: outcome for outcome in result.outcomes}
        except (ActivityError, asyncio.CancelledError) as error:
            if not isinstance(error, ActivityError) or is_cancelled_exception(error):
                await asyncio.shield(self._end_all(UnitStatus.CANCELLED, "the batch was cancelled", ""))
                raise
            await self._fail_all(error)
        staged = [w for w in self._works if self._outcomes[w.unit.workflow_id].status is UnitStatus.RUNNING]
        for outcome in await asyncio.gather(*(self._staged(work) for work in staged)):
            self._outcomes[outcome.unit] = outcome
        outcomes = tuple(self._outcomes[work.unit.workflow_id] for work in self._works)
        failed = [o for o in outcomes if o.status is not UnitStatus.DONE]
        lines = [f"{len(outcomes) - len(failed)} of {len(outcomes)} units done", ""]
        lines += [f"- `{o.unit}` {o.status.value}: {o.reason}" for o in failed[:20]]
        workflow.set_current_details("\n".join(lines))
        return BatchOutcome(outcomes)

    async def _staged(self, work: Work) -> UnitOutcome:
        try:
            outcome: UnitOutcome = await workflow.execute_child_workflow(
                PROVE_UNIT,
                ProveInput(replace(work, plan=replace(work.plan, express=False))),
                result_type=UnitOutcome,
                **dispatch.child(work),
            )
            return outcome
        except ChildWorkflowError as error:
            cause = error.cause
            kind = cause.type or "" if isinstance(cause, ApplicationError) else ""
            return UnitOutcome(work.unit.workflow_id, UnitStatus.FAILED, str(cause or error), kind)

    async def _fail_all(self, error: ActivityError) -> None:
        """The batch as a whole could not run for as long as its plan allows: every unit fails with that reason."""
        await self._end_all(UnitStatus.FAILED, str(error.cause or error), failures.kind_of(error))

    async def _end_all(self, status: UnitStatus, reason: str, kind: str) -> None:
        for work in self._works:
            stands = await dispatch.conclude(Conclusion(work.unit, status, reason, kind), work.plan)
            name = work.unit.workflow_id
            ended = UnitOutcome(name, status, reason, kind)
            # Units that were through before the batch ended stay done.
            self._outcomes[name] = UnitOutcome(name, stands) if stands is UnitStatus.DONE else ended

    @workflow.query
    def progress(self) -> dict[str, str]:
        """Status by unit."""
        return {
            work.unit.workflow_id: self._outcomes[work.unit.workflow_id].status.value
            if work.unit.workflow_id in self._outcomes
            else "running"
            for work in self._works
        }
