"""Lanes: the rules, as pure functions: what to pay, which nonce, whose turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Protocol

from provery.core.lane_records import Fate, Kind, Phase, Submission, Transaction, Wait
from provery.core.lanes import Fees, Policy

DAY_S = 86_400.0
CANCEL_GAS = 21_000
"""Gas of a transfer."""
TRIES = 3
"""How often a call may revert in a block although it would be taken when asked again, now or later."""
LEAST_BUMP_PERCENT = 10
"""What geth, reth, Nethermind, Erigon and Besu ask of a replacement unless told otherwise, of both fees."""
GWEI = 10**9


class Priced(Protocol):
    """A transaction, or only its price, in wei per gas."""

    @property
    def max_fee(self) -> int:
        """Most that it pays in all."""
        ...

    @property
    def max_priority_fee(self) -> int:
        """Its tip."""
        ...


@dataclass(frozen=True)
class Price:
    """What a transaction offers, in wei per gas."""

    max_fee: int
    max_priority_fee: int


def cap_of(policy: Policy, *overrides: int | None) -> int | None:
    """The cap that counts: the policy's, or a higher one that an operator has set. None for no cap."""
    if policy.max_fee_per_gas is None:
        return None
    return max([policy.max_fee_per_gas, *(o for o in overrides if o is not None)])


def first_price(fees: Fees, policy: Policy, cap: int | None) -> Price | None:
    """What to offer for a fresh nonce; None while the chain charges more than the cap.

    Twice the base fee leaves room for six full blocks in a row, each of which raises it by an eighth.
    """
    least = charged(fees, policy)
    if cap is not None and least > cap:
        return None
    wanted = fees.base + least if fees.dynamic else least
    highest = wanted if cap is None else min(wanted, cap)
    return Price(highest, min(_tip(fees, policy), highest) if fees.dynamic else highest)


def replacement(before: Sequence[Priced], percent: int) -> Price:
    """The least that replaces what is pending at a nonce: both fees higher by a percentage, at least 10."""
    percent = 100 + max(percent, LEAST_BUMP_PERCENT)
    fee = _raised(max(t.max_fee for t in before), percent)
    return Price(fee, _raised(max(t.max_priority_fee for t in before), percent))


def bumped_price(
    before: Sequence[Priced], fees: Fees, policy: Policy, cap: int | None, *, forced: bool = False
) -> Price | None:
    """What to offer instead of what is pending at a nonce; None where a cap, the tip's too, allows no replacement.

    Args:
        before: What is pending there.
        fees: What the chain charges.
        policy: The stream's.
        cap: The cap that counts.
        forced: Whether the caps may be exceeded, as far as nodes demand it of a replacement and no further.
    """
    least = replacement(before, policy.bump_percent)
    if (cap is not None and least.max_fee > cap) or tip_capped(least, fees, policy):
        if not forced:
            return None
        least = replacement(before, LEAST_BUMP_PERCENT)
    market = first_price(fees, policy, None)
    assert market is not None  # noqa: S101 - without a cap there is always a price
    fee = max(least.max_fee, market.max_fee if cap is None else min(market.max_fee, cap))
    if not fees.dynamic:
        return Price(fee, fee)
    return Price(fee, max(least.max_priority_fee, min(market.max_priority_fee, fee)))


def tip_capped(price: Priced, fees: Fees, policy: Policy) -> bool:
    """Whether a price's tip is above the policy's cap."""
    most = policy.max_priority_fee_per_gas
    return fees.dynamic and most is not None and price.max_priority_fee > most


def stuck(before: Sequence[Transaction], fees: Fees, policy: Policy, now: float) -> bool:
    """Whether what is pending at a nonce is to be replaced.

    One that the next block could not take is replaced after ``stuck_after_s``. One that it could is given twice as
    long after each replacement: more money does not make a node faster.
    """
    newest = max(before, key=lambda t: t.signed_at)
    age = now - max(newest.signed_at, newest.sent_at or 0.0)
    if newest.max_fee < fees.base + min(newest.max_priority_fee, fees.priority):
        return age >= policy.stuck_after_s
    return age >= policy.stuck_after_s * 2.0 ** min(len(before) - 1, 16)


def charged(fees: Fees, policy: Policy) -> int:
    """What the next block asks for, with as much of a tip as the policy gives; wei per gas."""
    return fees.base + _tip(fees, policy) if fees.dynamic else fees.base


def gwei(wei: int) -> str:
    """Wei as gwei, exactly, as ``provery lane raise-cap`` takes them."""
    return f"{Decimal(wei).scaleb(-9).normalize():f}"


def gas_limit(estimate: int, policy: Policy) -> int:
    """Gas to allow for an estimate."""
    return estimate + estimate * policy.gas_margin_percent // 100


