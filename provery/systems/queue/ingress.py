"""From BullMQ to units of work and back: the loop that takes jobs, has them proved, and ends them.

Every step may be cut off by a crash and done again: the row is written before the unit is started, the unit's id is
the job's, starting twice attaches, and the job ends only after its row has. Whatever is redelivered therefore finishes
what had been begun, and nothing is proved twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry

from provery.core.errors import ProveryError, TransientError
from provery.core.ports import Deps, Starter
from provery.systems.queue.admission import Admitter
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.hand import Hand, Held
from provery.systems.queue.metrics import QueueMetrics
from provery.systems.queue.model import Ending, Kind, Taken
from provery.systems.queue.patience import Patience
from provery.systems.queue.planner import Planner
from provery.systems.queue.proving import BatchRunner
from provery.systems.queue.routes import routes
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.settling import Settler
from provery.systems.queue.table import JobTable
from provery.systems.queue.upkeep import Upkeep

log = logging.getLogger(__name__)


class QueueIngress:
    """Feeds one BullMQ queue to the engine.

    Args:
        settings: Of the queue system.
        jobs: The queue.
        table: Where senders look for results.
        starter: Starts units and tells how they ended.
        planner: Makes units of orders.
        metrics: Counters of this process.
    """

    def __init__(
        self,
        settings: QueueSettings,
        jobs: BullQueue,
        table: JobTable,
        starter: Starter,
        planner: Planner,
        metrics: QueueMetrics,
    ) -> None:
        self.routes = routes(jobs, table, default_circuit=settings.default_circuit)
        """The HTTP API."""
        self._settings = settings
        self._jobs = jobs
        self._table = table
        self._patience = Patience()
        self._hand = Hand(settings.worker_concurrency, metrics)
        self._settler = Settler(jobs, self._hand, metrics, self._patience, self._receive)
        self._admitter = Admitter(settings, table, planner, self._settler, self._patience)
        self._runner = BatchRunner(starter, table, self._settler, metrics, self._patience)
        self._upkeep = Upkeep(settings, jobs, table, metrics, self._hand, self._patience)
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until :meth:`stop`. Redis, the table and the engine may come and go meanwhile."""
        stopping = asyncio.create_task(self._stopping.wait())
        serving = asyncio.create_task(self._pump())
        helpers = [asyncio.create_task(self._settler.run()), asyncio.create_task(self._upkeep.run())]
        try:
            done, _ = await asyncio.wait([stopping, serving, *helpers], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()  # only a defect of this program ends a helper, and it must not go unnoticed
        finally:
            self._settler.take_more = False
            await _end([stopping, serving])
            await self._drain()
            await _end([*helpers, *self._tasks])

    async def stop(self) -> None:
        """Take no more jobs; :meth:`run` returns once those in flight have ended or were given back."""
        self._stopping.set()

    async def waiting(self) -> str:
        """Why it is not ready; empty when it is."""
        try:
            await asyncio.gather(self._jobs.ping(), self._table.ping())
        except ProveryError as error:
            return str(error)
        return ""

    async def close(self) -> None:
        """Release connections."""
        await self._jobs.close()
        await self._table.close()

    async def _pump(self) -> None:
        """Keep as many jobs in hand as allowed."""
        await self._patience(self._table.prepare)
        while True:
            free = self._hand.free
            if free <= 0:
                await self._hand.changed()
                continue
            taken = await self._patience(self._jobs.take, free)
            self._receive(taken)
            if 0 < len(taken.jobs) < free:
                await asyncio.sleep(
                    self._settings.linger_ms / 1000
                )  # the rest of a burst makes the batch fuller
            elif taken.pause_ms:
                await asyncio.sleep(min(taken.pause_ms, 5_000) / 1000)
            elif not taken.jobs:
                due = taken.next_ms
                while due := await self._patience(self._jobs.wait, due):
                    log.debug("the next delayed job is due at %d", due)

    def _receive(self, taken: Taken) -> None:
        fresh = self._hand.receive(taken.jobs)
        if fresh:
            self._spawn(self._handle(fresh))

    async def _handle(self, fresh: Sequence[Held]) -> None:
        try:
            batches = await self._admitter.batches(fresh)
        except (
            Exception
        ) as error:  # a defect of ours: find the one job that brings it about, and fail only that
            log.exception("a defect in admitting %d jobs", len(fresh))
            if len(fresh) == 1:
                self._settler.fail(fresh[0], f"internal error: {error!r}", kind=type(error).__name__)
                return
            batches = []
            for held in fresh:
                await self._handle([held])
        for batch in batches:
            self._spawn(self._runner.run(batch))

    async def _drain(self) -> None:
        """Let jobs in flight end for a while, then give the rest back; their units go on without this process."""
        deadline = time.monotonic() + self._settings.grace_s
        while len(self._hand) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        try:
            await self._jobs.settle([Ending(job, Kind.RELEASED) for job in self._hand.jobs])
            self._hand.forget(self._hand.tokens)
            await self._upkeep.give_back_unseen()
        except TransientError as error:
            log.warning("could not give jobs back, their locks will run out: %s", error)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task ended by a defect", exc_info=error)


def from_deps(deps: Deps, stream: str, starter: Starter, metrics: CollectorRegistry) -> QueueIngress:
    """The ingress of ``queue/<stream>``, from what the workers inject."""
    settings = QueueSettings.load(deps.env, deps.home).model_copy(update={"queue_name": stream})
    jobs = BullQueue(
        settings.redis_url,
        stream,
        prefix=settings.prefix,
        lock_ms=settings.lock_ms,
        max_job_bytes=settings.max_job_bytes,
        stalled_interval_ms=settings.stalled_interval_ms,
    )
    planner = Planner(settings, deps.circuits, deps.artifacts)
    table = JobTable(settings.database_url)
    return QueueIngress(settings, jobs, table, starter, planner, QueueMetrics(metrics))


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks until they end: once is not enough, a Redis call may take a cancellation for its own time-out."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=0.2)
