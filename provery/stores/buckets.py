"""Token buckets in the ledger: a take is one transaction that holds the bucket's row.

Time is the database's, read while the row is locked, so that replicas whose clocks differ neither grant nor refuse
more. Where even that clock goes back, what was refilled stays and time counts from there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, select, update

from provery.core.access import Taken
from provery.core.errors import InvalidInput
from provery.stores.access_tables import BUCKETS
from provery.stores.database import Database
from provery.stores.sql import CLOCK, clock, put_if_absent

COLLECT_EVERY = 128
"""Takes between two collections of rows that say nothing any more."""
COLLECT_ROWS = 1_024
"""At most so many each time: more than takes can add in between, and little enough to cost a request nothing much."""
_B = BUCKETS.c


@dataclass(frozen=True)
class Level:
    """What is in a bucket at a time."""

    tokens: float
    at: float


def take(level: Level | None, now: float, rate: float, burst: float, cost: float) -> tuple[Level, Taken]:
    """The rule. A refused request changes nothing, so that asking often delays nobody.

    Args:
        level: What was last known; None for a full bucket.
        now: Seconds.
        rate: Tokens a second.
        burst: What the bucket holds.
        cost: What is asked for.
    """
    if level is None:
        level = Level(burst, now)
    tokens = max(0.0, min(burst, level.tokens + rate * max(0.0, now - level.at)))
    if tokens >= cost:
        return Level(tokens - cost, now), Taken(True, tokens - cost)
    # Rounded up, past what a float of today's seconds cannot tell apart: who waits so long is let in.
    wait = math.ceil(((cost - tokens) / rate + 2e-6) * 1e3) / 1e3
    return Level(level.tokens, min(level.at, now)), Taken(False, tokens, wait)


class SqlBuckets:
    """See :class:`provery.core.access.Buckets`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = put_if_absent(BUCKETS, database.dialect)
        self._locks = database.dialect == "postgresql"
        self._until_collection = COLLECT_EVERY

    async def take(self, bucket: str, *, per_minute: float, burst: float, cost: float = 1.0) -> Taken:
        """Take ``cost`` tokens, or none where there are too few.

        A lost connection may have taken tokens that nobody was told of: the call is then repeated, and takes again.

        Raises:
            InvalidInput: the bucket could never hold so much, or a number is out of range.
        """
        _check(bucket, per_minute, burst, cost)
        self._until_collection -= 1
        collects = self._until_collection <= 0
        if collects:
            self._until_collection = COLLECT_EVERY

        def work(connection: Connection) -> Taken:
            while True:
                level, now = self._level(connection, bucket)
                after, taken = take(level, now, per_minute / 60, burst, cost)
                if after == level:
                    break
                full_at = after.at + (burst - after.tokens) * 60 / per_minute
                values = {"tokens": after.tokens, "at": after.at, "burst": burst, "full_at": full_at}
                if level is not None:
                    connection.execute(update(BUCKETS).where(_B.name == bucket).values(**values))
                    break
                if connection.execute(self._insert, [{"name": bucket, **values}]).scalars().all():
                    break  # else somebody else found none either and was faster: now there is a row to lock
            if collects:
                self._collect(connection, now)
            return taken

        return await self._database.write(work)

    async def give_back(self, bucket: str, cost: float = 1.0) -> None:
        """Return tokens of a request that turned out to need none. A bucket never holds more than its burst."""
        _check(bucket, 1.0, max(cost, 1.0), cost)
        more = _B.tokens + cost
        values = {"tokens": case((more > _B.burst, _B.burst), else_=more)}

        def work(connection: Connection) -> None:
            connection.execute(update(BUCKETS).where(_B.name == bucket).values(**values))

        await self._database.write(work)

    def _level(self, connection: Connection, bucket: str) -> tuple[Level | None, float]:
        query = select(_B.tokens, _B.at).where(_B.name == bucket)
        if self._locks:
            # After a wait for the row its columns are evaluated anew, and the clock with them.
            row = connection.execute(query.add_columns(CLOCK).with_for_update()).first()
            return (None, clock(connection)) if row is None else (Level(row[0], row[1]), row[2])
        row = connection.execute(query).first()
        return None if row is None else Level(*row), clock(connection)

    def _collect(self, connection: Connection, now: float) -> None:
        full = select(_B.name).where(_B.full_at < now).limit(COLLECT_ROWS)
        # Rows that somebody is taking from are not waited for: two that collect while they take would block each other.
        full = full.with_for_update(skip_locked=True)
        connection.execute(delete(BUCKETS).where(_B.name.in_(full)))


def _check(bucket: str, per_minute: float, burst: float, cost: float) -> None:
    if not 0 < len(bucket) <= 200:
        raise InvalidInput("not a bucket's name", value=bucket, expected="1 to 200 characters")
    if not 0 < per_minute < math.inf:
        raise InvalidInput("not a rate", value=per_minute, expected="more than 0 tokens a minute")
    if not 0 <= cost <= burst < math.inf:
        raise InvalidInput("no bucket for that", value=cost, expected=f"a cost of 0 to {burst:g}, its burst")
