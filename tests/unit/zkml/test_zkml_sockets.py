"""The API on its real server: half-closed, slow, cut-off and oversized requests; the document, word for word."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.zkml_documented import DOCUMENT, ask_all
from tests.support.zkml_served import MODEL, Served, prove_body
from tests.support.zkml_sockets import exchange, listening, read, request
from workers import http

BODY = json.dumps(prove_body()).encode()
Listening = tuple[Served, int]


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Listening]:
    async with listening(tmp_path, timeout_ms=3_000, body_s=0.5, max_body_mb=1) as found:
        yield found


async def test_a_half_closed_client_gets_its_answer(at: Listening) -> None:
    answer = await exchange(at[1], request("/prove", BODY), eof=True)
    assert answer is not None
    assert (answer.status, answer.json()["success"]) == (200, True)


@pytest.mark.parametrize("cut", [1, 20, 60, 200])
async def test_a_cut_off_request_starts_nothing(at: Listening, cut: int) -> None:
    answer = await exchange(at[1], request("/prove", BODY)[:-cut], eof=True)
    assert answer is None or (answer.status, answer.json()["code"]) == (400, "bad_http")
    await asyncio.sleep(0.05)
    assert at[0].engine.started == []
    healthy = await exchange(at[1], request("/health"))
    assert healthy is not None
    assert healthy.status == 200


async def test_a_body_that_stops_is_refused_in_time(at: Listening) -> None:
    began = time.monotonic()
    answer = await exchange(at[1], request("/prove", BODY)[:-10])
    assert answer is not None
    assert (answer.status, answer.json()["code"], answer.json()["success"]) == (408, "timeout", False)
    assert time.monotonic() - began < 3
    assert at[0].engine.started == []


async def test_a_body_that_drips_is_refused_in_time(at: Listening) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", at[1])
    sent = request("/prove", BODY)
    writer.write(sent[:-60])

    async def drip() -> None:
        for byte in sent[-60:-1]:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.05)

    dripping = asyncio.create_task(drip())
    answer = await asyncio.wait_for(read(reader), 5)
    dripping.cancel()
    writer.close()
    assert answer is not None
    assert answer.status == 408


@pytest.mark.parametrize("drip", [False, True])
async def test_a_head_that_never_ends_is_cut(
    at: Listening, drip: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEAD_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", at[1])
    began = time.monotonic()
    writer.write(b"POST /prove HTTP/1.1\r\nHost: x\r\n")
    if drip:
        for _ in range(20):
            writer.write(b"X")
            await asyncio.sleep(0.03)
            if reader.at_eof():
                break
    assert await asyncio.wait_for(reader.read(), 5) == b""
    assert time.monotonic() - began < 3
    writer.close()


async def test_the_head_of_a_second_request_is_waited_for_as_long(
    at: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "HEAD_S", 0.3)
    reader, writer = await asyncio.open_connection("127.0.0.1", at[1])
    writer.write(request("/health"))
    assert (await asyncio.wait_for(read(reader), 5)) is not None
    await asyncio.sleep(0.5)  # an idle connection is kept
    writer.write(request("/health"))
    assert (await asyncio.wait_for(read(reader), 5)) is not None
    writer.write(b"GET /hea")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()


async def test_long_waits_are_not_cut(at: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "HEAD_S", 0.1)
    at[0].engine.seconds = 0.5
    answer = await exchange(at[1], request("/prove", BODY))
    assert answer is not None
    assert answer.status == 200


@pytest.mark.parametrize("chunked", [False, True])
async def test_oversized_bodies_are_refused_to_clients_that_send_them_whole(
    at: Listening, chunked: bool
) -> None:
    body = b'{"model_id":"x","inputs":[' + b"0," * 10_000_000 + b"0]}"
    if chunked:
        pieces = [body[i : i + 2**20] for i in range(0, len(body), 2**20)]
        text = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
        data = request("/prove", b"", "Transfer-Encoding: chunked", "Content-Type: application/json") + text
    else:
        data = request("/prove", body)
    answer = await exchange(at[1], data, timeout_s=30)
    assert answer is not None
    assert (answer.status, answer.json()["code"], answer.json()["success"]) == (413, "too_large", False)
    assert at[0].engine.started == []


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST /prove HTTP/1.1\r\n\r\n",
        b"POST /prove HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST /prove HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
        b"POST /prove HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        b"POST /prove HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 600_000 + b"\r\n\r\n",
        b"GET /" + b"y" * 600_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nX\x00: y\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100 + b"\r\n\r\n",
    ],
)
async def test_malformed_http_gets_a_400(at: Listening, data: bytes) -> None:
    answer = await exchange(at[1], data)
    assert answer is None or 400 <= answer.status < 500
    if answer is not None:
        assert answer.json()["code"] in ("bad_http", "too_large")
    assert at[0].engine.started == []


async def test_our_pages_stay_beside_the_systems(at: Listening) -> None:
    at[0].missing["m"] = "running"
    health, ready = await exchange(at[1], request("/health")), await exchange(at[1], request("/ready"))
    assert health is not None
    assert ready is not None
    assert (health.status, health.json()["status"]) == (503, "starting")
    assert (ready.status, ready.json()["ready"]) == (503, False)
    at[0].missing.clear()
    metrics = await exchange(at[1], request("/metrics"))
    assert metrics is not None
    lines = [line.rpartition(" ")[0] for line in metrics.body.decode().splitlines()]
    assert set(DOCUMENT["metrics"]) <= set(lines)


async def test_event_streams_end_when_their_clients_go(at: Listening) -> None:
    at[0].engine.hold = asyncio.Event()
    asked = await exchange(at[1], request("/v1/proofs", BODY))
    assert asked is not None
    for _ in range(3):
        reader, writer = await asyncio.open_connection("127.0.0.1", at[1])
        writer.write(request(f"/v1/proofs/{asked.json()['id']}/events"))
        assert b"event: stage" in await asyncio.wait_for(reader.readuntil(b"event: stage"), 5)
        writer.close()
    async with asyncio.timeout(5):
        while at[0].api.parts.events._open:
            await asyncio.sleep(0.02)


async def test_a_client_that_goes_does_not_take_its_proof(at: Listening) -> None:
    at[0].engine.hold = asyncio.Event()
    _, writer = await asyncio.open_connection("127.0.0.1", at[1])
    writer.write(request("/prove", BODY))
    await writer.drain()
    async with asyncio.timeout(5):
        while not at[0].engine.started:
            await asyncio.sleep(0.01)
    writer.transport.abort()
    await asyncio.sleep(0.1)
    at[0].engine.hold.set()
    again = await exchange(at[1], request("/prove", BODY))
    assert again is not None
    assert again.status == 200
    assert len(at[0].engine.started) == 1


async def test_the_document_word_for_word(at: Listening) -> None:
    async def send(method: str, path: str, headers: dict[str, str], body: str) -> Any:
        lines = [f"{name}: {value}" for name, value in headers.items()]
        lines += [f"Content-Length: {len(body)}"] if body else []
        answer = await exchange(at[1], request(path, body.encode() or None, *lines, method=method))
        assert answer is not None
        assert answer.status == 200, answer.body
        return answer.json()

    proved = await ask_all(send)
    assert proved["proof"]["tag"] == "spending"
    assert proved["proof"]["metadata"]["input_hash"].startswith("0x225f2461")
    assert proved["inference"]["decision"] in ("approve", "reject")
    assert at[0].engine.started[0].unit.params["model"] == MODEL


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("command", DOCUMENT["curl"])
async def test_the_documented_curl_commands(at: Listening, command: str) -> None:
    address = f"localhost:{DOCUMENT['port']}"
    assert address in command
    words = shlex.split(command.replace(address, f"127.0.0.1:{at[1]}"))
    child = await asyncio.create_subprocess_exec(*words, stdout=-1, stderr=-3)
    out, _ = await asyncio.wait_for(child.communicate(), 20)
    assert child.returncode == 0
    assert json.loads(out)["status"] == "healthy"
