"""What can be seen of jobs from outside: ledger, table, Redis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
import redis.asyncio as redis_client
from psycopg.rows import dict_row
from redis.exceptions import RedisError

from provery.core.errors import ProveryError
from provery.core.types import Json, Unit
from provery.stores.ledger import SqlLedger
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.table import JobTable

_WATCH = """
create table fault_changes (n bigserial primary key, id text, was text, now text);
create function fault_note() returns trigger language plpgsql as $$ begin
    insert into fault_changes (id, was, now)
        values (new.id, case when tg_op = 'UPDATE' then old.status end, new.status);
    return new;
end $$;
create trigger fault_watch after insert or update on zkp_jobs for each row execute function fault_note();
"""


@dataclass
class Sight:
    """Connections of the harness' own; most are opened for one look, since a kill breaks those that are open."""

    ledger: SqlLedger
    table: JobTable
    redis_url: str
    database_url: str

    async def add(self, job: str, request: Mapping[str, Json]) -> str:
        """Add a job as a producer does; returns BullMQ's id."""
        queue = BullQueue(self.redis_url, "prove")  # of its own: a connection from before a kill is dead
        try:
            return await queue.add({"jobId": job, "request": dict(request)})
        finally:
            await queue.close()

    async def status(self, job: str) -> str:
        """Status of the job's row; nothing while the database is away."""
        try:
            row = await self.table.get(job)
        except ProveryError:
            return ""
        return row.status if row is not None else ""

    async def audit(self, job: str) -> dict[str, Any]:
        return await self.ledger.audit(Unit("queue", "prove", job))

    async def changes(self, jobs: Sequence[str]) -> list[dict[str, Any]]:
        """Every write of these jobs' rows."""
        return await self.sql(
            "select id, was, now from fault_changes where id = any(%s) order by n", list(jobs)
        )

    async def rows(self, jobs: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = await self.sql("select id, status, proof, error from zkp_jobs where id = any(%s)", list(jobs))
        return {row["id"]: row for row in found}

    async def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        connecting = psycopg.AsyncConnection.connect(self.database_url, row_factory=dict_row, autocommit=True)
        async with await connecting as connection:
            found = await connection.execute(statement, values)
            return await found.fetchall() if found.description else []

    async def events(self, after: str = "-") -> list[dict[str, Any]]:
        """The queue's events behind one of them, each with its own ``id`` and time ``at``."""
        async with redis_client.from_url(self.redis_url, decode_responses=True) as client:
            key = "bull:prove:events"
            found: Any = await client.xrange(key, min="-" if after == "-" else f"({after}")
        return [{"jobId": "", **fields, "id": id, "at": int(id.split("-")[0]) / 1000} for id, fields in found]

    async def held(self, ids: Sequence[str]) -> list[str] | None:
        """Which of these jobs Redis still has, the failed ones too; None while it is away."""
        try:
            async with redis_client.from_url(self.redis_url) as client:
                return [id for id in ids if await client.exists(f"bull:prove:{id}")]
        except (RedisError, OSError):
            return None

    async def watch(self) -> None:
        """Have the database write down every write of the job table."""
        await self.table.prepare()
        await self.sql(_WATCH)

    async def begun(self, stage: str, jobs: Sequence[str]) -> bool:
        """Whether an attempt at a stage is under way."""
        units = [f"queue/prove/{job}" for job in jobs]
        found = await self.sql(
            "select 1 from attempts where stage = %s and unit_id = any(%s) and ended_at is null limit 1",
            stage,
            units,
        )
        return bool(found)

    async def unlock(self, ids: Sequence[str]) -> None:
        """Take the locks of jobs away."""
        async with redis_client.from_url(self.redis_url) as client:
            await client.delete(*(f"bull:prove:{id}:lock" for id in ids))

    async def unlocked(self, ids: Sequence[str]) -> bool:
        """Whether no job of these has a lock."""
        async with redis_client.from_url(self.redis_url) as client:
            return not await client.exists(*(f"bull:prove:{id}:lock" for id in ids))

    async def stalled(self, after: str) -> bool:
        """Whether a job was added again because its holder had lost it."""
        return any(event["event"] == "stalled" for event in await self.events(after))
