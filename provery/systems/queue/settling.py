"""Ending jobs in Redis, as many at a time as come together, and taking the next ones in the same round trip."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable

from provery.systems.queue.backoff import failure
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.hand import Hand, Held
from provery.systems.queue.metrics import QueueMetrics
from provery.systems.queue.model import Ending, Kind, Taken, Verdict
from provery.systems.queue.patience import Patience

log = logging.getLogger(__name__)


class Settler:
    """Collects endings and writes them.

    Args:
        jobs: The queue.
        hand: The jobs in hand; those that were dropped meanwhile are not ended here.
        metrics: Counters of this process.
        patience: For outages of Redis.
        receive: Gets the jobs that were taken along.
    """

    def __init__(
        self,
        jobs: BullQueue,
        hand: Hand,
        metrics: QueueMetrics,
        patience: Patience,
        receive: Callable[[Taken], None],
    ) -> None:
        self._jobs = jobs
        self._hand = hand
        self._metrics = metrics
        self._patience = patience
        self._receive = receive
        self._endings: asyncio.Queue[tuple[Held, Ending]] = asyncio.Queue()
        self.take_more = True
        """Off while the ingress drains."""

    def complete(self, held: Held) -> None:
        """The job's proof is in the table."""
        value: dict[str, str | bool] = {"ok": True}
        if held.order is not None:
            value["jobId"] = held.order.id
        self._endings.put_nowait(
            (held, Ending(held.job, Kind.COMPLETED, json.dumps(value, separators=(",", ":"))))
        )

    def fail(
        self, held: Held, reason: str, *, retryable: bool = False, kind: str = "", stage: str = ""
    ) -> None:
        """The job failed; it is tried again as its own options ask, where ``retryable``."""
        trace = f"{kind or 'Error'}: {reason}" + (f"\n    at stage {stage}" if stage else "")
        self._endings.put_nowait((held, failure(held.job, reason, trace, retryable=retryable)))

    async def run(self) -> None:
        """Write endings until cancelled."""
        while True:
            ready = [await self._endings.get()]
            while not self._endings.empty():
                ready.append(self._endings.get_nowait())
            mine = [(held, ending) for held, ending in ready if held in self._hand]
            if mine:
                await self._write(mine)

    async def _write(self, ready: list[tuple[Held, Ending]]) -> None:
        # The jobs that end are in hand until Redis has answered, so taking as many never exceeds the limit.
        take = len(ready) if self.take_more else 0
        verdicts, taken = await self._patience(self._jobs.settle, [ending for _, ending in ready], take)
        now = time.monotonic()
        for (held, ending), verdict in zip(ready, verdicts, strict=True):
            if verdict is Verdict.APPLIED:
                self._metrics.ended(done=ending.kind is Kind.COMPLETED, seconds=now - held.since)
            else:
                log.warning("job %s could not be ended here: %s", held.job.id, verdict)
        self._hand.forget(held.job.token for held, _ in ready)
        self._receive(taken)
