"""What becomes of what is signed: in a block, out of it, confirmed, replaced, or its nonce taken by a stranger."""

from __future__ import annotations

from dataclasses import replace

from activities.lane_desk import PATIENCE_S, Desk, unlanded
from activities.lane_watch import holds
from provery.core.errors import InvalidInput, Reverted
from provery.core.lane_records import Change, Fate, Kind, Phase, Submission, Transaction, Wait
from provery.core.lane_rules import (
    CANCEL_GAS,
    TRIES,
    bumped_price,
    charged,
    first_price,
    gwei,
    outside,
    replacement,
    stuck,
)
from provery.core.lanes import Fees, Policy, Receipt, Sent, State

UNDERPRICED_S = 2.0
"""How soon more is offered to a node that refuses the price."""


async def follow(desk: Desk, s: Submission) -> None:
    """Look after a submission of which something is signed."""
    for transaction in reversed(s.live):
        receipt = await desk.chain.receipt(transaction.hash)
        if receipt is not None:
            return await _in_block(desk, s, transaction, receipt)
    if s.phase is Phase.INCLUDED:
        s = await _out_of_block(desk, s)
    assert s.nonce is not None  # noqa: S101 - what is signed has one
    reached = await desk.chain.nonce()
    if reached > s.nonce:
        taken = await desk.chain.taken(s.nonce)
        if taken is None:
            return await desk.note(s, Wait.NODE, f"nonce {s.nonce} is used, and no node shows by what")
        mine = next((t for t in s.live if t.hash == taken.hash), None)
        if mine is not None:
            return await _in_block(desk, s, mine, taken)
        return await _by_stranger(desk, s, taken)
    if reached < s.nonce and not desk.nonces & set(range(reached, s.nonce)):
        await _fill(desk, s, reached)
    else:
        desk.sightings.forget(s.request_key)
    await _push(desk, s)


async def _in_block(desk: Desk, s: Submission, t: Transaction, receipt: Receipt) -> None:
    policy = await desk.policy(s)
    deep = receipt.depth(desk.head)
    found = replace(
        t,
        sent_at=t.sent_at or desk.clock(),
        fate=Fate.INCLUDED,
        block=receipt.block.number,
        block_hash=receipt.block.hash,
        gas_used=receipt.gas_used,
        gas_price=receipt.gas_price,
    )
    if deep >= policy.confirmations:
        return await _confirmed(desk, s, found, receipt)
    reason = f"block {receipt.block.number}, {max(deep, 0)} of {policy.confirmations} confirmations"
    fresh = s.phase is not Phase.INCLUDED or t.block_hash != receipt.block.hash
    if fresh or s.reason != reason:
        event = "included" if fresh else ""
        out = tuple(outside(o, Fate.LIVE) for o in s.live if o.hash != t.hash)
        await desk.change(
            s, Change(Phase.INCLUDED, Wait.CONFIRMATIONS, reason, event=event, transactions=(*out, found))
        )


async def _out_of_block(desk: Desk, s: Submission) -> Submission:
    """A reorganisation, or a node that lags: either way it is pending again, at the same nonce."""
    live = unlanded(s, Fate.LIVE)
    reason = f"its block {next((t.block for t in s.live if t.block is not None), '')} is gone"
    await desk.change(s, Change(Phase.SENT, Wait.BLOCK, reason, event="reorganised", transactions=live))
    by_hash = {t.hash: t for t in live}
    kept = tuple(by_hash.get(t.hash, t) for t in s.transactions)
    return replace(s, phase=Phase.SENT, waits_for=Wait.BLOCK, reason=reason, transactions=kept)


