"""The ledger over SQLite or Postgres. Each method is one transaction and safe to repeat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

from provery.core.access import Access
from provery.core.ports import Attempt, AttemptEnd, Budget, UnitRow
from provery.core.types import Json, StageResult, Unit, UnitStatus, Work
from provery.stores.access_keys import SqlApiKeys
from provery.stores.audit import Submissions, audit
from provery.stores.audit_trail import SqlAudit
from provery.stores.buckets import SqlBuckets
from provery.stores.catalog import SqlCatalog
from provery.stores.database import LONG_PATIENCE_S, Database
from provery.stores.deliveries import SqlDeliveries
from provery.stores.idempotency import SqlIdempotency
from provery.stores.lanes import SqlLanes
from provery.stores.memo import Memo
from provery.stores.models import SqlModels
from provery.stores.requests import SqlRequests
from provery.stores.schema import ensure, migrate, schema_version
from provery.stores.units import Units

__all__ = ["SqlLedger", "migrate", "open_ledger", "schema_version"]


def open_ledger(url: str, *, migrate: bool = True) -> SqlLedger:
    """The ledger at ``sqlite:///path`` or ``postgresql://user:password@host/database``.

    Args:
        url: Address. SQLite takes ``?synchronous=full``, Postgres whatever libpq knows (``?sslmode=verify-full``).
        migrate: Create or upgrade the tables first, under a lock; otherwise they must be current.

    Raises:
        ConfigurationError: the address, the permissions or the tables are wrong; the message says what to do.
        LedgerUnavailable: nothing answers.
    """
    database = Database(url)
    try:
        ensure(database, url, upgrade=migrate)
    except BaseException:
        database.close_now()
        raise
    return SqlLedger(database)


class SqlLedger:
    """See :class:`provery.core.ports.Ledger`. Open with :func:`open_ledger`."""

    def __init__(self, database: Database) -> None:
        self.name = database.name
        """The address without its password."""
        self.catalog = SqlCatalog(database)
        self.lanes = SqlLanes(database)
        self.models = SqlModels(database)
        self.audit_trail = SqlAudit(database)
        self._buckets = SqlBuckets(database)
        self.access = Access(
            keys=SqlApiKeys(database),
            buckets=self._buckets,
            audit=self.audit_trail,
            deliveries=SqlDeliveries(database),
            idempotency=SqlIdempotency(database),
            requests=SqlRequests(database),
        )
        self._database = database
        self._units = Units(database.dialect)
        self._memo = Memo(database.dialect)
        self._submissions = Submissions(database.dialect)

    async def claim(
        self, works: Sequence[Work], workflow_id: str = "", *, reopen: bool = True
    ) -> list[UnitRow]:
        """Insert new units, reopen ended ones that may be; each row as it stands, in order."""
        if not works:
            return []
        return await self._database.write(lambda c: self._units.claim(c, works, workflow_id, reopen))

    async def adopt(self, unit: Unit, owner: str, new_owner: str) -> bool:
        """Change a running unit's owner if it still is ``owner``; also True if it already is ``new_owner``."""
        return await self._database.write(lambda c: self._units.adopt(c, unit, owner, new_owner))

    async def lookup(self, memo_keys: Sequence[str]) -> dict[str, StageResult]:
        """Recorded results, marked as reused."""
        return await self._database.read(lambda c: self._memo.lookup(c, memo_keys))

    async def begin(self, attempts: Sequence[Attempt]) -> dict[str, StageResult]:
        """Recorded results of these attempts' work, marked as reused; the other attempts are opened."""
        if not attempts:
            return {}
        return await self._database.write(lambda c: self._memo.begin(c, attempts))

    async def finish(self, ends: Sequence[AttemptEnd], done: Sequence[Unit] = ()) -> dict[str, StageResult]:
        """Record results, close attempts, mark units done; the winning result per memo key.

        A winner recorded by another attempt is marked as reused. Waits long for an absent database.
        """
        if not ends and not done:
            return {}

        def work(connection: Connection) -> dict[str, StageResult]:
            winners = self._memo.finish(connection, ends)
            self._units.done(connection, done)
            return winners

        return await self._database.write(work, patience=LONG_PATIENCE_S)

    async def forget(self, memo_key: str, *, attempt: str, reason: str) -> bool:
        """Drop a result; its attempt keeps the reason."""
        return await self._database.write(lambda c: self._memo.forget(c, memo_key, attempt, reason))

    async def bounded_failures(self, unit: Unit, stage: str, run_id: str, activity_id: str) -> int:
        """How many attempts at a stage failed with a bounded error in one dispatch."""
        return await self._database.read(
            lambda c: self._memo.bounded_failures(c, unit, stage, run_id, activity_id)
        )

    async def results(self, unit: Unit, stage: str, generation: int) -> dict[int, StageResult]:
        """Results of a fanned-out stage by shard."""
        return await self._database.read(lambda c: dict(self._memo.results(c, unit, stage, generation)))

    async def conclude(
        self,
        unit: Unit,
        status: UnitStatus,
        *,
        reason: str = "",
        error_kind: str = "",
        stage: str = "",
        generation: int | None = None,
    ) -> UnitStatus:
        """Set a unit's status unless it is done; returns the one that stands. A generation is only ever raised."""
        return await self._database.write(
            lambda c: self._units.conclude(c, unit, status, reason, error_kind, stage, generation)
        )

    async def unit(self, system: str, stream: str, key: str) -> UnitRow | None:
        """One unit, with the run and stage of its newest attempt."""

        def work(connection: Connection) -> UnitRow | None:
            rows = list(self._units.by_ids(connection, [f"{system}/{stream}/{key}"]).values())
            return next(iter(self._units.with_progress(connection, rows)), None)

        return await self._database.read(work)

    async def units(
        self,
        *,
        system: str = "",
        stream: str = "",
        status: str = "",
        limit: int = 50,
        before: float | None = None,
    ) -> list[UnitRow]:
        """Units, newest first; for the next page pass the last row's ``created_at`` as ``before``."""
        return await self._database.read(
            lambda c: self._units.listed(c, system, stream, status, limit, before)
        )

    async def audit(self, unit: Unit) -> dict[str, Json]:
        """Everything recorded of a unit: ``unit attempts results submissions lane events costs``."""
        return await self._database.read(lambda c: audit(c, unit))

    async def intend(
        self,
        unit: Unit,
        destination: str,
        request_key: str,
        detail: Mapping[str, Json],
        *,
        cost: float = 0.0,
        budget: Budget | None = None,
    ) -> dict[str, Json]:
        """The intent on record under this key, with ``receipt`` (or None) and ``new``: whether this call wrote it.

        Raises:
            SpendingCapReached: a new intent would exceed the budget; nothing was written.
        """
        return await self._database.write(
            lambda c: self._submissions.intend(c, unit, destination, request_key, detail, cost, budget)
        )

    async def receipt(self, request_key: str, receipt: Mapping[str, Json], *, cost: float = 0.0) -> None:
        """Record what an outward call returned; the first receipt stays. Waits long for an absent database."""
        await self._database.write(
            lambda c: self._submissions.receipt(c, request_key, receipt, cost), patience=LONG_PATIENCE_S
        )

    async def settle(self, request_key: str, outcome: Mapping[str, Json], *, cost: float) -> None:
        """Add to a receipt how the call ended; the newest word on each point stays. Waits long for a database."""
        await self._database.write(
            lambda c: self._submissions.settle(c, request_key, outcome, cost), patience=LONG_PATIENCE_S
        )

    async def probe(self) -> None:
        """Ask the database for nothing, once. Raises as any call."""
        await self._database.read(lambda c: c.exec_driver_sql("SELECT 1").scalar(), patience=0)

    async def close(self) -> None:
        """Let running transactions end, then release connections and threads."""
        await self._buckets.close()
        await self.audit_trail.close()
        await self._database.close()
