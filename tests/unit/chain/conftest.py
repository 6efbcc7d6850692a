"""An account on a node of its own, and behind an endpoint that is spoilt."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provery.chain.account import open_chain as open_account
from provery.core.lanes import Chain, Contract
from tests.support.anvil import Anvil, account
from tests.support.chain_account import (
    ECHO,
    ECHO_AT,
    ECHO_REVERT,
    ECHO_REVERT_AT,
    ERRORS,
    LIMITS,
    ONCE,
    ONCE_AT,
)
from tests.support.rpc_proxy import RpcProxy


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path) as server:
        await server.put_code(ECHO_REVERT_AT, ECHO_REVERT)
        await server.put_code(ECHO_AT, ECHO)
        await server.put_code(ONCE_AT, ONCE)
        yield server


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    opened = await anvil.open(0, ERRORS)
    yield opened
    await opened.close()


@pytest.fixture
async def proxy(anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with RpcProxy(anvil.url) as spoilt:
        yield spoilt


@pytest.fixture
async def spoilt(proxy: RpcProxy) -> AsyncIterator[Chain]:
    """The account behind the proxy alone."""
    opened = await open_account([proxy.url], account(0), Contract(ERRORS), limits=LIMITS)
    yield opened
    await opened.close()


@pytest.fixture
async def doubled(proxy: RpcProxy, anvil: Anvil) -> AsyncIterator[Chain]:
    """The account behind the proxy, preferred, and the node itself."""
    opened = await open_account([proxy.url, anvil.url], account(0), Contract(ERRORS), limits=LIMITS)
    yield opened
    await opened.close()
