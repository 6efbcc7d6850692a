"""One managed process: start, wait until it answers, stop, kill, start again.

Built on ``subprocess.Popen`` rather than asyncio's processes, so that an object outlives the event loop that made it:
session-wide fixtures and the fault harness start in one loop and kill from another.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from provery.core.errors import ConfigurationError, TransientError

LAUNCHER = Path(__file__).with_name("launcher.py")
POLL_S = 0.02
"""Seconds between looks at a process."""
LOG_TAIL = 2_000
"""Bytes of a dead process's log that its error shows."""
LOG_LIMIT = 20_000_000
"""Bytes; a log that has outgrown it is moved aside when its process starts."""

_QUIET_PORTS = range(12_000, 32_000)
_given: set[int] = set()


class Process:
    """A program that this one starts and answers for.

    Subclasses say what runs (``argv``), in which environment, and when it is ready.
    """

    name = "process"
    ready_s = 30.0
    """Seconds to become ready."""
    grace_s = 10.0
    """Seconds between SIGTERM and SIGKILL."""
    poll_s = POLL_S
    """Seconds between questions whether it is ready."""
    uid = "-"
    """User to run as; ``-`` for the caller's."""

    def __init__(self, *, log: Path) -> None:
        self.log = log
        self.restarts = -1
        self.started_at = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def argv(self) -> Sequence[str]:
        """Program and arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """Environment of the process."""
        return os.environ

    async def prepare(self) -> None:
        """Make directories and data before the start."""

    async def ready(self) -> bool:
        """Whether it answers; called every few milliseconds until it does."""
        return True

    @property
    def pid(self) -> int | None:
        """Process id, None while it does not run."""
        return self._process.pid if self._process is not None and self.alive else None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended: an exit status, or minus a signal number."""
        return self._process.poll() if self._process is not None else None

    def spawn(self) -> None:
        """Start the process without waiting for it. Call from the main thread.

        The kernel ties a child to the *thread* that made it: started from a pool thread it would die with that thread.
        """
        if self.alive:
            return
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()), self.uid, "--", *self.argv()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(self.environment()),
            )
        self.restarts += 1
        self.started_at = time.time()

    async def start(self) -> None:
        """Start and wait until it is ready; nothing happens where it already runs.

        Raises:
            ConfigurationError: if it ended instead; the message ends with its log.
            TransientError: if it is still not ready after ``ready_s``.
        """
        if self.alive:
            return
        await self.prepare()
        self.spawn()
        try:
            await self.wait_ready()
        except BaseException:
            await self.kill()
            raise

    async def wait_ready(self) -> None:
        """Wait until ``ready`` says so; errors as in ``start``."""
        deadline = time.monotonic() + self.ready_s
        while True:
            if not self.alive:
                raise ConfigurationError(
                    f"{self.name} ended with status {self.exit_code} instead of starting",
                    action=f"its log, {self.log}, ends with:\n{self.log_tail()}",
                )
            if await self.ready():
                return
            if time.monotonic() > deadline:
                raise TransientError(
                    f"{self.name} is not ready after {self.ready_s:.0f} s",
                    action=f"its log, {self.log}, ends with:\n{self.log_tail()}",
                )
            await asyncio.sleep(self.poll_s)

    async def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait for the end; returns the exit status, or None after ``timeout_s`` seconds."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while self.alive:
            if deadline is not None and time.monotonic() > deadline:
                return None
            await asyncio.sleep(POLL_S)
        return self.exit_code

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after ``grace_s`` seconds."""
        self.signal(signal.SIGTERM)
        if await self.wait(self.grace_s) is None:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        await self.wait(10.0)

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens where it does not run."""
        if self._process is not None and self.alive:
            self._process.send_signal(number)

    def log_tail(self) -> str:
        """The last lines of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - LOG_TAIL))
                return log.read().decode("utf-8", "replace")
        except OSError:
            return ""

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()


def free_port(host: str = "127.0.0.1") -> int:
    """A port that nothing listens on now, and that the kernel gives to nobody by itself.

    Temporal's development server takes ephemeral ports for its inner services, and clients take them for connections;
    a port from that range could be gone before it is used.
    """
    while True:
        port = secrets.choice(_QUIET_PORTS)
        if port not in _given and not port_taken(host, port):
            _given.add(port)
            return port


def port_taken(host: str, port: int) -> bool:
    """Whether something listens on a port, so that a server could not."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return True
    return False


async def answers(
    host: str, port: int, ask: bytes = b"", expect: bytes = b"", timeout_s: float = 1.0
) -> bool:
    """Whether a TCP port accepts, and answers ``ask`` with something that has ``expect`` in it."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                if not ask:
                    return True
                writer.write(ask)
                await writer.drain()
                return expect in await reader.read(256)
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return False


async def unless_stopped(task: asyncio.Future[Any], stop: asyncio.Event) -> bool:
    """Wait for a task, or cancel it at ``stop``; returns whether it finished."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return False
    task.result()
    return True
