"""Webhooks: signed, called again, never lost, and never to where they must not go."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from provery.core.access import PROVE
from provery.systems.zkml.http import webhook_calls, webhooks
from provery.systems.zkml.http.problems import ApiError
from tests.support.zkml_served import Served, prove_body, served

SECRET = "installation secret of sufficient length"


@dataclass
class Receiver:
    """A real HTTP server that takes webhooks."""

    statuses: list[int] = field(default_factory=list)
    """To answer with, in order; then 204."""
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    port: int = 0
    silent: bool = False
    location: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            headers = {
                name.lower(): value
                for name, _, value in (line.partition(": ") for line in head.split("\r\n")[1:])
            }
            body = (await reader.readexactly(int(headers["content-length"]))).decode()
            self.got.append(({**headers, "": head.split("\r\n")[0]}, body))
            if self.silent:
                await asyncio.sleep(60)
            status = self.statuses.pop(0) if self.statuses else 204
            more = f"location: {self.location}\r\n" if self.location else ""
            writer.write(
                f"HTTP/1.1 {status} X\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n".encode()
            )
            await writer.drain()
        finally:
            writer.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


@asynccontextmanager
async def both(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Served, Receiver]]:
    async with (
        receiving() as receiver,
        served(tmp_path, webhook_secret=SECRET, webhook_hosts=f"127.0.0.1:{receiver.port}", **settings) as at,
    ):
        yield at, receiver


async def until(receiver: Receiver, count: int) -> None:
    async with asyncio.timeout(10):
        while len(receiver.got) < count:
            await asyncio.sleep(0.01)


async def test_the_end_of_a_proof_is_told_signed(tmp_path: Path) -> None:
    async with both(tmp_path) as (at, receiver), at.client() as http:
        key = await at.key(PROVE)
        asked = await http.post("/v1/proofs", json=prove_body(webhook={"url": receiver.url}), headers=key)
        await until(receiver, 1)
        headers, body = receiver.got[0]
        assert headers[""] == "POST /hook?x=1 HTTP/1.1"
        assert headers["host"] == f"127.0.0.1:{receiver.port}"
        assert headers["content-type"] == "application/json"
        told = json.loads(body)
        assert (told["id"], told["status"]) == (asked.json()["id"], "done")
        assert told["result"]["proof"]["proof"].startswith("0x")
        # As a receiver checks it, from what the document says.
        secret = (await http.get("/v1/webhook-secret", headers=key)).json()["secret"]
        stamp = headers["x-provery-timestamp"]
        expected = hmac.new(secret.encode(), f"{stamp}.{body}".encode(), hashlib.sha256).hexdigest()
        assert headers["x-provery-signature"] == f"sha256={expected}"
        assert abs(int(stamp) - time.time()) < 30
        other = (await http.get("/v1/webhook-secret", headers=await at.key(PROVE))).json()["secret"]
        assert other != secret
        await asyncio.sleep(0.1)
        assert at.figure("provery_zkml_webhooks_total", outcome="delivered") == 1
        # Asked for again it is done already, and told once: the call has the same id.
        again = await http.post("/v1/proofs", json=prove_body(webhook={"url": receiver.url}), headers=key)
        assert again.json()["status"] == "done"
        await asyncio.sleep(0.2)
        assert len(receiver.got) == 1


async def test_failed_calls_are_made_again_and_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BACKOFF_S", 0.01)
    monkeypatch.setattr(webhooks, "LOOK_S", 0.02)
    async with both(tmp_path, webhook_attempts=4) as (at, receiver), at.client() as http:
        key = await at.key(PROVE)
        receiver.statuses = [500, 302, 200]
        receiver.location = receiver.url + "&redirected"
        await http.post("/v1/proofs", json=prove_body(webhook={"url": receiver.url}), headers=key)
        await until(receiver, 3)
        assert {headers[""] for headers, _ in receiver.got} == {
            "POST /hook?x=1 HTTP/1.1"
        }  # no redirect is followed
        assert len({headers["x-provery-delivery"] for headers, _ in receiver.got}) == 1
        receiver.statuses = [500] * 9
        await http.post("/v1/proofs", json=prove_body(0.9, webhook={"url": receiver.url}), headers=key)
        await until(receiver, 7)
        await asyncio.sleep(0.2)
        assert len(receiver.got) == 7
        assert at.figure("provery_zkml_webhooks_total", outcome="given_up") == 1
        assert at.figure("provery_zkml_webhooks_total", outcome="retried") == 5


async def test_a_receiver_that_wants_no_more_gets_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "BACKOFF_S", 0.01)
    monkeypatch.setattr(webhooks, "LOOK_S", 0.02)
    async with both(tmp_path) as (at, receiver), at.client() as http:
        receiver.statuses = [410]
        body = prove_body(webhook={"url": receiver.url})
        await http.post("/v1/proofs", json=body, headers=await at.key(PROVE))
        await until(receiver, 1)
        await asyncio.sleep(0.2)
        assert len(receiver.got) == 1


async def test_silent_receivers_are_left(tmp_path: Path) -> None:
    async with (
        both(tmp_path, webhook_timeout_s=0.1, webhook_attempts=1) as (at, receiver),
        at.client() as http,
    ):
        receiver.silent = True
        body = prove_body(webhook={"url": receiver.url})
        await http.post("/v1/proofs", json=body, headers=await at.key(PROVE))
        await until(receiver, 1)
        async with asyncio.timeout(5):
            while not at.figure("provery_zkml_webhooks_total", outcome="given_up"):
                await asyncio.sleep(0.02)


async def test_a_crash_loses_no_webhook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "AGAIN_S", 0.05)
    monkeypatch.setattr(webhooks, "LOOK_S", 0.02)
    async with both(tmp_path) as (at, receiver):
        at.engine.hold = asyncio.Event()
        async with at.client() as http:
            body = prove_body(webhook={"url": receiver.url})
            await http.post("/v1/proofs", json=body, headers=await at.key(PROVE))
        # This replica is gone from here on: it neither watches nor calls.
        await at.api.parts.proofs.flights.close()
        at.api.parts.webhooks._here.clear()
        await asyncio.sleep(0.2)
        assert receiver.got == []
        at.engine.hold.set()
        await until(receiver, 1)
        assert json.loads(receiver.got[0][1])["status"] == "done"
        await asyncio.sleep(0.2)
        assert len(receiver.got) == 1


async def test_failures_are_told_too(tmp_path: Path) -> None:
    async with both(tmp_path) as (at, receiver), at.client() as http:
        at.engine.fail = ("ProverCrashed", "")
        body = prove_body(webhook={"url": receiver.url})
        await http.post("/v1/proofs", json=body, headers=await at.key(PROVE))
        await until(receiver, 1)
        told = json.loads(receiver.got[0][1])
        assert (told["status"], told["code"]) == ("failed", "proof_failed")


async def test_webhooks_need_a_key_and_a_secret(tmp_path: Path) -> None:
    body = prove_body(webhook={"url": "https://example.org/hook"})
    async with served(tmp_path) as at, at.client() as http:
        refused = await http.post("/v1/proofs", json=body, headers=await at.key(PROVE))
        assert (refused.status_code, refused.json()["code"]) == (400, "webhooks_disabled")
    (tmp_path / "b").mkdir()
    async with served(tmp_path / "b", webhook_secret=SECRET) as at, at.client() as http:
        refused = await http.post("/v1/proofs", json=body)
        assert (refused.status_code, refused.json()["code"]) == (401, "unauthorized")
        assert at.engine.started == []


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/", "ftp://example.org/", "file:///etc/passwd", "https://", "https:///x", "gopher://x", "",
        "https://user:pass@example.org/", "https://user@example.org/", "https://127.0.0.1/", "https://10.0.0.1/",
        "https://169.254.169.254/latest/meta-data/", "https://[::1]/", "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/", "https://[fe80::1]/", "https://0.0.0.0/", "https://192.168.1.1:8443/",
        "https://100.64.0.1/", "https://224.0.0.1/", "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/",
        "https://example.org:99999/", "https://example.org/\r\nHost: x", "https://exa mple.org/", "https://example.org/#f",
        "https://ex\u00e4mple.org/", "//example.org/", "javascript:alert(1)", "https://240.0.0.1/", "https://[::]/",
    ],
)  # fmt: skip
def test_addresses_that_are_refused_at_once(url: str) -> None:
    with pytest.raises(ApiError) as refused:
        webhook_calls.target_of(url, frozenset())
    assert refused.value.code == "webhook_refused"


@pytest.mark.parametrize(
    "url", ["https://example.org", "https://8.8.8.8/x", "https://example.org:8443/a?b=c"]
)
def test_public_addresses_are_taken(url: str) -> None:
    assert webhook_calls.target_of(url, frozenset()).scheme == "https"


def test_what_the_operator_allows_is_allowed() -> None:
    hosts = frozenset({"hooks.internal", "127.0.0.1:8080"})
    assert webhook_calls.target_of("http://hooks.internal/x", hosts).allowed
    assert webhook_calls.target_of("http://127.0.0.1:8080/x", hosts).allowed
    with pytest.raises(ApiError):
        webhook_calls.target_of("http://127.0.0.1:8081/x", hosts)


@pytest.mark.parametrize("found", ["127.0.0.1", "10.0.0.8", "::1", "169.254.169.254", "fd00::1"])
async def test_names_that_lead_to_private_addresses_are_refused(
    found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(host: str, port: int, **_: object) -> list[Any]:
        return [(0, 0, 0, "", ("8.8.8.8", port)), (0, 0, 0, "", (found, port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    target = webhook_calls.target_of("https://rebound.example.org/", frozenset())
    with pytest.raises(webhook_calls.CallFailed) as refused:
        await webhook_calls.addresses(target)
    assert refused.value.again is False


def test_public_is_what_the_internet_routes() -> None:
    assert webhook_calls.public(ipaddress.ip_address("1.1.1.1"))
    assert webhook_calls.public(ipaddress.ip_address("2606:4700::1111"))
    assert not webhook_calls.public(ipaddress.ip_address("192.0.2.1"))


async def test_the_secret_is_in_no_answer_figure_or_row(tmp_path: Path) -> None:
    async with both(tmp_path) as (at, receiver), at.client() as http:
        body = prove_body(webhook={"url": receiver.url})
        answer = await http.post("/v1/proofs", json=body, headers=await at.key(PROVE))
        await until(receiver, 1)
        rows = [repr(row) async for row in at.ledger.access.audit.rows()]
        assert all(
            SECRET not in text
            for text in (answer.text, repr(at.api.parts.settings), receiver.got[0][1], *rows)
        )
