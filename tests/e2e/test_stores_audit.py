"""The audit trail in both ledgers: group commit, several writers, and hands that change what was written."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from provery.core.access import AuditEntry
from provery.core.audit_chain import START, parts_of, row_hash
from provery.core.errors import ConfigurationError, InvalidInput, LedgerUnavailable
from provery.local.servers import PostgresServer
from provery.stores.database import Database
from provery.stores.ledger import SqlLedger, open_ledger
from tests.support.ledgers import child, children, new_database, new_ledger

pytestmark = pytest.mark.e2e


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return new_ledger(request.param, tmp_path)


@pytest.fixture
async def ledger(url: str) -> AsyncIterator[SqlLedger]:
    opened = open_ledger(url)
    yield opened
    await opened.close()


def entry(number: int = 0, **more: Any) -> AuditEntry:
    given: dict[str, Any] = {
        "at": 1_700_000_000.25 + number, "who": "key:ab", "action": "prove", "outcome": "ok", "latency_ms": 1.5,
        "digests": {"request": "ab" * 32}, "detail": {"n": number},
    }  # fmt: skip
    return AuditEntry(**{**given, **more})


async def test_rows_are_chained_and_come_back(ledger: SqlLedger) -> None:
    audit = ledger.access.audit
    assert await audit.check() == (0, None)
    assert await audit.check(START) == (0, None)
    rows = [await audit.append(entry(n)) for n in range(3)]
    assert [(r.seq, r.previous) for r in rows] == [(1, START), (2, rows[0].hash), (3, rows[1].hash)]
    assert [r async for r in audit.rows()] == rows
    assert [r.seq async for r in audit.rows(after=1, limit=1)] == [2]
    assert [r.entry for r in rows] == [entry(n) for n in range(3)]
    assert await audit.check(rows[1].hash) == (3, None)
    assert await ledger.audit_trail.head() == (3, rows[2].hash)
    count, fault = await audit.check("ab" * 32)
    assert count == 3
    assert fault is not None
    assert "no row has the expected head" in fault.what
    with pytest.raises(InvalidInput, match="64 hexadecimal"):
        await audit.check("nonsense")


async def test_what_is_kept_is_bounded_and_holds_no_secrets(ledger: SqlLedger) -> None:
    secret = f"pk_{'ab' * 8}_{'q' * 52}"
    hostile = entry(
        who=f"ip:{'x' * 10_000}",
        detail={"url": "postgres://u:hunter22@h/d", "key": secret, "nul": "\x00\ud800", "inf": float("inf")},
    )
    (row, large) = await asyncio.gather(
        ledger.access.audit.append(hostile),
        ledger.access.audit.append(entry(detail={"x": ["y" * 3000] * 99})),
    )
    text = str([line async for line in ledger.audit_trail.lines()])
    assert "hunter22" not in text
    assert "q" * 52 not in text
    assert len(text) < 6_000
    assert row.entry.detail["inf"] == "inf"
    assert list(large.entry.detail) == ["omitted"]
    assert await ledger.access.audit.check() == (2, None)
    for wrong in (entry(at=float("nan")), entry(latency_ms=float("inf"))):
        with pytest.raises(InvalidInput, match="no number"):
            await ledger.access.audit.append(wrong)


async def test_appends_that_come_together_share_a_transaction(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    transactions, write = [], Database.write

    async def counted(self: Database, work: Any, **more: Any) -> Any:
        transactions.append(work)
        return await write(self, work, **more)

    monkeypatch.setattr(Database, "write", counted)
    rows = await asyncio.gather(*(ledger.access.audit.append(entry(n)) for n in range(400)))
    assert sorted(r.seq for r in rows) == list(range(1, 401))
    assert len(transactions) <= 3
    assert await ledger.access.audit.check() == (400, None)


async def test_a_caller_that_leaves_leaves_its_row(ledger: SqlLedger) -> None:
    going = [asyncio.create_task(ledger.access.audit.append(entry(n))) for n in range(8)]
    await asyncio.sleep(0)
    for task in going[::2]:
        task.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    assert await ledger.access.audit.check() == (8, None)


async def test_a_commit_whose_answer_was_lost_is_not_repeated(
    ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, run = [1, 1], Database._run

    def forgetful(self: Database, engine: Any, work: Any) -> Any:
        done = run(self, engine, work)
        if lost:
            lost.pop()
            raise LedgerUnavailable("the connection broke after the commit")
        return done

    monkeypatch.setattr(Database, "_run", forgetful)
    rows = await asyncio.gather(*(ledger.access.audit.append(entry(n)) for n in range(5)))
    assert [r.seq for r in rows] == [1, 2, 3, 4, 5]
    assert await ledger.access.audit.check() == (5, None)


APPENDER = """
    import asyncio
    from provery.core.access import AuditEntry
    async def main(ledger, who):
        async def one(n):
            row = await ledger.access.audit.append(AuditEntry(float(n), f"key:{who}", "prove", "ok", 1.0))
            print(row.seq, row.hash, flush=True)
        for start in range(0, COUNT, 10):
            await asyncio.gather(*(one(start + n) for n in range(10)))
