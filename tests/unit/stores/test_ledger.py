from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.exc import OperationalError

from provery.core.errors import ConfigurationError, InvalidInput, LedgerUnavailable, ProveryError
from provery.core.types import Plan, Stage, StagePlan
from provery.stores import schema
from provery.stores.database import explain, parse_url
from provery.stores.rows import clean, plan_of, result_of, result_row, unit_of, unit_row
from tests.unit.stores.makers import PLAN, attempt, result, unit


def test_the_known_revision_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    assert ScriptDirectory.from_config(config).get_heads() == [schema.REVISION]


def test_units_and_results_survive_the_round_trip() -> None:
    row = unit_of(unit_row(unit(root="1"), PLAN, "owner", 5.0))
    assert (row.unit, row.plan, row.workflow_id, row.created_at) == (unit(root="1"), PLAN, "owner", 5.0)
    assert result_of(result_row(result(), attempt(unit()).id, {}, 1.0)) == result()


def test_a_plan_of_another_version_stays_readable() -> None:
    text = unit_row(unit(), PLAN, "", 0.0)["plan"]
    raw = json.loads(text)
    raw["invented_later"] = 1
    raw["stages"][0]["invented_later"] = 1
    del raw["parallel"]
    assert plan_of(json.dumps(raw)) == PLAN
    assert plan_of("") is None
    assert plan_of(json.dumps({"stages": []})) is None


def test_the_generation_of_a_unit_is_its_plans_highest() -> None:
    plan = Plan((StagePlan(Stage.FETCH, "io"), StagePlan(Stage.PROVE, "cpu", generation=3)))
    assert unit_row(unit(), plan, "", 0.0)["generation"] == 3


@pytest.mark.parametrize("text", ["a\x00b", "\ud800", "x" * 100_000, "postgres://u:hunter22@h/d"])
def test_clean_text_suits_any_database(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    assert len(cleaned.encode()) < 5_000
    assert "hunter22" not in cleaned


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgres://u@h/d", "postgresql+psycopg"),
        ("postgresql://u@h/d?sslmode=require", "postgresql+psycopg"),
        ("postgresql+psycopg://u@h/d", "postgresql+psycopg"),
        ("sqlite:////srv/l.db", "sqlite"),
        ("sqlite:///l.db?synchronous=full", "sqlite"),
    ],
)
def test_addresses(url: str, driver: str) -> None:
    assert parse_url(url).drivername == driver


class _Undefined(psycopg.errors.UndefinedTable):
    sqlstate = "42P01"


@pytest.mark.parametrize(
    ("cause", "kind"),
    [
        (sqlite3.OperationalError("no such table: units"), ConfigurationError),
        (_Undefined('relation "units" does not exist'), ConfigurationError),
        (sqlite3.OperationalError("attempt to write a readonly database"), ConfigurationError),
        (sqlite3.DatabaseError("database disk image is malformed"), ConfigurationError),
        (psycopg.OperationalError('FATAL: password authentication failed for user "x"'), ConfigurationError),
        (psycopg.errors.InsufficientPrivilege("permission denied for table units"), ConfigurationError),
        (psycopg.OperationalError("connection refused"), LedgerUnavailable),
        (psycopg.OperationalError("FATAL: the database system is starting up"), LedgerUnavailable),
        (psycopg.errors.DeadlockDetected("deadlock detected"), LedgerUnavailable),
        (psycopg.errors.QueryCanceled("canceling statement due to statement timeout"), LedgerUnavailable),
        (sqlite3.OperationalError("database is locked"), LedgerUnavailable),
        (sqlite3.OperationalError("database or disk is full"), LedgerUnavailable),
        (psycopg.DataError("PostgreSQL text fields cannot contain NUL (0x00) bytes"), InvalidInput),
        (OverflowError("Python int too large to convert to SQLite INTEGER"), InvalidInput),
    ],
)
def test_failures_are_told_apart(cause: Exception, kind: type[ProveryError]) -> None:
    wrapped = (
        cause if isinstance(cause, OverflowError) else OperationalError("SELECT 1", {"password": "x"}, cause)
    )
    error = explain(wrapped, "postgresql://u:***@h/d")
    assert type(error) is kind
    assert "SELECT" not in str(error)


def test_a_missing_schema_names_the_command(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'l.db'}"
    assert schema.schema_version(url) is None
    assert not (tmp_path / "l.db").exists(), "asking creates nothing"
    assert schema.migrate(url) == schema.migrate(url) == schema.REVISION
    assert schema.schema_version(url) == schema.REVISION


def test_one_process_may_create_several_ledgers_at_once(tmp_path: Path) -> None:
    urls = [f"sqlite:///{tmp_path / str(number)}.db" for number in range(6)]
    with ThreadPoolExecutor(len(urls)) as threads:
        assert list(threads.map(schema.migrate, urls)) == [schema.REVISION] * len(urls)


def test_a_result_of_an_attempt_keeps_the_attempts_place() -> None:
    place = {"unit_id": "a/b/c", "params_sha256": "p", "shard": 4, "generation": 2}
    row = result_row(replace(result(), host="h2"), "id", place, 9.0)
    assert (row["unit_id"], row["shard"], row["generation"], row["host"]) == ("a/b/c", 4, 2, "h2")
