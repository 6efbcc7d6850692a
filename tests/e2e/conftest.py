"""One real Temporal dev server for the whole run."""

from __future__ import annotations

import pytest
import pytest_asyncio

from tests.support.engine import Engine, engine, temporal_server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server():
    async with temporal_server() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def noop(server, tmp_path) -> Engine:
    """An engine with the no-op system, in this process."""
    async with engine(server, tmp_path) as made:
        yield made


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        item.add_marker(pytest.mark.e2e)
