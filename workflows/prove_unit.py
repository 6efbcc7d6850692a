"""One unit, from its inputs to its destination: the main path.

    fetch → witness → prove → compress → verify → submit

Each stage is an activity on its own queue; fused ones share theirs. A finished stage is never run again: within a run
by ``self._results``, across runs by the ledger. Orders of an operator (updates) are obeyed between and during stages.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from itertools import islice, takewhile
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeKey
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from provery.core.controls import PROVE_UNIT, SA_PROVER, SA_STAGE, ProveInput, ProveState, UnitProgress
    from provery.core.errors import Retry, Superseded, error_classes
    from provery.core.stages import Conclusion, ExpressResult, FusedInput, FusedResult
    from provery.core.types import Stage, StageInput, StagePlan, StageResult, UnitOutcome, UnitStatus, Work
    from workflows import dispatch, failures, ranges, view
    from workflows.in_lane import InLane
    from workflows.orders import Again, Ended

MENDS = 5
"""How often a unit may go back a stage because an artifact was gone or corrupt."""

_STAGE_KEY = SearchAttributeKey.for_keyword(SA_STAGE)
_PROVER_KEY = SearchAttributeKey.for_keyword(SA_PROVER)


@workflow.defn(name=PROVE_UNIT)
class ProveUnit(InLane):
    """Proves one unit; id ``prove/<system>/<stream>/<key>``."""

    @workflow.init
    def __init__(self, given: ProveInput) -> None:
        super().__init__(given)
        self._status = "running"
        self._reason = ""
        self._shards = 0
        self._mends = 0
        self._outcome: UnitOutcome | None = None

    @workflow.run
    async def run(self, given: ProveInput) -> UnitOutcome:
        """Walk the six stages; see the module."""
        try:
            if self._plan.express and not given.state and await self._express():
                return self._done()
            while True:
                try:
                    await self._stage(Stage.FETCH)
                    await self._stage(Stage.WITNESS)
                    await self._stage(Stage.PROVE)
                    await self._stage(Stage.COMPRESS)
                    await self._stage(Stage.VERIFY)
                    await self._stage(Stage.SUBMIT)
                    return self._done()
                except Again:
                    self._turn = False
        except Ended as ended:
            return await self._conclude(*ended.conclusion)
        except asyncio.CancelledError:
            await self._conclude(UnitStatus.CANCELLED, "cancelled through Temporal", "", self._here)
            raise

    # The stages

    async def _stage(self, stage: Stage) -> None:
        """Run one stage of the plan, unless it is absent or done."""
        while stage not in self._results:
            plan = self._plan.of(stage)
            if plan is None:
                return
            await self._gate(stage)
            shards = self._fan_out(stage)
            try:
                if plan.lane:
                    self._results[stage] = await self._through_lane(self._input(stage, plan))
                elif shards:
                    await self._run_shards(stage, shards)
                elif then := self._fused_with(stage):
                    last = then[-1] is self._plan.stages[-1]
                    self._take(await self._run_fused(FusedInput(self._input(stage, plan), then, last)))
                else:
                    self._results[stage] = await self._run(self._input(stage, plan))
            except ActivityError as error:
                self._obey()
                await self._failed(self._reached(stage, error), error)

    async def _run(self, given: StageInput) -> StageResult:
        """Run one activity; an order arriving meanwhile cancels it and kills its prover."""
        handle = dispatch.stage(given, self._plan)
        await self._ends(handle)
        result: StageResult = await handle
        return result

    async def _run_fused(self, given: FusedInput) -> tuple[StageResult, ...]:
        """Run stages that share a dispatch. A pause stops them too: it means that no further stage starts."""
        handle = dispatch.fused(given, self._plan)
        await self._ends(handle, or_paused=True)
        result: FusedResult = await handle
        return result.results

    async def _ends(self, handle: workflow.ActivityHandle[Any], *, or_paused: bool = False) -> None:
        """Wait for an activity, or cancel it for an order."""
        try:
            await workflow.wait_condition(
                lambda: handle.done() or self._ordered or (or_paused and self._paused)
            )
        finally:
            if not handle.done():
                handle.cancel()

    async def _run_shards(self, stage: Stage, shards: int) -> None:
        """Run a fanned-out stage, ``plan.parallel`` shards at a time, over as many runs as its history needs."""
        running: dict[int, asyncio.Task[StageResult]] = {}
        failure: ActivityError | None = None
        seconds = 0.0
        while len(self._shards_done) < shards or running:
            full = workflow.info().is_continue_as_new_suggested()
            plan = self._staged(stage)
            if not (full or failure or self._paused or self._ordered):
                waiting = (i for i in range(shards) if i not in self._shards_done and i not in running)
                for i in islice(waiting, self._plan.parallel - len(running)):
                    given = replace(self._input(stage, plan), shard=i, shards=shards)
                    running[i] = asyncio.create_task(self._run(given))
            if not running:
                if failure is not None:
                    raise failure
                await self._gate(stage)
                if full:
                    await self._continue_as_new()
                continue
            # A shard's failure waits for its neighbours: what they have in hand would be lost with them.
            await workflow.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
            for i in [i for i, task in running.items() if task.done()]:
                try:
                    seconds += running.pop(i).result().seconds
                    self._shards_done.add(i)
                except ActivityError as error:
                    failure = failure or error
            if len(self._shards_done) % max(1, shards // 50) == 0:
                self._show()
        self._results[stage] = StageResult(stage, "", shards=shards, seconds=seconds)
        self._shards_done = set()
        self._shards = 0

    async def _express(self) -> bool:
        """All stages in one activity. False when the unit wants its staged plan after all."""
        self._at = Stage.FETCH
        handle = dispatch.express((Work(self._unit, self._plan),))
        await self._ends(handle, or_paused=True)
        try:
            result: ExpressResult = await handle
        except ActivityError as error:
            self._obey()
            if self._cut_off(error):
                return False
            raise self._ended(error, self._at) from error
        (outcome,) = result.outcomes
        if outcome.status is UnitStatus.FAILED:
            raise self._failure(outcome)
        if outcome.status is UnitStatus.RUNNING:
            self._note(outcome.reason)
            return False
        self._outcome = outcome
        return True

    # What a stage is given, and what its failure means

    def _input(self, stage: Stage, plan: StagePlan) -> StageInput:
        before = [self._results[s.stage] for s in self._plan.stages if s.stage in self._results]
        facts = {name: value for result in before for name, value in result.facts.items()}
        previous = before[-1] if before else None
        gather = previous.shards if previous is not None and not previous.memo_key else 0
        gather_plan = self._plan.of(previous.stage) if previous is not None else None
        return StageInput(
            unit=self._unit,
            plan=plan,
            inputs=previous.outputs if previous is not None else (),
            facts=facts,
            gather=gather,
            gather_stage=previous.stage if previous is not None else Stage.PROVE,
            gather_generation=gather_plan.generation if gather_plan is not None else 0,
            last=plan is self._plan.stages[-1],
        )

    def _fused_with(self, stage: Stage) -> tuple[StagePlan, ...]:
        """Plans of the stages that go into the dispatch of ``stage``: those behind it that are still to be run."""
        return tuple(takewhile(lambda s: s.stage not in self._results, self._plan.fused_after(stage)))

    def _take(self, results: Iterable[StageResult]) -> None:
        self._results |= {result.stage: result for result in results}

    def _reached(self, stage: Stage, error: ActivityError) -> Stage:
        """The stage that an activity failed at, after taking the results of those fused before it."""
        done = failures.done_before(error)
        self._take(done)
        if done:
            stage = next(s.stage for s in self._plan.stages if s.stage not in self._results)
            self._at = stage
        return stage

    def _fan_out(self, stage: Stage) -> int:
        """How many shards ``stage`` has: as many as the witness has pieces, for the stage right after it."""
        witness = self._results.get(Stage.WITNESS)
        self._shards = witness.shards if stage is Stage.PROVE and witness is not None else 0
        return self._shards

    async def _failed(self, stage: Stage, error: ActivityError) -> None:
        """Decide about a stage that Temporal will not retry: elsewhere, another prover, upstream, park or end."""
        if self._cut_off(error):
            return
        plan, cause, kind = self._staged(stage), error.cause, failures.kind_of(error)
        retry = error_classes()[kind].retry if kind in error_classes() else Retry.NEVER
        if retry is Retry.UPSTREAM and self._mends < MENDS and (back := self._before(stage)) is not None:
            self._mends += 1
            self._note(f"{stage} needs {back} again: {cause}")
            self._results.pop(back)
            raise Again
        if retry is Retry.ELSEWHERE and plan.fallback_queue and plan.queue != plan.fallback_queue:
            self._note(f"{stage} moved from {plan.queue} to {plan.fallback_queue}: {cause}")
            self._plan = self._plan.to_queue(stage, plan.fallback_queue)
            return
        if retry in (Retry.BOUNDED, Retry.ELSEWHERE) and plan.fallback_provers:
            prover, *rest = plan.fallback_provers
            self._note(f"{stage} goes on with {prover} after {plan.prover}: {cause}")
            changed = replace(plan, prover=prover, fallback_provers=tuple(rest))
            self._plan = replace(
                self._plan, stages=tuple(changed if s is plan else s for s in self._plan.stages)
            )
            return
        if kind == Superseded.__name__ or not self._plan.park:
            raise self._ended(error, stage)
        await self._park(stage, f"{kind}: {cause}")

    async def _park(self, stage: Stage, reason: str) -> None:
        """Wait for an operator: resume tries the stage again, skip and cancel end the unit."""
        self._status, self._reason, self._wake = "parked", reason, False
        self._note(f"parked at {stage}: {reason}")
        self._show()
        self._announce(stage)
        await self._write(UnitStatus.PARKED, reason, "", stage.value)
        await workflow.wait_condition(lambda: self._wake or self._ordered)
        self._status, self._reason = "running", ""
        self._obey()
        await self._write(UnitStatus.RUNNING, "", "", stage.value)

    def _cut_off(self, error: ActivityError) -> bool:
        """Whether an order cancelled the activity; a pause may have been taken back before the cancel was through.

        Raises:
            CancelledError: it was cancelled with its workflow.
        """
        if is_cancelled_exception(error) and workflow.cancellation_reason() is not None:
            raise asyncio.CancelledError from error
        return is_cancelled_exception(error)

    def _staged(self, stage: Stage) -> StagePlan:
        plan = self._plan.of(stage)
        if plan is None:
            raise ValueError(f"{stage} is not in the plan")
        return plan

    def _before(self, stage: Stage) -> Stage | None:
        done = [s.stage for s in self._plan.stages if s.stage in self._results]
        return done[-1] if done else None

    # What people see

    @workflow.query
    def progress(self) -> UnitProgress:
        """Where the unit stands."""
        status = "paused" if self._paused and self._status == "running" else self._status
        shards = (len(self._shards_done), self._shards)
        rows = view.stage_rows(self._plan, self._results, self._at, status, shards, self._outcome)
        facts = {name: value for result in self._results.values() for name, value in result.facts.items()}
        facts |= self._outcome.facts if self._outcome is not None else {}
        reason = self._reason or (self._pause_reason if self._paused else "") or self._lane_reason
        return UnitProgress(self._unit, status, self._here, rows, reason, tuple(self._notes), facts)

    async def _gate(self, stage: Stage) -> None:
        """Stand at the door of a stage: obey orders, wait while paused, show where the unit is."""
        self._obey()
        if self._paused:
            self._at = stage
            self._show()
            self._announce(stage)
            await workflow.wait_condition(lambda: not self._paused or self._ordered)
            self._obey()
        if self._at is not stage:
            self._at = stage
            self._show()
            if not self._staged(stage).brief:
                self._announce(stage)

    def _announce(self, stage: Stage) -> None:
        """Let the unit be found by its stage and prover."""
        known = workflow.info().typed_search_attributes
        now = {_STAGE_KEY: stage.value, _PROVER_KEY: self._staged(stage).prover}
        changed = [key.value_set(value) for key, value in now.items() if value and known.get(key) != value]
        if changed:
            workflow.upsert_search_attributes(changed)

    # Endings and views

    def _done(self) -> UnitOutcome:
        self._at = None
        outcome = self._outcome
        if outcome is None:
            last = self._results[self._plan.stages[-1].stage]
            facts = {name: value for result in self._results.values() for name, value in result.facts.items()}
            outcome = UnitOutcome(self._unit.workflow_id, UnitStatus.DONE, outputs=last.outputs, facts=facts)
        self._status, self._reason = outcome.status.value, outcome.reason
        self._show()
        return outcome

    async def _conclude(self, status: UnitStatus, reason: str, kind: str, stage: str) -> UnitOutcome:
        """Write the end down where it counts, then end: failed units fail their workflow, for all to see."""
        self._status, self._reason = status.value, reason
        self._show()
        if self._at is not None:
            self._announce(self._at)
        stands = await asyncio.shield(self._write(status, reason, kind, stage))
        if stands is UnitStatus.DONE:
            # The last stage finished before the order or the failure got through: what is done stays done.
            self._status, self._reason = stands.value, ""
            return UnitOutcome(self._unit.workflow_id, stands)
        outcome = UnitOutcome(self._unit.workflow_id, status, reason, kind, stage)
        if status is UnitStatus.FAILED:
            raise ApplicationError(
                f"{stage} failed: {reason}", outcome, type=kind or "ProveryError", non_retryable=True
            )
        return outcome

    async def _write(self, status: UnitStatus, reason: str, kind: str, stage: str) -> UnitStatus:
        return await dispatch.conclude(Conclusion(self._unit, status, reason, kind, stage), self._plan)

    def _ended(self, error: ActivityError, stage: Stage) -> Ended:
        kind = failures.kind_of(error)
        status = UnitStatus.SKIPPED if kind == Superseded.__name__ else UnitStatus.FAILED
        return Ended(status, failures.reason_of(error), kind, stage.value)

    def _failure(self, outcome: UnitOutcome) -> ApplicationError:
        """An express failure is already written down."""
        self._status, self._reason = "failed", outcome.reason
        return ApplicationError(
            f"{outcome.stage} failed: {outcome.reason}", outcome, type=outcome.error_kind, non_retryable=True
        )

    async def _continue_as_new(self) -> None:
        await workflow.wait_condition(workflow.all_handlers_finished)
        self._obey()
        state = ProveState(
            results=tuple(self._results[s.stage] for s in self._plan.stages if s.stage in self._results),
            shards_done=ranges.to_text(self._shards_done),
            paused=self._paused,
            pause_reason=self._pause_reason,
            notes=tuple(self._notes),
            started_at=self._started_at,
        )
        workflow.continue_as_new(ProveInput(Work(self._unit, self._plan), state))

    def _show(self) -> None:
        workflow.set_current_details(view.markdown(self.progress()))
