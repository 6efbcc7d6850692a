"""Orders of an operator, as updates of a unit's workflow, and the state that they change.

An order only notes what is wanted and wakes the unit; the main path obeys at its next door (``_obey``).
"""

from __future__ import annotations

from dataclasses import replace

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from provery.core.controls import Order, ProveInput, ProveState
    from provery.core.types import STAGES, Stage, UnitStatus
    from workflows import options, ranges

NOTES = 20


class Again(Exception):
    """Leave the stage at hand and walk the path from its start: finished stages pass at once."""


class Ended(Exception):
    """The unit ends without a proof."""

    def __init__(self, status: UnitStatus, reason: str, kind: str = "", stage: str = "") -> None:
        super().__init__(reason)
        self.conclusion = (status, reason, kind, stage)


class Operated:
    """A unit as orders see it; :class:`workflows.prove_unit.ProveUnit` walks it."""

    def __init__(self, given: ProveInput) -> None:
        state = given.state or ProveState(started_at=workflow.time())
        self._unit, self._plan = given.work.unit, given.work.plan
        self._results = {result.stage: result for result in state.results}
        self._shards_done = ranges.from_text(state.shards_done)
        self._paused, self._pause_reason = state.paused, state.pause_reason
        self._notes = list(state.notes)
        self._started_at = state.started_at
        self._at: Stage | None = None
        self._end: Ended | None = None
        self._turn = False
        self._wake = False

    @workflow.update
    async def pause(self, order: Order) -> None:
        """Start no further stage."""
        self._paused, self._pause_reason = True, order.reason or "an operator's order"
        self._note(f"paused: {self._pause_reason}", order)

    @workflow.update
    async def resume(self, order: Order) -> None:
        """Go on; a parked stage is tried again."""
        self._paused, self._wake = False, True
        self._note("resumed", order)

    @workflow.update
    async def cancel(self, order: Order) -> None:
        """End as cancelled, killing the running prover."""
        self._note(f"cancel: {order.reason}", order)
        self._end = Ended(UnitStatus.CANCELLED, order.reason or "cancelled by an operator", stage=self._here)

    @workflow.update
    async def skip(self, order: Order) -> None:
        """End as skipped, for a reason."""
        self._note(f"skip: {order.reason}", order)
        self._end = Ended(UnitStatus.SKIPPED, order.reason, stage=self._here)

    @skip.validator
    def _check_skip(self, order: Order) -> None:
        if not order.reason.strip():
            raise ValueError("a skip needs a reason, for whoever looks for the missing proof")

    @workflow.update
    async def reprove(self, order: Order) -> None:
        """Compute again from a stage on, ignoring earlier results."""
        first = Stage(order.stage)
        generation = 1 + max(s.generation for s in self._plan.stages)
        self._plan = replace(self._plan.from_stage(first, generation), express=False)
        for stage in STAGES[STAGES.index(first) :]:
            self._results.pop(stage, None)
        self._shards_done = set()
        self._note(f"re-prove from {first}: {order.reason}", order)
        self._turn, self._wake = True, True

    @reprove.validator
    def _check_reprove(self, order: Order) -> None:
        self._check_stage(order.stage)

    @workflow.update
    async def move(self, order: Order) -> None:
        """Run a stage on another queue; a running one is cancelled there and started here."""
        stage = Stage(order.stage)
        self._plan = self._plan.to_queue(stage, order.queue)
        self._note(f"{stage} moved to {order.queue}: {order.reason}", order)
        if self._at is stage:
            self._turn, self._wake = True, True

    @move.validator
    def _check_move(self, order: Order) -> None:
        self._check_stage(order.stage)
        options.task_queue(order.queue)

    def _check_stage(self, stage: str) -> None:
        present = [s.stage.value for s in self._plan.stages]
        if stage not in present:
            raise ValueError(
                f"no such stage in this unit's plan: got {stage!r}, expected one of {', '.join(present)}"
            )

    @property
    def _ordered(self) -> bool:
        return self._end is not None or self._turn

    def _obey(self) -> None:
        if self._end is not None:
            raise self._end
        if self._turn:
            raise Again

    @property
    def _here(self) -> str:
        return self._at.value if self._at is not None else ""

    def _note(self, text: str, order: Order | None = None) -> None:
        by = f" (by {order.by})" if order is not None and order.by else ""
        self._notes = [*self._notes, f"{workflow.now():%Y-%m-%d %H:%M:%S} {text}{by}"][-NOTES:]
