"""A whole local stack in its own directory and ports, as separate processes: what benchmarks measure against."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from temporalio.client import Client

from provery.client import connect
from provery.local.process import answers
from provery.local.servers import RedisServer, TemporalServer
from provery.stores.ledger import SqlLedger, open_ledger


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@dataclass
class Stack:
    """Running servers and workers."""

    home: Path
    env: dict[str, str]
    client: Client
    ledger: SqlLedger
    workers: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    """Where each worker serves /health and what its ingress has."""

    def rss(self) -> dict[str, int]:
        """Resident bytes by worker, its children included."""
        return {name: tree_rss(process.pid) for name, process in self.workers.items()}

    def cpu(self) -> dict[str, float]:
        """CPU seconds by worker so far, without children that still run."""
        return {name: cpu_seconds(process.pid) for name, process in self.workers.items()}


def tree_rss(pid: int) -> int:
    """Resident bytes of a process and its descendants."""
    total, pending = 0, [pid]
    while pending:
        one = pending.pop()
        try:
            pages = int(Path(f"/proc/{one}/statm").read_text().split()[1])
            children = Path(f"/proc/{one}/task/{one}/children").read_text().split()
        except OSError:
            continue
        total += pages * os.sysconf("SC_PAGE_SIZE")
        pending.extend(map(int, children))
    return total


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def stack(
    home: Path, workers: Sequence[Sequence[str]], *, redis: bool = False, **more: str
) -> AsyncIterator[Stack]:
    """Start Temporal (SQLite file, tuned as temporal-dev.yaml says), Redis if asked, and workers.

    Args:
        home: Directory for everything.
        workers: Arguments of each ``python -m workers`` process.
        redis: Whether to start Redis and set REDIS_URL.
        more: Environment for the workers.
    """
    async with AsyncExitStack() as held:
        temporal = await held.enter_async_context(TemporalServer(home / "temporal", port=free_port()))
        env = {
            **os.environ,
            "TEMPORAL_ADDRESS": temporal.address,
            "PROVERY_HOME": str(home),
            "PROVERY_EXTRA_SYSTEMS": "noop=bench.noop",
            "LOG_LEVEL": "warning",
            **more,
        }
        if redis:
            server = await held.enter_async_context(RedisServer(home / "redis", port=free_port()))
            env["REDIS_URL"] = server.url
        client = await connect(env)
        ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}")
        held.push_async_callback(ledger.close)
        made = Stack(home, env, client, ledger)
        held.push_async_callback(_end, made)
        for args in workers:
            name = " ".join(args)
            made.ports[name] = free_port()
            log = home / f"{len(made.workers)}.log"
            made.workers[name] = await start_worker(env, args, log, made.ports[name])
        yield made


async def start_worker(
    env: dict[str, str], args: Sequence[str], log: Path, port: int = 0
) -> asyncio.subprocess.Process:
    """One worker process, ready to poll, or an ingress that at least listens; on a free port unless one is given."""
    wanted = b"HTTP/1.1" if args[0] == "--ingress" else b" 200 "
    port = port or free_port()
    with log.open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "workers", *args, "--port", str(port), env=env, stdout=out, stderr=out
        )
    for _ in range(600):
        if process.returncode is not None:
            raise RuntimeError(f"worker {args} ended: {_tail(log)}")
        if await answers("127.0.0.1", port, b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n", wanted):
            return process
        await asyncio.sleep(0.05)
    raise RuntimeError(f"worker {args} did not come up: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text()[-2000:]


async def _end(made: Stack) -> None:
    for process in made.workers.values():
        if process.returncode is None:
            process.terminate()
    await asyncio.gather(
        *(asyncio.wait_for(p.wait(), 90) for p in made.workers.values()), return_exceptions=True
    )
    for process in made.workers.values():
        if process.returncode is None:
            process.kill()
