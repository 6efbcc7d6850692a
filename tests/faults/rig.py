"""A production-shaped stack to break: Postgres, S3, Redis, Temporal, and one process per worker role."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provery.core.types import Json
from provery.local import toolchain
from provery.local.process import Process, free_port
from provery.local.servers import PostgresServer, RedisServer, S3Server, TemporalServer
from provery.local.supervisor import WorkerProcess
from provery.stores.artifacts import open_store
from provery.stores.ledger import SqlLedger, open_ledger
from provery.systems.queue.table import JobTable
from tests.e2e.provers_support import CACHE, MEMBERSHIP, registry
from tests.faults import processes
from tests.faults.gates import API
from tests.faults.sight import Sight
from tests.support.anvil import Anvil
from tests.support.beacon_chain import ChainNode, nodes
from tests.support.laned import environment, prepared
from tests.support.rpc_proxy import RpcProxy

ROLES = {
    "worker-orchestrate": ("--queue", "orchestrate"),
    "worker-io": ("--queue", "io"),
    "worker-cpu": ("--queue", "cpu", "--slots", "2"),
    "ingress": ("--ingress", "queue/prove"),
}
SERVERS = ("temporal", "redis", "postgres", "s3")
CHAIN = Path(__file__).parent / "chain.circom"
SPENDING = Path(__file__).parents[2] / "provery/systems/zkml/vectors/models/spending-model.onnx"
REVIVAL_S = 0.2
"""A dead process is started again this much later: the supervisor's shortest pause."""


class Worker(WorkerProcess):
    """One gated worker process."""

    def argv(self) -> Sequence[str]:
        return [sys.executable, "-m", "tests.faults.gated", *self._arguments, "--port", str(self.port)]

    def change(self, env: Mapping[str, str]) -> None:
        """Variables for its next start."""
        self._env |= env


@dataclass(frozen=True)
class L1:
    """A chain, the way there, and what calls may cost."""

    anvil: Anvil
    proxy: RpcProxy
    policy: Path


POLICY: dict[str, Any] = {"confirmations": 4, "stuck_after_s": 3.0}
"""As many blocks, of a second each, as the killed node may lose."""


@dataclass
class Rig(Sight):
    """Everything running, and the hands to break it."""

    home: Path
    servers: Mapping[str, Process]
    workers: Mapping[str, Worker]
    express: bool = False
    gated: bool = True
    """Whether its workers stop at gates."""
    killed: set[str] = field(default_factory=set)
    """Processes that were killed and not yet started again."""
    keep: bool = False
    """Whether its directory is to stay, for somebody to look into the logs."""
    node: ChainNode | None = None
    """The beacon node that its workers ask."""
    l1: L1 | None = None
    """The chain that its workers submit to."""

    # gates

    def hold(self, boundary: str) -> None:
        (self.gates / f"hold-{boundary}").touch()

    def release(self) -> None:
        """Let everybody go on."""
        for file in self.gates.iterdir():
            file.unlink(missing_ok=True)

    def reached(self, boundary: str) -> bool:
        return (self.gates / f"reached-{boundary}").exists()

    @property
    def gates(self) -> Path:
        return self.home / "gates"

    # processes

    def process(self, name: str) -> Process:
        return self.servers[name] if name in self.servers else self.workers[name]

    async def kill(self, victim: str) -> None:
        """SIGKILL, and wait until it is gone. The prover is the child of the cpu worker."""
        if victim == "prover":
            for pid in processes.provers(self.home):
                os.kill(pid, signal.SIGKILL)
        else:
            self.killed.add(victim)
            await self.process(victim).kill()

    async def mend(self) -> None:
        """Start what was killed again, on the same data and port; the pool restarts provers itself."""
        for name in sorted(self.killed):
            await self.process(name).start()
            self.killed.discard(name)

    @property
    def collapsed(self) -> list[str]:
        """What ended although nobody killed it."""
        everything = {**self.servers, **self.workers}
        return [name for name, p in everything.items() if p.exit_code is not None and name not in self.killed]

    async def orphans(self, patience_s: float = 2.0) -> list[int]:
        """Processes that still are without their parent when a killed worker's children must be gone."""
        deadline = time.monotonic() + patience_s
        while (left := processes.orphans(self.home)) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        return left

    async def use(self, *, express: bool) -> None:
        """Choose the plan of jobs to come: stage by stage, or all stages of a batch in one activity."""
        if express != self.express:
            ingress = self.workers["ingress"]
            await ingress.stop()
            ingress.change({"PROVERY_QUEUE_EXPRESS": str(int(express))})
            await ingress.start()
            self.express = express


