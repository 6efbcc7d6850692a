"""One transaction by hand, outside any lane: for an operator at the command line. The prover submits through lanes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from provery.core.errors import ConfigurationError, Reverted, SinkUnavailable
from provery.core.lane_rules import Price, bumped_price, cap_of, charged, first_price, gas_limit
from provery.core.lanes import Call, Chain, Fees, Policy, Receipt, Sent, Unsigned

POLL_S = 0.2
WAIT_S = 1800.0
"""How long a transaction is waited for; repeating the command goes on from there."""


async def send(chain: Chain, call: Call, policy: Policy, say: Callable[[str], None]) -> Receipt:
    """Sign, send and wait until it is confirmed; replaced at the same nonce with higher fees where it is stuck.

    Args:
        chain: The account; nothing else may send from it meanwhile.
        call: What to do.
        policy: What gas may cost, when to replace, and how many blocks confirm.
        say: Told what happens.

    Raises:
        ConfigurationError: gas costs more than allowed, or the account cannot pay.
        Reverted: the contract refuses it.
        SinkUnavailable: no endpoint answers, or the transaction was not confirmed in time.
    """
    gas = gas_limit(await chain.estimate(call), policy)
    fees = await chain.fees()
    price, cap = _offer(fees, policy), cap_of(policy)
    nonce = await chain.nonce()
    hashes: list[str] = []
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        fee, tip = price.max_fee, price.max_priority_fee
        signed = await chain.sign(
            Unsigned(nonce, call.to, call.data, call.value, gas, fee, tip, dynamic=fees.dynamic)
        )
        sent = await chain.send(signed)
        if sent is Sent.NO_FUNDS:
            raise ConfigurationError(
                f"the account cannot pay to {call.method}",
                value=f"{chain.sender} with {await chain.balance()} wei",
                expected=f"up to {gas * fee} wei",
                action="fund it",
            )
        if signed.hash not in hashes:
            hashes.append(signed.hash)
            if sent is Sent.ACCEPTED:
                say(f"{call.method}: sent {signed.hash}, nonce {nonce}")
        # What no node took is offered for more at once, unless the caps leave nothing to offer.
        hurried = sent is Sent.UNDERPRICED and bumped_price([price], fees, policy, cap) is not None
        patience = 0.0 if hurried else max(policy.stuck_after_s, POLL_S)
        receipt = await _landed(chain, hashes, policy, min(deadline, time.monotonic() + patience))
        if receipt is not None:
            if not receipt.succeeded:
                raise Reverted(
                    f"{call.method} failed in {receipt.hash}: {await chain.why_reverted(call, receipt)}"
                )
            return receipt
        # Not landed in this time: offer more, and at least what the chain charges by now.
        fees = await chain.fees()
        offer = _offer(fees, policy)
        reached = await chain.nonce()
        if reached > nonce:
            taken = await chain.taken(nonce)
            if taken is not None and taken.hash not in hashes:
                # A stranger's transaction has the nonce: ours can never land.
                say(f"{call.method}: nonce {nonce} was used by another transaction of this account")
                nonce, hashes, price = reached, [], offer
        else:
            # Where the caps allow no replacement, what is pending goes to the nodes again, as it is.
            price = bumped_price([price], fees, policy, cap) or price
    raise SinkUnavailable(
        f"{call.method} was not confirmed within {WAIT_S:.0f} s",
        value=", ".join(hashes),
        action="run the command again: it goes on from what has landed",
    )


def _offer(fees: Fees, policy: Policy) -> Price:
    """What to offer for a fresh nonce.

    Raises:
        ConfigurationError: the next block charges more than the policy allows.
    """
    offer = first_price(fees, policy, cap_of(policy))
    if offer is None:
        raise ConfigurationError(
            "gas costs more than is allowed",
            value=f"{charged(fees, policy)} wei",
            expected=f"at most {policy.max_fee_per_gas} wei",
            action="wait, or allow more",
        )
    return offer


async def _landed(chain: Chain, hashes: list[str], policy: Policy, until: float) -> Receipt | None:
    """The receipt of whichever transaction landed, once confirmed; None if none is in a block by then."""
    while True:
        receipts = [await chain.receipt(tx_hash) for tx_hash in hashes]
        receipt = next((found for found in receipts if found is not None), None)
        if receipt is not None:
            if receipt.depth(await chain.head()) >= policy.confirmations:
                return receipt
        elif time.monotonic() >= until:
            return None
        await asyncio.sleep(POLL_S)
