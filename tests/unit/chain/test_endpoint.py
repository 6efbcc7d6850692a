"""One JSON-RPC endpoint over real HTTP, with everything that can be wrong with its answers."""

import json
import subprocess
import sys
import time
from typing import Any

import pytest

from provery.chain.endpoint import Ask, Endpoint, EndpointDown, Failure, Limits, Result
from provery.core.redact import redactor
from tests.support.rpc_proxy import Exchange, Fault, Reply, RpcProxy, says, silent

NOWHERE = "http://127.0.0.1:1"
LIMITS = Limits(connect_s=5.0, read_s=5.0, total_s=10.0, body=2_000_000)
HASTY = Limits(connect_s=5.0, read_s=1.0, total_s=1.5)
ONE = [Ask("eth_chainId")]
TWO = [Ask("eth_chainId"), Ask("eth_blockNumber")]


async def ask(fault: Fault, asks: list[Ask], limits: Limits = LIMITS) -> Any:
    async with RpcProxy(NOWHERE) as proxy:
        proxy.fault = fault
        endpoint = Endpoint(proxy.url, limits)
        try:
            return await endpoint.ask(asks)
        finally:
            await endpoint.close()


async def down(fault: Fault, asks: list[Ask], limits: Limits = LIMITS) -> EndpointDown:
    with pytest.raises(EndpointDown) as caught:
        await ask(fault, asks, limits)
    assert str(caught.value).startswith("http://127.0.0.1:")
    assert len(str(caught.value)) < 600
    return caught.value


def answering(make: Any) -> Fault:
    """``make(ids)`` gives the document."""

    async def fault(exchange: Exchange) -> Reply:
        return Reply(json.dumps(make([call["id"] for call in exchange.calls])).encode())

    return fault


def ok(number: object, result: object = "0x1") -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": number, "result": result}


async def test_one_call_and_a_batch() -> None:
    assert await ask(answering(lambda ids: ok(ids[0])), ONE) == [Result("0x1")]
    batch = answering(lambda ids: [ok(ids[1], "second"), ok(ids[0], None)])
    assert await ask(batch, TWO) == [Result(None), Result("second")]


async def test_an_error_is_an_answer() -> None:
    error = {"code": 3, "message": "execution reverted", "data": "0x1234"}
    for extra in ({}, {"result": None}):
        fault = answering(lambda ids, extra=extra: {"jsonrpc": "2.0", "id": ids[0], "error": error, **extra})
        assert await ask(fault, ONE) == [Failure(3, "execution reverted", "0x1234")]
    fault = answering(lambda ids: {**ok(ids[0]), "error": None})
    assert await ask(fault, ONE) == [Result("0x1")]


async def test_errors_may_come_with_a_status() -> None:
    async def fault(exchange: Exchange) -> Reply:
        error = {"jsonrpc": "2.0", "id": exchange.calls[0]["id"], "error": {"code": -32000, "message": "no"}}
        return Reply(json.dumps(error).encode(), 400)

    assert await ask(fault, ONE) == [Failure(-32000, "no")]


@pytest.mark.parametrize(
    "make",
    [
        lambda ids: ok(ids[0] + 1),
        lambda ids: ok(str(ids[0])),
        lambda ids: ok(None),
        lambda ids: ok(True),
        lambda ids: {**ok(ids[0]), "jsonrpc": "1.0"},
        lambda ids: {"id": ids[0], "result": "0x1"},
        lambda ids: {"jsonrpc": "2.0", "id": ids[0]},
        lambda ids: {"jsonrpc": "2.0", "id": ids[0], "error": "no"},
        lambda ids: {"jsonrpc": "2.0", "id": ids[0], "error": {"code": "x", "message": "no"}},
        lambda ids: {"jsonrpc": "2.0", "id": ids[0], "error": {"code": 1, "message": 2}},
        lambda ids: {"jsonrpc": "2.0", "id": None, "error": {"code": -32603, "message": "internal"}},
        lambda ids: {"error": "capacity"},
        lambda ids: "no",
        lambda ids: None,
        lambda ids: 5,
        lambda ids: [ok(ids[0])],
    ],
)
async def test_answers_that_are_none(make: Any) -> None:
    await down(answering(make), ONE)


@pytest.mark.parametrize(
    "make",
    [
        lambda ids: [],
        lambda ids: [ok(ids[0])],
        lambda ids: [ok(ids[0]), ok(ids[0])],
        lambda ids: [ok(ids[0]), ok(ids[1]), ok(ids[1])],
        lambda ids: [ok(ids[0]), None],
        lambda ids: [ok(ids[0]), ok(99)],
        lambda ids: [ok(ids[0]), {"jsonrpc": "2.0", "id": ids[1]}],
    ],
)
async def test_batches_that_do_not_match(make: Any) -> None:
    await down(answering(make), TWO)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"<html>502 Bad Gateway</html>", "not JSON"),
        (b'{"jsonrpc":"2.0","id":1,"result":NaN}', "not JSON"),
        (b'{"jsonrpc":"2.0","id":1,"result":-Infinity}', "not JSON"),
        (b'{"jsonrpc":"2.0","id":1,"result":' + b"9" * 10_000 + b"}", "not JSON"),
        (b"[" * 200_000, "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b'{"jsonrpc":"2.0","id":1,"result":"0x1"', "not JSON"),
        (b"x" * 2_000_001, "announced 2000001 bytes"),
    ],
)
async def test_bodies_that_are_none(body: bytes, words: str) -> None:
    assert words in str(await down(says(body), ONE))


