"""Token buckets in the ledger: who takes holds the bucket's row until it is committed.

Time is the database's, read while the row is locked, so that replicas whose clocks differ neither grant nor refuse
more. Where even that clock goes back, what was refilled stays and time counts from there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, delete, select, update

from provery.core.access import Taken
from provery.core.errors import InvalidInput
from provery.stores.access_tables import BUCKETS
from provery.stores.database import Database
from provery.stores.grouped import Grouped
from provery.stores.sql import clock, put_if_absent

COLLECT_EVERY = 128
"""Takes between two collections of rows that say nothing any more."""
COLLECT_ROWS = 1_024
"""At most so many each time: more than takes can add in between, and little enough to cost a request nothing much."""
KEEP_S = 60.0
"""How long a row that was only just opened is not collected."""
_B = BUCKETS.c
_CHANGE = (
    update(BUCKETS)
    .where(_B.name == bindparam("b_name"))
    .values({c: bindparam(f"b_{c}") for c in ("tokens", "at", "burst", "full_at")})
)


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


@dataclass(frozen=True)
class _Ask:
    bucket: str
    rate: float
    burst: float
    cost: float


class SqlBuckets:
    """See :class:`provery.core.access.Buckets`. Takes that come together share a transaction."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = put_if_absent(BUCKETS, database.dialect)
        self._locks = database.dialect == "postgresql"
        self._until_collection = COLLECT_EVERY
        self._take = Grouped(self._commit)

    async def take(self, bucket: str, *, per_minute: float, burst: float, cost: float = 1.0) -> Taken:
        """Take ``cost`` tokens, or none where there are too few.

        A lost connection may have taken tokens that nobody was told of: the call is then repeated, and takes again.

        Raises:
            InvalidInput: the bucket could never hold so much, or a number is out of range.
        """
        _check(bucket, per_minute, burst, cost)
        return await self._take(_Ask(bucket, per_minute / 60, burst, cost))

    async def give_back(self, bucket: str, cost: float = 1.0) -> None:
        """Return tokens of a request that turned out to need none. A bucket never holds more than its burst."""
        _check(bucket, 1.0, max(cost, 1.0), cost)
        more = _B.tokens + cost
        values = {"tokens": case((more > _B.burst, _B.burst), else_=more)}

        def work(connection: Connection) -> None:
            connection.execute(update(BUCKETS).where(_B.name == bucket).values(**values))

        await self._database.write(work)

    async def close(self) -> None:
        """Let what was asked for be answered."""
        await self._take.close()

    async def _commit(self, asks: Sequence[_Ask]) -> list[Taken]:
        bursts = {ask.bucket: ask.burst for ask in asks}
        names = sorted(bursts)
        self._until_collection -= len(asks)
        collects = self._until_collection <= 0
        if collects:
            self._until_collection = COLLECT_EVERY

        def work(connection: Connection) -> list[Taken] | None:
            query = select(_B.name, _B.tokens, _B.at).where(_B.name.in_(names)).order_by(_B.name)
            rows = connection.execute(query.with_for_update()).all()
            if self._locks and len(rows) < len(names):
                return None
            levels = {name: Level(tokens, at) for name, tokens, at in rows}
            taken, changes = _decide(asks, levels, clock(connection))
            new = [row for name, row in changes.items() if name not in levels]
            if new:
                connection.execute(self._insert, new)
            if len(new) < len(changes):
                moved = [{f"b_{c}": v for c, v in row.items()} for n, row in changes.items() if n in levels]
                connection.execute(_CHANGE, moved)
            if collects:
                self._collect(connection)
            return taken

        while (done := await self._database.write(work)) is None:
            await self._database.write(lambda c: self._open(c, bursts))
        return done

    def _open(self, connection: Connection, bursts: Mapping[str, float]) -> None:
        """Give every bucket a row: what two find absent at once neither could lock.

        Not in the transaction that takes: rows that exist and rows that do not cannot be locked in one order.
        """
        now = clock(connection)
        rows = [
            {"name": name, "tokens": burst, "at": now, "burst": burst, "full_at": now + KEEP_S}
            for name, burst in sorted(bursts.items())
        ]
        connection.execute(self._insert, rows)

    def _collect(self, connection: Connection) -> None:
        full = select(_B.name).where(_B.full_at < clock(connection)).limit(COLLECT_ROWS)
        # Rows that somebody is taking from are not waited for: two that collect while they take would block each other.
        full = full.with_for_update(skip_locked=True)
        connection.execute(delete(BUCKETS).where(_B.name.in_(full)))


def _decide(
    asks: Sequence[_Ask], levels: Mapping[str, Level], now: float
) -> tuple[list[Taken], dict[str, dict[str, object]]]:
    """The answers, and the rows that change."""
    taken, changes, current = [], {}, dict(levels)
    for ask in asks:
        before = current.get(ask.bucket)
        after, answer = take(before, now, ask.rate, ask.burst, ask.cost)
        taken.append(answer)
        if after != before:
            current[ask.bucket] = after
            full_at = after.at + (ask.burst - after.tokens) / ask.rate
            changes[ask.bucket] = {
                "name": ask.bucket,
                "tokens": after.tokens,
                "at": after.at,
                "burst": ask.burst,
                "full_at": full_at,
            }
    return taken, changes


def _check(bucket: str, per_minute: float, burst: float, cost: float) -> None:
    # A name that the database refused would fail the whole group that it is in.
    if not 0 < len(bucket) <= 200 or not (bucket.isascii() and bucket.isprintable()):
        raise InvalidInput(
            "not a bucket's name", value=bucket, expected="1 to 200 printable ASCII characters"
        )
    if not 0 < per_minute < math.inf:
        raise InvalidInput("not a rate", value=per_minute, expected="more than 0 tokens a minute")
    if not 0 <= cost <= burst < math.inf:
        raise InvalidInput("no bucket for that", value=cost, expected=f"a cost of 0 to {burst:g}, its burst")
