"""One round of a lane: look after what is signed, then let the next one go.

A round may be cut off at any instruction and repeated, by another process too: it decides from the ledger and the chain
alone, and what could land twice is kept in the ledger before it can land at all.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from activities.lane_desk import PATIENCE_S, Desk, Sightings, Watch
from activities.lane_follow import follow
from activities.lane_metrics import LaneMetrics
from activities.lane_watch import holds, look_again, watched
from provery.core.errors import (
    ConfigurationError,
    HandedBack,
    LedgerUnavailable,
    ProveryError,
    Reverted,
    TransientError,
)
from provery.core.lane_ledger import LaneLedger
from provery.core.lane_records import Change, Kind, LaneRow, Phase, Submission, Wait
from provery.core.lane_rules import charged, first_price, gas_limit, gwei, may_go, next_nonce, used_nonces
from provery.core.lanes import Chain, Policy, State, Submits, lane_id
from provery.core.redact import redact

log = logging.getLogger(__name__)
RECENT = 4
"""Settled submissions whose nonces are compared with what the nodes say."""
EARLY_S = 5.0
"""How often a call that is early is asked for again where no new block came."""


@dataclass
class Rounds:
    """Rounds over injected ports."""

    ledger: LaneLedger
    systems: Callable[[str], Submits]
    """A system's adapter by name.

    Raises:
        ConfigurationError: it does not submit through lanes.
    """
    metrics: LaneMetrics
    clock: Callable[[], float] = time.time
    sightings: Sightings = field(default_factory=Sightings)
    watch: Watch = field(default_factory=Watch)

    async def round(self, lane: str, holder: str) -> None:
        """Go once through the lane's submissions.

        Raises:
            HandedBack: another process has taken the lane.
            LedgerUnavailable: nothing can be written down, so nothing may be done.
        """
        row, open_ = await self.ledger.row(lane), await self.ledger.open(lane)
        here = open_ or await self.watched(lane)
        if row is None or not here:
            return self.metrics.standing(lane, [])
        try:
            chain = await self._chain(row, here)
            head = await chain.head()
        except (LedgerUnavailable, HandedBack):
            raise
        except ProveryError as error:
            return await self._all_wait(row, holder, open_, error)
        desk = Desk(
            self.ledger, holder, row, chain, head, self.systems, self.metrics, self.clock, self.sightings,
            self.watch,
        )  # fmt: skip
        if await self._look_again(desk):
            open_ = await self.ledger.open(lane)
        signed = [s for s in open_ if s.phase is not Phase.WAITING]
        desk.nonces = frozenset(t.nonce for s in signed for t in s.live)
        for s in sorted(signed, key=lambda s: s.nonce or 0):
            await self._guarded(desk, s, follow(desk, s))
        await self._let_go(desk)

    async def watched(self, lane: str) -> list[Submission]:
        """What landed so short a time ago that it is looked at again."""
        return await watched(self.ledger, self.systems, lane, self.clock())

    async def _look_again(self, desk: Desk) -> bool:
        try:
            return await look_again(desk)
        except (LedgerUnavailable, HandedBack):
            raise
        except Exception as error:
            log.warning("%s: what has landed could not be looked at again: %s", desk.row.id, _said(error))
            return False

    async def _let_go(self, desk: Desk) -> None:
        open_ = await self.ledger.open(desk.row.id)
        policies: dict[str, Policy] = {}
        unknown: dict[str, Exception] = {}
        for s in open_:
            if s.stream_id not in policies and s.stream_id not in unknown:
                try:
                    policies[s.stream_id] = await desk.policy(s)
                except Exception as error:  # as in _guarded: a bug in one adapter is not the other streams'
                    unknown[s.stream_id] = error
            if s.stream_id in unknown and s.phase is Phase.WAITING and not s.parked:
                await desk.note(s, _waits(unknown[s.stream_id], s), _said(unknown[s.stream_id]))
        # Nothing goes without a policy: there would be neither a cap nor a budget.
        going = may_go(
            [s for s in open_ if s.stream_id in policies or s.phase is not Phase.WAITING], policies
        )
        gone: Submission | None = None
        for s in going:
            if desk.row.paused:
                await desk.note(s, Wait.TURN, f"the lane is paused: {desk.row.reason}")
            elif gone is not None:
                # Whose turn it is instead is not said: each turn would write a row for everybody behind.
                await desk.note(s, Wait.TURN, "another one goes first")
            else:
                before = await self.ledger.find(s.request_key)
                if before is None or before.phase is not Phase.WAITING:
                    continue
                await self._guarded(desk, s, go(desk, before, open_, policies[s.stream_id]))
                after = await self.ledger.find(s.request_key)
                gone = s if after is not None and after.phase is Phase.SENT else None
        self.metrics.standing(desk.row.id, open_)

    async def _chain(self, row: LaneRow, open_: Sequence[Submission]) -> Chain:
        """The account, from the first of the lane's streams that still submits from it."""
        wrong: ConfigurationError | None = None
        for system, stream in dict.fromkeys((s.system, s.stream) for s in open_):
            try:
                return await account(self.systems(system), stream, row.id)
            except ConfigurationError as error:
                wrong = wrong or error
        raise wrong or ConfigurationError("no stream submits from this account", value=row.id)

    async def _all_wait(
        self, row: LaneRow, holder: str, open_: Sequence[Submission], error: ProveryError
    ) -> None:
        """Without a chain everything waits, and says why."""
        for s in open_:
            if (s.waits_for, s.reason) != (Wait.NODE, _said(error)) and not s.parked:
                change = Change(waits_for=Wait.NODE, reason=_said(error))
                await self.ledger.change(holder, s.request_key, change)
        self.metrics.standing(row.id, open_)

    async def _guarded(self, desk: Desk, s: Submission, step: object) -> None:
        """One submission's trouble is not the others'."""
        try:
            await step  # type: ignore[misc]
        except (LedgerUnavailable, HandedBack):
            raise
        except Exception as error:
            await desk.note(s, _waits(error, s), _said(error))