async def test_deep_nesting_is_no_danger_whatever_the_recursion_limit() -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(100_000)
    try:
        assert "not JSON" in str(await down(says(b"[" * 1_000_000), ONE))
    finally:
        sys.setrecursionlimit(limit)


def test_loading_the_libraries_leaves_the_recursion_limit_alone() -> None:
    code = "import sys; a = sys.getrecursionlimit(); import provery.chain.account; print(a, sys.getrecursionlimit())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    before, after = shown.stdout.split()
    assert before == after


async def test_a_large_body_without_a_length() -> None:
    chunk = b"%x\r\n%s\r\n" % (1_000_000, b" " * 1_000_000)
    fault = says(chunk * 10 + b"0\r\n\r\n", headers={"transfer-encoding": "chunked", "content-length": ""})

    async def chunked(exchange: Exchange) -> Reply | None:
        reply = await fault(exchange)
        assert reply is not None
        return reply

    assert "sent more than 2000000 bytes" in str(await down(chunked, ONE))


async def test_a_compressed_body_is_refused() -> None:
    assert "only identity" in str(await down(says(b"x", headers={"content-encoding": "gzip"}), ONE))


async def test_silence_and_drips_end() -> None:
    started = time.monotonic()
    assert "silent" in str(await down(silent(), ONE, HASTY))
    assert "no complete answer within 1.5 s" in str(await down(says(b" " * 1_000, drip_s=0.05), ONE, HASTY))
    assert time.monotonic() - started < 10


async def test_hanging_up() -> None:
    async def hang_up(_: Exchange) -> None:
        return None

    assert "RemoteProtocolError" in str(await down(hang_up, ONE))
    endpoint = Endpoint(NOWHERE, LIMITS)
    with pytest.raises(EndpointDown, match="ConnectError"):
        await endpoint.ask(ONE)
    await endpoint.close()


@pytest.mark.parametrize(
    ("status", "after", "rest_s"),
    [(429, "7", 7.0), (429, "", 1.0), (503, "999999", 300.0), (429, "soon", 1.0)],
)
async def test_a_server_that_wants_to_be_left_alone(status: int, after: str, rest_s: float) -> None:
    error = await down(says({}, status, {"retry-after": after}), ONE)
    assert error.rest_s == rest_s
    assert f"HTTP {status}" in str(error)


async def test_a_plea_for_patience_in_an_answer() -> None:
    limited = {"code": -32005, "message": "project ID request rate exceeded"}
    assert (
        await down(answering(lambda ids: {"jsonrpc": "2.0", "id": ids[0], "error": limited}), ONE)
    ).rest_s > 0
    assert (
        await down(answering(lambda ids: {"jsonrpc": "2.0", "id": None, "error": limited}), TWO)
    ).rest_s > 0
    assert (await down(answering(lambda ids: {"error": "Too Many Requests"}), ONE)).rest_s > 0


async def test_refused_credentials() -> None:
    assert "refuses the credentials" in str(await down(says({}, 401), ONE))


async def test_redirects_are_not_followed() -> None:
    assert "HTTP 302" in str(await down(says(b"", 302, {"location": "http://169.254.169.254/"}), ONE))


async def test_a_server_without_batches_is_asked_one_by_one() -> None:
    async def fault(exchange: Exchange) -> Reply:
        if exchange.body.startswith(b"["):
            document: object = {
                "jsonrpc": "2.0",
                "id": None,
                "error": {"code": -32600, "message": "Invalid Request"},
            }
        else:
            document = ok(exchange.calls[0]["id"], exchange.methods[0])
        return Reply(json.dumps(document).encode())

    async with RpcProxy(NOWHERE) as proxy:
        proxy.fault = fault
        endpoint = Endpoint(proxy.url, LIMITS)
        for _ in range(2):
            assert await endpoint.ask(TWO) == [Result("eth_chainId"), Result("eth_blockNumber")]
        await endpoint.close()
        assert [len(methods) for methods in proxy.requests] == [2, 1, 1, 1, 1]  # the batch is tried once


async def test_where_requests_go_and_what_is_shown() -> None:
    seen: list[bytes] = []

    async def fault(exchange: Exchange) -> Reply:
        seen.append(exchange.body)
        return Reply(b"nothing")

    async with RpcProxy(NOWHERE) as proxy:
        proxy.fault = fault
        url = (
            proxy.url.replace("http://", "http://user:s3cretword@") + "/v3/0123456789abcdef0123?key=queryword"
        )
        endpoint = Endpoint(url, LIMITS)
        with pytest.raises(EndpointDown) as caught:
            await endpoint.ask([Ask("eth_call", ({"to": "0x"}, "latest"))])
        await endpoint.close()
    assert proxy.heads[0].startswith("post /v3/0123456789abcdef0123?key=queryword http/1.1")
    assert "authorization: basic" in proxy.heads[0]
    assert json.loads(seen[0]) == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "eth_call",
        "params": [{"to": "0x"}, "latest"],
    }
    for secret in ("s3cretword", "0123456789abcdef0123", "queryword"):
        assert secret not in f"{caught.value} {endpoint!r}"
        assert secret not in redactor(f"by mistake {secret}")
