"""Rounds of a lane: what a call may cost, and what becomes of one that the chain's price has outrun."""

from __future__ import annotations

from collections.abc import Coroutine
from decimal import Decimal
from typing import Any, cast

from prometheus_client import CollectorRegistry

from activities.lane_metrics import LaneMetrics
from activities.lanes import Lanes
from provery.core.lane_records import Fate, Kind, LaneOrder, Phase, Wait
from provery.core.lanes import Policy
from tests.support.lane_desk import LANE, Desk
from tests.support.lane_model import FREE, RISING, drive
from workflows.lane_view import markdown


def test_above_the_cap_for_ten_minutes_it_waits_and_then_lands() -> None:
    desk = Desk(Policy(max_fee_per_gas=90))
    key = desk.enter(FREE, 1)
    for _ in range(50):
        desk.round()
        desk.chain.mine()
    assert desk.chain.now > 1_600
    assert (desk.of(key).phase, desk.of(key).waits_for) == (Phase.WAITING, Wait.FEES)
    assert desk.of(key).transactions == ()
    assert "0.000000102 gwei, the cap is 0.00000009" in desk.of(key).reason
    desk.chain.base = 80
    desk.settle(2)
    assert desk.of(key).phase is Phase.LANDED
    assert len(desk.of(key).transactions) == 1


def test_a_cap_never_stops_others() -> None:
    desk = Desk(Policy(max_fee_per_gas=90))
    desk.system.policies[RISING] = Policy(ordered=True)
    dear, other = desk.enter(FREE, 1), desk.enter(RISING, 1)
    desk.settle(2)
    assert (desk.of(dear).phase, desk.of(other).phase) == (Phase.WAITING, Phase.LANDED)
    drive(desk.ledger.order(LaneOrder("raise_cap", LANE, max_fee="500")))
    desk.settle(2)
    assert desk.of(dear).phase is Phase.LANDED


def test_a_budget_is_kept_and_a_wait_for_it_ends_with_the_day() -> None:
    desk = Desk(Policy(spend_per_day=60_000 * 202))
    first, second = desk.enter(FREE, 1), desk.enter(FREE, 2)
    desk.settle(3)
    assert (desk.of(first).phase, desk.of(second).waits_for) == (Phase.LANDED, Wait.SPEND)
    desk.chain.now += 86_400
    desk.settle(2)
    assert desk.of(second).phase is Phase.LANDED


def test_without_money_nothing_is_signed() -> None:
    desk = Desk()
    desk.chain.funds = 1_000
    key = desk.enter(FREE, 1)
    desk.round(3)
    assert (desk.of(key).waits_for, desk.of(key).transactions) == (Wait.FUNDS, ())
    desk.chain.funds = 10**20
    desk.settle(2)
    assert desk.of(key).phase is Phase.LANDED


def superseded(policy: Policy | None = None, base: int = 10_000) -> tuple[Desk, str]:
    """A call that is stuck, as the chain charges more by now, when the contract has its result from elsewhere."""
    desk = Desk(policy or Policy(stuck_after_s=30.0))
    key = desk.enter(RISING, 1)
    desk.round()
    desk.chain.base = base
    desk.chain.mine(others=5)
    desk.chain.now += 60
    desk.round()
    return desk, key


def test_what_is_superseded_while_it_is_stuck_is_replaced_by_nothing() -> None:
    desk, key = superseded()
    assert [t.kind for t in desk.of(key).transactions] == [Kind.CALL, Kind.CANCEL]
    desk.settle(2)
    assert desk.of(key).phase is Phase.SUPERSEDED
    assert [t.fate for t in desk.of(key).transactions] == [Fate.REPLACED, Fate.LANDED]


def test_what_was_superseded_in_a_block_that_is_gone_lands_after_all() -> None:
    desk, key = superseded()
    assert [t.kind for t in desk.of(key).transactions] == [Kind.CALL, Kind.CANCEL]
    desk.chain.reorganise(1, back=True)
    desk.settle(4)
    assert desk.of(key).phase is Phase.LANDED
    assert [(t.kind, t.fate) for t in desk.of(key).transactions] == [
        (Kind.CALL, Fate.REPLACED), (Kind.CANCEL, Fate.LANDED), (Kind.CALL, Fate.LANDED),
    ]  # fmt: skip
    assert desk.chain.heights(desk.chain.blocks)[0] == 1


def test_what_is_superseded_is_withdrawn_within_the_cap_only() -> None:
    desk, key = superseded(Policy(max_fee_per_gas=110, stuck_after_s=30.0), base=1_000)
    assert [t.kind for t in desk.of(key).transactions] == [Kind.CALL]
    assert "cancel model/rising/1" in desk.of(key).reason


