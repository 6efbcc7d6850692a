"""The rule of token buckets against an exact model, and against what it promises whatever the clock does."""

from __future__ import annotations

import asyncio
import tempfile
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.stores import buckets
from provery.stores.buckets import Level, take
from provery.stores.ledger import open_ledger

START = 1_700_000_000.0
SLACK = 1e-6
"""Seconds that a float of today's time cannot tell apart, with some to spare."""

rates = st.floats(0.01, 1_000)
bursts = st.floats(1, 1_000)
waits = st.floats(0, 1_000)
steps = st.floats(-5_000, 1_000)
shares = st.floats(0, 1)
"""Of the burst: what a request costs."""


class Exact:
    """A bucket in fractions: no rounding, no clock that goes back."""

    def __init__(self, burst: float) -> None:
        self.tokens, self.at = Fraction(burst), Fraction(START)

    def take(self, now: float, rate: float, burst: float, cost: float) -> tuple[bool, Fraction]:
        refilled = min(Fraction(burst), self.tokens + Fraction(rate) * (Fraction(now) - self.at))
        allowed = refilled >= Fraction(cost)
        if allowed:
            self.tokens, self.at = refilled - Fraction(cost), Fraction(now)
        return allowed, refilled


@given(rates, bursts, st.lists(st.tuples(waits, shares), max_size=40))
def test_the_rule_is_the_exact_one(rate: float, burst: float, asked: list[tuple[float, float]]) -> None:
    level: Level | None = None
    exact, now = Exact(burst), START
    for wait, share in asked:
        now += wait
        cost = burst * share
        allowed, refilled = exact.take(now, rate, burst, cost)
        level, taken = take(level, now, rate, burst, cost)
        if abs(refilled - Fraction(cost)) < Fraction(burst * 1e-9):
            # As near as rounding: either answer will do, and the model follows the one that was given.
            exact.tokens, exact.at = Fraction(level.tokens), Fraction(level.at)
            continue
        assert taken.allowed is allowed
        left = refilled - Fraction(cost) if allowed else refilled
        assert taken.remaining == pytest.approx(float(left), abs=burst * 1e-9)


@given(rates, bursts, st.lists(st.tuples(steps, shares), max_size=60))
def test_no_clock_grants_more_than_the_time_that_went_forward(
    rate: float, burst: float, asked: list[tuple[float, float]]
) -> None:
    level: Level | None = None
    now, forward, granted = START, 0.0, 0.0
    for step, share in asked:
        now += step
        forward += max(0.0, step)
        cost = burst * share
        level, taken = take(level, now, rate, burst, cost)
        granted += cost if taken.allowed else 0.0
        assert 0 <= taken.remaining <= burst
        assert granted <= burst + rate * (forward + SLACK * len(asked)) + burst * 1e-9


@given(rates, bursts, st.lists(st.tuples(steps, shares), max_size=20), shares)
def test_who_waits_as_told_is_let_in_and_not_told_to_wait_longer_than_needed(
    rate: float, burst: float, before: list[tuple[float, float]], share: float
) -> None:
    level: Level | None = None
    now, cost = START, burst * share
    for step, earlier in before:
        now += step
        level, _ = take(level, now, rate, burst, burst * earlier)
    stands, taken = take(level, now, rate, burst, cost)
    if taken.allowed:
        assert taken.retry_after_s == 0
        return
    assert taken.retry_after_s > 0
    assert take(stands, now + taken.retry_after_s, rate, burst, cost)[1].allowed
    early = taken.retry_after_s - 0.002
    if early > 0:
        assert not take(stands, now + early, rate, burst, cost)[1].allowed


@given(rates, bursts, shares, st.lists(waits, max_size=20))
def test_asking_in_vain_costs_nothing(rate: float, burst: float, share: float, asked: list[float]) -> None:
    level, _ = take(None, START, rate, burst, burst)
    now, cost = START, burst * share
    for wait in asked:
        now += wait
        after, taken = take(level, now, rate, burst, cost)
        if taken.allowed:
            break
        assert after == level


class Clock:
    """The database's clock, as the store sees it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self, _: object) -> float:
        return self.now


Asked = tuple[str, float, float, float]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["take", "give back", "collect"]), st.sampled_from("ab").map(ord), steps, shares),
        max_size=25,
    )
)  # fmt: skip
def test_rows_that_come_and_go_follow_the_rule(asked: list[Asked]) -> None:
    """The store, on SQLite and with a clock of ours, against the rule on values that are never collected."""

    async def go(folder: str) -> None:
        ledger, clock = open_ledger(f"sqlite:///{Path(folder) / 'l.db'}"), Clock()
        store = ledger.access.buckets
        assert isinstance(store, buckets.SqlBuckets)
        levels: dict[float, Level | None] = {}
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(buckets, "clock", clock)
            for what, bucket, step, share in asked:
                # Collecting relies on time: where it goes back, a bucket may be full that was not yet.
                clock.now += abs(step)
                if what == "give back":
                    await store.give_back(str(bucket), 10 * share)
                    if (level := levels.get(bucket)) is not None:
                        levels[bucket] = Level(min(10.0, level.tokens + 10 * share), level.at)
                    continue
                if what == "collect":
                    store._until_collection = 1
                levels[bucket], expected = take(levels.get(bucket), clock.now, 0.05, 10, 10 * share)
                taken = await store.take(str(bucket), per_minute=3, burst=10, cost=10 * share)
                assert taken.allowed is expected.allowed
                assert taken.remaining == pytest.approx(expected.remaining, abs=1e-4)
                assert taken.retry_after_s == pytest.approx(expected.retry_after_s)
        await ledger.close()

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(go(folder))