async def _confirmed(desk: Desk, s: Submission, t: Transaction, receipt: Receipt) -> None:
    """Final: what landed is done, whatever was wanted meanwhile."""
    others = tuple(outside(o, Fate.REPLACED) for o in s.live if o.hash != t.hash) + await _fills(desk, s)
    if t.kind is Kind.CANCEL:
        done = replace(t, fate=Fate.LANDED)
        if s.want:
            phase, reason = Phase.REVERTED, s.want
            if s.want == "cancel":
                phase, reason = Phase.CANCELLED, "cancelled by an operator"
            return await desk.settle(s, phase, reason, (*others, done))
        # The contract had it from elsewhere; whether that is confirmed is found out before anything else of it goes.
        reason = f"{t.hash} took its nonce, as the contract had it from elsewhere"
        change = Change(Phase.WAITING, Wait.TURN, reason, clear_nonce=True, event="withdrawn")
        return await desk.change(s, replace(change, transactions=(*others, done)))
    if receipt.succeeded:
        reason = f"{t.hash} in block {receipt.block.number}"
        return await desk.settle(s, Phase.LANDED, reason, (*others, replace(t, fate=Fate.LANDED)))
    ended = (*others, replace(t, fate=Fate.REVERTED))
    why = await desk.chain.why_reverted(s.call, receipt)
    standing = await desk.systems(s.system).standing(s.stream, s.ordinal, s.call)
    if standing.state is State.SUPERSEDED:
        reason = standing.reason or "the contract has it from elsewhere"
        return await desk.settle(s, Phase.SUPERSEDED, reason, ended)
    innocent = s.tries + 1 < TRIES and (
        standing.state is State.EARLY or (standing.state is State.READY and await _would_pass(desk, s))
    )
    if not innocent or s.want == "cancel":
        phase = Phase.CANCELLED if s.want == "cancel" and innocent else Phase.REVERTED
        return await desk.settle(s, phase, f"{why} in {t.hash}", ended)
    await desk.change(
        s,
        Change(
            Phase.WAITING,
            Wait.TURN,
            f"reverted with {why}, and would be taken now",
            clear_nonce=True,
            tries=s.tries + 1,
            event="reverted",
            transactions=ended,
        ),
    )


async def _would_pass(desk: Desk, s: Submission) -> bool:
    """Whether the contract would take the call now: it was the moment that was wrong."""
    try:
        await desk.chain.estimate(s.call)
    except Reverted:
        return False
    return True


async def _by_stranger(desk: Desk, s: Submission, taken: Receipt) -> None:
    """Somebody else signs with the account's key: only when that is final can nothing of ours land any more."""
    policy = await desk.policy(s)
    deep = taken.depth(desk.head)
    said = f"nonce {s.nonce} was used outside, by {taken.hash} in block {taken.block.number}"
    if deep < policy.confirmations:
        return await desk.note(
            s, Wait.CONFIRMATIONS, f"{said}, {max(deep, 0)} of {policy.confirmations} confirmations"
        )
    gone = unlanded(s, Fate.DISPLACED) + await _fills(desk, s)
    if s.want == "cancel":
        return await desk.settle(s, Phase.CANCELLED, f"cancelled by an operator; {said}", gone)
    await desk.change(
        s,
        Change(
            Phase.WAITING, Wait.TURN, said, clear_nonce=True, want="", event="displaced", transactions=gone
        ),
    )


async def _fill(desk: Desk, s: Submission, nonce: int) -> None:
    """Nobody holds a nonce before this one: a reorganisation undid a stranger's transaction. Take it oneself.

    To sign the call anew at that nonce would give it two places to land in.
    """
    blocks, seconds = desk.sightings.since(s.request_key, f"gap {nonce}", desk.head, desk.clock())
    if blocks == 0 and seconds < PATIENCE_S:
        return  # a node that lags says the same
    if await holds(desk, nonce):
        return  # it is of a landing that is undone, and goes itself
    policy, fees = await desk.policy(s), await desk.fees()
    cap = desk.cap(s, policy)
    before = [t for t in s.transactions if t.nonce == nonce and t.fate.live]
    newest = max(before, key=lambda t: t.signed_at, default=None)
    if newest is not None and (newest.sent_at is None or not await desk.chain.known(newest.hash)):
        await desk.send(s, newest)
    price = bumped_price(before, fees, policy, cap) if before else first_price(fees, policy, cap)
    if price is not None and (not before or stuck(before, fees, policy, desk.clock())):
        await desk.transact(s, Kind.FILL, nonce, CANCEL_GAS, price, None)


