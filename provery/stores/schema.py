"""Bring a ledger's tables to the version that this program knows."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection, inspect, text

from provery.core.errors import ConfigurationError
from provery.stores.database import MIGRATE, Database, explain, parse_url, sqlite_path

REVISION = "0004"
"""The newest migration; a test keeps it equal to what is under ``migrations/versions``."""
MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = 0x70726F76
"""Key of the advisory lock under which Postgres is migrated: one process at a time, the others find it done."""
_VERSION_TABLE = "provery_schema"
_ALEMBIC = threading.Lock()
"""Alembic keeps the migration at hand in module globals, so one process migrates one database at a time."""


def schema_version(url: str) -> str | None:
    """The ledger's revision; None for an empty database."""
    database = Database(url)
    try:
        if database.dialect == "sqlite" and not sqlite_path(parse_url(url)).exists():
            return None
        return database.write_now(_revision)
    finally:
        database.close_now()


def migrate(url: str) -> str:
    """Create or upgrade the tables in one transaction; returns the revision. Safe to call from many processes.

    Raises:
        ConfigurationError: if the ledger is newer than this program.
    """
    database = Database(url)
    try:
        ensure(database, url, upgrade=True)
    finally:
        database.close_now()
    return REVISION


def ensure(database: Database, url: str, *, upgrade: bool) -> None:
    """Check the revision and, with ``upgrade``, mend it.

    Raises:
        ConfigurationError: if the tables are not of this program's version, saying what to do.
    """
    if database.dialect == "sqlite":
        _prepare_file(sqlite_path(parse_url(url)), database.name)
    found = database.write_now(_revision)
    if found == REVISION:
        return
    if found is not None and found > REVISION:
        raise ConfigurationError(
            f"ledger {database.name} was written by a newer Provery",
            value=found,
            expected=f"revision {REVISION}",
            action="upgrade this program",
        )
    if not upgrade:
        raise ConfigurationError(
            f"ledger {database.name} is not of this version", value=found, expected=REVISION, action=MIGRATE
        )
    database.write_now(_upgrade)


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table(_VERSION_TABLE):
        return None
    found = connection.execute(text(f"SELECT version_num FROM {_VERSION_TABLE}")).scalar()  # noqa: S608 - a constant
    return None if found is None else str(found)


def _upgrade(connection: Connection) -> None:
    # Loading Alembic costs a third of a second, which a worker with a current ledger need not pay.
    from alembic import command
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["version_table"] = _VERSION_TABLE
    with _ALEMBIC:
        command.upgrade(config, "head")


def _prepare_file(path: Path, name: str) -> None:
    """Switch the file to write-ahead logging, which stays with the file. Readers then never wait for writers."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"ledger {name}: {error}", action="choose a writable directory") from error
    deadline = time.monotonic() + 10
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=5)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.Error as error:
            # Processes that start together race for the switch, and SQLite does not wait for this one lock.
            if "unable to open" in str(error):
                raise ConfigurationError(
                    f"ledger {name}: {error}", action="make the file writable for this user"
                ) from error
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise explain(error, name) from error
            time.sleep(0.02)
