"""One suite over both ledgers: SQLite on a real file, and a real Postgres."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql

from provery.core.errors import ConfigurationError, InvalidInput, LedgerUnavailable, SpendingCapReached
from provery.core.ports import Budget
from provery.core.types import Unit, UnitStatus, Work
from provery.local.servers import PostgresServer
from provery.stores.database import Database
from provery.stores.ledger import SqlLedger, migrate, open_ledger, schema_version
from provery.stores.schema import REVISION
from provery.stores.tables import LedgerModel
from tests.unit.stores.makers import PLAN, attempt, end, result, unit

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    started = PostgresServer(tmp_path_factory.mktemp("pg"), fsync=False)
    asyncio.run(started.start())
    yield started
    asyncio.run(started.kill())


def new_database(server: PostgresServer) -> str:
    name = f"ledger_{uuid.uuid4().hex}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.url.rsplit("/", 1)[0] + f"/{name}"


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


async def test_claim_inserts_once_and_reopens_what_may_be(ledger: SqlLedger) -> None:
    first = unit(root="1")
    (row,) = await ledger.claim([Work(first, PLAN)])
    assert (row.unit, row.status, row.workflow_id, row.plan) == (
        first,
        UnitStatus.RUNNING,
        first.workflow_id,
        PLAN,
    )
    # Running: neither owner nor parameters change.
    (row,) = await ledger.claim([Work(unit(root="2"), PLAN)], "batch/1")
    assert (row.unit, row.workflow_id) == (first, first.workflow_id)
    # Failed or cancelled: reopened, for a new owner, with the same or corrected parameters.
    for status in (UnitStatus.FAILED, UnitStatus.CANCELLED):
        stands = (await ledger.claim([Work(first, PLAN)]))[0].unit
        assert (
            await ledger.conclude(stands, status, reason="bad", error_kind="InvalidInput", stage="fetch")
            is status
        )
        (row,) = await ledger.claim([Work(unit(root="2"), PLAN)], reopen=False)
        assert (row.status, row.reason, row.stage) == (status, "bad", "fetch")
        (row,) = await ledger.claim([Work(unit(root="2"), PLAN)], "batch/2")
        assert (row.status, row.unit.params, row.workflow_id, row.reason) == (
            UnitStatus.RUNNING, {"root": "2"}, "batch/2", "",
        )  # fmt: skip
    # Skipped by an operator: stays, unless the parameters differ. The same for done.
    for status in (UnitStatus.SKIPPED, UnitStatus.DONE):
        standing = row.unit
        assert await ledger.conclude(standing, status) is status
        assert (await ledger.claim([Work(standing, PLAN)]))[0].status is status
        (row,) = await ledger.claim([Work(unit(root=f"after {status}"), PLAN)])
        assert row.status is UnitStatus.RUNNING


async def test_claim_of_a_batch_keeps_order_and_folds_twins(ledger: SqlLedger) -> None:
    works = [Work(unit(f"b{n % 60}"), PLAN) for n in range(64)]
    rows = await ledger.claim(works, "batch/1")
    assert [row.unit.key for row in rows] == [w.unit.key for w in works]
    assert {row.workflow_id for row in rows} == {"batch/1"}
    assert await ledger.claim([]) == []
    page = await ledger.units(system="queue", stream="prove", limit=40)
    rest = await ledger.units(limit=40, before=page[-1].created_at)
    assert [row.unit.key for row in page + rest] == [f"b{n}" for n in reversed(range(60))]
    assert await ledger.units(status="done") == []
    assert await ledger.units(stream="other") == []


async def test_done_never_goes_back(ledger: SqlLedger) -> None:
    await ledger.claim([Work(unit(), PLAN)])
    await ledger.conclude(unit(), UnitStatus.FAILED, reason="late")
    await ledger.finish([], [unit()])
    for status in (
        UnitStatus.FAILED,
        UnitStatus.RUNNING,
        UnitStatus.CANCELLED,
        UnitStatus.PARKED,
        UnitStatus.SKIPPED,
    ):
        assert await ledger.conclude(unit(), status, reason="no") is UnitStatus.DONE
    assert await ledger.conclude(unit(), UnitStatus.RUNNING, generation=2) is UnitStatus.DONE
    assert await ledger.conclude(unit(), UnitStatus.RUNNING, generation=1) is UnitStatus.DONE
    row = await ledger.unit("queue", "prove", "u1")
    assert row is not None
    assert (row.status, row.reason, row.generation) == (UnitStatus.DONE, "", 2)
    assert await ledger.unit("queue", "prove", "nobody") is None


async def test_a_run_of_the_uncorrected_unit_does_not_end_its_successor(ledger: SqlLedger) -> None:
    wrong, right = unit(root="wrong"), unit(root="right")
    await ledger.claim([Work(wrong, PLAN)])
    await ledger.conclude(wrong, UnitStatus.CANCELLED)
    await ledger.claim([Work(right, PLAN)])
    await ledger.finish([], [wrong])
    assert await ledger.conclude(wrong, UnitStatus.FAILED) is UnitStatus.RUNNING
    await ledger.finish([], [right])
    row = await ledger.unit("queue", "prove", "u1")
    assert row is not None
    assert row.status is UnitStatus.DONE


async def test_ends_of_units_that_were_never_claimed_are_kept(ledger: SqlLedger) -> None:
    await ledger.finish([], [unit("lost1"), unit("lost2")])
    assert await ledger.conclude(unit("lost3"), UnitStatus.FAILED, reason="x") is UnitStatus.FAILED
    assert {row.unit.key: row.status.value for row in await ledger.units()} == {
        "lost1": "done", "lost2": "done", "lost3": "failed",
    }  # fmt: skip


async def test_adopt_compares_and_swaps(ledger: SqlLedger) -> None:
    await ledger.claim([Work(unit(), PLAN)])
    owner = unit().workflow_id
    won = await asyncio.gather(*(ledger.adopt(unit(), owner, f"batch/{n}") for n in range(8)))
    assert won.count(True) == 1
    winner = f"batch/{won.index(True)}"
    assert await ledger.adopt(unit(), owner, winner), "safe to repeat"
    assert not await ledger.adopt(unit("nobody"), owner, winner)
    await ledger.finish([], [unit()])
    assert not await ledger.adopt(unit(), winner, "batch/9")


async def test_first_result_wins_and_is_found(ledger: SqlLedger) -> None:
    one, two = attempt(unit()), attempt(unit())
    assert await ledger.begin([one]) == {}
    assert await ledger.begin([one]) == {}, "safe to repeat"
    assert await ledger.begin([two]) == {}
    assert await ledger.finish([end(two, found=result(host="two"))]) == {"m": result(host="two")}
    late = await ledger.finish([end(one, found=result(host="one"))])
    assert late == {"m": replace(result(host="two"), reused=True, seconds=0.0)}
    assert await ledger.lookup(["m", "other"]) == late
    assert await ledger.begin([attempt(unit())]) == late
    rows = (await ledger.audit(unit()))["attempts"]
    assert isinstance(rows, list)
    assert len(rows) == 2, "nothing is opened for what was found"


async def test_thirty_two_writers_record_one_result(ledger: SqlLedger) -> None:
    attempts = [attempt(unit(f"k{n}"), "same") for n in range(32)]
    await asyncio.gather(*(ledger.begin([a]) for a in attempts))
    answers = await asyncio.gather(*(ledger.finish([end(a, found=result("same", a.id))]) for a in attempts))
    assert len({answer["same"].host for answer in answers}) == 1
    assert [answer["same"].reused for answer in answers].count(False) == 1


async def test_batches_are_one_transaction_and_mix_found_failed_and_new(ledger: SqlLedger) -> None:
    units = [unit(f"x{n}") for n in range(32)]
    await ledger.claim([Work(u, PLAN) for u in units])
    early = attempt(units[3], "m3")
    await ledger.begin([early])
    await ledger.finish([end(early, found=result("m3"))])
    attempts = [attempt(u, f"m{n}") for n, u in enumerate(units)]
    assert list(await ledger.begin(attempts)) == ["m3"]
    ends = [
        end(a, "failed", "InvalidWitness") if n == 5 else end(a, found=result(f"m{n}"))
        for n, a in enumerate(attempts) if n != 3
    ]  # fmt: skip
    winners = await ledger.finish(ends, [u for n, u in enumerate(units) if n != 5])
    assert sorted(winners) == sorted(f"m{n}" for n in range(32) if n not in (3, 5))
    statuses = {row.unit.key: row.status for row in await ledger.units(limit=100)}
    assert [k for k, s in statuses.items() if s is not UnitStatus.DONE] == ["x5"]


async def test_open_attempts_of_the_dead_are_visible_then_lost(ledger: SqlLedger) -> None:
    dead, heir = attempt(unit()), attempt(unit())
    await ledger.begin([dead])
    rows = {r["id"]: r for r in (await ledger.audit(unit()))["attempts"]}  # type: ignore[union-attr,index,call-overload]
    assert (rows[dead.id]["ended_at"], rows[dead.id]["outcome"]) == (None, "")  # type: ignore[index,call-overload]
    await ledger.begin([heir])
    rows = {r["id"]: r for r in (await ledger.audit(unit()))["attempts"]}  # type: ignore[union-attr,index,call-overload]
    assert rows[dead.id]["outcome"] == "lost"  # type: ignore[index,call-overload]
    assert rows[heir.id]["ended_at"] is None  # type: ignore[index,call-overload]
    # It was not dead after all: its own word counts, once.
    await ledger.finish([end(dead, "cancelled")])
    await ledger.finish([end(dead, "failed", "ProverCrashed")])
    rows = {r["id"]: r for r in (await ledger.audit(unit()))["attempts"]}  # type: ignore[union-attr,index,call-overload]
    assert rows[dead.id]["outcome"] == "cancelled"  # type: ignore[index,call-overload]


async def test_a_result_is_kept_even_if_its_attempt_is_unknown(ledger: SqlLedger) -> None:
    assert await ledger.finish([end(attempt(unit()), found=result())]) == {"m": result()}
    assert "m" in await ledger.lookup(["m"])


async def test_bounded_failures_count_only_bounded_errors_of_the_dispatch(ledger: SqlLedger) -> None:
    cases = [
        ("failed", "ProverCrashed", "r1", "1"), ("failed", "ProverTimeout", "r1", "1"),
        ("failed", "StoreUnavailable", "r1", "1"), ("failed", "InvalidWitness", "r1", "1"),
        ("failed", "ProverCrashed", "r2", "1"), ("failed", "ProverCrashed", "r1", "2"),
        ("handed_back", "", "r1", "1"), ("cancelled", "", "r1", "1"),
    ]  # fmt: skip
    for outcome, kind, run, activity in cases:
        made = attempt(unit(), run=run, activity=activity)
        await ledger.begin([made])
        await ledger.finish([end(made, outcome, kind)])
    assert await ledger.bounded_failures(unit(), "prove", "r1", "1") == 2
    assert await ledger.bounded_failures(unit(), "prove", "r1", "2") == 1
    assert await ledger.bounded_failures(unit(), "prove", "r2", "1") == 1
    assert await ledger.bounded_failures(unit(), "prove", "r1", "3") == 0


async def test_forgetting_leaves_a_trace(ledger: SqlLedger) -> None:
    made = attempt(unit())
    await ledger.begin([made])
    await ledger.finish([end(made, found=result())])
    gone = "its artifacts are gone"
    assert [await ledger.forget("m", attempt=made.id, reason=gone) for _ in range(2)] == [True, False]
    assert await ledger.lookup(["m"]) == {}
    again = attempt(unit())
    assert await ledger.begin([again]) == {}
    assert await ledger.finish([end(again, found=result(host="again"))]) == {"m": result(host="again")}
    notes = [r["note"] for r in (await ledger.audit(unit()))["attempts"]]  # type: ignore[union-attr,index,call-overload]
    assert notes == ["result forgotten: its artifacts are gone", ""]


async def test_only_the_result_that_was_seen_is_forgotten(ledger: SqlLedger) -> None:
    first, second = attempt(unit()), attempt(unit())
    await ledger.begin([first])
    await ledger.finish([end(first, found=result())])
    seen = (await ledger.lookup(["m"]))["m"]
    assert seen.attempt == first.id
    # Another worker has found the loss as well, and has recorded the very same bytes by now.
    assert await ledger.forget("m", attempt=seen.attempt, reason="gone")
    await ledger.begin([second])
    await ledger.finish([end(second, found=result())])
    assert await ledger.forget("m", attempt=seen.attempt, reason="gone") is False
    assert (await ledger.lookup(["m"]))["m"].attempt == second.id
    notes = {a["id"]: a["note"] for a in (await ledger.audit(unit()))["attempts"]}  # type: ignore[union-attr,index,call-overload]
    assert notes == {first.id: "result forgotten: gone", second.id: ""}


async def test_of_many_that_forget_at_once_one_does(ledger: SqlLedger) -> None:
    made = attempt(unit())
    await ledger.begin([made])
    await ledger.finish([end(made, found=result())])
    done = await asyncio.gather(*(ledger.forget("m", attempt=made.id, reason="gone") for _ in range(8)))
    assert sorted(done) == [False] * 7 + [True]


async def test_results_of_a_fan_out(ledger: SqlLedger) -> None:
    attempts = [attempt(unit(), f"m{n}", shard=n) for n in range(300)]
    attempts.append(attempt(unit(root="other"), "foreign", shard=0))
    attempts.append(attempt(unit(), "whole"))
    await ledger.begin(attempts)
    await ledger.finish([end(a, found=result(a.memo_key)) for a in attempts])
    newer = attempt(unit(), "m7-again", shard=7)
    await ledger.begin([newer])
    await ledger.finish([end(newer, found=result("m7-again"))])
    found = await ledger.results(unit(), "prove", 0)
    assert sorted(found) == list(range(300))
    assert found[0].memo_key == "m0"
    assert found[7].memo_key == "m7-again"
    assert await ledger.results(unit(), "prove", 1) == {}


async def test_outward_calls_are_written_before_and_after(ledger: SqlLedger) -> None:
    first = await ledger.intend(unit(), "l1/0xabc", "req", {"nonce": 5})
    assert (first["new"], first["detail"], first["receipt"]) == (True, {"nonce": 5}, None)
    second = await ledger.intend(unit(), "l1/0xabc", "req", {"nonce": 6})
    assert (second["new"], second["detail"]) == (False, {"nonce": 5})
    await ledger.receipt("req", {"tx": "0x1"}, cost=0.5)
    await ledger.receipt("req", {"tx": "0x2"}, cost=9.0)
    await ledger.receipt("unknown", {"tx": "0x3"})
    third = await ledger.intend(unit(), "l1/0xabc", "req", {})
    assert (third["receipt"], third["cost"]) == ({"tx": "0x1"}, 0.5)
    assert (await ledger.intend(unit(), "", "unknown", {}))["receipt"] == {"tx": "0x3"}


async def test_an_outcome_adds_to_the_receipt(ledger: SqlLedger) -> None:
    await ledger.intend(unit(), "d", "req", {}, cost=2.0)
    await ledger.settle("req", {"unpaid": "refused"}, cost=0.0)
    await ledger.receipt("req", {"late": True}, cost=9.0)
    await ledger.settle("req", {"unpaid": "cancelled", "at": 5}, cost=0.25)
    await ledger.settle("req", {"at": 6}, cost=0.25)
    found = await ledger.intend(unit(), "d", "req", {})
    assert (found["receipt"], found["cost"]) == ({"unpaid": "cancelled", "at": 6}, 0.25)


async def test_a_budget_holds_for_one_stream_one_destination_and_one_span(ledger: SqlLedger) -> None:
    day = Budget(1.0, 86_400.0)
    mine, other = unit(), replace(unit(), stream="prove_2")  # `_` is any character to LIKE
    like = replace(unit(), stream="provex2")
    await ledger.intend(mine, "net", "a", {}, cost=0.6, budget=day)
    with pytest.raises(SpendingCapReached, match=r"0\.6 in the last 24 h, and now 0\.5.*at most 1"):
        await ledger.intend(mine, "net", "b", {}, cost=0.5, budget=day)
    assert [s["request_key"] for s in (await ledger.audit(mine))["submissions"]] == ["a"]  # type: ignore[union-attr,index,call-overload]
    await ledger.intend(mine, "net", "b", {}, cost=0.4, budget=day)
    assert not (await ledger.intend(mine, "net", "b", {}, cost=9.0, budget=day))[
        "new"
    ]  # known, so already counted
    await ledger.intend(mine, "elsewhere", "c", {}, cost=1.0, budget=day)
    await ledger.intend(other, "net", "d", {}, cost=1.0, budget=day)
    await ledger.intend(like, "net", "e", {}, cost=1.0, budget=day)
    await ledger.intend(mine, "net", "f", {}, cost=1.0, budget=Budget(1.0, 0.0))
    await ledger.settle("a", {"unpaid": "cancelled"}, cost=0.0)
    await ledger.settle("f", {"unpaid": "cancelled"}, cost=0.0)
    await ledger.intend(mine, "net", "g", {}, cost=0.6, budget=day)


async def test_what_is_left_of_a_budget_is_taken_once(ledger: SqlLedger) -> None:
    async def take(number: int) -> bool:
        try:
            await ledger.intend(unit(), "net", f"r{number}", {}, cost=0.1, budget=Budget(0.5, 3600.0))
        except SpendingCapReached:
            return False
        return True

    assert sum(await asyncio.gather(*(take(n) for n in range(20)))) == 5


async def test_the_audit_tells_everything(ledger: SqlLedger) -> None:
    await ledger.claim([Work(unit(), PLAN)])
    failed, made = attempt(unit()), attempt(unit())
    await ledger.begin([failed])
    await ledger.finish([end(failed, "failed", "ProverCrashed")])
    await ledger.begin([made])
    row = await ledger.unit("queue", "prove", "u1")
    assert row is not None
    assert (row.run_id, row.stage) == ("r1", "prove")
    await ledger.intend(unit(), "d", "req", {})
    await ledger.receipt("req", {}, cost=1.0)
    await ledger.finish([end(made, found=result())], [unit()])
    await ledger.finish([end(made, found=result())], [unit()])
    told = await ledger.audit(unit())
    assert told["unit"]["status"] == "done"  # type: ignore[index,call-overload]
    assert told["unit"]["plan"]["fairness"] == "tenant"  # type: ignore[index,call-overload]
    assert [r["outcome"] for r in told["attempts"]] == ["failed", "done"]  # type: ignore[union-attr,index,call-overload]
    assert told["results"][0]["outputs"][0]["size"] == 800  # type: ignore[index,call-overload]
    assert [e["event"] for e in told["events"]] == ["claimed", "done"]  # type: ignore[union-attr,index,call-overload]
    assert told["costs"] == {
        "total": 1.5, "computing": 0.5, "submissions": 1.0, "cpu_s": 4.0, "peak_rss": 5 * 10**9,
        "wall_s": pytest.approx(0, abs=5), "attempts": {"done": 1, "failed": 1},
    }  # fmt: skip
    assert (await ledger.audit(unit("nobody")))["unit"] is None


async def test_hostile_values_neither_break_nor_leak(ledger: SqlLedger) -> None:
    hostile = Unit(
        "queue", "prove", "x'; DROP TABLE units; --", {"s": "nul \x00 \ud800"}, title="\x00\ud800 title"
    )
    (row,) = await ledger.claim([Work(hostile, PLAN)])
    assert row.unit.params == hostile.params
    made = attempt(hostile)
    await ledger.begin([made])
    bad = replace(end(made, "failed", "ProverCrashed"), error="\x00 postgres://u:hunter22@h/d " + "x" * 10**5)
    await ledger.finish([bad])
    told = str(await ledger.audit(hostile))
    assert "hunter22" not in told
    assert len(told) < 20_000
    with pytest.raises(InvalidInput, match="does not fit"):
        await ledger.claim([Work(replace(unit("big"), ordinal=2**70), PLAN)])
    with pytest.raises(InvalidInput, match="ledger"):
        await ledger.claim([Work(Unit("queue", "prove", "k\ud800"), PLAN)])


async def test_the_catalogue_of_circuits(ledger: SqlLedger) -> None:
    catalog = ledger.catalog
    assert await catalog.get("membership") is None
    v1 = await catalog.add("membership", {"version": "aa", "size": 1})
    v2 = await catalog.add("membership", {"size": 2})
    assert await catalog.add("membership", {"version": "aa", "size": 99}) == v1 == "aa"
    newest, oldest = await catalog.get("membership"), await catalog.get("membership", "aa")
    assert newest is not None
    assert oldest is not None
    assert (newest["version"], newest["size"], oldest["size"]) == (v2, 2, 1)
    assert [m["version"] async for m in catalog.all()] == [v2, "aa"]


async def test_migrations_build_exactly_the_tables(url: str) -> None:
    assert schema_version(url) is None
    with pytest.raises(ConfigurationError, match="provery ledger migrate"):
        open_ledger(url, migrate=False)
    # Many workers start at once on an empty database.
    await asyncio.gather(*(asyncio.to_thread(migrate, url) for _ in range(4)))
    assert schema_version(url) == REVISION
    database = Database(url)
    try:
        options = {"version_table": "provery_schema", "compare_server_default": True}
        differences = database.write_now(
            lambda c: compare_metadata(MigrationContext.configure(c, opts=options), LedgerModel.metadata)
        )
        assert differences == []
        database.write_now(lambda c: c.exec_driver_sql("UPDATE provery_schema SET version_num = '9999'"))
    finally:
        database.close_now()
    with pytest.raises(ConfigurationError, match="newer Provery"):
        open_ledger(url)


RECORDER = """
    import asyncio, sys, time
    sys.path.insert(0, sys.argv[3])
    from tests.unit.stores.makers import attempt, end, result, unit
    from provery.stores.ledger import open_ledger
    async def main():
        ledger = open_ledger(sys.argv[1])
        hosts = []
        for n in range(30):
            made = attempt(unit(), f"m{n}")
            await ledger.begin([made])
            found = await ledger.finish([end(made, found=result(f"m{n}", sys.argv[2]))])
            hosts.append((await ledger.lookup([f"m{n}"]))[f"m{n}"].host)
        print(",".join(hosts))
        await ledger.close()
    asyncio.run(main())
