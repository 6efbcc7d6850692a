"""Heartbeats from the worker's event loop, carrying the prover's progress, for as long as a stage works."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType

from temporalio import activity

PERIOD_S = 1.0
"""A cancel reaches an activity only with a heartbeat's answer, and a cancelled prover must be gone within 2 s."""


class Heartbeat:
    """``async with Heartbeat() as progress``: beats every second until the block ends.

    The beat runs beside the work, so a prover that holds its own process busy for an hour is still alive to the server.
    Progress may be reported from any thread; the last report rides on the next beat.
    """

    def __init__(self) -> None:
        self._started = time.time()
        self._last: dict[str, float | str] = {}
        self._task: asyncio.Task[None] | None = None

    def progress(self, step: str, done: float, total: float) -> None:
        """Remember where the prover is."""
        self._last = {"step": step, "done": done, "total": total}

    async def __aenter__(self) -> Heartbeat:
        self._task = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(PERIOD_S)
            activity.heartbeat({**self._last, "seconds": round(time.time() - self._started, 1)})
