"""What a transaction offers to pay: first, and when it has to replace one that is stuck. Pure functions, wei per gas.

A base fee rises by at most an eighth from block to block (EIP-1559), so an offer of twice the base fee stays good for
six full blocks. A replacement at the same nonce is taken by nodes only where both fees are higher by 10 percent.
"""

from __future__ import annotations

from provery.core.lanes import Fees, Policy, Unsigned

LEAST_BUMP_PERCENT = 10
"""What geth, reth, Nethermind, Erigon and Besu ask of a replacement unless told otherwise."""
BASE_MARGIN = 2
"""Times the base fee that a first offer allows for."""


def first_fees(fees: Fees, policy: Policy) -> tuple[int, int] | None:
    """Fees of a new transaction.

    Args:
        fees: What the next block charges.
        policy: Caps.

    Returns:
        Highest fee and tip; on a chain without EIP-1559 both are the gas price. None where the next block charges more
        than the cap.
    """
    cap = policy.max_fee_per_gas
    if not fees.dynamic:
        return None if cap is not None and fees.base > cap else (fees.base, fees.base)
    tip = _tip(fees, policy)
    if cap is None:
        return BASE_MARGIN * fees.base + tip, tip
    if fees.base + tip > cap:
        return None
    return min(BASE_MARGIN * fees.base + tip, cap), tip


def bumped(previous: Unsigned, fees: Fees, policy: Policy) -> tuple[int, int] | None:
    """Fees of a transaction that replaces another at the same nonce.

    Both are higher by ``policy.bump_percent``, at least 10, rounded up, and at least what a new transaction would offer
    now, as far as the caps allow.

    Args:
        previous: The transaction that is stuck.
        fees: What the next block charges.
        policy: Caps.

    Returns:
        As :func:`first_fees`. None where the caps leave no room for a replacement that nodes would take and that the
        next block could include.
    """
    least_fee = _raised(previous.max_fee, policy)
    cap = policy.max_fee_per_gas
    if not (fees.dynamic and previous.dynamic):
        price = max(least_fee, fees.base)
        return None if cap is not None and price > cap else (price, price)
    least_tip = _raised(previous.max_priority_fee, policy)
    if policy.max_priority_fee_per_gas is not None and least_tip > policy.max_priority_fee_per_gas:
        return None
    tip = max(least_tip, _tip(fees, policy))
    if cap is None:
        return max(least_fee, BASE_MARGIN * fees.base + tip), tip
    if least_fee > cap or fees.base + least_tip > cap:
        return None
    tip = min(tip, cap - fees.base)
    return min(max(least_fee, BASE_MARGIN * fees.base + tip), cap), tip


def with_margin(gas: int, policy: Policy) -> int:
    """A gas limit: an estimate with the policy's margin, rounded up."""
    return -(-gas * (100 + policy.gas_margin_percent) // 100)


def _tip(fees: Fees, policy: Policy) -> int:
    cap = policy.max_priority_fee_per_gas
    return fees.priority if cap is None else min(fees.priority, cap)


def _raised(fee: int, policy: Policy) -> int:
    percent = max(policy.bump_percent, LEAST_BUMP_PERCENT)
    return max(-(-fee * (100 + percent) // 100), fee + 1)
