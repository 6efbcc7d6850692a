"""The tables and how to reach them: columns and index of the upstream table, which either side may have created."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    Connection,
    DateTime,
    Engine,
    Index,
    MetaData,
    Table,
    Text,
    create_engine,
    event,
    func,
)
from sqlalchemy.dialects import postgresql

from provery.core.errors import ConfigurationError

_ANY_JSON = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
_TIME = DateTime(timezone=True)
_META = MetaData()
JOBS = Table(
    "zkp_jobs",
    _META,
    Column("id", Text, primary_key=True),
    Column("status", Text, nullable=False),
    Column("request", _ANY_JSON, nullable=False),
    Column("public_inputs", _ANY_JSON),
    Column("proof", _ANY_JSON),
    Column("error", Text),
    Column("created_at", _TIME, server_default=func.now()),
    Column("updated_at", _TIME, server_default=func.now()),
    Index("zkp_jobs_status_idx", "status"),
)
"""What the outside reads."""
OUTBOX = Table(
    "zkp_jobs_outbox",
    _META,
    Column("id", Text, primary_key=True),
    Column("queue", Text, nullable=False),
    Column("created_at", _TIME, nullable=False),
    Column("delivered_at", _TIME),
)
"""Unfinished requests that came over HTTP, and the queue each belongs to: written with the row, removed at its end."""


def open_engine(url: str) -> Engine:
    """A pool of connections to ``url``.

    Raises:
        ConfigurationError: the address names no known database.
    """
    for scheme in ("postgres://", "postgresql://"):
        if url.startswith(scheme):
            url = "postgresql+psycopg://" + url[len(scheme) :]
    if not url.startswith(("postgresql+psycopg://", "sqlite://")):
        raise ConfigurationError(
            "DATABASE_URL names no database that is known",
            value=url.split("@")[-1],
            expected="postgres://… or sqlite:///…",
        )
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": 30})
        event.listen(engine, "connect", _tune_sqlite)
        event.listen(engine, "begin", lambda db: db.exec_driver_sql("BEGIN IMMEDIATE"))
        return engine
    return create_engine(
        url, pool_size=8, max_overflow=2, pool_pre_ping=True, connect_args={"connect_timeout": 5}
    )


def _tune_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # the driver's own BEGIN would come too late and without IMMEDIATE
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")  # an acknowledged proof survives a power cut
    cursor.close()


def create(db: Connection) -> None:
    """Create the tables and indices that are missing. Two processes may do so at once."""
    if db.dialect.name == "postgresql":
        db.exec_driver_sql(
            "SELECT pg_advisory_xact_lock(718250001)"
        )  # CREATE … IF NOT EXISTS races with itself
    _META.create_all(db, checkfirst=True)
    db.exec_driver_sql("CREATE INDEX IF NOT EXISTS zkp_jobs_status_idx ON zkp_jobs (status)")
    db.exec_driver_sql("CREATE INDEX IF NOT EXISTS zkp_jobs_created_idx ON zkp_jobs (created_at)")
