"""Activities of lanes: units enter and leave, the lane advances, operators give orders."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

from temporalio import activity
from temporalio.common import WorkflowIDReusePolicy

from activities.errors import to_application_error
from activities.heartbeat import Heartbeat
from activities.lane_metrics import LaneMetrics
from activities.lane_round import Rounds, account
from activities.memo import Memo, Where
from activities.stages import cancelled
from provery.core.details import clip_bytes
from provery.core.errors import ConfigurationError, ProverCrashed, ProveryError, Reverted, Superseded
from provery.core.lane_controls import (
    LINES,
    SIGNAL_ENTER,
    Advance,
    Entered,
    LaneEntry,
    LaneInput,
    LaneLine,
    LaneStage,
    LaneView,
    Leave,
    Settled,
)
from provery.core.lane_ledger import LaneLedger
from provery.core.lane_records import LaneOrder, LaneRow, Phase, Submission, request_key_of
from provery.core.lane_rules import in_turn, landing
from provery.core.lanes import SUBMIT_LANE, Call, Submits, lane_id
from provery.core.ports import StageContext, StageOutput, System
from provery.core.redact import redact

FIRST_PAUSE_S, LONGEST_HOLD_S = 0.1, 2.0
"""Between rounds, and for how long at most: whoever waits longer does it in the workflow, which takes no slot."""


@dataclass(frozen=True)
class Lanes:
    """Activity implementations. One per process, as its memory of what nodes said goes from round to round."""

    memo: Memo
    ledger: LaneLedger
    metrics: LaneMetrics
    orchestrate: str
    """Task queue of the lanes' workflows."""
    where: Callable[[], Where]
    rounds: Rounds

    @activity.defn(name="enter_lane")
    async def enter_lane(self, given: LaneStage) -> Entered:
        """See :func:`provery.core.lane_controls.enter_lane`."""
        try:
            async with Heartbeat() as beat:
                context, found = await self.memo.look(given.given, beat.progress)
                return Entered(result=found) if found is not None else await self._enter(context, given.by)
        except asyncio.CancelledError:
            raise cancelled() from None
        except ProveryError as error:
            raise to_application_error(error, exhausted=True) from error

    @activity.defn(name="leave_lane")
    async def leave_lane(self, given: Leave) -> bool:
        """See :func:`provery.core.lane_controls.leave_lane`."""
        try:
            async with Heartbeat():
                return await self.ledger.leave(request_key_of(given.unit), given.phase, given.reason)
        except ProveryError as error:
            raise to_application_error(error) from error

    @activity.defn(name="advance_lane")
    async def advance_lane(self, given: Advance) -> LaneView:
        """See :func:`provery.core.lane_controls.advance_lane`."""
        try:
            async with Heartbeat():
                await self.ledger.told(given.told)
                return await self._advance(given)
        except asyncio.CancelledError:
            raise cancelled() from None
        except ProveryError as error:
            raise to_application_error(error) from error

    @activity.defn(name="order_lane")
    async def order_lane(self, given: LaneOrder) -> str:
        """See :func:`provery.core.lane_controls.order_lane`."""
        try:
            async with Heartbeat():
                return await self.ledger.order(given)
        except ProveryError as error:
            raise to_application_error(error) from error

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for registration."""
        return [self.enter_lane, self.leave_lane, self.advance_lane, self.order_lane]

    async def _enter(self, context: StageContext, by: str) -> Entered:
        unit = context.unit
        stands = await self.ledger.find(request_key_of(unit))
        if stands is None or stands.phase is not Phase.LANDED:
            # What has landed is told without the chain; anything else needs the account.
            submits = submitter(self.memo.system)(unit.system)
            chain = await account(submits, unit.stream)
            wanted = Submission(
                request_key=request_key_of(unit),
                lane=lane_id(chain.chain_id, chain.sender),
                system=unit.system,
                stream=unit.stream,
                key=unit.key,
                call=await _call(submits, context),
                entered_by=by,
                entered_at=time.time(),
                ordinal=unit.ordinal,
            )
            stands = await self.ledger.enter(wanted, chain.chain_id, chain.sender)
        if stands.phase.settled:
            return await self._end(context, stands)
        await self._wake(stands)
        return Entered(lane=stands.lane, phase=stands.phase, reason=stands.reason)

    async def _end(self, context: StageContext, s: Submission) -> Entered:
        if s.phase in (Phase.SKIPPED, Phase.CANCELLED):
            return Entered(phase=s.phase, reason=s.reason)
        produced: StageOutput | ProveryError
        if s.phase is Phase.SUPERSEDED:
            produced = Superseded(s.reason)
        elif s.phase is Phase.REVERTED:
            produced = Reverted(s.reason)
        else:
            # What was submitted stays the unit's result: landing makes nothing new.
            produced = StageOutput(context.inputs, _facts(s))
        result = await self.memo.record(context, produced, self.where(), s.entered_at)
        if isinstance(result, ProveryError):
            raise result
        return Entered(result=result, phase=s.phase)

    async def _wake(self, s: Submission) -> None:
        """Start the lane's workflow, or tell the running one."""
        chain_id, sender = s.lane.split("/")[1:]
        await activity.client().start_workflow(
            SUBMIT_LANE,
            LaneInput(int(chain_id), sender),
            id=s.lane,
            task_queue=self.orchestrate,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=SIGNAL_ENTER,
            start_signal_args=[LaneEntry(s.unit, s.request_key, s.ordinal)],
            static_summary=clip_bytes(f"L1 lane of {sender} on chain {chain_id}", 200),
            rpc_timeout=timedelta(seconds=10),
        )

    async def _advance(self, given: Advance) -> LaneView:
        lane, holder, pause = given.lane, uuid.uuid4().hex, FIRST_PAUSE_S
        until = time.monotonic() + min(given.hold_s, LONGEST_HOLD_S)
        row = await self.ledger.take(lane, holder)
        if row is None:
            return LaneView(lane)
        before: LaneView | None = None
        while True:
            await self.rounds.round(lane, holder)
            view = await self._view(lane)
            if view.settled or not view.open or (before is not None and before.shape != view.shape):
                return view
            if time.monotonic() + pause > until:
                return view
            before = view
            await asyncio.sleep(pause)
            pause *= 1.4

    async def _view(self, lane: str) -> LaneView:
        row = await self.ledger.row(lane) or LaneRow(lane, 0, "")
        open_, untold = await self.ledger.open(lane), await self.ledger.untold(lane)
        return LaneView(
            lane=lane,
            paused=row.paused,
            reason=row.reason,
            max_fee="" if row.max_fee is None else str(row.max_fee),
            open=len(open_),
            lines=tuple(_line(s) for s in in_turn(open_[:LINES], open_)),
            watched=0 if open_ else len(await self.rounds.watched(lane)),
            settled=tuple(Settled(s.request_key, s.unit, s.phase, s.reason) for s in untold[:LINES]),
        )


