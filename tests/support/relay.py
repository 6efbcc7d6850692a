"""A TCP relay in a process of its own: a server behind it seems to die and come back as the relay does.

``python -m tests.support.relay PORT TARGET_PORT``
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path

from provery.local.process import Process, answers, free_port


class Relay(Process):
    """Listens on ``port`` and passes everything on to ``target`` of this machine."""

    def __init__(self, home: Path, target: int, name: str) -> None:
        super().__init__(log=home / f"{name}.log")
        self.name, self.target, self.port = name, target, free_port()

    def argv(self) -> Sequence[str]:
        """This module as a program."""
        return [sys.executable, "-m", "tests.support.relay", str(self.port), str(self.target)]

    @property
    def url(self) -> str:
        """What clients are given."""
        return f"http://127.0.0.1:{self.port}"

    async def ready(self) -> bool:
        """Whether it listens."""
        return await answers("127.0.0.1", self.port, b"", b"")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


async def _serve(port: int, target: int) -> None:
    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", target)
        except OSError:
            writer.close()
            return
        await asyncio.gather(_pump(reader, back), _pump(there, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
