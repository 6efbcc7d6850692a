"""Lanes: what their workflow, the units and the activities tell one another. Wei are decimal digits here."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio import activity

from provery.core.lane_records import LaneOrder, Phase, Wait
from provery.core.types import StageInput, StageResult, Unit

SIGNAL_ENTER = "enter"
"""Signal of ``SubmitLane``, argument :class:`LaneEntry`: something new is in the ledger."""
SIGNAL_SETTLED = "settled"
"""Signal of ``ProveUnit``, argument :class:`Settled`: its submission has ended."""
QUERY_LANE = "lane"
"""Query of ``SubmitLane``: the newest :class:`LaneView`."""


@dataclass(frozen=True)
class LaneInput:
    """Input of ``SubmitLane``; everything else is in the ledger."""

    chain_id: int
    sender: str
    notes: tuple[str, ...] = ()
    """Orders and ends worth showing, oldest first, carried over continue-as-new."""
    told: tuple[str, ...] = ()
    """Request keys whose units were told."""


@dataclass(frozen=True)
class LaneEntry:
    """Who has entered."""

    unit: str
    """Workflow id."""
    request_key: str
    ordinal: int | None = None


@dataclass(frozen=True)
class LaneStage:
    """Input of ``enter_lane``: a submit stage, and which try of which run it is."""

    given: StageInput
    by: str


@dataclass(frozen=True)
class Entered:
    """What became of an entry."""

    lane: str = ""
    """Workflow id of the lane that has it now."""
    result: StageResult | None = None
    """The stage's result, once it has landed."""
    phase: Phase = Phase.WAITING
    """``skipped`` or ``cancelled`` where an operator took it out of the lane."""
    reason: str = ""


@dataclass(frozen=True)
class Leave:
    """Input of ``leave_lane``: a unit is not to be submitted any more."""

    unit: Unit
    phase: Phase
    reason: str


@dataclass(frozen=True)
class Advance:
    """Input of ``advance_lane``."""

    lane: str
    told: tuple[str, ...] = ()
    hold_s: float = 0.0
    """Seconds for which to go round and round until something changes; 0 for one round."""


@dataclass(frozen=True)
class LaneLine:
    """A submission as people see it."""

    unit: str
    phase: str
    waits_for: str
    reason: str
    ordinal: int | None = None
    nonce: int | None = None
    hash: str = ""
    """Of the newest transaction."""
    method: str = ""

    @property
    def holds_up(self) -> bool:
        """Whether the lane waits for this one to land, and something keeps it from landing."""
        return self.phase == Phase.SENT and self.waits_for not in (Wait.BLOCK, Wait.CONFIRMATIONS)


@dataclass(frozen=True)
class Settled:
    """A submission that has ended."""

    request_key: str
    unit: str
    """Workflow id."""
    phase: Phase
    reason: str


@dataclass(frozen=True)
class LaneView:
    """A lane at one moment."""

    lane: str
    paused: bool = False
    reason: str = ""
    max_fee: str = ""
    """An operator's cap, in wei per gas."""
    open: int = 0
    """Submissions that are not settled."""
    lines: tuple[LaneLine, ...] = ()
    """The first of them."""
    settled: tuple[Settled, ...] = ()
    """Those whose units are to be told."""
    watched: int = 0
    """Landings that are looked at again, where nothing is open."""

    @property
    def shape(self) -> tuple[object, ...]:
        """What makes two views differ by more than words."""
        return self.open, tuple((line.unit, line.phase, line.waits_for, line.hash) for line in self.lines)


LINES = 40
"""Submissions that a view shows."""


@activity.defn(name="enter_lane")
async def enter_lane(given: LaneStage) -> Entered:
    """Bring a unit's call into the lane of its account, or tell what became of it there."""
    raise NotImplementedError(_SIGNATURE)


@activity.defn(name="leave_lane")
async def leave_lane(given: Leave) -> bool:
    """Take a unit's call out of its lane; whether nothing of it can land any more."""
    raise NotImplementedError(_SIGNATURE)


@activity.defn(name="advance_lane")
async def advance_lane(given: Advance) -> LaneView:
    """Drive a lane for a round, or for a short while until something changes worth showing."""
    raise NotImplementedError(_SIGNATURE)


@activity.defn(name="order_lane")
async def order_lane(given: LaneOrder) -> str:
    """Write an operator's order down; what became of it."""
    raise NotImplementedError(_SIGNATURE)


_SIGNATURE = "only a signature: activities.lanes implements it"
