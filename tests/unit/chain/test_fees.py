"""Fees of new transactions and of replacements."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provery.chain.fees import bumped, first_fees, with_margin
from provery.core.lanes import Fees, Policy, Unsigned

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

GWEI = 10**9


def pending(max_fee: int, tip: int, *, dynamic: bool = True) -> Unsigned:
    return Unsigned(0, "0x" + "00" * 20, "0x", 0, 21_000, max_fee, tip, dynamic)


def test_a_first_offer_allows_for_twice_the_base_fee() -> None:
    assert first_fees(Fees(10 * GWEI, GWEI), Policy()) == (21 * GWEI, GWEI)


def test_a_first_offer_keeps_to_the_cap() -> None:
    fees = Fees(10 * GWEI, GWEI)
    assert first_fees(fees, Policy(max_fee_per_gas=15 * GWEI)) == (15 * GWEI, GWEI)
    assert first_fees(fees, Policy(max_fee_per_gas=11 * GWEI)) == (11 * GWEI, GWEI)


def test_nothing_is_offered_above_the_cap() -> None:
    assert first_fees(Fees(10 * GWEI, GWEI), Policy(max_fee_per_gas=11 * GWEI - 1)) is None
    assert first_fees(Fees(10 * GWEI, 0, dynamic=False), Policy(max_fee_per_gas=10 * GWEI - 1)) is None


def test_the_tip_has_a_cap_of_its_own() -> None:
    assert first_fees(Fees(10, 500), Policy(max_priority_fee_per_gas=3)) == (23, 3)
    assert first_fees(Fees(10, 500), Policy(max_priority_fee_per_gas=0)) == (20, 0)


def test_a_chain_without_tips_has_one_price() -> None:
    assert first_fees(Fees(7, 0, dynamic=False), Policy(max_fee_per_gas=7)) == (7, 7)


def test_a_replacement_is_higher_by_the_percentage_rounded_up() -> None:
    assert bumped(pending(101, 11), Fees(1, 1), Policy(bump_percent=10)) == (112, 13)
    assert bumped(pending(100, 10), Fees(1, 1), Policy(bump_percent=12)) == (112, 12)


def test_less_than_ten_percent_is_taken_as_ten() -> None:
    assert bumped(pending(100, 10), Fees(1, 1), Policy(bump_percent=1)) == (110, 11)


def test_a_tip_of_nothing_is_raised_too() -> None:
    assert bumped(pending(100, 0), Fees(1, 0), Policy()) == (112, 1)


def test_a_replacement_follows_a_fee_spike() -> None:
    assert bumped(pending(100, 10), Fees(1_000, 50), Policy()) == (2_050, 50)


def test_a_replacement_keeps_to_the_cap() -> None:
    assert bumped(pending(100, 10), Fees(1_000, 50), Policy(max_fee_per_gas=1_100)) == (1_100, 50)
    assert bumped(pending(100, 10), Fees(1_000, 50), Policy(max_fee_per_gas=1_020)) == (1_020, 20)


@pytest.mark.parametrize(
    ("fees", "policy"),
    [
        (Fees(1_000, 1), Policy(max_fee_per_gas=1_011)),  # the block itself is dearer than the cap
        (Fees(1, 1), Policy(max_fee_per_gas=111)),  # no room for a replacement that nodes take
        (Fees(1, 1), Policy(max_priority_fee_per_gas=11)),
        (Fees(1, 1, dynamic=False), Policy(max_fee_per_gas=111)),
    ],
)
def test_where_the_caps_leave_no_room_nothing_replaces(fees: Fees, policy: Policy) -> None:
    assert bumped(pending(100, 10, dynamic=fees.dynamic), fees, policy) is None


def test_a_gas_price_is_bumped_like_a_fee() -> None:
    assert bumped(pending(100, 100, dynamic=False), Fees(90, 0, dynamic=False), Policy()) == (112, 112)
    assert bumped(pending(100, 100, dynamic=False), Fees(500, 0, dynamic=False), Policy()) == (500, 500)


def test_a_margin_is_rounded_up() -> None:
    assert with_margin(100_001, Policy(gas_margin_percent=20)) == 120_002
    assert with_margin(21_000, Policy(gas_margin_percent=0)) == 21_000


wei = st.integers(0, 10**15)
caps = st.none() | wei
policies = st.builds(
    Policy, max_fee_per_gas=caps, max_priority_fee_per_gas=caps, bump_percent=st.integers(-5, 300)
)
fees = st.builds(Fees, base=wei, priority=wei, dynamic=st.booleans())


@patient
@given(fees, policies)
def test_first_offers_are_takeable_and_within_the_caps(now: Fees, policy: Policy) -> None:
    offer = first_fees(now, policy)
    if offer is None:
        assert policy.max_fee_per_gas is not None
        return
    fee, tip = offer
    assert fee >= tip >= 0
    assert fee >= now.base
    assert policy.max_fee_per_gas is None or fee <= policy.max_fee_per_gas
    if now.dynamic:
        assert policy.max_priority_fee_per_gas is None or tip <= policy.max_priority_fee_per_gas


@patient
@given(fees, policies, wei, wei)
def test_replacements_are_takeable_and_within_the_caps(now: Fees, policy: Policy, fee: int, tip: int) -> None:
    previous = pending(max(fee, tip), min(fee, tip) if now.dynamic else max(fee, tip), dynamic=now.dynamic)
    offer = bumped(previous, now, policy)
    if offer is None:
        assert policy.max_fee_per_gas is not None or policy.max_priority_fee_per_gas is not None
        return
    new_fee, new_tip = offer
    for new, old in ((new_fee, previous.max_fee), (new_tip, previous.max_priority_fee)):
        assert new > old
        assert new * 100 >= old * (100 + max(10, policy.bump_percent))
    assert new_fee >= new_tip
    assert new_fee >= now.base
    assert policy.max_fee_per_gas is None or new_fee <= policy.max_fee_per_gas
    if now.dynamic:
        assert policy.max_priority_fee_per_gas is None or new_tip <= policy.max_priority_fee_per_gas


@patient
@given(fees, wei, st.integers(1, 60))
def test_a_chain_of_bumps_ends_at_the_cap(now: Fees, cap: int, percent: int) -> None:
    policy = Policy(max_fee_per_gas=cap, bump_percent=percent)
    offer, last = first_fees(now, policy), (-1, -1)
    for _ in range(600):
        if offer is None:
            return
        assert last[0] < offer[0] <= cap
        last = offer
        offer = bumped(pending(*offer, dynamic=now.dynamic), now, policy)
    raise AssertionError("bumps do not end")
