"""Connections to the ledger's database: transactions on threads, time limits, and what failures mean."""

from __future__ import annotations

import asyncio
import re
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from provery.core.errors import ConfigurationError, InvalidInput, LedgerUnavailable, ProveryError
from provery.core.redact import redact

T = TypeVar("T")
Work = Callable[[Connection], T]

CONNECT_S = 5
STATEMENT_S = 30
PATIENCE_S = 3.0
"""How long a call rides out an absent database before it says so; a restart of Postgres takes about a second."""
LONG_PATIENCE_S = 30.0
"""The same for calls that record finished work, which would otherwise be done again."""
POSTGRES_THREADS = 8
SQLITE_READERS = 2
MIGRATE = "run `provery ledger migrate`"

_REFUSED = re.compile(
    r"authentication failed|no password supplied|(?:role|database) .* does not exist|no pg_hba\.conf entry"
    r"|permission denied|invalid (?:connection option|sslmode|URI)|readonly database|not a database"
    r"|disk image is malformed|file is encrypted"
)
_NO_SCHEMA = re.compile(r"no such (?:table|column)|(?:relation|column) .* does not exist")


class Database:
    """One ledger database.

    SQLite gets one writing thread, since it has one writer anyway and queueing in the process is fairer and cheaper
    than its lock; readers run beside it. Postgres gets a small pool.

    Args:
        url: ``sqlite:///relative``, ``sqlite:////absolute`` or ``postgresql://user:password@host/database``.
    """

    def __init__(self, url: str) -> None:
        self._url = parse_url(url)
        self.dialect = self._url.get_backend_name()
        self.name = redact(self._url.render_as_string(hide_password=True)).replace("+psycopg", "")
        if self.dialect == "sqlite":
            self.writer = _sqlite_engine(self._url, "BEGIN IMMEDIATE", 1)
            self.reader = _sqlite_engine(self._url, "BEGIN", SQLITE_READERS)
            writers = 1
        else:
            self.writer = self.reader = _postgres_engine(self._url)
            writers = POSTGRES_THREADS
        self._write_threads = ThreadPoolExecutor(writers, thread_name_prefix="ledger")
        self._read_threads = (
            ThreadPoolExecutor(SQLITE_READERS, thread_name_prefix="ledger-read")
            if self.dialect == "sqlite"
            else self._write_threads
        )
        self._closed = threading.Event()

    async def write(self, work: Work[T], *, patience: float = PATIENCE_S) -> T:
        """Run one transaction that may write. It must be safe to repeat: a lost connection may have committed it.

        Raises:
            LedgerUnavailable: if the database stayed away for ``patience`` seconds.
            ConfigurationError: if no retry would help.
        """
        return await self._patiently(self._write_threads, lambda: self.write_now(work), patience)

    async def read(self, work: Work[T], *, patience: float = PATIENCE_S) -> T:
        """Run one transaction that only reads. Raises as :meth:`write`."""
        return await self._patiently(self._read_threads, lambda: self._run(self.reader, work), patience)

    def write_now(self, work: Work[T]) -> T:
        """Run one transaction in this thread, once."""
        return self._run(self.writer, work)

    async def close(self) -> None:
        """Let running transactions end, then release connections and threads."""
        self._closed.set()
        await asyncio.to_thread(self.close_now)

    def close_now(self) -> None:
        """The same, from a thread."""
        self._closed.set()
        self._write_threads.shutdown()
        self._read_threads.shutdown()
        self.writer.dispose()
        self.reader.dispose()

    async def _patiently(self, threads: ThreadPoolExecutor, call: Callable[[], T], patience: float) -> T:
        loop, deadline, pause = asyncio.get_running_loop(), time.monotonic() + patience, 0.05
        while True:
            try:
                return await loop.run_in_executor(threads, call)
            except LedgerUnavailable:
                if time.monotonic() + pause > deadline or self._closed.is_set():
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 2, 1.0)

    def _run(self, engine: Engine, work: Work[T]) -> T:
        try:
            with engine.begin() as connection:
                return work(connection)
        except (SQLAlchemyError, OverflowError, UnicodeError, sqlite3.Error, psycopg.Error) as error:
            raise explain(error, self.name) from error


