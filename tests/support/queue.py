"""Both sides of a queue for tests: npm's client as a child process, and an ingress whose engine is a stand-in."""

from __future__ import annotations

import asyncio
import atexit
import json
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from provery.core.errors import UnknownCircuit
from provery.core.ports import ArtifactStore, CircuitFiles
from provery.core.types import ArtifactRef, Json, UnitOutcome, UnitStatus, Work
from provery.local.servers import PostgresServer, RedisServer
from provery.local.toolchain import find
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.ingress import QueueIngress
from provery.systems.queue.metrics import QueueMetrics
from provery.systems.queue.model import Submission
from provery.systems.queue.planner import Planner
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.table import JobTable

NPM = Path(__file__).parents[2] / "tools" / "npm"
ELEMENTS = ["11", "12", "13", "14"]
REQUEST: dict[str, Json] = {
    "root": "42",
    "user": "0x000000000000000000000000000000000000dEaD",
    "epoch": 1,
    "leaf": "0x07",
    "nonce": "5",
    "pathElements": list(ELEMENTS),
    "pathIndices": [0, 1, 0, "1"],
}
MANIFEST: dict[str, Json] = {
    "name": "membership",
    "version": "a" * 64,
    "vkey_sha256": "b" * 64,
    "constraints": 1_300,
    "public": ["root", "user", "epoch"],
    "inputs": {n: [] for n in ("root", "user", "epoch", "leaf", "nonce")}
    | {"pathElements": [4], "pathIndices": [4]},
}


class Peer:
    """npm's bullmq on the other side of a queue."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def __call__(self, op: str, **given: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"op": op, **given}).encode() + b"\n")
        await self._process.stdin.drain()
        answer = json.loads(await self._process.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer

    async def add(self, id: str, request: Any = None, **opts: Any) -> str:
        data = {"jobId": id, "request": REQUEST if request is None else request}
        answer = await self("add", data=data, **({"opts": opts} if opts else {}))
        return str(answer["id"])

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()


@asynccontextmanager
async def peer(url: str, name: str) -> AsyncIterator[Peer]:
    process = await asyncio.create_subprocess_exec(
        str(find("node")), str(NPM / "peer.mjs"), url, name,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=2**28,
    )  # fmt: skip
    try:
        yield Peer(process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # else its pipes are closed by the collector, late


class Circuits:
    """A registry of one circuit."""

    def __init__(self, manifest: Mapping[str, Json] = MANIFEST) -> None:
        self.known = {str(manifest["name"]): manifest}

    async def manifest(self, name: str, version: str = "") -> Mapping[str, Json]:
        if name not in self.known:
            raise UnknownCircuit("no such circuit", value=name, expected=", ".join(self.known))
        return self.known[name]

    async def resolve(self, name: str, version: str = "") -> CircuitFiles:
        raise NotImplementedError


@dataclass
class FakeStarter:
    """Proves at once, by writing the row as the submit stage does; remembers what it was asked."""

    table: JobTable
    decide: Callable[[Work], UnitOutcome | Exception | None] = lambda _: None
    """An outcome or an error other than success."""
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    calls: list[list[str]] = field(default_factory=list)
    proved: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()

    async def run(self, works: Sequence[Work]) -> AsyncIterator[UnitOutcome]:
        self.calls.append([work.unit.key for work in works])
        await self.gate.wait()
        good = []
        for work in works:
            decided = self.decide(work)
            if isinstance(decided, Exception):
                raise decided
            if decided is None:
                good.append(work)
            else:
                await self.table.fail({work.unit.key: (decided.reason, None)})
                yield decided
        rows = [
            Submission(w.unit.key, w.unit.params.get("request"), {"root": "42"}, {"pi_a": ["1"]})
            for w in good
        ]
        self.proved += sorted(await self.table.submit(rows))
        for work in good:
            yield UnitOutcome(work.unit.workflow_id, UnitStatus.DONE)


def failed(work: Work, reason: str, kind: str) -> UnitOutcome:
    return UnitOutcome(work.unit.workflow_id, UnitStatus.FAILED, reason, kind, "prove")


class Memory:
    """As much of an artifact store as the planner needs."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    async def put_bytes(self, data: bytes, *, name: str = "") -> ArtifactRef:
        ref = ArtifactRef(f"memory:{uuid.uuid4()}", "0" * 64, len(data), name)
        self.kept[ref.uri] = data
        return ref


