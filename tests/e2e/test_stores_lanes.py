"""Lanes in both ledgers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provery.core.errors import HandedBack, InvalidInput, SpendingCapReached
from provery.core.lane_records import (
    Change,
    Fate,
    Kind,
    LaneOrder,
    Phase,
    Submission,
    Transaction,
    Wait,
    request_key_of,
)
from provery.core.lanes import Call
from provery.core.types import Unit
from provery.local.servers import PostgresServer
from provery.stores.ledger import SqlLedger, open_ledger
from tests.e2e.test_stores_ledger import new_database

pytestmark = pytest.mark.e2e
LANE = "lane/31337/0xaa"
WEI = 10**22


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    started = PostgresServer(tmp_path_factory.mktemp("pg"), fsync=False)
    asyncio.run(started.start())
    yield started
    asyncio.run(started.kill())


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    return new_database(request.getfixturevalue("postgres"))


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[SqlLedger]:
    opened = open_ledger(url)
    yield opened
    await opened.close()


def submission(key: str = "1", by: str = "run:1", data: str = "0x01", **more: Any) -> Submission:
    unit = Unit("noop", "bench", key)
    return Submission(
        request_key_of(unit), LANE, "noop", "bench", key, Call("0xcc", data, WEI, "advance"), by, 1.0, **more
    )


def transaction(s: Submission, nonce: int = 0, name: str = "0xt", max_fee: int = 100) -> Transaction:
    return Transaction(
        f"{name}{nonce}", s.request_key, nonce, Kind.CALL, 50_000, max_fee, 2, 5.0, raw="0xraw"
    )


async def entered(ledger: SqlLedger, *given: Submission, holder: str = "h") -> list[Submission]:
    stands = [await ledger.lanes.enter(s, 31337, "0xAa") for s in given]
    await ledger.lanes.take(LANE, holder)
    return stands


async def test_an_intent_is_written_once_and_money_is_exact(ledger: SqlLedger) -> None:
    first = submission(ordinal=7)
    (stands,) = await entered(ledger, first)
    assert stands == first
    assert stands.call.value == WEI
    again = await ledger.lanes.enter(replace(first, call=Call("0xdd", "0x02")), 31337, "0xAa")
    assert again.call == first.call
    newer = await ledger.lanes.enter(submission(by="run:2", data="0x02"), 31337, "0xAa")
    assert newer.call.data == "0x02"  # nothing was signed, so the newer proof goes
    assert [row.id for row in await ledger.lanes.lanes()] == [LANE]


async def test_what_is_signed_is_kept_and_a_second_hand_is_refused(ledger: SqlLedger) -> None:
    one, two = await entered(ledger, submission("1"), submission("2"))
    assert await ledger.lanes.sign("h", one, transaction(one), budget=None)
    assert not await ledger.lanes.sign("h", one, transaction(one, 1), budget=None)  # as it was, unsigned
    assert not await ledger.lanes.sign("h", two, transaction(two, 1), budget=None)  # while one is pending
    found = await ledger.lanes.find(one.request_key)
    assert found is not None
    assert (found.phase, found.nonce, found.live[0].raw) == (Phase.SENT, 0, "0xraw")
    assert (await ledger.lanes.enter(submission("1", by="run:2"), 31337, "0xAa")).call == one.call
    await ledger.lanes.take(LANE, "other")
    with pytest.raises(HandedBack):
        await ledger.lanes.change("h", one.request_key, Change(Phase.LANDED))
    with pytest.raises(HandedBack):
        await ledger.lanes.sign("h", found, transaction(one, 0, "0xu"), budget=None)


async def test_a_settled_one_stays_and_only_what_has_not_landed_opens_again(ledger: SqlLedger) -> None:
    (one,) = await entered(ledger, submission())
    t = transaction(one)
    await ledger.lanes.sign("h", one, t, budget=None)
    landed = replace(t, fate=Fate.LANDED, block=9, gas_used=40_000, gas_price=10**20)
    done = Change(Phase.LANDED, reason="well", event="landed", transactions=(landed,))
    await ledger.lanes.change("h", one.request_key, done)
    await ledger.lanes.change("h", one.request_key, Change(Phase.REVERTED, reason="late"))
    (untold,) = await ledger.lanes.untold(LANE)
    assert (untold.phase, untold.reason) == (Phase.LANDED, "well")
    await ledger.lanes.told([one.request_key])
    assert await ledger.lanes.untold(LANE) == []
    again = await ledger.lanes.enter(submission(by="run:2"), 31337, "0xAa")
    assert again.phase is Phase.LANDED
    assert again.fee == 40_000 * 10**20
    assert await ledger.lanes.open(LANE) == []
    assert [s.phase for s in await ledger.lanes.recent(LANE, 5)] == [Phase.LANDED]
    assert not await ledger.lanes.leave(one.request_key, Phase.CANCELLED, "too late")
    (two,) = await entered(ledger, submission("2"))
    assert await ledger.lanes.leave(two.request_key, Phase.SKIPPED, "not wanted")
    assert (await ledger.lanes.enter(submission("2", by="run:2"), 1, "")).phase is Phase.WAITING
    audit: Any = await ledger.audit(Unit("noop", "bench", "1"))
    assert audit["lane"][0]["fee_wei"] == str(40_000 * 10**20)
    assert audit["lane"][0]["transactions"][0]["fate"] == "landed"
    assert "0xraw" not in str(audit)
    assert [e["event"] for e in audit["events"]] == ["entered", "signed", "landed"]


async def test_what_has_landed_is_put_back_by_who_has_the_lane(ledger: SqlLedger) -> None:
    one, two = await entered(ledger, submission("1"), submission("2"))
    t = transaction(one)
    await ledger.lanes.sign("h", one, t, budget=None)
    stands = await ledger.lanes.find(one.request_key)
    assert stands is not None
    bump = replace(transaction(one, 0, "0xu"), signed_at=6.0)
    await ledger.lanes.sign("h", stands, bump, budget=None)
    assert not await ledger.lanes.reopen("h", one.request_key, "not landed", 9.0)
    landed = replace(t, fate=Fate.LANDED, block=9, block_hash="0xb", gas_used=40_000, gas_price=3)
    done = Change(Phase.LANDED, want="cancel", transactions=(landed, replace(bump, fate=Fate.REPLACED)))
    await ledger.lanes.change("h", one.request_key, done)
    await ledger.lanes.told([one.request_key])
    assert [s.request_key for s in await ledger.lanes.landed(LANE, 5)] == [one.request_key]
    with pytest.raises(HandedBack):
        await ledger.lanes.reopen("frozen", one.request_key, "gone", 9.0)
    assert await ledger.lanes.reopen("h", one.request_key, "its block is gone", 9.0)
    assert not await ledger.lanes.reopen("h", one.request_key, "again", 9.0)
    found = await ledger.lanes.find(one.request_key)
    assert found is not None
    assert found == replace(
        one, phase=Phase.SENT, waits_for=Wait.BLOCK, reason="its block is gone", nonce=0,
        transactions=(replace(t, sent_at=9.0), replace(bump, sent_at=9.0)),
    )  # fmt: skip
    assert await ledger.lanes.landed(LANE, 5) == []
    assert not await ledger.lanes.sign("h", two, transaction(two, 0, "0xv"), budget=None)
    await ledger.lanes.change("h", one.request_key, done)
    assert [s.request_key for s in await ledger.lanes.untold(LANE)] == [one.request_key]
    audit: Any = await ledger.audit(Unit("noop", "bench", "1"))
    assert "undone" in [e["event"] for e in audit["events"]]


async def test_a_budget_counts_the_worst_until_it_is_known(ledger: SqlLedger) -> None:
    one, two = await entered(ledger, submission("1"), submission("2"))
    dear = replace(transaction(one, max_fee=10**15), signed_at=10.0**10)
    await ledger.lanes.sign("h", one, dear, budget=50_000 * 10**15)
    found = await ledger.lanes.find(one.request_key)
    assert found is not None
    bump = replace(transaction(one, 0, "0xu", 2 * 10**15), signed_at=10.0**10)
    with pytest.raises(SpendingCapReached):
        await ledger.lanes.sign("h", found, bump, budget=50_000 * 10**15)
    landed = replace(dear, fate=Fate.LANDED, block=1, gas_used=1, gas_price=1)
    await ledger.lanes.change("h", one.request_key, Change(Phase.LANDED, transactions=(landed,)))
    next_ = replace(transaction(two, 1, max_fee=10**15), signed_at=10.0**10)
    with pytest.raises(SpendingCapReached):
        await ledger.lanes.sign("h", two, next_, budget=50_000 * 10**15)
    assert await ledger.lanes.sign("h", two, next_, budget=50_000 * 10**15 + 1)


async def test_orders_fit_or_are_refused(ledger: SqlLedger) -> None:
    one, two, three = await entered(ledger, submission("1"), submission("2"), submission("3"))
    await ledger.lanes.sign("h", one, transaction(one), budget=None)

    async def order(name: str, unit: str = "", **more: str) -> str:
        return await ledger.lanes.order(LaneOrder(name, LANE, unit and f"noop/bench/{unit}", by="op", **more))

    await order("pause", reason="maintenance")
    row = await ledger.lanes.row(LANE)
    assert row is not None
    assert (row.paused, row.reason) == (True, "maintenance")
    await order("resume")
    await order("raise_cap", max_fee=str(10**20))
    await order("raise_cap", "2", max_fee="5")
    row, found = await ledger.lanes.row(LANE), await ledger.lanes.find(two.request_key)
    assert row is not None
    assert found is not None
    assert (row.paused, row.max_fee, found.max_fee) == (False, 10**20, 5)
    await order("skip", "2", reason="old")
    await order("cancel", "1")
    for name, unit in (
        ("skip", "1"),
        ("skip", "2"),
        ("retry", "1"),
        ("cancel", "9"),
        ("pause", "3"),
        ("skip", ""),
    ):
        with pytest.raises(InvalidInput):
            await order(name, unit)
    with pytest.raises(InvalidInput, match="decimal digits"):
        await order("raise_cap", max_fee="1 gwei")
    with pytest.raises(InvalidInput, match="no such lane"):
        await ledger.lanes.order(LaneOrder("pause", "lane/1/0x"))
    wanted = await ledger.lanes.find(one.request_key)
    assert wanted is not None
    assert wanted.want == "cancel"
    await ledger.lanes.change("h", three.request_key, Change(waits_for=Wait.OPERATOR, reason="broken"))
    await order("retry", "3")
    again = await ledger.lanes.find(three.request_key)
    assert again is not None
    assert not again.parked


async def test_two_hands_at_once_take_one_nonce_once(ledger: SqlLedger) -> None:
    given = await entered(ledger, *(submission(str(n)) for n in range(6)))
    kept = await asyncio.gather(
        *(ledger.lanes.sign("h", s, transaction(s, 0, f"0x{s.key}"), budget=None) for s in given)
    )
    assert sum(kept) == 1


async def test_what_has_moved_to_another_lane_is_not_signed_in_the_former(ledger: SqlLedger) -> None:
    (seen,) = await entered(ledger, submission())
    elsewhere = replace(submission(by="run:2"), lane="lane/31337/0xbb")
    assert (await ledger.lanes.enter(elsewhere, 31337, "0xBb")).lane == elsewhere.lane
    assert not await ledger.lanes.sign("h", seen, transaction(seen), budget=None)
    await ledger.lanes.take(elsewhere.lane, "i")
    (moved,) = await ledger.lanes.open(elsewhere.lane)
    assert (moved.phase, moved.transactions) == (Phase.WAITING, ())
    assert await ledger.lanes.sign("i", moved, transaction(moved), budget=None)


async def test_the_same_transaction_signed_again_is_followed_again(ledger: SqlLedger) -> None:
    (one,) = await entered(ledger, submission())
    t = transaction(one)
    assert await ledger.lanes.sign("h", one, t, budget=None)
    gone = Change(
        Phase.WAITING, clear_nonce=True, transactions=(replace(t, sent_at=6.0, fate=Fate.DISPLACED),)
    )
    await ledger.lanes.change("h", one.request_key, gone)
    seen = await ledger.lanes.find(one.request_key)
    assert seen is not None
    assert seen.live == ()
    assert await ledger.lanes.sign("h", seen, t, budget=None)
    again = await ledger.lanes.find(one.request_key)
    assert again is not None
    assert (again.phase, again.nonce, again.live) == (Phase.SENT, 0, (t,))


async def test_an_audit_says_behind_whom_a_call_waits_and_why(ledger: SqlLedger) -> None:
    lanes = ledger.lanes
    for key in ("1", "2"):
        await lanes.enter(submission(key), 31_337, "0xAa")
    await lanes.take(LANE, "h")
    first, second = await lanes.open(LANE)
    assert await lanes.sign("h", first, transaction(first), budget=None)
    await lanes.change("h", first.request_key, Change(waits_for=Wait.FEES, reason="too dear"))
    audit: Any = await ledger.audit(Unit("noop", "bench", second.key))
    (shown,) = audit["lane"]
    assert shown["reason"] == f"behind {first.name}, which holds the lane up: too dear"
    assert (await lanes.open(LANE))[1].reason == second.reason
    audit = await ledger.audit(Unit("noop", "bench", first.key))
    assert audit["lane"][0]["reason"] == "too dear"