def held_up(policy: Policy | None = None) -> tuple[Desk, str]:
    """A call that is pending at its cap while the chain charges ten times as much."""
    desk = Desk(policy or Policy(max_fee_per_gas=110, stuck_after_s=30.0))
    key = desk.enter(FREE, 1)
    desk.round()
    desk.chain.base = 1_000
    for _ in range(4):
        desk.chain.mine()
        desk.round()
    return desk, key


def wei(reason: str) -> str:
    """The cap that a reason asks for."""
    return str(int(Decimal(reason.split("--gwei ")[1].split("`")[0]) * 10**9))


def test_what_is_held_up_at_its_cap_names_what_frees_it() -> None:
    desk, key = held_up()
    s = desk.of(key)
    assert (s.phase, s.waits_for, len(s.transactions)) == (Phase.SENT, Wait.FEES, 1)
    assert "`provery lane raise-cap model/free/1 --gwei 0.000001002`" in s.reason
    assert "`provery lane cancel model/free/1`" in s.reason
    assert "pending at 0.00000011 gwei" in s.reason
    assert "a replacement needs 0.000001002 gwei, above the cap of 0.00000011" in s.reason
    assert "the chain charges 0.000001002" in s.reason
    drive(desk.ledger.order(LaneOrder("raise_cap", LANE, "model/free/1", max_fee=wei(s.reason))))
    desk.settle(2)
    assert desk.of(key).phase is Phase.LANDED


def test_a_cancellation_exceeds_the_cap_as_far_as_nodes_demand_and_no_further() -> None:
    desk, key = held_up()
    drive(desk.ledger.order(LaneOrder("cancel", LANE, "model/free/1")))
    for _ in range(30):
        desk.round()
        desk.chain.mine()
    cancel = desk.of(key).transactions[-1]
    assert len(desk.of(key).transactions) == 2
    assert (cancel.kind, cancel.max_fee, cancel.max_priority_fee) == (Kind.CANCEL, 121, 3)
    assert list(desk.chain.pool) == [cancel.hash]
    reason = desk.of(key).reason
    assert "the cancellation is pending at 0.000000121 gwei" in reason
    assert "`provery lane raise-cap model/free/1 --gwei" in reason
    assert "lane cancel" not in reason
    desk.chain.base = 119
    desk.settle(2)
    assert desk.of(key).phase is Phase.CANCELLED
    assert [t.fate for t in (desk.of(key)).transactions] == [Fate.REPLACED, Fate.LANDED]


def test_a_raised_cap_frees_a_cancellation() -> None:
    desk, key = held_up()
    drive(desk.ledger.order(LaneOrder("cancel", LANE, "model/free/1")))
    desk.round(2)
    desk.chain.now += 60
    desk.round()
    more = wei(desk.of(key).reason)
    drive(desk.ledger.order(LaneOrder("raise_cap", LANE, "model/free/1", max_fee=more)))
    desk.chain.now += 60
    desk.settle(2)
    assert desk.of(key).phase is Phase.CANCELLED
    assert desk.chain.heights(desk.chain.blocks)[1] == {}


def test_a_cap_of_the_tip_holds_up_and_yields_to_a_cancellation() -> None:
    desk, key = held_up(Policy(max_priority_fee_per_gas=2, stuck_after_s=30.0))
    s = desk.of(key)
    assert (s.waits_for, len(s.transactions)) == (Wait.FEES, 1)
    assert "needs a tip of 0.000000003 gwei, above the cap of 0.000000002" in s.reason
    assert "raise-cap" not in s.reason
    assert "`provery lane cancel model/free/1`" in s.reason
    drive(desk.ledger.order(LaneOrder("cancel", LANE, "model/free/1")))
    desk.settle(2)
    assert desk.of(key).phase is Phase.CANCELLED


def test_those_behind_say_whom_they_wait_for_and_why() -> None:
    desk, _ = held_up()
    behind = desk.enter(FREE, 2)
    desk.round()
    lanes = Lanes(
        cast(Any, None), desk.ledger, LaneMetrics(CollectorRegistry()), "", cast(Any, None), desk.rounds
    )
    view = result(lanes._view(LANE))
    first, second = view.lines
    assert (first.phase, second.phase) == ("sent", "waiting")
    assert second.reason == f"behind model/free/1, which holds the lane up: {first.reason}"
    assert desk.of(behind).reason == ""
    said = markdown(view, [])
    assert "**Held up** by model/free/1" in said
    assert "raise-cap model/free/1 --gwei 0.000001002" in said
    drive(desk.ledger.order(LaneOrder("raise_cap", LANE, "model/free/1", max_fee="5000")))
    desk.round()
    view = result(lanes._view(LANE))
    assert view.lines[1].reason.startswith("behind model/free/1, which is sent: nonce 0, ")
    assert "Held up" not in markdown(view, [])


def result(coro: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine returns."""
    while True:
        try:
            coro.send(None)
        except StopIteration as ended:
            return ended.value
