"""Rounds of a lane, one situation each, over the model of chain and ledger."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry

from activities.lane_metrics import LaneMetrics
from activities.lane_round import Rounds
from activities.lanes import Lanes, _facts
from provery.core.errors import ConfigurationError, SinkUnavailable
from provery.core.lane_records import Change, Fate, Kind, LaneOrder, Phase, Submission, Wait
from provery.core.lanes import Call, Policy, Receipt, Standing, State, lane_id
from provery.stores.lane_rows import shown
from tests.support.lane_model import (
    CONTRACT,
    FREE,
    RISING,
    SENDER,
    ChainModel,
    MemoryLanes,
    SystemModel,
    drive,
)
from workflows.lane_view import markdown

LANE = lane_id(31_337, SENDER)


class Moody(SystemModel):
    """Fails where it is told to."""

    broken: str = ""
    lawless: Exception | None = None

    async def policy(self, stream: str) -> Policy:
        if stream == FREE and self.lawless is not None:
            raise self.lawless
        return await super().policy(stream)

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        if call.data == self.broken:
            raise ValueError("a bug in an adapter")
        return await super().standing(stream, ordinal, call)


@dataclass
class Desk:
    """A lane and what stands around it."""

    policy: Policy = field(default_factory=lambda: Policy(stuck_after_s=30.0))
    chain: ChainModel = field(default_factory=ChainModel)

    def __post_init__(self) -> None:
        self.ledger = MemoryLanes(lambda: self.chain.now)
        rising = Policy(**{**vars(self.policy), "ordered": True})
        self.system = Moody("model", self.chain, {FREE: self.policy, RISING: rising})
        self.registry = CollectorRegistry()
        self.rounds = Rounds(
            self.ledger, lambda _: self.system, LaneMetrics(self.registry), lambda: self.chain.now
        )

    def enter(self, stream: str, n: int) -> str:
        key = f"{stream}-{n}"
        call = Call(CONTRACT, f"{stream}:{n}")
        made = Submission(key, LANE, "model", stream, str(n), call, "run:1", self.chain.now, n)
        drive(self.ledger.enter(made, 31_337, SENDER))
        self.chain.now += 0.1
        return key

    def round(self, times: int = 1) -> None:
        for _ in range(times):
            drive(self.ledger.take(LANE, "h"))
            assert drive(self.rounds.round(LANE, "h"))

    def of(self, key: str) -> Submission:
        return self.ledger.found[key]

    def events(self, key: str) -> list[str]:
        return [event for name, event, _ in self.ledger.events if name == key]

    def settle(self, blocks: int = 12) -> None:
        for _ in range(blocks):
            self.round()
            self.chain.mine()
        self.round()

    def count(self, name: str, **labels: str) -> float:
        given = {"lane": LANE, "stream": "model/free", **labels}
        return self.registry.get_sample_value(f"provery_lane_{name}", given) or 0.0


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


def test_a_budget_is_kept_and_a_wait_for_it_ends_with_the_day() -> None:
    desk = Desk(Policy(spend_per_day=60_000 * 202))
    first, second = desk.enter(FREE, 1), desk.enter(FREE, 2)
    desk.settle(3)
    assert (desk.of(first).phase, desk.of(second).waits_for) == (Phase.LANDED, Wait.SPEND)
    desk.chain.now += 86_400
    desk.settle(2)
    assert desk.of(second).phase is Phase.LANDED


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


def test_what_a_reorganisation_undid_is_not_paid_for() -> None:
    desk = Desk(Policy(confirmations=3, stuck_after_s=30.0))
    key = desk.enter(FREE, 1)
    desk.round()
    desk.chain.mine()
    desk.round()
    assert desk.of(key).phase is Phase.INCLUDED
    desk.chain.reorganise(1, back=False)
    desk.chain.base = 5_000
    desk.chain.mine(empty=True)
    desk.chain.now += 60
    desk.settle(5)
    first, bumped = desk.of(key).transactions
    assert (first.fate, bumped.fate) == (Fate.REPLACED, Fate.LANDED)
    assert (first.fee, desk.of(key).fee) == (0, bumped.fee)
    assert desk.count("spent_wei_total") == bumped.fee


def test_a_node_that_lags_does_not_give_a_landed_nonce_again() -> None:
    desk = Desk()
    first = desk.enter(FREE, 1)
    desk.settle(1)
    assert desk.of(first).phase is Phase.LANDED
    desk.chain.lag = 1
    second = desk.enter(FREE, 2)
    desk.round(2)
    assert (desk.of(second).transactions, desk.of(second).waits_for) == ((), Wait.NODE)
    desk.chain.lag = 0
    desk.settle(2)
    assert [t.nonce for t in desk.of(second).transactions] == [1]
    assert "displaced" not in desk.events(second)


def test_confirmations_are_those_of_the_node_that_has_it() -> None:
    desk = Desk(Policy(confirmations=3))
    key = desk.enter(FREE, 1)
    real = desk.chain.receipt

    async def forked(tx_hash: str) -> Receipt | None:
        found = await real(tx_hash)
        return found and replace(found, head=found.block.number + 1)

    desk.chain.receipt = forked  # type: ignore[method-assign]
    desk.settle(6)
    assert (desk.of(key).phase, desk.of(key).waits_for) == (Phase.INCLUDED, Wait.CONFIRMATIONS)
    assert "2 of 3" in desk.of(key).reason
    desk.chain.receipt = real  # type: ignore[method-assign]
    desk.round()
    assert desk.of(key).phase is Phase.LANDED


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


def test_a_chain_that_was_set_back_long_after_is_believed_in_the_end() -> None:
    desk = Desk()
    first = desk.enter(FREE, 1)
    desk.settle(1)
    desk.chain.reorganise(1, back=False)
    desk.chain.now += desk.policy.watch_s
    second = desk.enter(FREE, 2)
    desk.settle(3)
    assert [t.nonce for t in desk.of(second).transactions] == [0]
    assert [desk.of(key).phase for key in (first, second)] == [Phase.LANDED, Phase.LANDED]
    assert desk.count("undone_total") == 0


@pytest.mark.parametrize("stream", [FREE, RISING])
def test_a_landing_that_is_undone_goes_again_as_it_is_and_others_wait_behind_it(stream: str) -> None:
    desk = Desk(Policy(confirmations=2))
    first = desk.enter(stream, 1)
    desk.settle(3)
    (landed,) = desk.of(first).transactions
    assert desk.of(first).phase is Phase.LANDED
    drive(desk.ledger.told([first]))
    desk.chain.reorganise(3, back=False)
    desk.chain.mine(empty=True)
    second = desk.enter(stream, 2)
    desk.round()
    assert desk.of(second).transactions == (), "its nonce is of the landing that is gone"
    desk.chain.mine(empty=True)
    desk.round()
    again = desk.of(first)
    assert (again.phase, again.nonce, again.told) == (Phase.SENT, 0, False)
    assert "it had landed in block 1, which is gone" in again.reason
    assert [(t.hash, t.raw, t.fate, t.fee) for t in again.transactions] == [
        (landed.hash, landed.raw, Fate.LIVE, 0),
    ]  # fmt: skip
    assert landed.hash in desk.chain.pool
    assert desk.of(second).transactions == ()
    desk.settle(5)
    assert [desk.of(key).phase for key in (first, second)] == [Phase.LANDED, Phase.LANDED]
    assert [[t.nonce for t in desk.of(key).transactions] for key in (first, second)] == [[0], [1]]
    assert desk.events(first).count("undone") == 1
    assert desk.count("undone_total", stream=f"model/{stream}") == 1
    assert desk.count("resent_total", stream=f"model/{stream}") == 1


def test_an_empty_lane_finds_a_landing_that_is_undone() -> None:
    desk = Desk()
    key = desk.enter(FREE, 1)
    desk.settle(1)
    desk.chain.reorganise(1, back=False)
    desk.chain.now += 5
    desk.round()
    assert desk.rounds.watch.doubts == {LANE}
    desk.chain.now += 16
    desk.round()
    assert (desk.of(key).phase, desk.rounds.watch.doubts) == (Phase.SENT, set())
    desk.settle(2)
    assert desk.of(key).phase is Phase.LANDED
    assert desk.chain.used(desk.chain.blocks) == 1


def test_a_landing_that_is_in_another_block_now_is_confirmed_there() -> None:
    desk = Desk(Policy(confirmations=3))
    key = desk.enter(FREE, 1)
    desk.settle(4)
    assert desk.of(key).transactions[0].block == 1
    desk.chain.reorganise(5, back=True)
    desk.chain.mine(empty=True)
    desk.chain.mine()
    desk.round()
    desk.chain.mine()
    desk.round()
    assert (desk.of(key).phase, desk.of(key).transactions[0].block) == (Phase.INCLUDED, 2)
    desk.settle(3)
    assert (desk.of(key).phase, len(desk.of(key).transactions)) == (Phase.LANDED, 1)


def test_a_landing_whose_nonce_a_stranger_took_lands_at_another_one() -> None:
    desk = Desk(Policy(confirmations=2))
    key = desk.enter(FREE, 1)
    desk.settle(3)
    desk.chain.reorganise(3, back=False)
    desk.chain.stranger()
    desk.settle(8)
    assert desk.of(key).phase is Phase.LANDED
    assert [(t.nonce, t.fate) for t in desk.of(key).transactions] == [(0, Fate.DISPLACED), (1, Fate.LANDED)]
    assert desk.chain.heights(desk.chain.blocks)[1] == {"1": 1}


def test_a_node_that_lags_undoes_no_landing() -> None:
    desk = Desk()
    key = desk.enter(FREE, 1)
    desk.settle(1)
    desk.chain.lag = 1
    desk.round()
    desk.chain.lag = 0
    desk.chain.mine()
    desk.round()
    assert (desk.of(key).phase, desk.events(key).count("undone")) == (Phase.LANDED, 0)


def test_landings_are_looked_at_once_a_block_in_one_request() -> None:
    desk = Desk()
    keys = [desk.enter(FREE, n) for n in range(6)]
    desk.settle(12)
    assert {desk.of(key).phase for key in keys} == {Phase.LANDED}
    real, asked = desk.chain.blocks_of, list[int]()

    async def counted(hashes: Sequence[str]) -> dict[str, str]:
        asked.append(len(hashes))
        return await real(hashes)

    desk.chain.blocks_of = counted  # type: ignore[method-assign]
    desk.round(5)
    desk.chain.mine()
    desk.round(5)
    desk.chain.now += 60
    desk.round(5)
    assert asked == [6]


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


def test_without_money_nothing_is_signed() -> None:
    desk = Desk()
    desk.chain.funds = 1_000
    key = desk.enter(FREE, 1)
    desk.round(3)
    assert (desk.of(key).waits_for, desk.of(key).transactions) == (Wait.FUNDS, ())
    desk.chain.funds = 10**20
    desk.settle(2)
    assert desk.of(key).phase is Phase.LANDED


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


def test_a_refusal_by_a_node_that_lags_fails_nobody() -> None:
    desk = Desk(Policy(gas_margin_percent=0))
    key = desk.enter(RISING, 3)
    desk.chain.mine(others=2)
    real = desk.chain.estimate

    async def behind(call: Call) -> int:
        from provery.core.errors import Reverted

        raise Reverted("Early()")

    desk.chain.estimate = behind  # type: ignore[method-assign]
    desk.round(3)
    assert (desk.of(key).phase, desk.of(key).waits_for) == (Phase.WAITING, Wait.NODE)
    desk.chain.estimate = real  # type: ignore[method-assign]
    desk.settle(2)
    assert desk.of(key).phase is Phase.LANDED
    other = desk.enter(RISING, 4)
    desk.chain.estimate = behind  # type: ignore[method-assign]
    desk.round()
    desk.chain.mine()
    desk.round()
    assert (desk.of(other).phase, desk.of(other).reason) == (Phase.REVERTED, "Early()")


def test_what_is_superseded_while_it_is_stuck_is_replaced_by_nothing() -> None:
    desk = Desk()
    key = desk.enter(RISING, 1)
    desk.round()
    desk.chain.base = 10_000
    desk.chain.mine(others=5)
    desk.chain.now += 60
    desk.round()
    assert [t.kind for t in desk.of(key).transactions] == [Kind.CALL, Kind.CANCEL]
    desk.settle(2)
    assert desk.of(key).phase is Phase.SUPERSEDED
    assert [t.fate for t in desk.of(key).transactions] == [Fate.REPLACED, Fate.LANDED]


def test_what_was_superseded_in_a_block_that_is_gone_lands_after_all() -> None:
    desk = Desk()
    key = desk.enter(RISING, 1)
    desk.round()
    desk.chain.base = 10_000
    desk.chain.mine(others=5)
    desk.chain.now += 60
    desk.round()
    assert [t.kind for t in desk.of(key).transactions] == [Kind.CALL, Kind.CANCEL]
    desk.chain.reorganise(1, back=True)
    desk.settle(4)
    assert desk.of(key).phase is Phase.LANDED
    assert [(t.kind, t.fate) for t in desk.of(key).transactions] == [
        (Kind.CALL, Fate.REPLACED), (Kind.CANCEL, Fate.LANDED), (Kind.CALL, Fate.LANDED),
    ]  # fmt: skip
    assert desk.chain.heights(desk.chain.blocks)[0] == 1


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


def test_what_is_superseded_is_withdrawn_within_the_cap_only() -> None:
    desk = Desk(Policy(max_fee_per_gas=110, stuck_after_s=30.0))
    key = desk.enter(RISING, 1)
    desk.round()
    desk.chain.base = 1_000
    desk.chain.mine(others=5)
    desk.chain.now += 60
    desk.round()
    assert [t.kind for t in desk.of(key).transactions] == [Kind.CALL]
    assert "cancel model/rising/1" in desk.of(key).reason


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
