"""One transaction by hand, outside any lane: for an operator at the command line. The prover submits through lanes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from provery.core.errors import ConfigurationError, Reverted, SinkUnavailable
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
    gas = await chain.estimate(call) * (100 + policy.gas_margin_percent) // 100
    fees = await chain.fees()
    fee, tip = _offer(fees, policy)
    nonce = await chain.nonce()
    hashes: list[str] = []
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
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
        hashes.append(signed.hash)
        if sent is Sent.ACCEPTED:
            say(f"{call.method}: sent {signed.hash}, nonce {nonce}")
        patience = 0.0 if sent is Sent.UNDERPRICED else policy.stuck_after_s
        receipt = await _landed(chain, hashes, policy, min(deadline, time.monotonic() + patience))
        if receipt is not None:
            if not receipt.succeeded:
                raise Reverted(
                    f"{call.method} failed in {receipt.hash}: {await chain.why_reverted(call, receipt)}"
                )
            return receipt
        if await chain.nonce() > nonce:
            # A stranger's transaction has the nonce: ours can never land.
            say(f"{call.method}: nonce {nonce} was used by another transaction of this account")
            nonce, hashes = await chain.nonce(), []
        # Not landed in this time: offer more, and at least what the chain charges by now.
        higher = 100 + max(10, policy.bump_percent)
        fees = await chain.fees()
        now_fee, now_tip = _offer(fees, policy)
        fee = _capped(max(-(-fee * higher // 100), now_fee), policy.max_fee_per_gas)
        tip = min(fee, max(-(-tip * higher // 100), now_tip))
    raise SinkUnavailable(
        f"{call.method} was not confirmed within {WAIT_S:.0f} s",
        value=", ".join(hashes),
        action="run the command again: it goes on from what has landed",
    )


def _offer(fees: Fees, policy: Policy) -> tuple[int, int]:
    """Fee and tip per gas, in wei: room for the base fee to double.

    Raises:
        ConfigurationError: the next block charges more than the policy allows.
    """
    tip = _capped(fees.priority, policy.max_priority_fee_per_gas)
    needed = fees.base + tip
    cap = policy.max_fee_per_gas
    if cap is not None and needed > cap:
        raise ConfigurationError(
            "gas costs more than is allowed",
            value=f"{needed} wei",
            expected=f"at most {cap} wei",
            action="wait, or allow more",
        )
    return (_capped(2 * fees.base + tip, cap) if fees.dynamic else needed), tip


def _capped(wei: int, cap: int | None) -> int:
    return wei if cap is None else min(wei, cap)


async def _landed(chain: Chain, hashes: list[str], policy: Policy, until: float) -> Receipt | None:
    """The receipt of whichever transaction landed, once confirmed; None if none is in a block by then."""
    while True:
        receipts = [await chain.receipt(tx_hash) for tx_hash in hashes]
        receipt = next((found for found in receipts if found is not None), None)
        if receipt is not None:
            head = (await chain.head()).number
            # Counted on the chain of the node that has it: another node's may be of another fork.
            if min(head, receipt.head or head) - receipt.block.number + 1 >= policy.confirmations:
                return receipt
        elif time.monotonic() >= until:
            return None
        await asyncio.sleep(POLL_S)
