"""One real Temporal dev server for the whole run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from tests.support.engine import Engine, engine, temporal_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with temporal_server() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def noop(server: WorkflowEnvironment, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine with the no-op system, in this process."""
    async with engine(server, tmp_path) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.e2e)
