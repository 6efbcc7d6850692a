"""The real dev server, as the client's and the CLI's tests start it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from provery.client import SEARCH_ATTRIBUTES
from provery.core.queues import ORCHESTRATE, task_queue
from tests.support.dev_server import start_dev_server
from tests.unit.cli.standins import StandInBatch, StandInFollow, StandInUnit


@asynccontextmanager
async def dev_server(**options: Any) -> AsyncIterator[WorkflowEnvironment]:
    """A server with our search attributes."""
    extra = [x for n, kind in SEARCH_ATTRIBUTES.items() for x in ("--search-attribute", f"{n}={kind}")]
    server = await start_dev_server(extra, **options)
    try:
        yield server
    finally:
        await server.shutdown()


def stand_ins(server: WorkflowEnvironment, env: Mapping[str, str]) -> Worker:
    """A worker with the stand-in workflows."""
    return Worker(
        server.client,
        task_queue=task_queue(ORCHESTRATE, env),
        workflows=[StandInUnit, StandInBatch, StandInFollow],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
