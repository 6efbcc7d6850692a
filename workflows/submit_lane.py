"""One account on one chain: drives what is in its lane, tells units how they ended, takes an operator's orders.

What is submitted, signed and landed is in the ledger and decided in :mod:`activities.lane_round`; here is what makes it
go on: one driver at a time for as long as anything is open, and somebody to talk to.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError

with workflow.unsafe.imports_passed_through():
    from provery.core import lane_controls
    from provery.core.lane_controls import (
        QUERY_LANE,
        SIGNAL_ENTER,
        SIGNAL_SETTLED,
        Advance,
        LaneEntry,
        LaneInput,
        LaneView,
        Settled,
    )
    from provery.core.lane_records import CANCEL, PAUSE, RAISE_CAP, RESUME, RETRY, SKIP, LaneOrder, Wait
    from provery.core.lanes import SUBMIT_LANE
    from workflows import failures, lane_view, options

IDLE = timedelta(minutes=10)
"""How long an empty lane's workflow stays before it ends; the next entry starts it again."""
WATCH = timedelta(seconds=30)
"""How often an empty lane looks whether what has landed of late still stands."""
HOLD_S = 0.5
"""How long an activity stays with a lane in which something has just changed: what follows at once is seen at once.
One that waits for longer must not: each would hold a slot of the queue, and a few lanes all of them."""
FIRST_PAUSE_S, LONGEST_PAUSE_S, PATIENT_PAUSE_S = 0.4, 5.0, 15.0
"""Between activities while nothing changes: half the time for which nothing did, within these; the last one where no
block is waited for. Each look is eleven events of the history, which is continued as new when it is long."""
NOTES = 20