"""


async def test_several_processes_never_fork_the_chain(url: str, ledger: SqlLedger) -> None:
    told = await children(APPENDER.replace("COUNT", "120"), url, 3)
    seen = [line.split() for text in told for line in text.splitlines()]
    assert sorted(int(seq) for seq, _ in seen) == list(range(1, 361))
    assert await ledger.access.audit.check() == (360, None)
    assert {(str(r.seq), r.hash) async for r in ledger.access.audit.rows()} == {(s, h) for s, h in seen}


async def test_what_a_killed_process_was_told_is_there(url: str, ledger: SqlLedger) -> None:
    process = await child(APPENDER.replace("COUNT", "10**6"), url, "dies")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"go\n")
    told = [(await process.stdout.readline()).split() for _ in range(57)]
    process.send_signal(signal.SIGKILL)
    rest = await process.stdout.read()
    await process.wait()
    told += [
        line.split() for line in rest.splitlines() if len(line.split()) == 2 and len(line.split()[1]) == 64
    ]
    await ledger.access.audit.append(entry())
    kept = {(r.seq, r.hash) async for r in ledger.access.audit.rows()}
    assert {(int(seq), hash_.decode()) for seq, hash_ in told} <= kept
    assert await ledger.access.audit.check() == (len(kept), None)


async def test_the_walk_holds_one_page_at_a_time(ledger: SqlLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provery.stores.audit_trail.PAGE", 7)
    rows = await asyncio.gather(*(ledger.access.audit.append(entry(n)) for n in range(50)))
    assert await ledger.access.audit.check(rows[20].hash) == (50, None)
    assert [r.seq async for r in ledger.access.audit.rows(after=5, limit=20)] == list(range(6, 26))
    walking = asyncio.create_task(ledger.access.audit.check())
    more = await asyncio.gather(*(ledger.access.audit.append(entry(n)) for n in range(20)))
    count, fault = await walking
    assert fault is None
    assert 50 <= count <= 70
    assert more[-1].seq == 70


TRIGGERS = {
    "sqlite": [
        f"DROP TRIGGER IF EXISTS {name}"
        for name in ("audit_trail_update", "audit_trail_delete", "audit_head_delete", "audit_head_back")
    ],
    "postgresql": [f"ALTER TABLE {name} DISABLE TRIGGER ALL" for name in ("audit_trail", "audit_head")],
}


def tamper(url: str, *statements: str, guarded: bool = False) -> None:
    """Change the database with a hand that may do everything."""
    database = Database(url)
    try:
        for statement in ([] if guarded else TRIGGERS[database.dialect]) + list(statements):
            database.write_now(lambda c, s=statement: c.exec_driver_sql(s))  # type: ignore[misc]
    finally:
        database.close_now()


def set_head(seq: int, hash_: str) -> str:
    """A statement that says the trail ends there."""
    return f"UPDATE audit_head SET seq = {seq}, hash = '{hash_}'"  # noqa: S608 - both are ours


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_trail SET entry = '{}' WHERE seq = 2",
        "DELETE FROM audit_trail WHERE seq = 2",
        "DELETE FROM audit_trail",
        "UPDATE audit_head SET seq = 1",
        "UPDATE audit_head SET seq = seq",
        "UPDATE audit_head SET seq = 9, name = 'other'",
        "DELETE FROM audit_head",
    ],
)
async def test_the_database_refuses_changes(url: str, ledger: SqlLedger, statement: str) -> None:
    await asyncio.gather(*(ledger.access.audit.append(entry(n)) for n in range(3)))
    with pytest.raises(InvalidInput, match="append-only"):
        tamper(url, statement, guarded=True)
    await ledger.access.audit.append(entry())
    assert await ledger.access.audit.check() == (4, None)


SWAP = (
    "UPDATE audit_trail SET seq = 99 WHERE seq = 3",
    "UPDATE audit_trail SET seq = 3 WHERE seq = 4",
    "UPDATE audit_trail SET seq = 4 WHERE seq = 99",
)
LIE = "UPDATE audit_trail SET entry = replace(entry, '\"ok\"', '\"no\"') WHERE seq = 3"
CUT = "DELETE FROM audit_trail WHERE seq > 3"


@pytest.mark.parametrize(
    ("statements", "count", "seq", "what"),
    [
        (("DELETE FROM audit_trail WHERE seq = 3",), 2, 3, "missing: row 4 follows"),
        (("DELETE FROM audit_trail WHERE seq = 1",), 0, 1, "missing: row 2 follows"),
        ((LIE,), 2, 3, "changed: its hash"),
        (("UPDATE audit_trail SET entry = 'gone' WHERE seq = 3",), 2, 3, "not a row"),
        (("UPDATE audit_trail SET entry = entry || ' ' WHERE seq = 3",), 2, 3, "changed: its hash"),
        (("UPDATE audit_trail SET hash = previous WHERE seq = 3",), 2, 3, "changed: its hash"),
        (("UPDATE audit_trail SET previous = hash WHERE seq = 3",), 2, 3, "does not follow row 2"),
        (SWAP, 2, 3, "changed: it says that it is row 4"),
        ((CUT,), 3, 4, "missing: the trail should end with row 6"),
        (("DELETE FROM audit_trail",), 0, 1, "missing: the trail should end with row 6"),
        (("UPDATE audit_head SET seq = 3",), 6, 6, "the trail should end with row 3"),
        (("UPDATE audit_head SET hash = 'x'",), 6, 6, "the trail should end with row 6 and hash x"),
    ],
)  # fmt: skip
async def test_what_was_changed_is_noticed(
    url: str, ledger: SqlLedger, statements: tuple[str, ...], count: int, seq: int, what: str
) -> None:
    for n in range(6):
        await ledger.access.audit.append(entry(n))
    assert await ledger.access.audit.check() == (6, None)
    tamper(url, *statements)
    held, fault = await ledger.access.audit.check()
    assert fault is not None
    assert (held, fault.seq) == (count, seq)
    assert what in fault.what


async def test_a_trail_written_anew_is_noticed_by_a_noted_head(url: str, ledger: SqlLedger) -> None:
    rows = [await ledger.access.audit.append(entry(n)) for n in range(6)]
    # Cut together with its head: within itself the shorter chain holds.
    tamper(url, CUT, set_head(3, rows[2].hash))
    assert await ledger.access.audit.check() == (3, None)
    assert await ledger.access.audit.check(rows[2].hash) == (3, None)
    count, fault = await ledger.access.audit.check(rows[4].hash)
    assert count == 3
    assert fault is not None
    assert fault.seq == 4
    # And so it does where somebody writes others in their place.
    await ledger.access.audit.append(entry(77))
    assert await ledger.access.audit.check() == (4, None)
    assert (await ledger.access.audit.check(rows[3].hash))[1] is not None


async def test_nothing_is_appended_to_a_trail_with_a_damaged_end(url: str, ledger: SqlLedger) -> None:
    rows = [await ledger.access.audit.append(entry(n)) for n in range(3)]
    tamper(url, set_head(2, rows[1].hash))
    with pytest.raises(ConfigurationError, match="provery audit verify"):
        await ledger.access.audit.append(entry())
    tamper(url, "DELETE FROM audit_head")
    with pytest.raises(ConfigurationError, match="no head"):
        await ledger.access.audit.append(entry())
    with pytest.raises(ConfigurationError, match="no head"):
        await ledger.access.audit.check()


async def test_an_exported_line_is_what_was_hashed(ledger: SqlLedger) -> None:
    rows = [await ledger.access.audit.append(entry(n)) for n in range(3)]
    lines = [line async for line in ledger.audit_trail.lines(after=1)]
    parts = [parts_of(line) for line in lines]
    assert [(p, h) for _, p, h in parts] == [(r.previous, r.hash) for r in rows[1:]]
    assert [row_hash(p, t) for t, p, _ in parts] == [r.hash for r in rows[1:]]


async def test_a_restart_of_postgres_neither_loses_nor_doubles_a_row(tmp_path: Path) -> None:
    server = PostgresServer(tmp_path / "pg", fsync=False)
    await server.start()
    try:
        ledger = open_ledger(new_database(server))
        kept: list[str] = []
        before = 0
        stop = asyncio.Event()

        async def work(who: int) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                try:
                    row = await ledger.access.audit.append(entry(number, who=f"key:{who}", at=time.time()))
                except LedgerUnavailable:
                    continue
                kept.append(row.hash)

        workers = [asyncio.create_task(work(n)) for n in range(4)]
        for _ in range(2):
            await asyncio.sleep(0.3)
            await server.kill()
            before = len(kept)
            await server.start()
        await asyncio.sleep(1.0)
        stop.set()
        await asyncio.gather(*workers)
        assert len(kept) > before > 0
        assert len(kept) == len(set(kept))
        count, fault = await ledger.access.audit.check()
        assert fault is None
        assert set(kept) <= {row.hash async for row in ledger.access.audit.rows()}
        whos = [(r.entry.who, r.entry.detail["n"]) async for r in ledger.access.audit.rows()]
        assert len(whos) == len(set(whos)) == count, "no request has two rows"
        await ledger.close()
    finally:
        await server.kill()
