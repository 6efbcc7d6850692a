"""Idempotency keys in the ledger."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from provery.core.errors import InvalidInput
from provery.stores.access_tables import IDEMPOTENCY
from provery.stores.database import Database
from provery.stores.sql import clock

COLLECT_EVERY = 128
"""Calls between two removals of what has expired."""
COLLECT_ROWS = 1_024
LONGEST = 255
"""Characters of a key."""
_I = IDEMPOTENCY.c


class SqlIdempotency:
    """See :class:`provery.core.access.Idempotency`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = (postgresql.insert if database.dialect == "postgresql" else sqlite.insert)(IDEMPOTENCY)
        self._until_collection = COLLECT_EVERY

    async def remember(self, who: str, key: str, request: str, ttl_s: float = 86_400.0) -> str:
        """Note put-if-absent; returns the digest of the request that it was first used for within ``ttl_s``.

        Raises:
            InvalidInput: the key is empty or too long.
        """
        if not 0 < len(key) <= LONGEST or not 0 < len(who) <= LONGEST:
            raise InvalidInput("not an idempotency key", value=key, expected=f"1 to {LONGEST} characters")
        self._until_collection -= 1
        collects = self._until_collection <= 0
        if collects:
            self._until_collection = COLLECT_EVERY

        def work(connection: Connection) -> str:
            now = clock(connection)
            # A row that has not expired stays, but is locked all the same: it is there to be read.
            put = self._insert.values(who=who, key=key, request=request, expires_at=now + ttl_s)
            put = put.on_conflict_do_update(
                index_elements=[_I.who, _I.key],
                set_={"request": put.excluded.request, "expires_at": put.excluded.expires_at},
                where=_I.expires_at <= now,
            )
            connection.execute(put)
            mine = select(_I.request).where(_I.who == who, _I.key == key)
            stands = str(connection.execute(mine).scalar_one())
            if collects:
                self._collect(connection, now)
            return stands

        return await self._database.write(work)

    def _collect(self, connection: Connection, now: float) -> None:
        old = select(_I.who, _I.key).where(_I.expires_at <= now).limit(COLLECT_ROWS)
        old = old.with_for_update(skip_locked=True)
        connection.execute(delete(IDEMPOTENCY).where(tuple_(_I.who, _I.key).in_(old)))