async def account(submits: Submits, stream: str, lane: str = "") -> Chain:
    """The account that a stream submits from.

    Raises:
        ConfigurationError: the stream's chain is not configured, or is no longer this lane's.
    """
    chain = await submits.chain(stream)
    mine = lane_id(chain.chain_id, chain.sender)
    if lane and mine != lane:
        raise ConfigurationError(
            f"the stream {stream} now submits from another account",
            value=mine,
            expected=lane,
            action="configure the former one again until the lane is empty, or cancel what is in it",
        )
    return chain


async def go(desk: Desk, s: Submission, open_: Sequence[Submission], policy: Policy) -> None:
    """Check a waiting submission against the contract, and sign and send it if it may go."""
    submits = desk.systems(s.system)
    await account(submits, s.stream, desk.row.id)
    now = desk.clock()
    if s.waits_for is Wait.EARLY:
        blocks, seconds = desk.sightings.since(s.request_key, "asked", desk.head, now)
        if blocks == 0 and 0 < seconds < EARLY_S:
            return
        desk.sightings.forget(s.request_key)
    standing = await submits.standing(s.stream, s.ordinal, s.call)
    if standing.state is State.EARLY:
        desk.sightings.since(s.request_key, "asked", desk.head, now)
        return await desk.note(s, Wait.EARLY, standing.reason or "the contract wants another call first")
    if standing.state is State.SUPERSEDED:
        reason = standing.reason or "the contract has it from elsewhere"
        blocks, _ = desk.sightings.since(s.request_key, "superseded", desk.head, now)
        if blocks + 1 >= policy.confirmations:
            return await desk.settle(s, Phase.SUPERSEDED, reason)
        return await desk.note(s, Wait.CONFIRMATIONS, f"{reason}: not confirmed yet")
    if standing.state is State.IMPOSSIBLE:
        return await _refused(desk, s, standing.reason or "the contract will never take it")
    try:
        estimate = s.call.gas or await desk.chain.estimate(s.call)
    except Reverted as error:
        return await _refused(desk, s, str(error))
    desk.sightings.forget(s.request_key)
    await _sign(desk, s, open_, policy, s.call.gas or gas_limit(estimate, policy))


async def _refused(desk: Desk, s: Submission, reason: str) -> None:
    """Refused for good once a later block says the same: a node that lags must not fail a unit."""
    blocks, seconds = desk.sightings.since(s.request_key, "refused", desk.head, desk.clock())
    if blocks > 0 or seconds >= PATIENCE_S:
        return await desk.settle(s, Phase.REVERTED, reason)
    await desk.note(s, Wait.NODE, f"refused: {reason}; asked again")


async def _sign(desk: Desk, s: Submission, open_: Sequence[Submission], policy: Policy, gas: int) -> None:
    fees, cap = await desk.fees(), desk.cap(s, policy)
    price = first_price(fees, policy, cap)
    if price is None:
        least = charged(fees, policy)
        return await desk.note(
            s,
            Wait.FEES,
            f"the chain charges {gwei(least)} gwei, the cap is {gwei(cap or 0)}; "
            f"`provery lane raise-cap {s.name} --gwei {gwei(least)}` lets it go now",
        )
    needed, has = gas * price.max_fee + s.call.value, await desk.chain.balance()
    if has < needed:
        return await desk.note(
            s, Wait.FUNDS, f"{desk.chain.sender} has {has} wei, and the call may cost {needed}"
        )
    reached = await desk.chain.nonce()
    used = used_nonces([*open_, *await desk.ledger.recent(desk.row.id, RECENT)])
    if reached < used:
        blocks, seconds = desk.sightings.since(desk.row.id, f"at {reached}", desk.head, desk.clock())
        if blocks == 0 and seconds < PATIENCE_S:  # a node that lags, or a chain that was set back
            return await desk.note(s, Wait.NODE, f"the nodes are at nonce {reached}, {used - 1} was used")
    desk.sightings.forget(desk.row.id)
    nonce = next_nonce(reached, open_)
    if await holds(desk, nonce):
        return await desk.note(s, Wait.NODE, f"nonce {nonce} is of what has landed, and may land again")
    await desk.transact(s, Kind.CALL, nonce, gas, price, policy.spend_per_day)


def _waits(error: Exception, s: Submission) -> Wait:
    """A wrong setting, or a bug in an adapter, parks what is not signed; what is signed is still followed."""
    if isinstance(error, TransientError) or s.phase is not Phase.WAITING:
        return Wait.NODE
    return Wait.OPERATOR


def _said(error: Exception) -> str:
    kind = error.kind if isinstance(error, ProveryError) else type(error).__name__
    return redact(f"{kind}: {error}")