async def _fills(desk: Desk, s: Submission) -> tuple[Transaction, ...]:
    """What became of the gaps that were filled for a submission."""
    found = []
    for t in s.transactions:
        if t.kind is Kind.FILL and t.fate.live:
            receipt = await desk.chain.receipt(t.hash)
            ended = outside(t, Fate.DISPLACED)
            if receipt is not None:
                ended = replace(
                    t,
                    fate=Fate.LANDED,
                    block=receipt.block.number,
                    block_hash=receipt.block.hash,
                    gas_used=receipt.gas_used,
                    gas_price=receipt.gas_price,
                )
            found.append(ended)
    return tuple(found)


async def _push(desk: Desk, s: Submission) -> None:
    """Pending: see that a node has it, and offer more where that is not enough."""
    newest = max(s.live, key=lambda t: t.signed_at)
    said = Sent.ACCEPTED
    if newest.sent_at is None or not await desk.chain.known(newest.hash):
        try:
            said = await desk.send(s, newest)
        except InvalidInput as error:
            if s.want or any(t.sent_at is not None for t in s.live):
                raise
            # No node takes it for what it is, so that it would hold its nonce for ever.
            s = replace(s, want=f"the nodes refuse the transaction: {error}"[:1_000])
            await desk.change(s, Change(want=s.want))
        if said is Sent.NO_FUNDS:
            return
        if said is Sent.ACCEPTED and newest.sent_at is not None:
            desk.metrics.resent(s)
    if desk.row.paused and not s.want:
        return
    policy, fees = await desk.policy(s), await desk.fees()
    cancels = bool(s.want) or any(t.kind is Kind.CANCEL for t in s.live)
    refused = said is Sent.UNDERPRICED and desk.clock() - newest.signed_at >= UNDERPRICED_S
    urgent = refused or (cancels and newest.kind is Kind.CALL)
    if not urgent and not stuck(s.live, fees, policy, desk.clock()):
        if s.waits_for is Wait.FEES:  # it was held up, and is no longer
            await desk.note(s, Wait.BLOCK, f"nonce {s.nonce}, {newest.hash}")
        return
    if not cancels:
        standing = await desk.systems(s.system).standing(s.stream, s.ordinal, s.call)
        cancels = standing.state is State.SUPERSEDED
    cap = desk.cap(s, policy)
    # Whoever cancels wants the nonce back, and gets it at any cap; but one that is not enough then waits like others.
    forced = bool(s.want) and newest.kind is Kind.CALL
    price = bumped_price(s.live, fees, policy, cap, forced=forced)
    if price is None:
        return await desk.note(s, Wait.FEES, _held_up(s, fees, policy, cap))
    assert s.nonce is not None  # noqa: S101
    kind = Kind.CANCEL if cancels else Kind.CALL
    budget = None if cancels else policy.spend_per_day
    gas = max((t.gas for t in s.live if t.kind is Kind.CALL), default=0)
    await desk.transact(s, kind, s.nonce, gas, price, budget)


def _held_up(s: Submission, fees: Fees, policy: Policy, cap: int | None) -> str:
    """Why nothing replaces what is pending, and which command frees the lane."""
    newest = max(s.live, key=lambda t: t.signed_at)
    least = replacement(s.live, policy.bump_percent)
    cancelling = newest.kind is Kind.CANCEL
    commands = [] if cancelling else [f"`provery lane cancel {s.name}`"]
    if cap is not None and least.max_fee > cap:
        needed = max(least.max_fee, charged(fees, policy))
        short = f"a replacement needs {gwei(needed)} gwei, above the cap of {gwei(cap)}"
        commands.insert(0, f"`provery lane raise-cap {s.name} --gwei {gwei(needed)}`")
    else:
        most = policy.max_priority_fee_per_gas or 0
        short = (
            f"a replacement needs a tip of {gwei(least.max_priority_fee)} gwei, above the cap of {gwei(most)}"
        )
        commands.insert(0, "a higher cap of the tip in the stream's settings")
    what = "the cancellation is pending" if cancelling else "pending"
    return (
        f"{what} at {gwei(newest.max_fee)} gwei, the chain charges {gwei(charged(fees, policy))}, and {short}: lower "
        f"fees free it, or {' or '.join(commands)}"
    )
