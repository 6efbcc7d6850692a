"""A unit's way through the lane of its account: it enters, waits, and learns how it ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from provery.core.controls import ProveInput
    from provery.core.lane_controls import SIGNAL_SETTLED, Entered, LaneStage, Leave, Settled
    from provery.core.lane_records import Phase
    from provery.core.types import StageInput, StageResult, UnitStatus
    from workflows import dispatch
    from workflows.orders import Again, Ended, Operated

AGAIN = timedelta(minutes=10)
"""How long a unit waits for word before it enters again, which changes nothing where the lane has it."""
_ENDS = {Phase.SKIPPED: UnitStatus.SKIPPED, Phase.CANCELLED: UnitStatus.CANCELLED}


class InLane(Operated):
    """What a unit does instead of running its submit stage, where the plan names a lane."""

    def __init__(self, given: ProveInput) -> None:
        super().__init__(given)
        self._entries = 0
        self._told = False
        self._lane_reason = ""
        """Which lane has it, while one has."""

    @workflow.signal(name=SIGNAL_SETTLED)
    def settled(self, told: Settled) -> None:
        """The lane has done with the unit."""
        self._told = True

    def _show(self) -> None:
        raise NotImplementedError

    async def _through_lane(self, given: StageInput) -> StageResult:
        """Submit through the lane; an order takes the unit out of it, or is obeyed when what was sent has ended.

        Raises:
            ActivityError: the contract refuses it, or has it from elsewhere.
            Ended: an operator took it out of the lane.
        """
        self._entries += 1
        stage = LaneStage(given, f"{workflow.info().run_id}:{self._entries}")
        bound = False
        while True:
            self._told = False
            try:
                entered = await self._enter(stage, bound=bound)
                if entered.result is not None:
                    return self._landed(entered.result)
                if entered.phase in _ENDS:
                    self._obey()
                    raise Ended(_ENDS[entered.phase], entered.reason, stage=self._here)
                self._waits_in(entered.lane)
                await self._word(bound=bound)
            except (ActivityError, asyncio.CancelledError) as error:
                if bound:
                    self._obey()  # it has ended otherwise: nothing stands against the order any more
                cancelled = workflow.cancellation_reason() is not None
                if bound or not (self._ordered or cancelled):
                    raise
                if cancelled and not self._ordered:
                    self._end = Ended(UnitStatus.CANCELLED, "cancelled through Temporal", stage=self._here)
                    if await asyncio.shield(self._leave()):
                        raise asyncio.CancelledError from error
                    bound = True
                    continue
            if self._ordered and not bound:
                if await self._leave():
                    self._obey()
                bound = True
                self._note("sent already: it is followed to its end, and what lands is done")

    async def _enter(self, stage: LaneStage, *, bound: bool) -> Entered:
        handle = dispatch.enter_lane(stage, self._plan)
        try:
            await workflow.wait_condition(lambda: handle.done() or (self._ordered and not bound))
        finally:
            if not handle.done():
                handle.cancel()
        entered: Entered = await handle
        return entered

    async def _word(self, *, bound: bool) -> None:
        """Wait to be told, for an order, or until it is time to look for oneself."""
        try:
            await workflow.wait_condition(
                lambda: self._told or (self._ordered and not bound),
                timeout=AGAIN,
                timeout_summary="look again",
            )
        except TimeoutError:
            return

    async def _leave(self) -> bool:
        status, reason = UnitStatus.CANCELLED, "an order"
        if self._end is not None:
            status, reason = self._end.conclusion[:2]
        phase = Phase.SKIPPED if status is UnitStatus.SKIPPED else Phase.CANCELLED
        return await dispatch.leave_lane(Leave(self._unit, phase, reason), self._plan)

    def _landed(self, result: StageResult) -> StageResult:
        self._lane_reason = ""
        if self._turn:
            raise Again
        return result

    def _waits_in(self, lane: str) -> None:
        self._lane_reason = f"in the lane {lane}"
        self._show()
