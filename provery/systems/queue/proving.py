"""Having batches proved, whatever becomes of the engine meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from provery.core.errors import ProveryError, Retry, TransientError, error_classes
from provery.core.ports import Starter
from provery.core.types import UnitOutcome, UnitStatus, Work
from provery.systems.queue.hand import Held
from provery.systems.queue.metrics import QueueMetrics
from provery.systems.queue.patience import Patience, pause_s
from provery.systems.queue.settling import Settler
from provery.systems.queue.table import JobTable

log = logging.getLogger(__name__)


class BatchRunner:
    """Hands batches to the engine and their outcomes to the settler.

    Args:
        starter: Starts units and tells how they ended.
        table: Where senders look for results.
        settler: Ends jobs.
        metrics: Counters of this process.
        patience: For outages of the table.
    """

    def __init__(
        self, starter: Starter, table: JobTable, settler: Settler, metrics: QueueMetrics, patience: Patience
    ) -> None:
        self._starter = starter
        self._table = table
        self._settler = settler
        self._metrics = metrics
        self._patience = patience

    async def run(self, batch: Sequence[tuple[Held, Work]]) -> None:
        """Prove a batch. The engine may be away for as long as it likes: the locks are held meanwhile."""
        waiting: dict[str, list[Held]] = {}
        works: dict[str, Work] = {}
        for held, work in batch:
            waiting.setdefault(work.unit.workflow_id, []).append(held)
            works[work.unit.workflow_id] = work
        self._metrics.batch(len(works))
        tries = 0
        while waiting:
            try:
                async for outcome in self._starter.run([works[id] for id in waiting]):
                    tries = 0
                    await self._conclude(waiting.pop(outcome.unit, []), outcome)
            except TransientError as error:
                log.warning("the engine did not answer for %d units, asking again: %s", len(waiting), error)
            except Exception as error:
                known = isinstance(error, ProveryError)
                if not known:
                    log.exception("a defect in starting %d units", len(waiting))
                if len(waiting) > 1:  # alone, so that one unit's fault stays its own
                    alone = [[(held, works[id]) for held in several] for id, several in waiting.items()]
                    await asyncio.gather(*(self.run(one) for one in alone))
                    return
                kind, reason = type(error).__name__, str(error) if known else f"internal error: {error!r}"
                for id in list(waiting):
                    outcome = UnitOutcome(id, UnitStatus.FAILED, reason, kind)
                    await self._conclude(waiting.pop(id), outcome)
            if waiting:
                await asyncio.sleep(pause_s(tries))
                tries += 1

    async def _conclude(self, several: Sequence[Held], outcome: UnitOutcome) -> None:
        """End the jobs of one unit."""
        if outcome.status is UnitStatus.DONE:
            for held in several:
                self._settler.complete(held)
            return
        reason = outcome.reason or f"the unit was {outcome.status}"
        # The engine's conclude has written this already; once more costs little, and survives a lost table.
        rows = {
            held.order.id: (reason, dict(held.order.request)) for held in several if held.order is not None
        }
        await self._patience(self._table.fail, rows)
        known = error_classes().get(outcome.error_kind)
        retryable = outcome.status is UnitStatus.FAILED and not (known and known.retry is Retry.NEVER)
        for held in several:
            self._settler.fail(
                held, reason, retryable=retryable, kind=outcome.error_kind, stage=outcome.stage
            )
