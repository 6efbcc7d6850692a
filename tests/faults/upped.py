"""A rig whose processes belong to ``provery up``, to kill that."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from ruamel.yaml import YAML

from provery.local.config import DEFAULT_FILE
from provery.local.process import Process, answers, free_port, port_taken
from provery.local.state import local_environment
from provery.stores.ledger import open_ledger
from provery.systems.queue.table import JobTable
from tests.faults.cases import UP
from tests.faults.rig import Rig, register

_WORKERS = 3


class Up(Process):
    """``provery up`` with the shipped topology, on free ports, over Postgres and S3.

    Args:
        home: Where all of it lives.
        express: Whether small jobs run express.
    """

    name = UP
    ready_s = 90.0
    poll_s = 0.1

    def __init__(self, home: Path, *, express: bool) -> None:
        super().__init__(log=home / "up.log")
        self._file = home / "topology.yaml"
        self._ingress = free_port()
        document = YAML(typ="safe").load(DEFAULT_FILE.read_text())
        document["home"] = str(home)
        document["server"] |= {"port": free_port(), "ui_port": free_port()}
        document["redis"]["port"] = free_port()
        document["ledger"] = {"engine": "postgres", "postgres_port": free_port()}
        document["artifacts"] = {"engine": "s3", "s3_port": free_port()}
        document["metrics_port"] = _free_ports(_WORKERS)
        (stream,) = document["streams"]
        stream["ingress_port"] = self._ingress
        stream["settings"] |= {"WORKER_CONCURRENCY": 12, "PROVERY_QUEUE_EXPRESS": int(express)}
        with self._file.open("w") as out:
            YAML(typ="safe").dump(document, out)

    def argv(self) -> Sequence[str]:
        """The command."""
        return [sys.executable, "-m", "provery.cli", "up", "--file", str(self._file)]

    def environment(self) -> Mapping[str, str]:
        """Nothing that would lead elsewhere."""
        return {n: v for n, v in os.environ.items() if not n.startswith(("PROVERY_", "TEMPORAL_", "AWS_"))}

    async def ready(self) -> bool:
        """Whether the listener, which starts last, is ready."""
        return await answers(
            "127.0.0.1", self._ingress, b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n", b" 200 "
        )


def _free_ports(count: int) -> int:
    """The first of several ports in a row that are free."""
    while True:
        first = secrets.choice(range(12_000, 32_000))
        if not any(port_taken("127.0.0.1", first + more) for more in range(count)):
            return first


@asynccontextmanager
async def rig(home: Path, *, express: bool) -> AsyncIterator[Rig]:
    """Start it, with the circuits registered."""
    (home / "gates").mkdir(parents=True)
    process = Up(home, express=express)
    async with AsyncExitStack() as held:
        await held.enter_async_context(process)
        env = local_environment(home)
        ledger = await asyncio.to_thread(open_ledger, env["PROVERY_LEDGER_URL"])
        held.push_async_callback(ledger.close)
        await register(ledger, env["PROVERY_ARTIFACTS_URL"], env, home)
        table = JobTable(env["DATABASE_URL"])
        held.push_async_callback(table.close)
        made = Rig(
            ledger,
            table,
            env["REDIS_URL"],
            env["DATABASE_URL"],
            home,
            {UP: process},
            {},
            express,
            gated=False,
        )
        await made.watch()
        yield made
