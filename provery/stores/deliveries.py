"""Webhook calls that are owed, in the ledger."""

from __future__ import annotations

import time

from sqlalchemy import Connection, select, update

from provery.core.access import Delivery
from provery.stores.access_tables import DELIVERIES
from provery.stores.database import LONG_PATIENCE_S, Database
from provery.stores.rows import Row, clean
from provery.stores.sql import put_if_absent

_D = DELIVERIES.c


class SqlDeliveries:
    """See :class:`provery.core.access.Deliveries`.

    A call is made at least once: who leased it may make it and die before saying so. Its id tells the receiver.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = put_if_absent(DELIVERIES, database.dialect)

    async def owe(self, delivery: Delivery) -> bool:
        """Keep a call to make; the same id again changes nothing. Returns whether it was new."""
        row = {
            **vars(delivery),
            "leased_until": 0.0,
            "reason": "",
            "outcome": "",
            "owed_at": time.time(),
        }
        return await self._database.write(lambda c: bool(c.execute(self._insert, [row]).scalars().all()))

    async def lease(self, now: float, lease_s: float, limit: int = 16) -> list[Delivery]:
        """Take calls that are due, the longest due first; nobody else gets them until the lease ends.

        Leases compare the callers' clocks: let ``lease_s`` be much longer than those differ.
        """

        def work(connection: Connection) -> list[Delivery]:
            due = (_D.outcome == "") & (_D.due_at <= now) & (_D.leased_until <= now)
            query = select(DELIVERIES).where(due).order_by(_D.due_at, _D.id).limit(limit)
            # What another replica is leasing at this moment is passed over, and so never leased twice.
            rows = connection.execute(query.with_for_update(skip_locked=True)).mappings().all()
            mine = update(DELIVERIES).where(_D.id.in_([row["id"] for row in rows]))
            if rows:
                connection.execute(mine.values(leased_until=now + lease_s))
            return [_delivery(row) for row in rows]

        return await self._database.write(work)

    async def done(self, delivery_id: str, outcome: str) -> None:
        """It was made or given up; the first outcome stays. Waits long for an absent database."""
        values = {"outcome": clean(outcome) or "done", "ended_at": time.time()}
        await self._change(delivery_id, values)

    async def later(self, delivery_id: str, due_at: float, reason: str) -> None:
        """It failed: count the attempt, try again at ``due_at``. Waits long for an absent database."""
        values = {
            "attempts": _D.attempts + 1,
            "due_at": due_at,
            "leased_until": 0.0,
            "reason": clean(reason),
        }
        await self._change(delivery_id, values, due_at)

    async def _change(self, delivery_id: str, values: dict[str, object], due_at: float | None = None) -> None:
        mine = (_D.id == delivery_id) & (_D.outcome == "")
        if due_at is not None:
            mine &= _D.due_at != due_at  # an earlier try of this call may have been committed: it counts once

        def work(connection: Connection) -> None:
            connection.execute(update(DELIVERIES).where(mine).values(**values))

        await self._database.write(work, patience=LONG_PATIENCE_S)


def _delivery(row: Row) -> Delivery:
    return Delivery(row["id"], row["url"], row["body"], row["attempts"], row["due_at"])
