"""Lanes: the port to what the ledger remembers of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from provery.core.lane_records import Change, LaneOrder, LaneRow, Phase, Submission, Transaction


class LaneLedger(Protocol):
    """Submissions and transactions. Every method is one transaction and safe to repeat.

    Methods that take a ``holder`` raise :class:`~provery.core.errors.HandedBack` once another one has taken the lane:
    a worker that was given up for dead can neither sign nor settle any more.
    """

    async def enter(self, submission: Submission, chain_id: int, sender: str) -> Submission:
        """Write a call's intent, put-if-absent; the one that stands.

        A settled one that has not landed is opened again for another ``entered_by``; one for which nothing is signed
        takes the newer call.
        """
        ...

    async def leave(self, request_key: str, phase: Phase, reason: str) -> bool:
        """Settle a submission of which nothing can land; whether nothing of it will."""
        ...

    async def take(self, lane: str, holder: str) -> LaneRow | None:
        """Become the one who may write to a lane."""
        ...

    async def lanes(self) -> list[LaneRow]:
        """Every lane, the one that changed last first."""
        ...

    async def row(self, lane: str) -> LaneRow | None:
        """One lane."""
        ...

    async def find(self, request_key: str) -> Submission | None:
        """One submission."""
        ...

    async def open(self, lane: str) -> list[Submission]:
        """Submissions that are not settled, in the order they entered."""
        ...

    async def recent(self, lane: str, limit: int) -> list[Submission]:
        """Settled submissions, the newest first."""
        ...

    async def landed(self, lane: str, limit: int) -> list[Submission]:
        """Submissions that have landed, the newest first."""
        ...

    async def reopen(self, holder: str, request_key: str, reason: str, now: float) -> bool:
        """Make a landed submission sent again, as :func:`~provery.core.lane_rules.put_back` does.

        Returns:
            Whether it had landed.
        """
        ...

    async def untold(self, lane: str) -> list[Submission]:
        """Settled submissions whose units were not told, without transactions."""
        ...

    async def told(self, request_keys: Sequence[str]) -> None:
        """Their units know."""
        ...

    async def sign(
        self, holder: str, submission: Submission, transaction: Transaction, *, budget: int | None
    ) -> bool:
        """Keep a signed transaction, before it is sent. False where the submission is no longer as the caller saw it.

        Args:
            holder: Who has the lane.
            submission: As the caller saw it.
            transaction: New, at ``submission.nonce`` or, for a submission without, at a nonce that is then its own;
                one of kind ``FILL`` is at a lower nonce and changes nothing else.
            budget: Most wei that the stream may spend on fees in 24 hours, this transaction at its worst included.

        Raises:
            SpendingCapReached: it would exceed the budget; nothing was written.
        """
        ...

    async def change(self, holder: str, request_key: str, change: Change) -> None:
        """Write down what a round found out; a settled submission stays as it is."""
        ...

    async def order(self, order: LaneOrder) -> str:
        """Obey an operator; what became of it, for people.

        Raises:
            InvalidInput: it does not fit the lane or the submission as it stands.
        """
        ...
