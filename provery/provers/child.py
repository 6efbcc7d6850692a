"""One child process: started in its own session, reaped through a pidfd, killed with all it started."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from provery.core.errors import ProveryError
from provery.core.ports import Usage
from provery.provers.failures import STDERR_TAIL, Exit, error_of_exit
from provery.provers.family import GUARD, Family, guardian, oom_kills
from provery.provers.guard import MARK, sweep

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL; within the two seconds that a cancelled stage may take."""
_KEEP = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "GOMAXPROCS",
    "GOGC",
    "CUDA_VISIBLE_DEVICES",
)
"""Variables a child inherits. The rest of the worker's environment holds passwords and keys."""


@dataclass(frozen=True)
class Command:
    """A program to run."""

    name: str
    """For people and errors."""
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    """On top of the few inherited variables."""
    cwd: Path | None = None
    device: str = ""
    """What it was given to compute on, for the record."""


class Child:
    """One running program in its own session. ``exited`` is done when the kernel has reported its end."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.mark = uuid.uuid4().hex
        self.oom_before = oom_kills()
        self.started = monotonic()
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[Exit] = loop.create_future()
        self._gone: asyncio.Future[None] = loop.create_future()
        self.stderr = b""
        env = {k: os.environ[k] for k in _KEEP if k in os.environ} | dict(command.env) | {MARK: self.mark}
        pipe = guardian.pipe()
        launcher = (sys.executable, "-I", "-S", str(GUARD), "launch", str(os.getpid()), str(pipe), self.mark)
        self._process = subprocess.Popen(
            launcher + command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=command.cwd,
            start_new_session=True,
            pass_fds=(pipe,),
        )
        self.pid = self._process.pid
        self.family = Family(self.pid)
        guardian.add(self.pid, self.mark)
        self._watch_exit(loop)

    @classmethod
    async def start(cls, command: Command, *, line_limit: int = 2**16) -> Child:
        """Start the program and connect its pipes.

        Args:
            command: What to run.
            line_limit: Longest line that ``stdout.readline`` accepts, bytes.
        """
        child = cls(command)
        loop = asyncio.get_running_loop()
        process = child._process
        child.stdout = asyncio.StreamReader(limit=line_limit)
        protocol = asyncio.StreamReaderProtocol(child.stdout)
        try:
            out, _ = await loop.connect_read_pipe(lambda: protocol, process.stdout)
            child._transports = (out,)
            err, _ = await loop.connect_read_pipe(lambda: _Tail(child), process.stderr)
            child._transports = (out, err)
            child.stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
            child._transports = (out, err, child.stdin)
        except BaseException:  # cancelled meanwhile: nobody else knows of the child yet
            await child.stop(grace=0)
            raise
        return child

    stdout: asyncio.StreamReader
    stdin: asyncio.WriteTransport
    _transports: tuple[asyncio.BaseTransport, ...] = ()

    @property
    def alive(self) -> bool:
        """Whether it has not been seen to end."""
        return not self.exited.done()

    def last_words(self) -> str:
        """The tail of its standard error."""
        return self.stderr.decode("utf-8", "replace")

    def failure(self) -> ProveryError:
        """The error that its end stands for."""
        end = self.exited.result()
        now = oom_kills()
        return error_of_exit(
            self.command.name, end, self.last_words(), oom_killed=now < 0 or now > self.oom_before
        )

    def usage(self) -> Usage:
        """What it used over its life, as far as known."""
        end = self.exited.result() if self.exited.done() else Exit()
        return Usage(
            cpu_s=max(end.cpu_s, self.family.cpu_s),
            wall_s=monotonic() - self.started,
            # The kernel's figure includes the moment before exec, when the child still was the worker's image.
            peak_rss=self.family.peak_rss or end.max_rss,
            exit_code=end.code,
            signal=end.signal,
            pid=self.pid,
            device=self.command.device,
        )

    async def stop(self, *, grace: float = GRACE) -> None:
        """End it and everything it started: SIGTERM, then after ``grace`` seconds SIGKILL. Safe to repeat."""
        try:
            if self.alive and grace > 0:
                self.signal(signal.SIGTERM)
                await asyncio.wait([self.exited], timeout=grace)
        finally:
            self.signal(signal.SIGKILL)
            # Bounded: a process stuck in a driver call dies when the driver lets it, and the guard knows of it.
            await asyncio.wait([self._gone], timeout=GRACE)
            for transport in self._transports:
                transport.close()

    def signal(self, number: int) -> None:
        """Send a signal to the whole group, unless the child has ended: its id may mean something else by then."""
        if self.alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    async def _clear(self) -> None:
        """After its end: kill what it left behind, which also closes the pipes that such processes hold."""
        while await asyncio.to_thread(sweep, {self.pid: self.mark}):
            await asyncio.sleep(0.01)
        guardian.remove(self.pid)
        self._gone.set_result(None)

    def _watch_exit(self, loop: asyncio.AbstractEventLoop) -> None:
        """Reap through a pidfd: unlike asyncio's watchers it tells what the child used, and needs no thread."""
        try:
            pidfd = os.pidfd_open(self.pid)
        except (OSError, AttributeError):  # an old or foreign kernel
            loop.run_in_executor(None, lambda: loop.call_soon_threadsafe(self._ended, *os.wait4(self.pid, 0)))
            return

        def readable() -> None:
            pid, status, used = os.wait4(self.pid, os.WNOHANG)
            if pid:
                loop.remove_reader(pidfd)
                os.close(pidfd)
                self._ended(pid, status, used)

        loop.add_reader(pidfd, readable)

    def _ended(self, pid: int, status: int, used: object) -> None:
        code = os.waitstatus_to_exitcode(status)
        self._process.returncode = code  # reaped here: Popen must not wait for a stranger with this id
        cpu = float(getattr(used, "ru_utime", 0.0)) + float(getattr(used, "ru_stime", 0.0))
        rss = int(getattr(used, "ru_maxrss", 0)) * 1024
        self.exited.set_result(Exit(code if code >= 0 else None, -code if code < 0 else None, cpu, rss))
        self._clearing = asyncio.get_running_loop().create_task(self._clear())


class _Tail(asyncio.Protocol):
    """Keeps the end of a child's standard error, however much it writes."""

    def __init__(self, child: Child) -> None:
        self._child = child

    def data_received(self, data: bytes) -> None:
        self._child.stderr = (self._child.stderr + data)[-STDERR_TAIL:]
