"""A whole engine for tests: the real Temporal dev server, real stores, and workers in this process or in their own."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import SearchAttributeKey
from temporalio.testing import WorkflowEnvironment

from bench.noop import noop_work
from provery.core.controls import PROVE_UNIT, ProveInput
from provery.core.queues import CPU, CPU_LARGE, IO, ORCHESTRATE, task_queue
from provery.core.types import UnitOutcome, Work
from provery.core.visibility import SEARCH_ATTRIBUTES, search_attributes
from tests.support.dev_server import start_dev_server
from workers.queues import QueueSpec
from workers.run import run_workers
from workers.runtime import Environment, build

FLAGS = {
    "history.transferProcessorMaxPollRPS": "5000",
    "history.timerProcessorMaxPollRPS": "5000",
    "history.visibilityProcessorMaxPollRPS": "5000",
    "matching.numTaskqueueReadPartitions": "1",
    "matching.numTaskqueueWritePartitions": "1",
    "limit.historyCount.suggestContinueAsNew": "400",
}


@asynccontextmanager
async def temporal_server(**flags: str) -> AsyncIterator[WorkflowEnvironment]:
    """The dev server with our search attributes; a low continue-as-new threshold exercises that path.

    Args:
        flags: Dynamic configuration over ``FLAGS``; an empty value leaves a setting at the server's default.
    """
    chosen = {k: v for k, v in {**FLAGS, **flags}.items() if v}
    extra = [x for k, v in chosen.items() for x in ("--dynamic-config-value", f"{k}={v}")]
    kinds: dict[str, Callable[[str], SearchAttributeKey[Any]]] = {
        "Keyword": SearchAttributeKey.for_keyword,
        "Int": SearchAttributeKey.for_int,
    }
    server = await start_dev_server(
        extra, search_attributes=[kinds[kind](name) for name, kind in SEARCH_ATTRIBUTES.items()]
    )
    try:
        yield server
    finally:
        await server.shutdown()


@dataclass
class Engine:
    """Workers over one server, one ledger and one store."""

    client: Client
    env: dict[str, str]
    home: Path
    environment: Environment
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self, work: Work) -> WorkflowHandle[Any, UnitOutcome]:
        """Claim and start one unit."""
        await self.environment.ledger.claim([work])
        return await self.client.start_workflow(
            PROVE_UNIT,
            ProveInput(work),
            id=work.unit.workflow_id,
            task_queue=task_queue(ORCHESTRATE, self.env),
            search_attributes=search_attributes(work.unit, work.plan),
            result_type=UnitOutcome,
        )

    async def run(self, work: Work) -> UnitOutcome:
        """Start one unit and wait for its end."""
        return await (await self.start(work)).result()

    def log(self) -> Path:
        """Where no-op units log their computed stages."""
        return self.home / "stages.log"

    def computed(self) -> list[str]:
        """The lines of that log."""
        return self.log().read_text().splitlines() if self.log().exists() else []


SPECS = (
    QueueSpec(ORCHESTRATE, True, False, 0, 1.0),
    QueueSpec(IO, False, True, 16, 1.0),
    QueueSpec(CPU, False, True, 16, 1.0),
    QueueSpec(CPU_LARGE, False, True, 4, 1.0),
)


@asynccontextmanager
async def engine(
    server: WorkflowEnvironment, home: Path, *, specs: Sequence[QueueSpec] = SPECS, **more: str
) -> AsyncIterator[Engine]:
    """Workers for every queue in this process, under a prefix of their own."""
    env = environ(server, home, **more)
    environment = await build(env, "tests", 1)
    made = Engine(environment.client, env, home, environment)
    workers = asyncio.create_task(run_workers(environment, specs, made.stop)) if specs else None
    try:
        yield made
    finally:
        made.stop.set()
        if workers is not None:
            await workers
        await environment.close()


def environ(server: WorkflowEnvironment, home: Path, **more: str) -> dict[str, str]:
    """The process environment of an engine in ``home``."""
    return {
        "PATH": os.environ.get("PATH", ""),
        "TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
        "TEMPORAL_NAMESPACE": server.client.namespace,
        "PROVERY_HOME": str(home),
        "PROVERY_TASK_QUEUE_PREFIX": f"t{uuid.uuid4().hex[:8]}-",
        "PROVERY_EXTRA_SYSTEMS": "noop=bench.noop",
        **more,
    }


@asynccontextmanager
async def worker_process(env: Mapping[str, str], *args: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real ``python -m workers`` process; killed at the end if still there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "workers", "--port", "0", *args, env={**env, "PYTHONPATH": os.getcwd()}
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


__all__ = ["Engine", "engine", "environ", "noop_work", "temporal_server", "worker_process"]
