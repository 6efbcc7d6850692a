"""The activities: six thin stage methods, fused and express runs, conclude and discover."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from temporalio import activity

from activities.errors import to_application_error
from activities.express import run_express
from activities.heartbeat import Heartbeat
from activities.memo import Memo, Where
from provery.core.errors import HandedBack, ProveryError, Retry
from provery.core.stages import (
    Conclusion,
    DiscoverInput,
    DiscoverResult,
    ExpressInput,
    ExpressResult,
    FusedInput,
    FusedResult,
)
from provery.core.types import StageInput, StagePlan, StageResult, UnitStatus
from provery.provers.process import Limits, given_up, limits


def limits_of(plans: Sequence[StagePlan]) -> Limits:
    """What a prover child may use for these stages: the smallest memory cap that a plan sets, the longest time.

    Temporal's start-to-close time-out would only abandon the child; here it is killed when its time is over.
    """
    caps = [plan.memory_mb for plan in plans if plan.memory_mb]
    return Limits(max((plan.timeout_s for plan in plans), default=0.0), min(caps, default=0) << 20)


@dataclass(frozen=True)
class Stages:
    """Activity implementations over the memoised step. Register ``for_queue(...)`` with a worker."""

    memo: Memo
    identity: str
    device: str = ""
    """Devices that this worker has leased."""

    @activity.defn(name="fetch")
    async def fetch(self, given: StageInput) -> StageResult:
        """See :func:`provery.core.stages.fetch`."""
        return await self._one(given)

    @activity.defn(name="witness")
    async def witness(self, given: StageInput) -> StageResult:
        """See :func:`provery.core.stages.witness`."""
        return await self._one(given)

    @activity.defn(name="prove")
    async def prove(self, given: StageInput) -> StageResult:
        """See :func:`provery.core.stages.prove`."""
        return await self._one(given)

    @activity.defn(name="compress")
    async def compress(self, given: StageInput) -> StageResult:
        """See :func:`provery.core.stages.compress`."""
        return await self._one(given)

    @activity.defn(name="verify")
    async def verify(self, given: StageInput) -> StageResult:
        """See :func:`provery.core.stages.verify`."""
        return await self._one(given)

    @activity.defn(name="submit")
    async def submit(self, given: StageInput) -> StageResult:
        """See :func:`provery.core.stages.submit`."""
        return await self._one(given)

    @activity.defn(name="fused")
    async def fused(self, given: FusedInput) -> FusedResult:
        """See :func:`provery.core.stages.fused`."""
        return FusedResult(tuple(await self._run(given)))

    @activity.defn(name="express")
    async def express(self, given: ExpressInput) -> ExpressResult:
        """See :func:`provery.core.stages.express`."""
        try:
            async with Heartbeat() as beat:
                given_up.set(_given_up)
                limits.set(limits_of([s for work in given.works for s in work.plan.stages]))
                outcomes = await run_express(self.memo, given.works, self.where(), beat.progress)
        except asyncio.CancelledError:
            raise cancelled() from None
        except ProveryError as error:
            raise to_application_error(error) from error
        return ExpressResult(tuple(outcomes))

    @activity.defn(name="conclude")
    async def conclude(self, given: Conclusion) -> UnitStatus:
        """See :func:`provery.core.stages.conclude`."""
        try:
            async with Heartbeat():
                stands = await self.memo.ledger.conclude(
                    given.unit,
                    given.status,
                    reason=given.reason,
                    error_kind=given.error_kind,
                    stage=given.stage,
                )
                if stands is given.status and stands.terminal:
                    system = self.memo.system(given.unit.system)
                    await system.conclude(given.unit, given.status, given.reason, given.error_kind)
        except ProveryError as error:
            raise to_application_error(error) from error
        return stands

    @activity.defn(name="discover")
    async def discover(self, given: DiscoverInput) -> DiscoverResult:
        """See :func:`provery.core.stages.discover`."""
        try:
            async with Heartbeat():
                works = await self.memo.system(given.system).discover(given.stream, given.first, given.last)
                rows = await self.memo.ledger.claim(works)
        except ProveryError as error:
            raise to_application_error(error) from error
        mine, elsewhere = [], {}
        for work, row in zip(works, rows, strict=True):
            name = work.unit.workflow_id
            if row.status.terminal:
                elsewhere[name] = row.status.value
            elif row.workflow_id != name:
                elsewhere[name] = f"running in {row.workflow_id}"
            else:
                mine.append(work)
        return DiscoverResult(tuple(mine), elsewhere)

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for registration."""
        stages: list[Callable[..., Any]] = [
            self.fetch,
            self.witness,
            self.prove,
            self.compress,
            self.verify,
            self.submit,
        ]
        return [*stages, self.fused, self.express, self.conclude, self.discover]

    async def _one(self, given: StageInput) -> StageResult:
        (result,) = await self._run(FusedInput(given, last=given.last))
        return result

    async def _run(self, given: FusedInput) -> list[StageResult]:
        where = self.where()
        done: list[StageResult] = []
        try:
            async with Heartbeat() as beat:
                given_up.set(_given_up)
                while (step := given.after(done)) is not None:
                    limits.set(limits_of([step.plan]))
                    (result,) = await self.memo.run([step], where, beat.progress)
                    if isinstance(result, ProveryError):
                        exhausted = await self._exhausted(result, step, where)
                        raise to_application_error(result, exhausted=exhausted, done=done) from result
                    done.append(result)
        except asyncio.CancelledError:
            raise cancelled() from None
        except ProveryError as error:
            raise to_application_error(error, done=done) from error
        return done

    async def _exhausted(self, error: ProveryError, given: StageInput, where: Where) -> bool:
        """Whether a bounded error has used up the plan's attempts, counted in the ledger.

        Temporal's own attempt number also counts lost workers and databases that were away, which are nobody's fault.
        """
        if error.retry is not Retry.BOUNDED:
            return False
        failed = await self.memo.ledger.bounded_failures(
            given.unit, given.plan.stage, where.run_id, where.activity_id
        )
        return failed >= given.plan.attempts

    def where(self) -> Where:
        """Who runs the activity at hand."""
        info = activity.info()
        return Where(
            workflow_id=info.workflow_id or "",
            run_id=info.workflow_run_id or "",
            queue=info.task_queue,
            worker=self.identity,
            host=socket.gethostname(),
            number=info.attempt,
            device=self.device,
            activity_id=info.activity_id,
            cancelled=lambda: "handed_back" if _draining() else "cancelled",
        )


def cancelled() -> BaseException:
    """A cancel because this worker drains hands the activity back; any other cancel is the workflow's wish."""
    if _draining():
        return to_application_error(HandedBack("the worker is draining and gave the stage back"))
    return asyncio.CancelledError()


def _draining() -> bool:
    """Whether the activity at hand is cancelled because its worker shuts down."""
    details = activity.cancellation_details()
    return details is not None and details.worker_shutdown


def _given_up() -> bool:
    """Whether the activity at hand is cancelled because the workflow no longer wants its result."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested
