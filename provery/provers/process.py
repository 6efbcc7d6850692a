"""Child processes for proving: they die with their parent, on cancel, at their time limit and at their memory cap.

Two guards keep a child from outliving the worker: the kernel's parent-death signal on the child itself, and a watcher
process that kills the child's whole session, grandchildren included (``guard.py``). Children must be started from the
event loop's own thread: the parent-death signal fires when the *thread* that forked ends, and pool threads do end.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from time import monotonic

from provery.core.errors import ProveryError
from provery.core.ports import Progress, Usage
from provery.provers.child import GRACE, Child, Command
from provery.provers.failures import over_cap, timed_out
from provery.provers.tracing import traced

__all__ = ["NO_LIMITS", "Child", "Command", "Finished", "Limits", "given_up", "limits", "run", "watched"]

_LOOK = 0.1
"""Seconds between looks at memory; a child may overshoot its cap by what it allocates in that time."""


@dataclass(frozen=True)
class Limits:
    """What one call of a child may use; 0 for no limit."""

    timeout_s: float = 0.0
    memory: int = 0
    """Bytes, resident, child and descendants together."""


NO_LIMITS = Limits()
limits: ContextVar[Limits] = ContextVar("limits", default=NO_LIMITS)
"""Limits of the stage at hand. Set by the activity; the prover port's signatures stay free of them."""


def _always() -> bool:
    return True


given_up: ContextVar[Callable[[], bool]] = ContextVar("given_up", default=_always)
"""Asked when the task at hand is cancelled: whether nobody wants the result any more. It is wanted still where a worker
drains or is taken for dead; work that goes on elsewhere is left alone then, for the next worker to find."""


@asynccontextmanager
async def watched(child: Child, allowed: Limits, *, grace: float = 0) -> AsyncIterator[None]:
    """Hold a child to its limits while the body awaits it; leaving the body by any exception kills the child.

    Args:
        child: Whom to watch.
        allowed: Its limits.
        grace: Seconds from SIGTERM to SIGKILL when the body is cancelled; 0 to kill at once.

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
        await child.stop(grace=grace)
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
    async with watched(child, allowed or limits.get(), grace=GRACE):
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
