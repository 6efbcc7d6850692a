"""A JSON-RPC endpoint with faults: it stands before a real node and spoils what the test tells it to.

    async with RpcProxy(anvil.url) as proxy:
        proxy.fault = lose_answers("eth_sendRawTransaction")
        chain = await open_chain([proxy.url], …)

A fault is a coroutine function of the exchange; it returns what goes back to the client, or None to hang up.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import httpx

from provery.local.process import free_port


@dataclass
class Reply:
    """What goes back."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    drip_s: float = 0.0
    """Seconds between bytes."""


@dataclass
class Exchange:
    """One request and the way to the node."""

    body: bytes
    target: str
    http: httpx.AsyncClient

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls in it."""
        document = json.loads(self.body)
        return document if isinstance(document, list) else [document]

    @property
    def methods(self) -> list[str]:
        """Their methods."""
        return [call["method"] for call in self.calls]

    async def forward(self, body: bytes | None = None) -> Reply:
        """What the node says."""
        answer = await self.http.post(
            self.target,
            content=self.body if body is None else body,
            headers={"content-type": "application/json"},
        )
        return Reply(answer.content, answer.status_code)


Fault = Callable[[Exchange], Awaitable[Reply | None]]


class RpcProxy:
    """Listens on a port of its own. ``requests`` are the methods of each request it got."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.port = free_port()
        self.fault: Fault | None = None
        self.requests: list[list[str]] = []
        self.heads: list[str] = []
        """Request lines and headers, in lower case."""
        self._server: asyncio.Server | None = None
        self._http = httpx.AsyncClient(
            trust_env=False, timeout=30.0, verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        )
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (OSError, httpx.HTTPError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()  # without waiting: a client may read no more

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        self.heads.append(head)
        length = next(
            int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("content-length")
        )
        exchange = Exchange(await reader.readexactly(length), self.target, self._http)
        self.requests.append(exchange.methods)
        reply = await (self.fault(exchange) if self.fault else exchange.forward())
        if reply is None:
            return False
        headers = {
            "content-type": "application/json",
            "content-length": str(len(reply.body)),
            **reply.headers,
        }
        shown = [f"{name}: {value}" for name, value in headers.items() if value]
        lines = [f"HTTP/1.1 {reply.status} X", *shown, "", ""]
        writer.write("\r\n".join(lines).encode())
        if reply.drip_s:
            for byte in reply.body:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(reply.drip_s)
        else:
            writer.write(reply.body)
        await writer.drain()
        return "transfer-encoding" not in headers


# ---------------------------------------------------------------------- faults


def lose_answers(*methods: str) -> Fault:
    """The node does what it is asked; the answer is lost, where one of the methods is asked for."""

    async def fault(exchange: Exchange) -> Reply | None:
        reply = await exchange.forward()
        return None if set(methods) & set(exchange.methods) else reply

    return fault


def lose_requests(*methods: str) -> Fault:
    """The request never gets to the node."""

    async def fault(exchange: Exchange) -> Reply | None:
        return None if set(methods) & set(exchange.methods) else await exchange.forward()

    return fault


def says(
    body: bytes | object, status: int = 200, headers: dict[str, str] | None = None, drip_s: float = 0.0
) -> Fault:
    """The same answer to everything: bytes, or a JSON document."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()

    async def fault(_: Exchange) -> Reply:
        return Reply(content, status, headers or {}, drip_s)

    return fault


def silent() -> Fault:
    """Takes requests and never answers."""

    async def fault(_: Exchange) -> None:
        await asyncio.sleep(3_600)

    return fault


def edits(change: Callable[[str, dict[str, Any]], object]) -> Fault:
    """``change(method, answer)`` may alter each answer in place, or return what takes its place."""

    async def fault(exchange: Exchange) -> Reply:
        methods = {call["id"]: call["method"] for call in exchange.calls}
        reply = await exchange.forward()
        document = json.loads(reply.body)
        answers = document if isinstance(document, list) else [document]
        changed = [change(methods[answer["id"]], answer) or answer for answer in answers]
        return Reply(json.dumps(changed if isinstance(document, list) else changed[0]).encode())

    return fault


def refuses(method: str, code: int, message: str, data: object = None) -> Fault:
    """One method answered by an error, without asking the node."""

    def change(asked: str, answer: dict[str, Any]) -> object:
        if asked != method:
            return None
        error = {"code": code, "message": message} | ({} if data is None else {"data": data})
        return {"jsonrpc": "2.0", "id": answer["id"], "error": error}

    async def fault(exchange: Exchange) -> Reply:
        if method in exchange.methods and len(exchange.calls) == 1:
            return Reply(json.dumps(change(method, exchange.calls[0])).encode())
        return await edited(exchange) or Reply(b"")

    edited = edits(change)
    return fault


def stuck_at(height: int) -> Fault:
    """A node that has seen no block after ``height``: its head, nonces, balances, receipts and state are of then."""
    latest = hex(height)

    def aged(call: dict[str, Any]) -> dict[str, Any]:
        params = [latest if param == "latest" else param for param in call["params"]]
        return {**call, "params": params}

    def change(method: str, answer: dict[str, Any]) -> object:
        if method == "eth_blockNumber":
            return {**answer, "result": latest}
        later = method in ("eth_getTransactionReceipt", "eth_getTransactionByHash") and answer.get("result")
        if later and int(answer["result"].get("blockNumber") or "0x0", 16) > height:
            return {**answer, "result": None}
        return None

    edited = edits(change)

    async def fault(exchange: Exchange) -> Reply | None:
        document = json.loads(exchange.body)
        aged_document = [aged(call) for call in document] if isinstance(document, list) else aged(document)
        return await edited(Exchange(json.dumps(aged_document).encode(), exchange.target, exchange.http))

    return fault
