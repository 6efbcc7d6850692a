from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provery.core.lane_records import Fate, Kind, Phase, Submission, Transaction, Wait, request_key_of
from provery.core.lane_rules import (
    Price,
    bumped_price,
    cap_of,
    first_price,
    gas_limit,
    may_go,
    next_nonce,
    spent,
    stuck,
)
from provery.core.lanes import Block, Call, Fees, Policy, Receipt
from provery.core.types import Unit

FEES = Fees(base=100, priority=3)
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def transaction(
    nonce: int = 0, max_fee: int = 100, tip: int = 10, at: float = 0.0, **more: object
) -> Transaction:
    made = Transaction(f"0x{nonce}{max_fee}", "k", nonce, Kind.CALL, 10, max_fee, tip, at)
    return replace(made, **more)  # type: ignore[arg-type]


def submission(key: str, stream: str = "a", ordinal: int | None = None, **more: object) -> Submission:
    made = Submission(key, "lane", "s", stream, key, Call("0x", "0x"), "by", 0.0, ordinal)
    return replace(made, **more)  # type: ignore[arg-type]


def test_the_request_key_outlives_the_proof() -> None:
    unit = Unit("laned", "free", "1", {"number": 1})
    assert request_key_of(unit) == request_key_of(replace(unit, title="other", ordinal=3))
    assert request_key_of(unit) != request_key_of(Unit("laned", "free", "1", {"number": 2}))


@pytest.mark.parametrize(
    ("policy", "overrides", "cap"),
    [(None, (5,), None), (7, (None, None), 7), (7, (5, None), 7), (7, (9, 8), 9)],
)
def test_a_cap_is_only_ever_raised(
    policy: int | None, overrides: tuple[int | None, ...], cap: int | None
) -> None:
    assert cap_of(Policy(max_fee_per_gas=policy), *overrides) == cap


def test_a_first_price_leaves_room_and_keeps_the_cap() -> None:
    assert first_price(FEES, Policy(), None) == Price(203, 3)
    assert first_price(FEES, Policy(), 150) == Price(150, 3)
    assert first_price(FEES, Policy(), 103) == Price(103, 3)
    assert first_price(FEES, Policy(), 102) is None
    assert first_price(FEES, Policy(max_priority_fee_per_gas=1), 101) == Price(101, 1)
    assert first_price(Fees(100, 0, dynamic=False), Policy(), 100) == Price(100, 100)
    assert first_price(Fees(100, 0, dynamic=False), Policy(), 99) is None


def test_a_replacement_raises_both_fees_by_a_tenth_at_least() -> None:
    before = [transaction(max_fee=1_000, tip=101), transaction(max_fee=1_100, tip=90)]
    assert bumped_price(before, FEES, Policy(bump_percent=5), None) == Price(1_210, 112)
    assert bumped_price(before, FEES, Policy(), 1_209) is None
    assert bumped_price([transaction(max_fee=1, tip=1)], FEES, Policy(), None) == Price(203, 3)
    assert bumped_price([transaction(max_fee=1, tip=0)], FEES, Policy(), 50) == Price(50, 3)


@pytest.mark.parametrize("percent", [-5, 1, 10])
def test_a_replacement_is_rounded_up_and_raises_a_tip_of_nothing(percent: int) -> None:
    policy = Policy(bump_percent=percent)
    low = Fees(base=1, priority=0)
    assert bumped_price([transaction(max_fee=101, tip=11)], low, policy, None) == Price(112, 13)
    assert bumped_price([transaction(max_fee=100, tip=0)], low, policy, None) == Price(110, 1)


def test_a_replacement_follows_the_market_as_far_as_the_caps_allow() -> None:
    pending = [transaction(max_fee=100, tip=10)]
    spike = Fees(base=1_000, priority=50)
    assert bumped_price(pending, spike, Policy(), None) == Price(2_050, 50)
    assert bumped_price(pending, spike, Policy(), 1_100) == Price(1_100, 50)
    assert bumped_price(pending, spike, Policy(max_priority_fee_per_gas=20), None) == Price(2_020, 20)
    assert bumped_price(pending, Fees(1_000, 500), Policy(), 112) == Price(112, 112)


def test_the_tip_of_a_replacement_has_its_own_cap() -> None:
    pending = [transaction(max_fee=100, tip=10)]
    assert bumped_price(pending, FEES, Policy(max_priority_fee_per_gas=12), None) == Price(203, 12)
    assert bumped_price(pending, FEES, Policy(max_priority_fee_per_gas=11), None) is None


def test_a_chain_without_tips_has_one_price() -> None:
    pending = [transaction(max_fee=100, tip=100)]
    policy = Policy(max_priority_fee_per_gas=1)
    assert bumped_price(pending, Fees(90, 0, dynamic=False), policy, None) == Price(112, 112)
    assert bumped_price(pending, Fees(500, 0, dynamic=False), policy, None) == Price(500, 500)
    assert bumped_price(pending, Fees(90, 0, dynamic=False), policy, 111) is None