@workflow.defn(name=SUBMIT_LANE)
class SubmitLane:
    """The lane of an account; id ``lane/<chain id>/<sender>``."""

    @workflow.init
    def __init__(self, given: LaneInput) -> None:
        self._lane = workflow.info().workflow_id
        self._given = given
        self._notes = list(given.notes)
        self._told = list(given.told)
        self._view = LaneView(self._lane)
        self._woken = True
        self._moved = False
        """Whether the last look has shown something new."""
        self._since = workflow.now()
        """When something was new."""

    @workflow.run
    async def run(self, given: LaneInput) -> None:
        """Drive the lane until it is empty for a while."""
        while True:
            if self._woken or self._view.open or self._told:
                await self._look()
                self._show()
                await self._tell()
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                notes, told = tuple(self._notes), tuple(self._told)
                workflow.continue_as_new(replace(given, notes=notes, told=told))
            if self._woken or self._told:
                continue
            if self._view.open:
                await self._pause()
            elif await self._idle():
                return

    @workflow.signal(name=SIGNAL_ENTER)
    def enter(self, entry: LaneEntry) -> None:
        """Somebody has entered; who is in the ledger."""
        self._woken = True

    @workflow.query(name=QUERY_LANE)
    def view(self) -> LaneView:
        """The lane as it was last seen."""
        return self._view

    @workflow.update(name=PAUSE)
    async def pause(self, order: LaneOrder) -> str:
        """Let nothing further go; what is sent is followed."""
        return await self._order(PAUSE, order)

    @workflow.update(name=RESUME)
    async def resume(self, order: LaneOrder) -> str:
        """Go on."""
        return await self._order(RESUME, order)

    @workflow.update(name=RAISE_CAP)
    async def raise_cap(self, order: LaneOrder) -> str:
        """Allow a higher fee, for the lane or for one unit."""
        return await self._order(RAISE_CAP, order)

    @workflow.update(name=SKIP)
    async def skip(self, order: LaneOrder) -> str:
        """Take a unit out of which nothing is signed."""
        return await self._order(SKIP, order)

    @workflow.update(name=CANCEL)
    async def cancel(self, order: LaneOrder) -> str:
        """Take a unit out; what is sent is replaced by a transaction to oneself."""
        return await self._order(CANCEL, order)

    @workflow.update(name=RETRY)
    async def retry(self, order: LaneOrder) -> str:
        """Try a parked unit again."""
        return await self._order(RETRY, order)

    async def _order(self, name: str, order: LaneOrder) -> str:
        order = replace(order, name=name, lane=self._lane)
        try:
            said: str = await workflow.execute_activity(
                lane_controls.order_lane,
                order,
                task_queue=options.task_queue("io"),
                start_to_close_timeout=timedelta(minutes=1),
                schedule_to_close_timeout=timedelta(minutes=10),
                heartbeat_timeout=timedelta(seconds=10),
                retry_policy=options.RETRY,
                summary=f"{name} {order.unit}".strip(),
            )
        except ActivityError as error:
            kind, reason = failures.kind_of(error), failures.reason_of(error)
            raise ApplicationError(reason, type=kind, non_retryable=True) from error
        by = f" (by {order.by})" if order.by else ""
        why = f": {order.reason}" if order.reason else ""
        self._note(f"{name} {order.unit}".strip() + f": {said}{why}{by}")
        self._woken = True
        return said

    async def _look(self) -> None:
        """Go on with the lane, and notice whether anything is new."""
        fresh, self._woken = self._woken or self._moved, False
        before, self._view = self._view, await self._advance(HOLD_S if fresh else 0.0)
        self._moved = self._view.shape != before.shape
        if fresh or self._moved:
            self._since = workflow.now()

    async def _pause(self) -> None:
        """Wait while nothing changes: by a timer, which takes no slot."""
        if self._moved:
            return
        quiet = (workflow.now() - self._since).total_seconds()
        soon = any(
            line.waits_for in (Wait.BLOCK, Wait.CONFIRMATIONS, Wait.EARLY) for line in self._view.lines
        )
        pause = min(max(quiet / 2, FIRST_PAUSE_S), LONGEST_PAUSE_S if soon else PATIENT_PAUSE_S)
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._woken, timeout=timedelta(seconds=pause), timeout_summary="look again"
            )

    async def _advance(self, hold_s: float) -> LaneView:
        told, self._told = self._told, []
        view: LaneView = await workflow.execute_activity(
            lane_controls.advance_lane,
            Advance(self._lane, tuple(told), hold_s),
            task_queue=options.task_queue("io"),
            start_to_close_timeout=timedelta(minutes=5),
            heartbeat_timeout=timedelta(seconds=10),
            retry_policy=options.RETRY,
            summary="advance the lane",
        )
        return view

    async def _tell(self) -> None:
        """Tell units how they ended; one that is gone looks into the ledger if it ever comes back."""
        await asyncio.gather(*(self._tell_one(settled) for settled in self._view.settled))

    async def _tell_one(self, settled: Settled) -> None:
        try:
            await workflow.get_external_workflow_handle(settled.unit).signal(SIGNAL_SETTLED, settled)
        except FailureError as error:
            self._note(f"{settled.unit} was not there to be told: {error.message}")
        self._told.append(settled.request_key)
        self._note(f"{settled.unit} {settled.phase}: {settled.reason}")

    async def _idle(self) -> bool:
        """Wait for somebody; whether nobody came and nothing is left to look at."""
        self._show()
        watches = self._view.watched > 0
        why = "look again at what has landed" if watches else "an empty lane ends"
        try:
            await workflow.wait_condition(
                lambda: self._woken, timeout=WATCH if watches else IDLE, timeout_summary=why
            )
        except TimeoutError:
            self._woken = watches
            return not watches and workflow.all_handlers_finished()
        return False

    def _note(self, text: str) -> None:
        self._notes = [*self._notes, f"{workflow.now():%Y-%m-%d %H:%M:%S} {text}"][-NOTES:]

    def _show(self) -> None:
        workflow.set_current_details(lane_view.markdown(self._view, self._notes))