def parse_url(url: str) -> URL:
    """The address in SQLAlchemy's form.

    Raises:
        ConfigurationError: if it is not one of a ledger.
    """
    expected = "sqlite:///path or postgresql://user:password@host/database"
    try:
        parsed = make_url(re.sub(r"^postgres://", "postgresql://", url))
    except ArgumentError:
        raise ConfigurationError("not a ledger's address", value=redact(url), expected=expected) from None
    backend = parsed.get_backend_name()
    if backend == "postgresql" and parsed.drivername in ("postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and parsed.database and not parsed.database.startswith((":", "file:")):
        if parsed.query.get("synchronous", "normal") not in ("normal", "full") or set(parsed.query) - {
            "synchronous"
        }:
            raise ConfigurationError(
                "unknown option in the ledger's address",
                value=redact(url),
                expected="?synchronous=normal or full",
            )
        return parsed
    # An SQLite ledger in memory would forget with the process, which is the one thing a ledger must not do.
    raise ConfigurationError("not a ledger's address", value=redact(url), expected=expected)


def sqlite_path(url: URL) -> Path:
    """The file of an SQLite ledger."""
    return Path(url.database or "").absolute()


def explain(error: Exception, name: str) -> ProveryError:
    """What a database error means, and what to do about it."""
    cause = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    text = " ".join(redact(str(cause)).split())
    state = getattr(cause, "sqlstate", None) or ""
    if isinstance(error, PoolTimeout):
        return LedgerUnavailable(f"ledger {name}: no free connection")
    # 42P01, 42703: no such table or column
    if state in ("42P01", "42703") or _NO_SCHEMA.search(text):
        return ConfigurationError(f"ledger {name} lacks its tables: {text}", action=MIGRATE)
    # 28: authorization, 3D: no such database, 42501: privilege
    if state[:2] in ("28", "3D") or state == "42501" or _REFUSED.search(text):
        return ConfigurationError(
            f"ledger {name} refuses: {text}", action="check the ledger's address, permissions and file"
        )
    if isinstance(cause, sqlite3.DataError | psycopg.DataError | OverflowError | UnicodeError):
        return InvalidInput(f"a value does not fit into the ledger: {text}")
    if isinstance(error, SQLAlchemyError) and not isinstance(error, DBAPIError):
        # Our own statement is wrong: no retry will mend it.
        return ProveryError(f"ledger {name}: {text}", action="report this as a defect")
    if isinstance(error, DBAPIError | sqlite3.Error | psycopg.Error):
        if isinstance(cause, sqlite3.IntegrityError | psycopg.IntegrityError | psycopg.ProgrammingError):
            return InvalidInput(f"the ledger refuses a row: {text}")
        return LedgerUnavailable(f"ledger {name}: {text}")
    return LedgerUnavailable(f"ledger {name}: {text}")


def _sqlite_engine(url: URL, begin: str, size: int) -> Engine:
    engine = create_engine(
        url.set(query={}),
        connect_args={"timeout": STATEMENT_S, "check_same_thread": False, "isolation_level": None},
        pool_size=size,
        max_overflow=0,
        pool_timeout=STATEMENT_S,
        hide_parameters=True,
    )
    synchronous = str(url.query.get("synchronous", "normal")).upper()

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        for pragma in (f"synchronous={synchronous}", "temp_store=MEMORY", "cache_size=-16384"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # The driver's own transactions begin at the first write, too late: a reader that turns writer can be refused.
        connection.exec_driver_sql(begin)

    return engine


def _postgres_engine(url: URL) -> Engine:
    settings: dict[str, Any] = {
        "connect_timeout": CONNECT_S,
        "application_name": "provery",
        # A peer that vanished without a word (power cut, firewall) is noticed within the statement's time.
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": STATEMENT_S * 1000,
    }
    engine = create_engine(
        url,
        connect_args={name: value for name, value in settings.items() if name not in url.query},
        pool_size=POSTGRES_THREADS,
        max_overflow=0,
        pool_timeout=CONNECT_S,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        # By statement and not by start-up option, which connection poolers refuse.
        connection.autocommit = True
        connection.execute(f"SET statement_timeout = '{STATEMENT_S}s'")
        connection.execute(f"SET idle_in_transaction_session_timeout = '{2 * STATEMENT_S}s'")
        connection.autocommit = False

    return engine
