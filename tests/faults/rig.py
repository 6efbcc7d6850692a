"""A production-shaped stack to break: Postgres, S3, Redis, Temporal, and one process per worker role."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis.asyncio as redis_client

from provery.core.types import Unit
from provery.local.process import Process
from provery.local.servers import PostgresServer, RedisServer, S3Server, TemporalServer
from provery.provers.circuits import CircuitRegistry
from provery.stores.artifacts import open_store
from provery.stores.ledger import SqlLedger, open_ledger
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.table import JobTable

ROLES = {
    "worker-orchestrate": ("--queue", "orchestrate"),
    "worker-io": ("--queue", "io"),
    "worker-cpu": ("--queue", "cpu", "--slots", "2"),
    "ingress": ("--ingress", "queue/prove"),
}
SERVERS = ("temporal", "redis", "postgres", "s3")
CHAIN = Path(__file__).parent / "chain.circom"


class Worker(Process):
    """One gated worker process."""

    ready_s = 60.0

    def __init__(self, name: str, args: Sequence[str], env: dict[str, str], home: Path) -> None:
        super().__init__(log=home / "logs" / f"{name}.log")
        self.name, self.args, self.env = name, args, env

    def argv(self) -> Sequence[str]:
        return [sys.executable, "-m", "tests.faults.gated", *self.args, "--port", "0"]

    def environment(self) -> dict[str, str]:
        return self.env

    async def ready(self) -> bool:
        return True


@dataclass
class Rig:
    """Everything running, and the hands to break it."""

    home: Path
    gates: Path
    servers: dict[str, Process]
    workers: dict[str, Worker]
    ledger: SqlLedger
    table: JobTable
    queue: BullQueue
    redis_url: str

    def hold(self, boundary: str) -> None:
        (self.gates / f"hold-{boundary}").touch()

    def release(self, boundary: str) -> None:
        for kind in ("hold", "reached"):
            (self.gates / f"{kind}-{boundary}").unlink(missing_ok=True)

    def reached(self, boundary: str) -> bool:
        return (self.gates / f"reached-{boundary}").exists()

    async def add(self, job: str, request: dict[str, Any]) -> None:
        await self.queue.add({"jobId": job, "request": request})

    async def break_(self, victim: str) -> None:
        """SIGKILL the victim; the prover is the child of the cpu worker."""
        if victim == "prover":
            for pid in provers():
                os.kill(pid, signal.SIGKILL)
        else:
            await self.process(victim).kill()

    async def mend(self, victim: str) -> None:
        """Start the victim again, as a supervisor would; the pool restarts provers itself."""
        if victim != "prover":
            await self.process(victim).start()

    def process(self, name: str) -> Process:
        return self.servers.get(name) or self.workers[name]

    async def status(self, job: str) -> str:
        """The job's row, or nothing while the database is away."""
        try:
            row = await self.table.get(job)
        except Exception:
            return ""
        return row.status if row is not None else ""

    async def audit(self, job: str) -> dict[str, Any]:
        return await self.ledger.audit(Unit("queue", "prove", job))

    async def events(self) -> list[dict[str, str]]:
        """The queue's event stream."""
        client = redis_client.from_url(self.redis_url, decode_responses=True)
        try:
            return [fields for _, fields in await client.xrange("bull:prove:events")]
        finally:
            await client.aclose()

    async def open_jobs(self) -> dict[str, int]:
        """Jobs that Redis still holds, by state."""
        return {state: n for state, n in (await self.queue.counts()).items() if n}


def provers() -> list[int]:
    """Process ids of every prover program on this machine that belongs to our session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if command and command[0].endswith(b"provery-prover"):
                found.append(int(entry.name))
    return found


def orphans(rig: Rig) -> list[int]:
    """Provers that hang under no live worker of the rig."""
    workers = {w.pid for w in rig.workers.values()}
    return [pid for pid in provers() if not workers & set(_ancestors(pid))]


def _ancestors(pid: int) -> list[int]:
    line = []
    while pid > 1:
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            break
        line.append(pid)
    return line


@asynccontextmanager
async def rig(home: Path) -> AsyncIterator[Rig]:
    """Start the whole stack, with the circuits registered."""
    gates = home / "gates"
    gates.mkdir(parents=True, exist_ok=True)
    servers: dict[str, Process] = {
        "temporal": TemporalServer(home),
        "redis": RedisServer(home),
        "postgres": PostgresServer(home, fsync=False),
        "s3": S3Server(home),
    }
    async with AsyncExitStack() as held:
        for server in servers.values():
            await held.enter_async_context(server)
        temporal, redis, postgres, s3 = servers.values()
        assert isinstance(temporal, TemporalServer)
        assert isinstance(redis, RedisServer)
        assert isinstance(postgres, PostgresServer)
        assert isinstance(s3, S3Server)
        env = {
            **os.environ,
            **temporal.env,
            **s3.env,
            "GATES": str(gates),
            "PROVERY_HOME": str(home),
            "PROVERY_LEDGER_URL": postgres.url,
            "PROVERY_ARTIFACTS_URL": s3.artifacts_url,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "WORKER_CONCURRENCY": "4",
            "PROVERY_QUEUE_EXPRESS": "0",
            "PROVERY_QUEUE_LOCK_MS": "6000",
            "PROVERY_QUEUE_STALLED_INTERVAL_MS": "2000",
            "PYTHONPATH": os.getcwd(),
        }
        ledger = open_ledger(postgres.url)
        held.push_async_callback(ledger.close)
        store = open_store(s3.artifacts_url, cache=home / "cache", env=env)
        circuits = CircuitRegistry(ledger.catalog, store, env=env, home=home)
        await circuits.add_source("chain", CHAIN)
        table = JobTable(postgres.url)
        await table.prepare()
        held.push_async_callback(table.close)
        queue = BullQueue(redis.url, "prove")
        held.push_async_callback(queue.close)
        workers = {name: Worker(name, args, env, home) for name, args in ROLES.items()}
        for worker in workers.values():
            await held.enter_async_context(worker)
        yield Rig(home, gates, servers, workers, ledger, table, queue, redis.url)


async def until(check: Any, timeout_s: float) -> float | None:
    """Seconds until a check (plain or awaitable) holds; None when it never does."""
    began = time.monotonic()
    while time.monotonic() - began < timeout_s:
        value = check()
        if asyncio.iscoroutine(value):
            value = await value
        if value:
            return time.monotonic() - began
        await asyncio.sleep(0.02)
    return None


def dump(rows: list[dict[str, Any]], path: Path) -> None:
    """Write the table of results."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("[\n" + ",\n".join(" " + json.dumps(row) for row in rows) + "\n]\n")
