"""Rounds of a lane, one situation each, over the model of chain and ledger."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from activities.lanes import _facts
from provery.core.errors import ConfigurationError, SinkUnavailable
from provery.core.lane_records import Change, Fate, Kind, LaneOrder, Phase, Wait
from provery.core.lanes import Call, Policy, Standing, State
from provery.stores.lane_rows import shown
from tests.support.lane_desk import LANE, Desk
from tests.support.lane_model import FREE, RISING, ChainModel, SystemModel, drive


def test_one_that_fails_unexpectedly_is_parked_and_stops_nobody() -> None:
    desk = Desk()
    desk.system.broken = f"{RISING}:1"
    bad, next_, other = desk.enter(RISING, 1), desk.enter(RISING, 2), desk.enter(FREE, 1)
    desk.settle(4)
    assert desk.of(bad).parked
    assert "ValueError: a bug in an adapter" in desk.of(bad).reason
    assert {desk.of(k).phase for k in (next_, other)} == {Phase.LANDED}
    desk.system.broken = ""
    desk.settle(2)
    assert desk.of(bad).parked
    drive(desk.ledger.order(LaneOrder("retry", LANE, "model/rising/1")))
    desk.settle(2)
    assert desk.of(bad).phase is Phase.SUPERSEDED


@pytest.mark.parametrize(
    ("error", "waits"),
    [
        (ConfigurationError("no such cap"), Wait.OPERATOR),
        (ValueError("a bug in an adapter"), Wait.OPERATOR),
        (SinkUnavailable("away"), Wait.NODE),
    ],
)
def test_without_a_policy_nothing_goes_and_no_other_stream_waits(error: Exception, waits: Wait) -> None:
    desk = Desk(Policy(max_fee_per_gas=90))
    desk.system.policies[RISING] = Policy(ordered=True)
    desk.system.lawless = error
    first, second, other = desk.enter(FREE, 1), desk.enter(FREE, 2), desk.enter(RISING, 1)
    desk.settle(2)
    for key in (first, second):
        assert (desk.of(key).phase, desk.of(key).waits_for) == (Phase.WAITING, waits)
        assert str(error) in desk.of(key).reason
    assert desk.of(other).phase is Phase.LANDED


def test_a_filled_gap_is_not_what_landed() -> None:
    desk = Desk()
    key = desk.enter(FREE, 1)
    desk.settle(1)
    s = desk.of(key)
    (call,) = s.transactions
    fill = replace(call, hash="0xfill", kind=Kind.FILL, gas_used=21_000, signed_at=call.signed_at + 1)
    s = replace(s, transactions=(call, fill))
    assert _facts(s)["transaction"] == call.hash
    assert _facts(s)["fee_wei"] == str(call.fee + fill.fee)
    assert shown(s)["gas_used"] == call.gas_used


def test_a_turn_writes_nothing_for_those_behind_it() -> None:
    desk = Desk()
    waiting = [desk.enter(FREE, n) for n in range(30)]
    desk.settle(2)
    real, written = desk.ledger.change, list[str]()

    async def counted(holder: str, request_key: str, change: Change) -> None:
        written.append(request_key)
        await real(holder, request_key, change)

    desk.ledger.change = counted  # type: ignore[method-assign]
    desk.settle(4)
    assert sum(desk.of(key).phase is Phase.LANDED for key in waiting) >= 4
    assert len(written) < 30
    assert set(written).isdisjoint(waiting[10:])


def test_what_no_node_takes_gives_its_nonce_back() -> None:
    desk = Desk()
    desk.chain.refuses = f"{FREE}:1"
    bad, good = desk.enter(FREE, 1), desk.enter(FREE, 2)
    desk.settle(5)
    assert desk.of(bad).phase is Phase.REVERTED
    assert "the nodes refuse the transaction" in desk.of(bad).reason
    assert [t.kind for t in desk.of(bad).transactions] == [Kind.CALL, Kind.CANCEL]
    assert desk.of(good).phase is Phase.LANDED
    assert desk.chain.used(desk.chain.blocks) == 2


def test_a_pause_sends_nothing_new_and_follows_what_is_sent() -> None:
    desk = Desk()
    sent, waiting = desk.enter(FREE, 1), desk.enter(FREE, 2)
    desk.round()
    drive(desk.ledger.order(LaneOrder("pause", LANE)))
    desk.settle(3)
    assert (desk.of(sent).phase, desk.of(waiting).phase) == (Phase.LANDED, Phase.WAITING)
    assert "paused" in desk.of(waiting).reason
    drive(desk.ledger.order(LaneOrder("resume", LANE)))
    desk.settle(2)
    assert desk.of(waiting).phase is Phase.LANDED


def test_no_node_is_a_reason_that_people_can_read() -> None:
    desk = Desk()
    key = desk.enter(FREE, 1)
    desk.chain.down = True
    desk.round(2)
    assert (desk.of(key).waits_for, desk.of(key).reason) == (
        Wait.NODE, "SinkUnavailable: no endpoint answers",
    )  # fmt: skip
    desk.chain.down = False
    desk.settle(2)
    assert desk.of(key).phase is Phase.LANDED


def test_a_revert_that_was_the_moments_fault_goes_again() -> None:
    desk = Desk()
    key = desk.enter(RISING, 2)
    desk.round()
    tx = next(iter(desk.chain.pool.values()))
    desk.chain.mine(empty=True)
    desk.chain.blocks[-1].txs.append((tx, False))  # it reverts, and what made it do so is gone
    desk.chain.pool.clear()
    desk.settle(4)
    assert desk.of(key).phase is Phase.LANDED
    assert desk.of(key).tries == 1
    assert [t.fate for t in desk.of(key).transactions] == [Fate.REVERTED, Fate.LANDED]
    assert desk.events(key).count("reverted") == 1


class Hasty(SystemModel):
    """A contract that says that a call may go, and in every block that it was early."""

    def __init__(self, chain: ChainModel, policy: Policy) -> None:
        super().__init__("model", chain, {RISING: policy})

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        early = self.chains.blocks[-1].txs != []
        return Standing(State.EARLY if early else State.READY, "another one comes first")


def test_a_revert_for_being_early_is_tried_three_times_and_no_more() -> None:
    desk = Desk()
    desk.system = Hasty(desk.chain, desk.policy)  # type: ignore[assignment]
    key = desk.enter(RISING, 2)
    for _ in range(40):
        desk.round()
        pending = list(desk.chain.pool.values())
        desk.chain.pool.clear()
        desk.chain.mine(empty=True)
        desk.chain.blocks[-1].txs += [(tx, False) for tx in pending]
    assert desk.of(key).phase is Phase.REVERTED
    assert "Outdated() in " in desk.of(key).reason
    assert [t.fate for t in desk.of(key).transactions] == [Fate.REVERTED] * 3
    assert desk.count("reverted_total", stream="model/rising") == 3


def test_metrics_count_what_happens() -> None:
    desk = Desk()
    key = desk.enter(FREE, 1)
    desk.round()
    desk.chain.base = 5_000
    desk.chain.mine()
    desk.chain.now += 40
    desk.settle(2)
    s: Any = desk.of(key)
    assert s.phase is Phase.LANDED
    assert (desk.count("signed_total"), desk.count("bumped_total"), desk.count("landed_total")) == (1, 1, 1)
    assert desk.count("settled_total", how="landed") == 1
    assert desk.count("spent_wei_total") == s.fee > 0
    assert desk.registry.get_sample_value("provery_lane_pending", {"lane": LANE, "phase": "sent"}) == 0
