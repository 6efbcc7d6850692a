"""A lane in hand: what each step of a round needs, and the two steps that must come in this order: keep, then send."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from activities.lane_metrics import LaneMetrics
from provery.core.errors import SpendingCapReached
from provery.core.lane_ledger import LaneLedger
from provery.core.lane_records import (
    Change,
    Fate,
    Kind,
    LaneRow,
    Phase,
    Submission,
    Transaction,
    Wait,
)
from provery.core.lane_rules import CANCEL_GAS, Price, cap_of, outside
from provery.core.lanes import Block, Chain, Fees, Policy, Sent, Signed, Submits, Unsigned

PATIENCE_S = 15.0
"""A refusal counts once a later block repeats it, or after this long: one node of several may lag behind."""


@dataclass
class Sightings:
    """Since when something has been so, as far as this process has seen. Losing it costs time and nothing else."""

    first: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)

    def since(self, key: str, what: str, head: Block, now: float) -> tuple[int, float]:
        """Blocks and seconds since the first sighting; the sightings of something else are forgotten."""
        for other in [k for k in self.first if k[0] == key and k[1] != what]:
            del self.first[other]
        block, at = self.first.setdefault((key, what), (head.number, now))
        return max(head.number - block, 0), now - at

    def forget(self, key: str) -> None:
        """Nothing is seen of this submission any more."""
        for found in [k for k in self.first if k[0] == key]:
            del self.first[found]


@dataclass
class Watch:
    """When landings were looked at last, and on which chain. Losing it costs one more look."""

    last: dict[str, tuple[float, str]] = field(default_factory=dict)
    doubts: set[str] = field(default_factory=set)
    """Lanes with a landing that a node did not show, and that is to be looked at once more."""


@dataclass
class Desk:
    """One lane during one round."""

    ledger: LaneLedger
    holder: str
    row: LaneRow
    chain: Chain
    head: Block
    systems: Callable[[str], Submits]
    metrics: LaneMetrics
    clock: Callable[[], float]
    sightings: Sightings
    watch: Watch
    nonces: frozenset[int] = frozenset()
    """Nonces at which something of the lane may land."""
    _fees: Fees | None = None

    async def fees(self) -> Fees:
        """What the chain charges, asked once a round."""
        if self._fees is None:
            self._fees = await self.chain.fees()
        return self._fees

    async def policy(self, s: Submission) -> Policy:
        """What the stream's operator allows now."""
        return await self.systems(s.system).policy(s.stream)

    def cap(self, s: Submission, policy: Policy) -> int | None:
        """The cap that counts for a submission."""
        return cap_of(policy, self.row.max_fee, s.max_fee)

    async def change(self, s: Submission, change: Change) -> None:
        """Write a change down, and count it."""
        if change.phase is not None and change.phase.settled:
            self.sightings.forget(s.request_key)
        await self.ledger.change(self.holder, s.request_key, change)
        self.metrics.changed(s, change)

    async def note(self, s: Submission, waits_for: Wait, reason: str) -> None:
        """Say what a submission waits for, unless that is what it says already."""
        if (s.waits_for, s.reason) != (waits_for, reason):
            await self.change(s, Change(waits_for=waits_for, reason=reason))

    async def settle(
        self, s: Submission, phase: Phase, reason: str, transactions: tuple[Transaction, ...] = ()
    ) -> None:
        """End a submission."""
        await self.change(s, Change(phase=phase, reason=reason, event=phase.value, transactions=transactions))

    async def reopen(self, s: Submission, reason: str) -> None:
        """What has landed is in no block any more: its transaction goes again, as it is."""
        self.sightings.forget(s.request_key)
        if await self.ledger.reopen(self.holder, s.request_key, reason, self.clock()):
            self.metrics.undone(s)

    async def transact(
        self, s: Submission, kind: Kind, nonce: int, gas: int, price: Price, budget: int | None
    ) -> bool:
        """Sign, keep what was signed, and only then send it. Whether it was kept."""
        fees = await self.fees()
        call = s.call
        unsigned = Unsigned(
            nonce=nonce,
            to=call.to if kind is Kind.CALL else self.chain.sender,
            data=call.data if kind is Kind.CALL else "0x",
            value=call.value if kind is Kind.CALL else 0,
            gas=gas if kind is Kind.CALL else CANCEL_GAS,
            max_fee=price.max_fee,
            max_priority_fee=price.max_priority_fee,
            dynamic=fees.dynamic,
        )
        signed = await self.chain.sign(unsigned)
        transaction = Transaction(
            hash=signed.hash,
            request_key=s.request_key,
            nonce=nonce,
            kind=kind,
            gas=unsigned.gas,
            max_fee=price.max_fee,
            max_priority_fee=price.max_priority_fee,
            signed_at=self.clock(),
            raw=signed.raw,
        )
        try:
            kept = await self.ledger.sign(self.holder, s, transaction, budget=budget)
        except SpendingCapReached as error:
            await self.note(s, Wait.SPEND, str(error))
            return False
        if not kept:
            return False
        self.metrics.signed(s, transaction, again=bool(s.live))
        await self.send(s, transaction)
        return True

    async def send(self, s: Submission, t: Transaction) -> Sent:
        """Hand a kept transaction to the nodes."""
        said = await self.chain.send(Signed(t.hash, t.raw))
        if said is Sent.ACCEPTED:
            await self.seen(s, t)
        elif said is Sent.NO_FUNDS:
            await self.note(s, Wait.FUNDS, "the account cannot pay for the transaction that is signed")
        return said

    async def seen(self, s: Submission, t: Transaction) -> None:
        """A node has it."""
        if t.sent_at is None:
            now = self.clock()
            self.metrics.seen(s, now - t.signed_at)
            sent = replace(t, sent_at=now)
            reason = f"nonce {t.nonce}, {t.hash}"
            await self.change(
                s,
                Change(
                    waits_for=Wait.BLOCK,
                    reason=reason,
                    event="sent" if t.kind is Kind.CALL else f"{t.kind} sent",
                    transactions=(sent,),
                ),
            )


def unlanded(s: Submission, fate: Fate) -> tuple[Transaction, ...]:
    """What is live at the present nonce, with another fate."""
    return tuple(outside(t, fate) for t in s.live)
