"""The ``zkp_jobs`` table: what the outside sees of a job. Postgres in production, SQLite by default.

For one request a status moves forward only: queued, running, failed, done. So a redelivery never takes a result back,
while a job that failed may still come to a proof when it is tried again. Only another request under a failed id begins
anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    delete,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DataError, DBAPIError, SQLAlchemyError

from provery.core.errors import InvalidInput, ProveryError, SinkUnavailable, clip
from provery.core.types import Json, canonical_json
from provery.systems.queue.model import Admission, Row, RowStatus, Submission
from provery.systems.queue.schema import JOBS, OUTBOX, create, open_engine

T = TypeVar("T")


class JobTable:
    """The table, through a pool of connections used from threads.

    Args:
        url: ``postgres://…``, ``postgresql://…`` or ``sqlite:///…``.
    """

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url)
        self._upsert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        # SQLite has one writer: waiting here is cheaper and fairer than its busy handler.
        self._gate = asyncio.Semaphore(1 if self._engine.dialect.name == "sqlite" else 8)
        self._made = False

    async def prepare(self) -> None:
        """Create the tables unless they exist. Two processes may do so at once."""
        if not self._made:
            await self._run(create)
            self._made = True

    async def enqueue(self, id: str, request: Json, queue: str) -> tuple[bool, Row]:
        """Insert an accepted request as queued, and into the outbox; returns whether it is new, and the row before.

        A failed row with another request begins anew for the corrected one.
        """

        def work(db: Connection) -> tuple[bool, Row]:
            now = _now()
            row = self._upsert(JOBS).values(_values(id, RowStatus.QUEUED, request, now))
            made = db.execute(row.on_conflict_do_nothing(index_elements=["id"]).returning(JOBS.c.id))
            fresh = made.first() is not None
            found = _row(db.execute(select(JOBS).where(JOBS.c.id == id)).mappings().one())
            if not fresh and found.status is RowStatus.FAILED and not _same(found.request, request):
                db.execute(
                    update(JOBS).where(JOBS.c.id == id).values(_renewed(RowStatus.QUEUED, request, now))
                )
                fresh = True
            if fresh:
                entry = self._upsert(OUTBOX).values(id=id, queue=queue, created_at=now)
                db.execute(entry.on_conflict_do_nothing(index_elements=["id"]))
            return fresh, found

        return await self._run(work)

    async def delivered(self, ids: Sequence[str]) -> None:
        """Note that requests have reached Redis."""
        if ids:
            sent = update(OUTBOX).where(OUTBOX.c.id.in_(ids)).values(delivered_at=_now())
            await self._run(lambda db: db.execute(sent))

    async def undelivered(self, queue: str, older_than: datetime, limit: int = 500) -> dict[str, Json]:
        """Requests for ``queue`` since before ``older_than`` that nobody saw reach Redis, by id."""
        return await self._open(
            queue, OUTBOX.c.delivered_at.is_(None) & (OUTBOX.c.created_at < older_than), limit
        )

    async def unfinished(self, queue: str, older_than: datetime, limit: int = 10_000) -> dict[str, Json]:
        """Requests for ``queue`` that reached Redis before ``older_than`` and have not ended, by id."""
        return await self._open(queue, OUTBOX.c.delivered_at < older_than, limit)

    async def _open(self, queue: str, which: ColumnElement[bool], limit: int) -> dict[str, Json]:
        def work(db: Connection) -> dict[str, Json]:
            join = select(JOBS.c.id, JOBS.c.request).join(OUTBOX, OUTBOX.c.id == JOBS.c.id)
            alive = JOBS.c.status.in_([RowStatus.QUEUED, RowStatus.RUNNING])
            found = db.execute(
                join.where(OUTBOX.c.queue == queue, alive, which).order_by(OUTBOX.c.created_at).limit(limit)
            )
            return {row.id: row.request for row in found}

        return await self._run(work)

    async def admit(self, requests: Mapping[str, Json]) -> dict[str, Admission]:
        """Mark jobs as running as their work begins, in one transaction; returns how each row stood.

        A row is inserted where the producer wrote none, and begins anew where a failed one is corrected. A done row,
        and a row whose request differs while it is queued or running, stays untouched.
        """

        def work(db: Connection) -> dict[str, Admission]:
            now, ids = _now(), sorted(requests)
            fresh = [_values(id, RowStatus.RUNNING, requests[id], now) for id in ids]
            made = db.execute(
                self._upsert(JOBS)
                .values(fresh)
                .on_conflict_do_nothing(index_elements=["id"])
                .returning(JOBS.c.id)
            )
            new = {row.id for row in made}
            stood = {id: Admission(RowStatus.QUEUED, same=True) for id in new}
            begun, corrected = [], []
            if len(new) < len(ids):
                rows = db.execute(select(JOBS.c.id, JOBS.c.status, JOBS.c.request).where(JOBS.c.id.in_(ids)))
                for row in rows:
                    if row.id in new:
                        continue
                    stood[row.id] = Admission(RowStatus(row.status), _same(row.request, requests[row.id]))
                    if row.status == RowStatus.QUEUED and stood[row.id].same:
                        begun.append(row.id)
                    elif row.status == RowStatus.FAILED and not stood[row.id].same:
                        corrected.append(row.id)
            if begun:
                waiting = JOBS.c.id.in_(begun) & (JOBS.c.status == RowStatus.QUEUED)
                db.execute(update(JOBS).where(waiting).values(status=RowStatus.RUNNING, updated_at=now))
            for id in corrected:
                failed = (JOBS.c.id == id) & (JOBS.c.status == RowStatus.FAILED)
                db.execute(update(JOBS).where(failed).values(_renewed(RowStatus.RUNNING, requests[id], now)))
            return stood

        return await self._run(work) if requests else {}

    async def submit(self, submissions: Sequence[Submission]) -> set[str]:
        """Write proofs, each exactly once, in one transaction; returns the ids that were written by this call."""

        def work(db: Connection) -> set[str]:
            now = _now()
            rows = [
                _values(s.id, RowStatus.DONE, s.request, now)
                | {"public_inputs": s.public_inputs, "proof": s.proof, "error": None}
                for s in sorted(submissions, key=lambda s: s.id)
            ]
            put = self._upsert(JOBS).values(rows)
            columns = ("status", "request", "public_inputs", "proof", "error", "updated_at")
            put = put.on_conflict_do_update(
                index_elements=["id"],
                set_={name: put.excluded[name] for name in columns},
                where=JOBS.c.status != RowStatus.DONE,
            )
            written = {row.id for row in db.execute(put.returning(JOBS.c.id))}
            db.execute(delete(OUTBOX).where(OUTBOX.c.id.in_([s.id for s in submissions])))
            return written

        return await self._run(work) if submissions else set()

    async def taken(self, submissions: Sequence[Submission]) -> set[str]:
        """Ids among these whose row is done for another request."""

        def work(db: Connection) -> set[str]:
            given = {s.id: s.request for s in submissions}
            done = JOBS.c.id.in_(given) & (JOBS.c.status == RowStatus.DONE)
            rows = db.execute(select(JOBS.c.id, JOBS.c.request).where(done))
            return {row.id for row in rows if not _same(row.request, given[row.id])}

        return await self._run(work) if submissions else set()

    async def fail(self, errors: Mapping[str, tuple[str, Json]]) -> dict[str, Row]:
        """Mark jobs as failed, in one transaction, unless they are done; returns the done rows that stood.

        Args:
            errors: Id → error text and request; the request is used where there is no row yet, None never replaces.
        """

        def work(db: Connection) -> dict[str, Row]:
            now, ids = _now(), sorted(errors)
            rows = [
                _values(id, RowStatus.FAILED, {} if errors[id][1] is None else errors[id][1], now)
                | {"error": clip(errors[id][0]).replace("\x00", "")}
                for id in ids
            ]
            put = self._upsert(JOBS).values(rows)
            put = put.on_conflict_do_update(
                index_elements=["id"],
                set_={name: put.excluded[name] for name in ("status", "error", "updated_at")},
                where=JOBS.c.status != RowStatus.DONE,
            )
            failed = {row.id for row in db.execute(put.returning(JOBS.c.id))}
            db.execute(delete(OUTBOX).where(OUTBOX.c.id.in_(ids)))
            rest = [id for id in ids if id not in failed]
            if not rest:
                return {}
            return {
                row["id"]: _row(row) for row in db.execute(select(JOBS).where(JOBS.c.id.in_(rest))).mappings()
            }

        return await self._run(work) if errors else {}

    async def get(self, id: str) -> Row | None:
        """One row, by its primary key."""

        def work(db: Connection) -> Row | None:
            found = db.execute(select(JOBS).where(JOBS.c.id == id)).mappings().one_or_none()
            return _row(found) if found is not None else None

        return await self._run(work)

    async def newest(self, limit: int = 20) -> list[Row]:
        """The newest rows."""

        def work(db: Connection) -> list[Row]:
            return [
                _row(r)
                for r in db.execute(select(JOBS).order_by(JOBS.c.created_at.desc()).limit(limit)).mappings()
            ]

        return await self._run(work)

    async def ping(self) -> None:
        """Raise :class:`SinkUnavailable` unless the database answers."""
        await self._run(lambda db: db.execute(select(1)))

    async def close(self) -> None:
        """Close the pool."""
        await asyncio.to_thread(self._engine.dispose)

    async def _run(self, work: Callable[[Connection], T]) -> T:
        def transaction() -> T:
            with self._engine.begin() as db:
                return work(db)

        async with self._gate:
            try:
                return await asyncio.to_thread(transaction)
            except SQLAlchemyError as error:
                raise _translated(error, self._engine) from error


def _translated(error: SQLAlchemyError, engine: Engine) -> ProveryError:
    detail = str(error).partition("\n")[0]
    if isinstance(error, DataError):  # trying again would not help, and would hold up its neighbours
        return InvalidInput(f"the job table cannot hold a value: {detail}", action="correct the request")
    return SinkUnavailable(
        f"the job table {'is unreachable' if isinstance(error, DBAPIError) else 'refused a statement'}: {detail}",
        value=engine.url.render_as_string(hide_password=True),
        action="check DATABASE_URL and the database",
    )


def _values(id: str, status: RowStatus, request: Json, now: datetime) -> dict[str, Any]:
    return {"id": id, "status": status.value, "request": request, "created_at": now, "updated_at": now}


def _renewed(status: RowStatus, request: Json, now: datetime) -> dict[str, Any]:
    """A failed row that begins anew for a corrected request."""
    return {"status": status.value, "request": request, "error": None, "updated_at": now}


def _now() -> datetime:
    return datetime.now(UTC)


def _same(one: Json, other: Json) -> bool:
    mine, theirs = canonical_json(one), canonical_json(other)
    return mine == theirs or _by_value(mine) == _by_value(theirs)


def _by_value(text: bytes) -> object:
    """JSON with numbers that compare by value: a JSONB column gives 1e2 back as 100."""
    return json.loads(text, parse_int=_number, parse_float=_number)


def _number(digits: str) -> tuple[str, Decimal]:
    return "number", Decimal(digits)


def _row(found: RowMapping) -> Row:
    return Row(
        id=found["id"],
        status=RowStatus(found["status"]),
        request=found["request"],
        public_inputs=found["public_inputs"],
        proof=found["proof"],
        error=found["error"],
        created_at=_iso(found["created_at"]),
        updated_at=_iso(found["updated_at"]),
    )


def _iso(moment: datetime | None) -> str:
    """As JavaScript's toISOString, which upstream's clients parse."""
    if moment is None:
        return ""
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