"""


async def test_two_processes_recording_the_same_work_agree(url: str, ledger: SqlLedger) -> None:
    root = str(Path(__file__).parents[2])
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", textwrap.dedent(RECORDER), url, who, root, stdout=subprocess.PIPE
        )
        for who in ("a", "b", "c")
    ]
    answers = {(await child.communicate())[0] for child in children}
    assert [child.returncode for child in children] == [0, 0, 0]
    assert len(answers) == 1, "every process sees the same winners"


async def test_a_killed_writer_loses_nothing_recorded(url: str, ledger: SqlLedger) -> None:
    script = RECORDER.replace("range(30)", "range(10**6)").replace(
        "hosts.append", "print(n, flush=True); hosts.append"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        textwrap.dedent(script),
        url,
        "a",
        str(Path(__file__).parents[2]),
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    last = 0
    while last < 30:
        last = int(await child.stdout.readline())
    child.send_signal(signal.SIGKILL)
    await child.wait()
    assert len(await ledger.lookup([f"m{n}" for n in range(last + 1)])) == last + 1


class TestPostgres:
    """What only a server can do."""

    async def test_a_restart_in_mid_use_is_ridden_out(self, postgres: PostgresServer) -> None:
        ledger = open_ledger(new_database(postgres))
        stop = asyncio.Event()
        recorded: list[str] = []

        async def work(name: str) -> None:
            number = 0
            while not stop.is_set():
                number += 1
                made = attempt(unit(), f"{name}-{number}")
                try:
                    await ledger.begin([made])
                except LedgerUnavailable:
                    continue
                await ledger.finish([end(made, found=result(made.memo_key))])
                recorded.append(made.memo_key)

        workers = [asyncio.create_task(work(f"w{n}")) for n in range(4)]
        await asyncio.sleep(0.5)
        await postgres.kill()
        await asyncio.sleep(0.5)
        before = len(recorded)
        await postgres.start()
        await asyncio.sleep(1.5)
        stop.set()
        await asyncio.gather(*workers)
        assert len(recorded) > before > 0
        assert len(await ledger.lookup(recorded)) == len(recorded)
        await ledger.close()

    async def test_an_absent_server_is_transient_and_a_wrong_one_is_not(
        self, postgres: PostgresServer
    ) -> None:
        base = postgres.url.rsplit("@", 1)[1].rsplit("/", 1)[0]
        for wrong, says in (
            (f"postgresql://provery@{base}/no-such-database", "does not exist"),
            (f"postgresql://nobody:pw-123456@{base}/provery", "does not exist"),
        ):
            with pytest.raises(ConfigurationError, match=says) as refused:
                open_ledger(wrong)
            assert "pw-123456" not in str(refused.value)
        started = time.monotonic()
        with pytest.raises(LedgerUnavailable) as absent:
            open_ledger("postgres://me:pw-123456@127.0.0.1:1/ledger")
        assert "pw-123456" not in str(absent.value)
        assert time.monotonic() - started < 10

    async def test_a_statement_has_a_time_limit(self, postgres: PostgresServer) -> None:
        database = Database(postgres.url)
        limit = await database.read(lambda c: c.exec_driver_sql("SHOW statement_timeout").scalar())
        assert limit == "30s"
        await database.close()


class TestSqlite:
    """What only a file can suffer."""

    async def test_addresses_that_forget_or_mislead_are_refused(self, tmp_path: Path) -> None:
        for url in (
            "sqlite://",
            "sqlite:///:memory:",
            "mysql://h/d",
            "nonsense",
            f"sqlite:///{tmp_path}/x?mode=ro",
        ):
            with pytest.raises(ConfigurationError):
                open_ledger(url)

    async def test_a_foreign_file_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.db"
        path.write_bytes(b"this is a letter, not a database" * 100)
        with pytest.raises(ConfigurationError, match="not a database"):
            open_ledger(f"sqlite:///{path}")
        with pytest.raises(ConfigurationError):
            open_ledger(f"sqlite:///{tmp_path}")
        assert path.read_bytes().startswith(b"this is a letter")

    async def test_lost_tables_name_the_command(self, tmp_path: Path) -> None:
        ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        with sqlite3.connect(tmp_path / "ledger.db") as connection:
            connection.execute("DROP TABLE units")
        connection.close()
        with pytest.raises(ConfigurationError, match="provery ledger migrate"):
            await ledger.units()
        await ledger.close()

    async def test_write_ahead_logging_is_on_and_full_sync_can_be_had(self, tmp_path: Path) -> None:
        url = f"sqlite:///{tmp_path / 'ledger.db'}?synchronous=full"
        migrate(url)
        database = Database(url)
        pragmas = [
            await database.read(lambda c, p=p: c.exec_driver_sql(f"PRAGMA {p}").scalar())  # type: ignore[misc]
            for p in ("journal_mode", "synchronous")
        ]
        assert pragmas == ["wal", 2]
        await database.close()

    async def test_a_reader_never_waits_for_a_writer(self, tmp_path: Path) -> None:
        path = tmp_path / "ledger.db"
        ledger = open_ledger(f"sqlite:///{path}")
        await ledger.claim([Work(unit(), PLAN)])
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        try:
            writing = asyncio.create_task(ledger.claim([Work(unit("u2"), PLAN)]))
            await asyncio.sleep(0.05)
            assert len(await ledger.units()) == 1
            assert not writing.done()
        finally:
            other.execute("COMMIT")
            other.close()
        await writing
        await ledger.close()
