"""Who asked for which proofs, and where their hashes lead, in both ledgers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provery.core.access import Asked, Made
from provery.stores.ledger import SqlLedger, open_ledger
from tests.support.ledgers import new_ledger

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["sqlite", "postgres"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[SqlLedger]:
    opened = open_ledger(new_ledger(request.param, tmp_path))
    yield opened
    await opened.close()


def asked(proof: int, who: str, at: float) -> Asked:
    return Asked(0, f"{proof:064x}", who, at, "m", "1" * 64)


async def test_a_request_is_noted_once(ledger: SqlLedger) -> None:
    requests = ledger.access.requests
    found = await asyncio.gather(*(requests.note(asked(1, "key:a", 10.0 + i)) for i in range(8)))
    assert sorted(found) == [False] * 7 + [True]
    assert await requests.note(asked(1, "key:b", 30.0))
    assert await requests.askers(f"{1:064x}") == ["key:a", "key:b"]
    assert await requests.askers(f"{2:064x}") == []


async def test_withdrawing_counts_once_and_can_be_taken_back(ledger: SqlLedger) -> None:
    requests = ledger.access.requests
    await requests.note(asked(1, "key:a", 10.0))
    await requests.note(asked(1, "key:b", 11.0))
    found = await asyncio.gather(*(requests.withdraw(f"{1:064x}", "key:a") for _ in range(4)))
    assert sorted(found) == [False, False, False, True]
    assert await requests.askers(f"{1:064x}") == ["key:b"]
    assert await requests.note(asked(1, "key:a", 12.0))
    assert await requests.askers(f"{1:064x}") == ["key:b", "key:a"]


async def test_pages_are_complete_and_in_order(ledger: SqlLedger) -> None:
    requests = ledger.access.requests
    for number in range(7):
        await requests.note(
            asked(number, "key:a", 100.0)
        )  # all at one moment: their places differ all the same
        await requests.note(asked(number, "key:b", 200.0 + number))
    seen: list[Asked] = []
    while page := await requests.page("key:a", before=seen[-1].seq if seen else 0, limit=3):
        seen += page
    assert {one.proof for one in seen} == {f"{number:064x}" for number in range(7)}
    assert len(seen) == 7
    assert [one.seq for one in seen] == sorted((one.seq for one in seen), reverse=True)
    every = await requests.page(limit=100)
    assert len(every) == 14
    assert [one.who for one in every[:7]] == ["key:b"] * 7
    assert await requests.page("key:c") == []


async def test_hashes_lead_to_what_they_are_of(ledger: SqlLedger) -> None:
    requests = ledger.access.requests
    for number in range(12):
        made = Made(f"{number:064x}", "0xm", f"0xi{number % 2}", f"0xp{number}")
        await requests.made(made)
        await requests.made(Made(made.proof, "0xother", "0xother", "0xother"))
    assert await requests.find(proof_hash="0xp3") == [f"{3:064x}"]
    assert await requests.find(proof_hash="0xp3", model_hash="0xn") == []
    by_inputs = await requests.find(model_hash="0xm", input_hash="0xi0")
    assert len(by_inputs) == 6
    assert len(await requests.find(model_hash="0xm")) == 8
    assert await requests.find() == []
    assert await requests.find(proof_hash="0xother") == []
