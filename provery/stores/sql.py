"""What the ledger's statements share: put-if-absent for both databases, their clock, and bounded lists of keys."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Double, Table, cast, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

T = TypeVar("T")
LIST_LIMIT = 5_000
"""Keys in one list; SQLite takes 32,766 parameters in a statement."""


def put_if_absent(table: Table, dialect: str) -> ReturningInsert[Any]:
    """Insert rows whose primary key is free; returns the primary keys of those inserted."""
    key = table.primary_key.columns.values()[0]
    if dialect == "postgresql":
        return postgresql.insert(table).on_conflict_do_nothing().returning(key)
    return sqlite.insert(table).on_conflict_do_nothing().returning(key)


_CLOCK = select(cast(func.extract("epoch", func.clock_timestamp()), Double))


def clock(connection: Connection) -> float:
    """The time now (not at the transaction's start) by the clock that all processes share.

    That is the server's; for SQLite, whose file is on this machine, the machine's.
    """
    if connection.dialect.name == "postgresql":
        return float(connection.execute(_CLOCK).scalar_one())
    return time.time()


def batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """The items, at most ``LIST_LIMIT`` at a time."""
    for start in range(0, len(items), LIST_LIMIT):
        yield items[start : start + LIST_LIMIT]
