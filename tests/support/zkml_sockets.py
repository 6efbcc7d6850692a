"""The inference API on the workers' real server, and clients that speak bytes to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.zkml_served import Served, served
from workers.health import HealthServer, free_port


@dataclass
class Said:
    """A complete answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Its body, read."""
        return json.loads(self.body)


@asynccontextmanager
async def listening(folder: Path, **settings: Any) -> AsyncIterator[tuple[Served, int]]:
    """An API on a free port."""
    async with served(folder, **settings) as at:

        async def ready() -> dict[str, str]:
            return dict(at.missing)

        server = HealthServer(ready)
        await server.start("127.0.0.1", 0)
        server.attach(at.registry, f"127.0.0.1:{free_port()}", [at.api.routes], at.api.serving)
        try:
            yield at, server.port
        finally:
            await at.api.stop()
            await server.close()


def request(path: str, body: bytes | None = None, *lines: str, method: str = "") -> bytes:
    """A request's bytes."""
    head = [f"{method or ('GET' if body is None else 'POST')} {path} HTTP/1.1", "Host: provery", *lines]
    if body is not None and not any(
        line.lower().startswith(("content-length", "transfer-")) for line in lines
    ):
        head += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + (body or b"")


async def read(reader: asyncio.StreamReader) -> Said | None:
    """One answer; None where the server closed instead."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as cut:
        if cut.partial:
            raise
        return None
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    body = await reader.readexactly(int(headers["content-length"])) if "content-length" in headers else b""
    return Said(int(first.split()[1]), headers, body)


async def exchange(port: int, data: bytes, *, eof: bool = False, timeout_s: float = 10.0) -> Said | None:
    """Send bytes, read one answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(timeout_s):
            try:
                writer.write(data)
                await writer.drain()
                if eof:
                    writer.write_eof()
            except (ConnectionResetError, BrokenPipeError):
                return None
            return await read(reader)
    except ConnectionResetError:
        return None
    finally:
        writer.close()
