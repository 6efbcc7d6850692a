"""Rounds of a lane: blocks that go and come again, and nodes that are behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from provery.core.lane_records import Fate, Phase, Wait
from provery.core.lanes import Call, Policy, Receipt
from tests.support.lane_desk import LANE, Desk
from tests.support.lane_model import FREE, RISING, drive


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