@asynccontextmanager
async def rig(home: Path, **settings: str) -> AsyncIterator[Rig]:
    """Start the whole stack, with the circuits registered.

    Args:
        home: Where all of it lives.
        settings: Environment variables of the workers that are to differ from production's defaults.
    """
    (home / "gates").mkdir(parents=True, exist_ok=True)
    temporal, redis = TemporalServer(home), RedisServer(home)
    postgres, s3 = PostgresServer(home, fsync=False), S3Server(home)
    anvil = Anvil(home, block_time_s=1)
    servers: dict[str, Process] = {
        "temporal": temporal, "redis": redis, "postgres": postgres, "s3": s3, "anvil": anvil,
    }  # fmt: skip
    async with AsyncExitStack() as held:
        for server in servers.values():
            await held.enter_async_context(server)
        node = ChainNode(4)
        await prepared(anvil)
        l1 = L1(anvil, await held.enter_async_context(RpcProxy(anvil.url)), home / "policy.json")
        env = {
            **temporal.env,
            **s3.env,
            "RPC_URL": held.enter_context(nodes(node)),
            "CHAIN": "devnet",
            "GATES": str(home / "gates"),
            "PROVERY_HOME": str(home),
            "PROVERY_LEDGER_URL": postgres.url,
            "PROVERY_ARTIFACTS_URL": s3.artifacts_url,
            "DATABASE_URL": postgres.url,
            "REDIS_URL": redis.url,
            "WORKER_CONCURRENCY": "12",
            "PROVERY_QUEUE_EXPRESS": "0",
            "PROVERY_DRAIN_S": "2",
            "PROVERY_QUEUE_GRACE_S": "2",
            "MODELS_DIR": str(models(home)),
            "PROVERY_ZKML_ANONYMOUS_PER_MINUTE": "6000",
            **{v: str(toolchain.find(tool)) for v, tool in _TOOLS},
            **environment(l1.proxy.url, l1.policy, all=POLICY),
            **settings,
        }
        ledger = await asyncio.to_thread(open_ledger, postgres.url)
        held.push_async_callback(ledger.close)
        await register(ledger, s3.artifacts_url, env, home)
        table = JobTable(postgres.url)
        held.push_async_callback(table.close)
        workers = {name: Worker(name, args, free_port(), env, home) for name, args in ROLES.items()}
        workers[API] = api = Worker(API, ("--ingress", "zkml/default"), free_port(), env, home)
        made = Rig(ledger, table, redis.url, postgres.url, home, servers, workers, node=node, l1=l1)
        await made.watch()
        held.push_async_callback(_end, workers.values())
        await asyncio.gather(*(worker.start() for worker in workers.values() if worker is not api))
        yield made


def models(home: Path) -> Path:
    """A library of one small model."""
    place = home / "models"
    place.mkdir(exist_ok=True)
    shutil.copy(SPENDING, place)
    return place


_TOOLS = (("PROVERY_NODE_BIN", "node"), ("PROVERY_PROVER_BIN", "provery-prover"))


async def register(ledger: SqlLedger, artifacts_url: str, env: Mapping[str, str], home: Path) -> None:
    """Bring the circuits in, compiled and set up once per source and kept between runs."""
    store = open_store(artifacts_url, cache=home / "cache" / "artifacts", env=env)
    try:
        async with registry(CACHE) as made:
            for name, source in (("chain", CHAIN), ("membership", MEMBERSHIP)):
                manifest = await made.add_source(name, source)
                files = await made.resolve(name, str(manifest["version"]))
                paths = {"r1cs": files.r1cs, "wasm": files.wasm, "zkey": files.zkey, "vkey": files.vkey}
                given = [(path, f"{name}/{role}") for role, path in paths.items() if path is not None]
                refs = await store.put_files(given)
                artifacts: dict[str, Json] = {
                    role: dict(vars(ref)) for role, ref in zip(paths, refs, strict=True)
                }
                await ledger.catalog.add(name, {**manifest, "artifacts": artifacts})
    finally:
        await store.close()


async def _end(workers: Iterable[Worker]) -> None:
    await asyncio.gather(*(worker.kill() for worker in workers))


async def until(
    check: Callable[[], Awaitable[object] | object], timeout_s: float, every_s: float = 0.05
) -> bool:
    """Whether a check, plain or awaitable, comes to hold in time."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return True
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(every_s)
