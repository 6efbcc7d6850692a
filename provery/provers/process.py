"""Child processes for proving: they die with their parent, on cancel, at their time limit and at their memory cap.

Two guards keep a child from outliving the worker: the kernel's parent-death signal on the child itself, and a watcher
process that kills the child's whole session, grandchildren included (``guard.py``). Children must be started from the
event loop's own thread: the parent-death signal fires when the *thread* that forked ends, and pool threads do end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic

from provery.core.errors import ProveryError
from provery.core.ports import Progress, Usage
from provery.provers.failures import STDERR_TAIL, Exit, error_of_exit, over_cap, timed_out
from provery.provers.family import GUARD, Family, guardian, oom_kills
from provery.provers.guard import MARK, sweep

GRACE = 1.0
"""Seconds between SIGTERM and SIGKILL; within the two seconds that a cancelled stage may take."""
_LOOK = 0.1
"""Seconds between looks at memory; a child may overshoot its cap by what it allocates in that time."""
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
class Limits:
    """What one call of a child may use; 0 for no limit."""

    timeout_s: float = 0.0
    memory: int = 0
    """Bytes, resident, child and descendants together."""


NO_LIMITS = Limits()
limits: ContextVar[Limits] = ContextVar("limits", default=NO_LIMITS)
"""Limits of the stage at hand. Set by the activity; the prover port's signatures stay free of them."""


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
        launcher = (sys.executable, "-I", "-S", str(GUARD), "launch", str(os.getpid()), "--")
        self._process = subprocess.Popen(
            launcher + command.argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=command.cwd,
            start_new_session=True,
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
        out, _ = await loop.connect_read_pipe(lambda: protocol, process.stdout)
        err, _ = await loop.connect_read_pipe(lambda: _Tail(child), process.stderr)
        child.stdin, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, process.stdin)
        child._transports = (out, err, child.stdin)
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


@asynccontextmanager
async def watched(child: Child, allowed: Limits) -> AsyncIterator[None]:
    """Hold a child to its limits while the body awaits it; leaving the body by any exception kills the child.

    Raises:
        ProverTimeout: its time is over.
        ResourceExhausted: it is over its memory cap.
    """
    loop = asyncio.get_running_loop()
    verdict: list[ProveryError] = []
    looks = 0
    handle: asyncio.TimerHandle

    def look() -> None:
        nonlocal handle, looks
        if not looks % 10:
            child.family.find()
        looks += 1
        rss = child.family.rss()
        if allowed.memory and rss > allowed.memory:
            verdict.append(over_cap(child.command.name, rss, allowed.memory))
        elif allowed.timeout_s and monotonic() - begun > allowed.timeout_s:
            verdict.append(timed_out(child.command.name, allowed.timeout_s))
        else:
            handle = loop.call_later(_LOOK, look)
            return
        child.signal(signal.SIGKILL)  # the body sees its output end

    begun = monotonic()
    handle = loop.call_later(_LOOK, look)
    try:
        yield
    except asyncio.CancelledError:
        await child.stop()
        raise
    except BaseException:
        await child.stop(grace=0)
        if not verdict:
            raise
    finally:
        handle.cancel()
    if verdict:
        raise verdict[0]


@dataclass(frozen=True)
class Finished:
    """What a one-shot program left behind."""

    stdout: str
    """Its last ``keep`` bytes."""
    stderr: str
    usage: Usage


async def run(
    command: Command,
    *,
    allowed: Limits | None = None,
    feed: bytes = b"",
    keep: int = 2**20,
    on_line: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> Finished:
    """Run a program to its end. Cancelling the awaiting task kills it and all it started within two seconds.

    Args:
        command: What to run.
        allowed: Its limits; by default those of the stage at hand.
        feed: What it reads on standard input.
        keep: Bytes of standard output to return; the rest is read and dropped.
        on_line: Called with each line of standard output (long ones cut at 64 KiB).
        progress: Called when the program starts and ends.

    Raises:
        ProveryError: as :func:`provery.provers.failures.error_of_exit` says, if it does not exit with 0.
    """
    child = await Child.start(replace(command, env={**traced(), **command.env}))
    if progress is not None:
        progress(command.name, 0, 1)
    async with watched(child, allowed or limits.get()):
        child.stdin.write(feed)
        child.stdin.write_eof()
        said = await _listen(child, keep, on_line)
        await asyncio.shield(child.exited)
    await child.stop(grace=0)
    if child.exited.result().code != 0:
        raise child.failure()
    if progress is not None:
        progress(command.name, 1, 1)
    return Finished(said.decode("utf-8", "replace"), child.last_words(), child.usage())


async def _listen(child: Child, keep: int, on_line: Callable[[str], None] | None) -> bytes:
    """Read standard output to its end; a program that prints without end costs no more than ``keep``."""
    said = b""
    pending = b""
    while chunk := await child.stdout.read(65_536):
        said = (said + chunk)[-keep:]
        if on_line is not None:
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[:65_536]
            for line in lines:
                on_line(line[:65_536].decode("utf-8", "replace"))
    return said


def traced() -> dict[str, str]:
    """The current trace context as environment variables, empty without one."""
    from opentelemetry import propagate

    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return {key.upper(): value for key, value in carrier.items() if key in ("traceparent", "tracestate")}