async def _call(submits: Submits, context: StageContext) -> Call:
    try:
        return await submits.call(context)
    except ProveryError:
        raise
    except Exception as error:
        raise ProverCrashed(
            f"making the call failed unexpectedly: {type(error).__name__}: {redact(str(error))}"
        ) from error


def submitter(system: Callable[[str], System]) -> Callable[[str], Submits]:
    """Systems as those that submit through lanes.

    Raises:
        ConfigurationError: by the returned function, for a system that does not.
    """

    def find(name: str) -> Submits:
        found = system(name)
        if not all(hasattr(found, method) for method in ("chain", "policy", "call", "standing")):
            raise ConfigurationError(f"the system {name} does not submit through lanes")
        return cast(Submits, found)

    return find


def _facts(s: Submission) -> dict[str, str]:
    landed = landing(s)
    assert landed is not None  # noqa: S101 - it has landed, and so by a transaction
    return {
        "transaction": landed.hash,
        "block": str(landed.block),
        "gas_used": str(landed.gas_used),
        "gas_price_wei": str(landed.gas_price),
        "fee_wei": str(s.fee),
    }


def _line(s: Submission) -> LaneLine:
    newest = s.live[-1] if s.live else None
    return LaneLine(
        unit=s.unit,
        phase=s.phase.value,
        waits_for=s.waits_for.value,
        reason=s.reason,
        ordinal=s.ordinal,
        nonce=s.nonce,
        hash=newest.hash if newest is not None else "",
        method=s.call.method,
    )
