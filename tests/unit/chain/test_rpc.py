"""Several endpoints as one: failover, memory, other chains, nodes that lag. Real nodes, spoilt by a proxy."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provery.chain import metrics, rpc
from provery.chain.endpoint import Ask, Failure, Limits, Result
from provery.chain.rpc import LONGEST_REST_S, Rpc, Said
from provery.core.errors import ConfigurationError, SinkUnavailable
from tests.support.anvil import Anvil
from tests.support.rpc_proxy import RpcProxy, edits, lose_requests, refuses, says, silent, stuck_at

pytestmark = pytest.mark.e2e

LIMITS = Limits(connect_s=3.0, read_s=3.0, total_s=6.0)
GAS_PRICE = [Ask("eth_gasPrice")]


class Clock:
    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path) as server:
        yield server


@pytest.fixture
async def first(anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with RpcProxy(anvil.url) as proxy:
        yield proxy


@pytest.fixture
async def second(anvil: Anvil) -> AsyncIterator[RpcProxy]:
    async with RpcProxy(anvil.url) as proxy:
        yield proxy


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def both(first: RpcProxy, second: RpcProxy, clock: Clock) -> AsyncIterator[Rpc]:
    pool = Rpc([first.url, second.url], LIMITS, clock)
    await pool.connect()
    yield pool
    await pool.close()


def whole(said: Said) -> Said:
    return said


def name(proxy: RpcProxy) -> str:
    return proxy.url


async def test_the_preferred_endpoint_is_asked(both: Rpc, first: RpcProxy, second: RpcProxy) -> None:
    for _ in range(3):
        said = await both.first(GAS_PRICE, whole)
        assert said.endpoint.name == name(first)
        assert isinstance(said.answers[0], Result)
    assert second.requests == [["eth_chainId"]]
    assert first.requests[-1] == ["eth_blockNumber", "eth_gasPrice"]


async def test_failover_and_the_way_back(both: Rpc, first: RpcProxy, second: RpcProxy, clock: Clock) -> None:
    first.fault = says({}, 500)
    assert (await both.first(GAS_PRICE, whole)).endpoint.name == name(second)
    asked = len(first.requests)
    assert (await both.first(GAS_PRICE, whole)).endpoint.name == name(second)
    assert len(first.requests) == asked, "it rests"
    first.fault = None
    clock.ahead += 1.1
    assert (await both.first(GAS_PRICE, whole)).endpoint.name == name(first)
    assert first.requests[-2:] == [["eth_chainId"], ["eth_blockNumber", "eth_gasPrice"]], (
        "its chain is checked again"
    )


async def test_rests_grow(both: Rpc, first: RpcProxy, clock: Clock) -> None:
    first.fault = says({}, 500)
    for rest in (1, 2, 4, 8, 16, 32, LONGEST_REST_S, LONGEST_REST_S):
        asked = len(first.requests)
        await both.first(GAS_PRICE, whole)
        assert len(first.requests) == asked + 1
        clock.ahead += rest - 0.5
        await both.first(GAS_PRICE, whole)
        assert len(first.requests) == asked + 1
        clock.ahead += 0.6


async def test_a_rest_that_is_asked_for_is_given(both: Rpc, first: RpcProxy, clock: Clock) -> None:
    first.fault = says({}, 429, {"retry-after": "30"})
    await both.first(GAS_PRICE, whole)
    first.fault = None
    clock.ahead += 29
    asked = len(first.requests)
    await both.first(GAS_PRICE, whole)
    assert len(first.requests) == asked
    clock.ahead += 2
    await both.first(GAS_PRICE, whole)
    assert len(first.requests) > asked


async def test_where_all_rest_all_are_asked(both: Rpc, first: RpcProxy, second: RpcProxy) -> None:
    first.fault = second.fault = says(b"<html>", 502)
    with pytest.raises(SinkUnavailable) as caught:
        await both.first(GAS_PRICE, whole)
    assert name(first) in str(caught.value)
    assert name(second) in str(caught.value)
    assert "HTTP 502" in str(caught.value)
    second.fault = None
    assert (await both.first(GAS_PRICE, whole)).endpoint.name == name(second)


async def test_an_error_is_passed_on_only_where_it_is_final(
    both: Rpc, first: RpcProxy, second: RpcProxy
) -> None:
    first.fault = refuses("eth_gasPrice", -32000, "header not found")
    said = await both.first(GAS_PRICE, whole)
    assert said.endpoint.name == name(second)
    said = await both.first(GAS_PRICE, whole, final=lambda failure: "header" in failure.message)
    assert said.endpoint.name == name(first)
    assert said.answers == [Failure(-32000, "header not found")]
    second.fault = first.fault
    with pytest.raises(SinkUnavailable, match="header not found"):
        await both.first(GAS_PRICE, whole)


async def test_a_node_that_lags_does_not_count(
    both: Rpc, anvil: Anvil, first: RpcProxy, second: RpcProxy
) -> None:
    first.fault = stuck_at(2)
    await anvil.mine(10)
    said = await both.every(GAS_PRICE, whole)
    assert [one.endpoint.name for one in said] == [name(second)]
    # and it is not trusted after that either, although it is preferred
    said_first = await both.first(GAS_PRICE, whole)
    assert (said_first.endpoint.name, said_first.head) == (name(second), 10)
    behind = metrics.REQUESTS.labels(str(both.chain_id), name(first), "behind")
    assert behind._value.get() >= 1


async def test_a_node_that_lags_alone_is_not_trusted(
    both: Rpc, anvil: Anvil, first: RpcProxy, second: RpcProxy, clock: Clock
) -> None:
    await anvil.mine(10)
    await both.every(GAS_PRICE, whole)
    first.fault, second.fault = stuck_at(2), silent()
    for _ in range(2):
        with pytest.raises(SinkUnavailable, match="at block 2, behind 10"):
            await both.first(GAS_PRICE, whole)
        with pytest.raises(SinkUnavailable, match="at block 2, behind 10"):
            await both.every(GAS_PRICE, whole)
    first.fault = None
    assert (await both.first(GAS_PRICE, whole)).head == 10


async def test_one_of_three_that_invents_blocks_silences_nobody(
    anvil: Anvil, first: RpcProxy, second: RpcProxy, clock: Clock
) -> None:
    first.fault = stuck_at(10**9)
    pool = Rpc([first.url, second.url, anvil.url], LIMITS, clock)
    await pool.connect()
    try:
        await pool.every(GAS_PRICE, whole)  # whoever is heard first is alone in the world
        for _ in range(3):
            await anvil.mine(1)
            said = await pool.every(GAS_PRICE, whole)
            assert {name(second), anvil.url} <= {one.endpoint.name for one in said}
        assert not pool.heads.likely(10**9)
        behind = metrics.REQUESTS.labels(str(pool.chain_id), name(second), "behind")
        assert behind._value.get() <= 1
    finally:
        await pool.close()


async def test_everybody_is_asked_at_once_and_stragglers_are_left(
    both: Rpc, first: RpcProxy, second: RpcProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "STRAGGLER_S", 0.1)
    said = await both.every([], whole)
    assert [one.endpoint.name for one in said] == [name(first), name(second)]
    first.fault = silent()
    started = time.monotonic()
    said = await both.every([], whole)
    assert [one.endpoint.name for one in said] == [name(second)]
    assert time.monotonic() - started < 2.5
    asked = len(first.requests)
    await both.every([], whole)
    assert len(first.requests) == asked, "it rests"


async def test_endpoints_of_different_chains_are_named(anvil: Anvil, tmp_path: Path) -> None:
    async with Anvil(tmp_path / "other", chain_id=5) as other:
        pool = Rpc([anvil.url, other.url.replace("http://", "http://u:s3cretword@")], LIMITS)
        with pytest.raises(ConfigurationError) as caught:
            await pool.connect()
        await pool.close()
    assert f"{anvil.url}: 31337, {other.url}: 5" in str(caught.value)
    assert "s3cretword" not in str(caught.value)


async def test_an_endpoint_that_comes_back_as_another_chains_is_not_used(
    both: Rpc, first: RpcProxy, second: RpcProxy, clock: Clock
) -> None:
    first.fault = lose_requests("eth_gasPrice")
    await both.first(GAS_PRICE, whole)
    first.fault = edits(
        lambda method, answer: answer | {"result": "0x5"} if method == "eth_chainId" else None
    )
    clock.ahead += 2
    assert (await both.first(GAS_PRICE, whole)).endpoint.name == name(second)
    assert first.requests[-1] == ["eth_chainId"], "nothing else is asked of it"
    # nobody else is there: it is a matter for the operator
    second.fault = first.fault
    clock.ahead += 200
    second_pool = both._members[1]
    second_pool.checked = False
    with pytest.raises(ConfigurationError, match="of chain 5, not 31337"):
        await both.first(GAS_PRICE, whole)


async def test_an_endpoint_that_is_away_at_first_joins_later(
    anvil: Anvil, second: RpcProxy, clock: Clock
) -> None:
    pool = Rpc(["http://127.0.0.1:1", second.url], LIMITS, clock)
    await pool.connect()
    assert pool.chain_id == 31_337
    assert (await pool.first(GAS_PRICE, whole)).endpoint.name == name(second)
    await pool.close()
    nobody = Rpc(["http://127.0.0.1:1"], LIMITS, clock)
    with pytest.raises(SinkUnavailable, match="ConnectError"):
        await nobody.connect()
    await nobody.close()


async def test_a_silent_endpoint_does_not_hold_the_start_up(
    first: RpcProxy, second: RpcProxy, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rpc, "STRAGGLER_S", 0.1)
    first.fault = silent()
    pool = Rpc([first.url, second.url], LIMITS, clock)
    started = time.monotonic()
    await pool.connect()
    assert time.monotonic() - started < 2.5
    assert (await pool.first(GAS_PRICE, whole)).endpoint.name == name(second)
    first.fault = None
    clock.ahead += 2
    assert (await pool.first(GAS_PRICE, whole)).endpoint.name == name(first)
    await pool.close()


@pytest.mark.parametrize("answer", ["31337", 31_337, None, "0x", "0x0001", "0x" + "f" * 60])
async def test_a_chain_id_that_is_none(anvil: Anvil, first: RpcProxy, answer: object) -> None:
    first.fault = edits(lambda method, given: given | {"result": answer})
    pool = Rpc([first.url], LIMITS)
    with pytest.raises(SinkUnavailable, match="quantity"):
        await pool.connect()
    await pool.close()


def test_no_endpoint_at_all() -> None:
    with pytest.raises(ConfigurationError, match="no JSON-RPC endpoint is set"):
        Rpc([])
    with pytest.raises(ConfigurationError, match="a JSON-RPC endpoint's URL is malformed"):
        Rpc(["ws://node"])


async def test_many_at_a_time(both: Rpc, first: RpcProxy) -> None:
    said = await asyncio.gather(
        *(both.first([Ask("eth_getBalance", (f"0x{i:040x}", "latest"))], whole) for i in range(64))
    )
    assert len(said) == 64
    assert all(isinstance(one.answers[0], Result) for one in said)
