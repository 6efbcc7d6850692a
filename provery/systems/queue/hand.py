"""The jobs that this process holds the locks of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from provery.systems.queue.metrics import QueueMetrics
from provery.systems.queue.model import Job, Order


@dataclass(eq=False)
class Held:
    """A job in hand."""

    job: Job
    since: float
    """Monotonic time at which it was taken."""
    order: Order | None = None
    """Its content, once that has been checked."""


class Hand:
    """Jobs by the token of their lock: one job may be here twice after its first lock was lost.

    Args:
        size: How many may be held.
        metrics: Counters of this process.
    """

    def __init__(self, size: int, metrics: QueueMetrics) -> None:
        self._size = size
        self._metrics = metrics
        self._held: dict[str, Held] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Jobs in hand."""
        return len(self._held)

    def __contains__(self, held: Held) -> bool:
        """Whether a job is still in hand."""
        return held.job.token in self._held

    @property
    def free(self) -> int:
        """How many more jobs may be taken."""
        return self._size - len(self._held)

    @property
    def jobs(self) -> list[Job]:
        """The jobs in hand."""
        return [held.job for held in self._held.values()]

    @property
    def tokens(self) -> set[str]:
        """Tokens of the jobs in hand."""
        return set(self._held)

    def receive(self, jobs: Sequence[Job]) -> list[Held]:
        """Take jobs in hand."""
        now, wall_ms = time.monotonic(), time.time() * 1000
        fresh = [Held(job, now) for job in jobs]
        for held in fresh:
            self._held[held.job.token] = held
            self._metrics.taken((wall_ms - held.job.timestamp - held.job.delay) / 1000)
        self._metrics.held(len(self._held))
        return fresh

    def forget(self, tokens: Iterable[str]) -> None:
        """Let go of jobs."""
        for token in tokens:
            self._held.pop(token, None)
        self._metrics.held(len(self._held))
        self._changed.set()

    def drop(self, ids: Iterable[str]) -> None:
        """Let go of jobs whose lock is lost: whoever takes them next attaches to the same unit."""
        gone = set(ids)
        self.forget([token for token, held in self._held.items() if held.job.id in gone])

    async def changed(self) -> None:
        """Wait until a job was let go."""
        self._changed.clear()
        await self._changed.wait()
