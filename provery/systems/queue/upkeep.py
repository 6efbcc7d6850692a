"""What a queue needs besides jobs being proved: locks, jobs of dead holders, counts, and requests that got lost."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from provery.core.errors import TransientError
from provery.core.types import Json
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.hand import Hand
from provery.systems.queue.metrics import QueueMetrics
from provery.systems.queue.model import Ending, Job, Kind
from provery.systems.queue.patience import Patience
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.table import JobTable

log = logging.getLogger(__name__)


class Upkeep:
    """Runs beside the ingress.

    Args:
        settings: Of the queue system.
        jobs: The queue.
        table: The job table with its outbox.
        metrics: Counters of this process.
        hand: The jobs in hand.
        patience: Counts outages.
    """

    def __init__(
        self,
        settings: QueueSettings,
        jobs: BullQueue,
        table: JobTable,
        metrics: QueueMetrics,
        hand: Hand,
        patience: Patience,
    ) -> None:
        self._settings = settings
        self._jobs = jobs
        self._table = table
        self._metrics = metrics
        self._hand = hand
        self._patience = patience
        self._compared = -1
        """Outages that there had been when rows and jobs were last compared; a new process compares once."""

    async def run(self) -> None:
        """Look after everything until cancelled."""
        lock_s = self._settings.lock_ms / 1000
        await asyncio.gather(
            self._every(lock_s / 4, self.extend),
            self._every(self._settings.stalled_interval_ms / 1000, self.requeue),
            self._every(1.0, self.count),
            self._every(self._settings.reconcile_s, self.reconcile),
        )

    async def extend(self) -> None:
        """Extend the locks of the jobs in hand."""
        held = self._hand.jobs
        lost = await self._jobs.extend(held)
        # A job that was ended while this call was under way has no lock, and was not lost.
        still = {job.id for job in self._hand.jobs} & lost
        if still:
            log.warning(
                "lost the locks of %d jobs; they are taken again and attach to their units", len(still)
            )
            self._metrics.lost(len(still))
            self._hand.drop(still)

    async def requeue(self) -> None:
        """Queue jobs of dead holders again."""
        stalled = await self._jobs.requeue_stalled()
        if stalled:
            log.warning("queued %d jobs of dead workers again", len(stalled))
            self._metrics.stalled(len(stalled))

    async def count(self) -> None:
        """Refresh the gauges."""
        self._metrics.states(await self._jobs.counts())

    async def reconcile(self) -> None:
        """Add accepted requests to Redis that a crash, here or there, kept from it.

        Adding one twice is harmless: the second job finds its row done, or attaches to its unit.
        """
        now = datetime.now(UTC)
        waiting = await self._table.undelivered(
            self._jobs.name, now - timedelta(seconds=self._settings.reconcile_s)
        )
        await self._add(waiting)
        await self._table.delivered(list(waiting))
        outages = self._patience.outages
        if self._compared != outages:
            await self._compare(now)
            self._compared = outages

    async def _compare(self, now: datetime) -> None:
        """Add the jobs of unfinished rows that Redis has lost, as when it came back from an old snapshot."""
        await self.give_back_unseen()
        before = now - timedelta(seconds=self._settings.reconcile_s)
        unfinished = await self._table.unfinished(self._jobs.name, before)
        if not unfinished:
            return
        async for content in self._jobs.contents():
            unfinished.pop(_job_id(content), None)
        if unfinished:  # those that ended between the two looks are neither here nor there
            still = await self._table.unfinished(self._jobs.name, before)
            unfinished = {id: request for id, request in unfinished.items() if id in still}
        if unfinished:
            log.warning("adding %d jobs again that Redis does not know", len(unfinished))
            await self._add(unfinished)

    async def give_back_unseen(self) -> None:
        """Release jobs that Redis says we hold and we never heard of: the answer was lost with a connection."""
        unseen = await self._unseen()
        if unseen:
            await asyncio.sleep(1.0)  # an answer may only be on its way
            unseen = {id: token for id, token in (await self._unseen()).items() if unseen.get(id) == token}
        if unseen:
            await self._jobs.settle(
                [Ending(Job(id, token, None, 0), Kind.RELEASED) for id, token in unseen.items()]
            )

    async def _unseen(self) -> dict[str, str]:
        return await self._jobs.taken_unseen(self._hand.tokens)

    async def _add(self, requests: dict[str, Json]) -> None:
        for id, request in requests.items():
            await self._jobs.add({"jobId": id, "request": request})

    async def _every(self, seconds: float, chore: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await chore()
            except TransientError as error:
                log.warning("upkeep is put off: %s", error)
                self._patience.outages += 1
            await asyncio.sleep(seconds)


def _job_id(content: bytes) -> str:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    return str(data.get("jobId", "")) if isinstance(data, dict) else ""