wei = st.integers(0, 10**15)
caps = st.none() | wei
markets = st.builds(Fees, base=wei, priority=wei, dynamic=st.booleans())
policies = st.builds(
    Policy, max_fee_per_gas=caps, max_priority_fee_per_gas=caps, bump_percent=st.integers(-5, 300)
)


@patient
@given(markets, policies)
def test_first_offers_are_takeable_and_within_the_caps(now: Fees, policy: Policy) -> None:
    cap, tip_cap = policy.max_fee_per_gas, policy.max_priority_fee_per_gas
    offer = first_price(now, policy, cap)
    if offer is None:
        assert cap is not None
        return
    assert offer.max_fee >= offer.max_priority_fee >= 0
    assert offer.max_fee >= now.base
    assert cap is None or offer.max_fee <= cap
    assert not now.dynamic or tip_cap is None or offer.max_priority_fee <= tip_cap


@patient
@given(markets, policies, wei, wei)
def test_replacements_are_takeable_and_within_the_caps(now: Fees, policy: Policy, fee: int, tip: int) -> None:
    fee, tip = max(fee, tip), min(fee, tip) if now.dynamic else max(fee, tip)
    cap, tip_cap = policy.max_fee_per_gas, policy.max_priority_fee_per_gas
    offer = bumped_price([transaction(max_fee=fee, tip=tip)], now, policy, cap)
    if offer is None:
        assert cap is not None or tip_cap is not None
        return
    for new, old in ((offer.max_fee, fee), (offer.max_priority_fee, tip)):
        assert new > old
        assert new * 100 >= old * (100 + max(10, policy.bump_percent))
    assert offer.max_fee >= offer.max_priority_fee
    assert cap is None or offer.max_fee <= cap
    assert not now.dynamic or tip_cap is None or offer.max_priority_fee <= tip_cap


@patient
@given(markets, wei, st.integers(1, 60))
def test_a_chain_of_bumps_ends_at_the_cap(now: Fees, cap: int, percent: int) -> None:
    policy = Policy(max_fee_per_gas=cap, bump_percent=percent)
    offer, last = first_price(now, policy, cap), -1
    for _ in range(600):
        if offer is None:
            return
        assert last < offer.max_fee <= cap
        last = offer.max_fee
        before = [transaction(max_fee=offer.max_fee, tip=offer.max_priority_fee)]
        offer = bumped_price(before, now, policy, cap)
    raise AssertionError("bumps do not end")


def test_what_the_next_block_could_take_is_given_longer_each_time() -> None:
    policy = Policy(stuck_after_s=60)
    low, good = transaction(max_fee=50), transaction(max_fee=500)
    assert not stuck([low], FEES, policy, 59)
    assert stuck([low], FEES, policy, 60)
    assert stuck([good], FEES, policy, 60)
    second = [good, transaction(max_fee=600, at=60.0)]
    assert not stuck(second, FEES, policy, 60 + 119)
    assert stuck(second, FEES, policy, 60 + 120)


def test_gas_has_its_margin() -> None:
    assert gas_limit(100_000, Policy(gas_margin_percent=20)) == 120_000


def test_a_nonce_is_behind_the_chains_and_behind_all_of_ours() -> None:
    live = submission("1", nonce=7, transactions=(transaction(7),))
    gone = submission("2", nonce=9, transactions=(transaction(9, fate=Fate.DISPLACED),))
    assert next_nonce(3, []) == 3
    assert next_nonce(3, [live, gone]) == 8
    assert next_nonce(12, [live, gone]) == 12


def test_turns() -> None:
    policies = {"s/a": Policy(ordered=True), "s/b": Policy()}
    three, one, other = submission("3", ordinal=3), submission("1", ordinal=1), submission("x", "b")
    assert [s.key for s in may_go([three, one, other], policies)] == ["1", "x"]
    parked = replace(one, waits_for=Wait.OPERATOR)
    assert [s.key for s in may_go([three, parked, other], policies)] == ["3", "x"]
    included = replace(one, phase=Phase.INCLUDED)
    assert [s.key for s in may_go([three, included], policies)] == ["3"]
    assert may_go([three, replace(one, phase=Phase.SENT), other], policies) == []


def test_money_is_counted_at_its_worst_until_it_is_known() -> None:
    live = [transaction(0, 100, at=10.0), transaction(0, 200, at=11.0)]
    landed = [
        transaction(1, 100, at=10.0, fate=Fate.REPLACED),
        transaction(1, 200, at=10.0, fate=Fate.LANDED, gas_used=3, gas_price=7),
    ]
    displaced = [transaction(2, 1_000, at=10.0, fate=Fate.DISPLACED)]
    assert spent([live], 0.0) == 2_000
    assert spent([live, landed, displaced], 0.0) == 2_021
    assert spent([landed], 10.0) == 0
    assert spent([live], 99.0) == 2_000


@pytest.mark.parametrize(("newest", "depth"), [(None, 5), (16, 5), (12, 3), (9, 0), (0, -9)])
def test_confirmations_are_counted_on_the_chain_of_the_node_that_has_it(
    newest: int | None, depth: int
) -> None:
    receipt = Receipt("0x1", Block(10, "0xb"), True, 21_000, 1, head=newest)
    assert receipt.depth(Block(14, "0xc")) == depth