def next_nonce(chain_nonce: int, submissions: Iterable[Submission]) -> int:
    """Nonce for a new transaction: behind what the chain has and behind all of ours that may still land."""
    ours = [t.nonce for s in submissions for t in s.live]
    return max([chain_nonce, *(nonce + 1 for nonce in ours)])


def used_nonces(submissions: Iterable[Submission]) -> int:
    """The least nonce behind all those of which it is settled what has them, as far as these submissions tell."""
    ended = [t.nonce for s in submissions for t in s.transactions if not t.fate.live]
    return max((nonce + 1 for nonce in ended), default=0)


def may_go(submissions: Sequence[Submission], policies: Mapping[str, Policy]) -> list[Submission]:
    """Submissions whose turn it may be, in the order in which to ask for them.

    Nobody goes while one is sent and not in a block: at most one nonce is at stake at a time. In an ordered stream
    only the one with the lowest ordinal goes, parked ones not counted: they hold back no other for ever.
    """
    if any(s.phase is Phase.SENT for s in submissions):
        return []
    waiting = [s for s in submissions if s.phase is Phase.WAITING and not s.parked]
    lowest: dict[str, int] = {}
    for s in waiting:
        if policies[s.stream_id].ordered and s.ordinal is not None:
            lowest[s.stream_id] = min(s.ordinal, lowest.get(s.stream_id, s.ordinal))
    return [
        s
        for s in waiting
        if not policies[s.stream_id].ordered or s.ordinal is None or s.ordinal == lowest[s.stream_id]
    ]


def in_turn(some: Sequence[Submission], all_: Iterable[Submission]) -> list[Submission]:
    """Submissions for people to see: those that wait for their turn say behind which one, and what that one waits for.

    It is not written down: every turn would write a row for everybody behind.

    Args:
        some: Those to be shown.
        all_: What is open in their lanes.
    """
    sent = {s.lane: s for s in reversed(list(all_)) if s.phase is Phase.SENT}
    return [
        replace(s, reason=_behind(sent[s.lane]))
        if s.phase is Phase.WAITING and s.waits_for is Wait.TURN and s.lane in sent
        else s
        for s in some
    ]


def _behind(ahead: Submission) -> str:
    how = "which holds the lane up" if ahead.holds_up else "which is sent"
    return f"behind {ahead.name}, {how}: {ahead.reason}"


def spent(submissions: Iterable[Sequence[Transaction]], since: float) -> int:
    """Wei that transactions cost, or may cost: at each nonce what a block has, or the dearest that may land.

    Args:
        submissions: Transactions by submission.
        since: Those signed before count only while they may still land.
    """
    total = 0
    for transactions in submissions:
        for nonce in {t.nonce for t in transactions}:
            here = [t for t in transactions if t.nonce == nonce]
            live = [t for t in here if t.fate.live]
            paid = [t for t in here if t.fate in (Fate.INCLUDED, Fate.LANDED, Fate.REVERTED)]
            if not live and max(t.signed_at for t in here) <= since:
                continue
            worst = max((t.worst for t in live), default=0)
            total += worst if live else sum(t.fee for t in paid)
    return total


def landing(s: Submission) -> Transaction | None:
    """The transaction by which a submission has landed."""
    if s.phase is not Phase.LANDED:
        return None
    return next((t for t in reversed(s.transactions) if t.fate is Fate.LANDED and t.kind is Kind.CALL), None)


def put_back(s: Submission, now: float) -> Submission | None:
    """A landed submission as one that is sent, at the same nonce; None where it has not landed.

    Its transactions are as they were before one had landed: any of them may land again, and they do the same. One that
    was to take their nonce from them may not be sent again: the unit is done.

    Args:
        s: The submission.
        now: When; until its price is raised it is given as long as if it were sent for the first time.
    """
    done = landing(s)
    if done is None:
        return None
    transactions = tuple(
        replace(outside(t, Fate.LIVE), sent_at=now)
        if t.kind is Kind.CALL and t.nonce == done.nonce and t.fate in (Fate.LANDED, Fate.REPLACED)
        else t
        for t in s.transactions
    )
    return replace(
        s,
        phase=Phase.SENT,
        waits_for=Wait.BLOCK,
        nonce=done.nonce,
        want="",
        settled_at=None,
        told=False,
        transactions=transactions,
    )


def outside(t: Transaction, fate: Fate) -> Transaction:
    """A transaction that no block has, whatever was known of it before: it costs nothing."""
    return replace(t, fate=fate, block=None, block_hash="", gas_used=None, gas_price=None)


def _tip(fees: Fees, policy: Policy) -> int:
    """The tip that is usual now, or as much of it as the policy gives."""
    most = policy.max_priority_fee_per_gas
    return fees.priority if most is None else min(fees.priority, most)


def _raised(value: int, percent: int) -> int:
    """``percent`` of a value, rounded up, and at least one more."""
    return max(-(-value * percent // 100), value + 1)
