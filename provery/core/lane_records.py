"""Lanes: what the ledger remembers of submissions and transactions.

Every figure that decides whether something may be signed is here and not in a workflow: a lane whose workflow is lost
goes on from these rows alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from provery.core.lanes import Call
from provery.core.types import Unit, digest_json


class Phase(StrEnum):
    """Where a submission stands; the last five are settled."""

    WAITING = "waiting"
    """Nothing of it can land: no transaction was signed, or a stranger has used the nonce."""
    SENT = "sent"
    """Signed at a nonce, and not seen in a block: it may land at any time."""
    INCLUDED = "included"
    """In a block, with too few confirmations."""
    LANDED = "landed"
    SUPERSEDED = "superseded"
    """The contract had it, or a later one, from elsewhere."""
    REVERTED = "reverted"
    """The contract refuses it."""
    SKIPPED = "skipped"
    """An operator took it out before anything was signed."""
    CANCELLED = "cancelled"
    """An operator took it out; where something had been sent, a transaction to oneself took its nonce."""

    @property
    def settled(self) -> bool:
        """Whether nothing more will happen."""
        return self not in (Phase.WAITING, Phase.SENT, Phase.INCLUDED)


class Wait(StrEnum):
    """What a submission that is not settled waits for."""

    TURN = "turn"
    """Another one is under way."""
    EARLY = "early"
    """The contract wants another call first."""
    FEES = "fees"
    """The chain charges more than the cap."""
    SPEND = "spend"
    """The stream's budget for 24 hours is spent."""
    FUNDS = "funds"
    """The account cannot pay."""
    BLOCK = "block"
    """It is sent, and no block has it."""
    CONFIRMATIONS = "confirmations"
    NODE = "node"
    """No endpoint answers as it should."""
    OPERATOR = "operator"
    """Parked, or the lane is paused."""


class Kind(StrEnum):
    """What a transaction does."""

    CALL = "call"
    CANCEL = "cancel"
    """Nothing, sent to oneself: takes the nonce of a call that is no longer wanted."""
    FILL = "fill"
    """The same at a lower nonce that a stranger's transaction left free again: without it the call cannot land."""


class Fate(StrEnum):
    """What became of a transaction."""

    LIVE = "live"
    """Signed: it may be in a block one day."""
    INCLUDED = "included"
    """In a block, with too few confirmations."""
    LANDED = "landed"
    REVERTED = "reverted"
    REPLACED = "replaced"
    """Another one of the same submission has landed at its nonce."""
    DISPLACED = "displaced"
    """A stranger's transaction has landed at its nonce."""

    @property
    def live(self) -> bool:
        """Whether it can still land."""
        return self in (Fate.LIVE, Fate.INCLUDED)


@dataclass(frozen=True)
class Transaction:
    """A signed transaction; fees are wei per gas."""

    hash: str
    request_key: str
    nonce: int
    kind: Kind
    gas: int
    max_fee: int
    max_priority_fee: int
    signed_at: float
    raw: str = field(default="", repr=False)
    sent_at: float | None = None
    """When a node took it, or was found to have it, or when it was put back after it had landed."""
    fate: Fate = Fate.LIVE
    block: int | None = None
    block_hash: str = ""
    gas_used: int | None = None
    gas_price: int | None = None

    @property
    def fee(self) -> int:
        """What it cost, in wei; 0 where no block has it."""
        return (self.gas_used or 0) * (self.gas_price or 0)

    @property
    def worst(self) -> int:
        """What it may cost at most, in wei."""
        return self.gas * self.max_fee


@dataclass(frozen=True)
class Submission:
    """A call in a lane, and all that was signed for it, oldest first."""

    request_key: str
    lane: str
    system: str
    stream: str
    key: str
    call: Call
    entered_by: str
    """Names the unit's run and try; another one may open a settled submission again, unless it has landed."""
    entered_at: float
    ordinal: int | None = None
    phase: Phase = Phase.WAITING
    waits_for: Wait = Wait.TURN
    reason: str = ""
    want: str = ""
    """``cancel`` where an operator wants the transaction replaced by one to oneself; another reason to do so."""
    max_fee: int | None = None
    """An operator's cap for this one, in wei per gas."""
    nonce: int | None = None
    """Where it is signed now."""
    tries: int = 0
    """How often a transaction of it has reverted in a block without being the call's fault."""
    settled_at: float | None = None
    told: bool = False
    """Whether the unit's workflow was told of the end."""
    transactions: tuple[Transaction, ...] = ()

    @property
    def unit(self) -> str:
        """Workflow id of the unit."""
        return f"prove/{self.system}/{self.stream}/{self.key}"

    @property
    def name(self) -> str:
        """``<system>/<stream>/<key>``, for people."""
        return f"{self.system}/{self.stream}/{self.key}"

    @property
    def stream_id(self) -> str:
        """``<system>/<stream>``."""
        return f"{self.system}/{self.stream}"

    @property
    def live(self) -> tuple[Transaction, ...]:
        """Transactions at the present nonce that may land."""
        return tuple(t for t in self.transactions if t.fate.live and t.nonce == self.nonce)

    @property
    def fee(self) -> int:
        """What all its transactions cost, in wei."""
        return sum(t.fee for t in self.transactions)

    @property
    def parked(self) -> bool:
        """Whether it waits for an operator."""
        return self.phase is Phase.WAITING and self.waits_for is Wait.OPERATOR

    @property
    def holds_up(self) -> bool:
        """Whether the lane waits for this one to land, and something keeps it from landing."""
        return self.phase is Phase.SENT and self.waits_for not in (Wait.BLOCK, Wait.CONFIRMATIONS)


@dataclass(frozen=True)
class LaneRow:
    """One account on one chain."""

    id: str
    chain_id: int
    sender: str
    paused: bool = False
    reason: str = ""
    max_fee: int | None = None
    """An operator's cap for all its submissions, in wei per gas."""
    updated_at: float = 0.0


@dataclass(frozen=True)
class Change:
    """What a round found out of a submission; None leaves a value as it is."""

    phase: Phase | None = None
    waits_for: Wait | None = None
    reason: str | None = None
    nonce: int | None = None
    """Only with ``clear_nonce`` it becomes None."""
    clear_nonce: bool = False
    want: str | None = None
    tries: int | None = None
    event: str = ""
    """What happened, in the past tense, for the unit's audit trail; with ``reason`` as the detail."""
    transactions: tuple[Transaction, ...] = ()
    """Transactions as they are now."""


PAUSE, RESUME, RAISE_CAP, SKIP, CANCEL, RETRY = "pause", "resume", "raise_cap", "skip", "cancel", "retry"
LANE_ORDERS = (PAUSE, RESUME, RAISE_CAP, SKIP, CANCEL, RETRY)
"""Updates of ``SubmitLane``; each takes a :class:`LaneOrder`."""


@dataclass(frozen=True)
class LaneOrder:
    """An operator's order to a lane, or to one submission in it."""

    name: str
    lane: str
    unit: str = ""
    """``<system>/<stream>/<key>`` of the submission; empty for the whole lane."""
    max_fee: str = ""
    """New cap, in wei per gas, as decimal digits."""
    reason: str = ""
    by: str = ""


def request_key_of(unit: Unit) -> str:
    """Name of a unit's call: the same for the same unit and parameters, whatever its proof's bytes are."""
    return digest_json(["provery/lane/1", unit.system, unit.stream, unit.key, unit.params_sha256])