@dataclass
class Bench:
    """An ingress and all around it."""

    settings: QueueSettings
    jobs: BullQueue
    table: JobTable
    starter: FakeStarter
    registry: CollectorRegistry
    artifacts: Memory
    make: Callable[[], QueueIngress]
    running: list[tuple[QueueIngress, asyncio.Task[None]]] = field(default_factory=list)

    def start(self) -> QueueIngress:
        ingress = self.make()
        self.running.append((ingress, asyncio.create_task(ingress.run())))
        return ingress

    async def stop(self) -> None:
        while self.running:
            ingress, task = self.running.pop()
            await ingress.stop()
            await task

    async def crash(self) -> None:
        """End the ingress as SIGKILL would: nothing is given back."""
        ingress, task = self.running.pop()
        ingress._drain = _nothing  # type: ignore[method-assign]
        while not task.done():  # a Redis call may take a cancellation for its own time-out
            task.cancel()
            await asyncio.wait([task], timeout=0.2)

    def value(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0


async def _nothing() -> None:
    return None


@asynccontextmanager
async def bench(
    redis_url: str, database_url: str, circuits: Circuits | None = None, **more: Any
) -> AsyncIterator[Bench]:
    """Parts of an ingress on a queue of its own; nothing runs yet."""
    values: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": redis_url,
        "queue_name": f"q{uuid.uuid4().hex[:12]}",
        "worker_concurrency": 8,
        "lock_ms": 30_000,
        "stalled_interval_ms": 300,
        "reconcile_s": 0.3,
        "grace_s": 5.0,
    }
    settings = QueueSettings(**(values | more))
    registry = CollectorRegistry()
    metrics = QueueMetrics(registry)
    table = JobTable(database_url)
    await table.prepare()
    artifacts = Memory()
    starter = FakeStarter(table)

    def queue() -> BullQueue:
        return BullQueue(
            redis_url,
            settings.queue_name,
            lock_ms=settings.lock_ms,
            max_job_bytes=settings.max_job_bytes,
            stalled_interval_ms=settings.stalled_interval_ms,
        )

    jobs, opened = queue(), []

    def make() -> QueueIngress:
        own = queue()
        opened.append(own)
        store: ArtifactStore = artifacts  # type: ignore[assignment]
        planner = Planner(settings, circuits or Circuits(), store)
        return QueueIngress(settings, own, table, starter, planner, metrics)

    made = Bench(settings, jobs, table, starter, registry, artifacts, make)
    try:
        yield made
    finally:
        await made.stop()
        for each in (jobs, *opened):
            await each.close()
        await table.close()


async def until(condition: Callable[[], Any], timeout: float = 15.0) -> None:
    """Wait for a condition, sync or async."""
    async with asyncio.timeout(timeout):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            await asyncio.sleep(0.01)


@cache
def shared_redis() -> RedisServer:
    """One Redis for the whole run; it dies with this process."""
    return _started(RedisServer(_folder("redis")))


@cache
def shared_postgres() -> PostgresServer:
    """One Postgres for the whole run; it dies with this process."""
    return _started(PostgresServer(_folder("postgres"), fsync=False))


_STARTING = ThreadPoolExecutor(1)
S = TypeVar("S", RedisServer, PostgresServer)


def _started(server: S) -> S:
    # Not in this thread, where a test's event loop may be running; and in one that stays, since a server dies with
    # the thread that started it.
    _STARTING.submit(lambda: asyncio.run(server.start())).result()
    atexit.register(lambda: asyncio.run(server.stop()))
    return server


def _folder(name: str) -> Path:
    path = Path(tempfile.mkdtemp(prefix=f"provery-{name}-"))
    path.chmod(0o755)  # Postgres gives up root's rights and has to reach its data
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    return path
