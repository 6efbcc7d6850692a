"""The job table on SQLite and Postgres: written once, never taken back, and readable by upstream's tools."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import create_engine, inspect, text

from provery.core.errors import ConfigurationError, InvalidInput, SinkUnavailable
from provery.core.types import Json
from provery.systems.queue.model import RowStatus, Submission
from provery.systems.queue.table import JobTable
from tests.support.queue import REQUEST, shared_postgres

PROOF: dict[str, Json] = {
    "pi_a": ["1", "2", "1"],
    "pi_b": [["1", "2"], ["3", "4"], ["1", "0"]],
    "pi_c": ["5", "6", "1"],
}


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def table(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[JobTable]:
    url = f"sqlite:///{tmp_path}/queue.db" if request.param == "sqlite" else shared_postgres().url
    made = JobTable(url)
    await made.prepare()
    yield made
    await made.close()


def ids(count: int) -> list[str]:
    return [str(uuid.uuid4()) for _ in range(count)]


def submission(id: str, mark: str = "1") -> Submission:
    return Submission(id, REQUEST, {"root": mark}, PROOF)


async def test_the_way_of_a_row(table: JobTable) -> None:
    (id,) = ids(1)
    fresh, row = await table.enqueue(id, REQUEST, "q")
    assert (fresh, row.status, row.proof, row.error) == (True, RowStatus.QUEUED, None, None)
    assert datetime.fromisoformat(row.created_at).tzinfo is not None
    assert (await table.enqueue(id, REQUEST, "q"))[0] is False
    assert (await table.admit({id: REQUEST}))[id].status is RowStatus.QUEUED
    assert (await table.admit({id: REQUEST}))[id].status is RowStatus.RUNNING
    assert await table.submit([submission(id)]) == {id}
    done = await table.get(id)
    assert done is not None
    assert (done.status, done.proof, done.public_inputs, done.request) == (
        RowStatus.DONE,
        PROOF,
        {"root": "1"},
        REQUEST,
    )


async def test_a_result_is_written_once_whoever_comes_first(table: JobTable) -> None:
    (id,) = ids(1)
    won = await asyncio.gather(*(table.submit([submission(id, str(n))]) for n in range(8)))
    assert sorted(map(len, won)) == [0] * 7 + [1]
    row = await table.get(id)
    assert row is not None
    assert row.public_inputs == {"root": str(next(n for n, ids in enumerate(won) if ids))}


async def test_a_done_row_tells_who_comes_with_another_request(table: JobTable) -> None:
    mine, free, odd = ids(3)
    assert await table.taken([]) == set()
    await table.submit([submission(mine)])
    await table.admit({free: {"other": 1}})
    same, other = submission(mine), replace(submission(mine), request={"other": 1})
    assert await table.submit([other]) == set()
    assert await table.taken([same, submission(free)]) == set(), (
        "a row that is not done can still be taken over"
    )
    assert await table.taken([other]) == {mine}
    numbers: dict[str, Json] = {"a": 1e2, "b": [1e23, -0.0, 1.5], "c": True}
    await table.submit([replace(submission(odd), request=numbers)])
    assert await table.taken([replace(submission(odd), request=numbers)]) == set(), (
        "however a column writes them"
    )
    assert await table.taken([replace(submission(odd), request=numbers | {"c": 1})]) == {odd}


async def test_done_stays_and_failed_only_moves_on(table: JobTable) -> None:
    done, bad = ids(2)
    await table.submit([submission(done)])
    stood = await table.fail({done: ("late", None), bad: ("broken \x00 text", None)})
    assert list(stood) == [done]
    before = await table.get(done)
    assert (await table.admit({done: REQUEST}))[done].status is RowStatus.DONE
    assert await table.get(done) == before
    failed = await table.get(bad)
    assert failed is not None
    assert (failed.status, failed.error, failed.request) == (RowStatus.FAILED, "broken  text", {})
    admitted = (await table.admit({bad: REQUEST}))[bad]
    assert (admitted.status, admitted.same) == (RowStatus.FAILED, False)
    corrected = await table.get(bad)
    assert corrected is not None
    assert (corrected.status, corrected.request, corrected.error) == (RowStatus.RUNNING, REQUEST, None)
    await table.fail({bad: ("again", None)})
    assert (await table.admit({bad: REQUEST}))[bad].same
    tried = await table.get(bad)
    assert tried is not None
    assert (tried.status, tried.error) == (RowStatus.FAILED, "again"), "the same request never takes it back"
    await table.submit([submission(bad)])
    proved = await table.get(bad)
    assert proved is not None
    assert (proved.status, proved.error) == (RowStatus.DONE, None)


async def test_another_request_never_replaces_one_in_flight(table: JobTable) -> None:
    (id,) = ids(1)
    await table.admit({id: REQUEST})
    stood = (await table.admit({id: REQUEST | {"epoch": 2}}))[id]
    assert (stood.status, stood.same) == (RowStatus.RUNNING, False)
    row = await table.get(id)
    assert row is not None
    assert row.request == REQUEST


async def test_many_at_once_from_many_sides(table: JobTable) -> None:
    several = ids(40)
    await asyncio.gather(*(table.admit(dict.fromkeys(several[n : n + 20], REQUEST)) for n in range(0, 30, 5)))
    await asyncio.gather(
        *(table.submit([submission(id) for id in several[n : n + 20]]) for n in range(0, 30, 5))
    )
    await asyncio.gather(*(table.fail(dict.fromkeys(several, ("x", None))) for _ in range(3)))
    rows = await asyncio.gather(*(table.get(id) for id in several))
    assert all(row and row.status in (RowStatus.DONE, RowStatus.FAILED) for row in rows)


async def test_the_outbox_and_what_is_unfinished(table: JobTable) -> None:
    (id,) = ids(1)
    await table.enqueue(id, REQUEST, "q")
    soon, past = datetime.now(UTC) + timedelta(seconds=5), datetime.now(UTC) - timedelta(hours=1)
    assert (await table.undelivered("q", soon))[id] == REQUEST
    assert id not in await table.undelivered("q", past)
    assert await table.undelivered("another queue", soon) == {}
    assert id not in await table.unfinished("q", soon)
    await table.delivered([id])
    assert id not in await table.undelivered("q", soon)
    assert (await table.unfinished("q", soon))[id] == REQUEST
    assert await table.unfinished("another queue", soon) == {}
    await table.submit([submission(id)])
    assert id not in await table.unfinished("q", soon)


async def test_newest_first(table: JobTable) -> None:
    several = ids(5)
    for id in several:
        await table.enqueue(id, REQUEST, "q")
    assert [row.id for row in await table.newest(3)] == several[:1:-1]


async def test_a_value_that_no_column_holds_is_the_senders_fault(tmp_path: Path) -> None:
    table = JobTable(shared_postgres().url)
    with pytest.raises(InvalidInput, match="cannot hold"):
        await table.admit({str(uuid.uuid4()): {"a": "nul \x00"}})
    await table.close()


async def test_an_upstream_table_is_taken_over_as_it_is(tmp_path: Path) -> None:
    url, name = shared_postgres().url, "u" + uuid.uuid4().hex[:8]
    admin = create_engine(url.replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT")
    with admin.connect() as db:
        db.execute(text(f"CREATE DATABASE {name}"))
    admin.dispose()
    url = url.rsplit("/", 1)[0] + "/" + name
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as db:
        db.execute(
            text(
                "CREATE TABLE zkp_jobs (id TEXT PRIMARY KEY, status TEXT NOT NULL, request JSONB NOT NULL, "
                "public_inputs JSONB, proof JSONB, error TEXT, created_at TIMESTAMPTZ DEFAULT now(), "
                "updated_at TIMESTAMPTZ DEFAULT now())"
            )
        )
        db.execute(
            text("INSERT INTO zkp_jobs (id, status, request) VALUES ('old', 'queued', '{\"root\": \"1\"}')")
        )
    first, second = JobTable(url), JobTable(url)
    await asyncio.gather(first.prepare(), second.prepare())
    row = await first.get("old")
    assert row is not None
    assert (row.status, row.request) == (RowStatus.QUEUED, {"root": "1"})
    assert {index["name"] for index in inspect(engine).get_indexes("zkp_jobs")} >= {"zkp_jobs_status_idx"}
    await first.submit([submission("new")])
    with engine.begin() as db:
        kinds = db.execute(
            text("SELECT jsonb_typeof(proof), jsonb_typeof(public_inputs) FROM zkp_jobs WHERE id = 'new'")
        )
        assert kinds.one() == ("object", "object")
        untouched: Any = db.execute(text("SELECT proof IS NULL FROM zkp_jobs WHERE id = 'old'")).scalar()
        assert untouched is True
    engine.dispose()
    await first.close()
    await second.close()


async def test_a_database_that_is_away_or_unknown_says_so() -> None:
    table = JobTable("postgres://secret:word@127.0.0.1:1/x")
    with pytest.raises(SinkUnavailable, match="unreachable") as caught:
        await table.ping()
    assert "word" not in str(caught.value)
    await table.close()
    with pytest.raises(ConfigurationError, match="expected postgres"):
        JobTable("mysql://x")
