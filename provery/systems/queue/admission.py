"""From jobs just taken to units of work: content checked, rows written, circuits found."""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.errors import InvalidInput, ProveryError
from provery.core.types import Json, Work, digest_json
from provery.systems.queue.hand import Held
from provery.systems.queue.model import Admission, Order, Refusal, RowStatus
from provery.systems.queue.patience import Patience
from provery.systems.queue.planner import Planner
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.settling import Settler
from provery.systems.queue.table import JobTable
from provery.systems.queue.wire import parse

Batch = list[tuple[Held, Work]]


class Admitter:
    """Admits jobs to proving; ends those that need none or can have none.

    Args:
        settings: Of the queue system.
        table: Where senders look for results.
        planner: Makes units of orders.
        settler: Ends jobs.
        patience: For outages of the table.
    """

    def __init__(
        self, settings: QueueSettings, table: JobTable, planner: Planner, settler: Settler, patience: Patience
    ) -> None:
        self._settings = settings
        self._table = table
        self._planner = planner
        self._settler = settler
        self._patience = patience

    async def batches(self, fresh: Sequence[Held]) -> list[Batch]:
        """What is to be proved: units of one circuit and plan together."""
        works: Batch = []
        for held, order in await self._admit(await self._check(fresh)):
            try:
                works.append((held, await self._patience(self._planner.work, order)))
            except ProveryError as error:
                await self._refuse([(held, error, order.id, dict(order.request))])
        return self._grouped(works)

    async def _check(self, fresh: Sequence[Held]) -> list[tuple[Held, Order]]:
        orders, refused = [], []
        limits = {
            "default_circuit": self._settings.default_circuit,
            "max_bytes": self._settings.max_job_bytes,
        }
        for held in fresh:
            if held.job.deferred:  # a child of its flow failed
                self._settler.fail(held, held.job.deferred)
                continue
            made = parse(held.job.data, held.job.size, **limits)  # type: ignore[arg-type]
            if isinstance(made, Refusal):
                refused.append((held, made.error, made.id, made.request))
            else:
                held.order = made
                orders.append((held, made))
        await self._refuse(refused)
        return orders

    async def _refuse(self, refused: Sequence[tuple[Held, ProveryError, str, Json]]) -> None:
        """Fail jobs that can never be proved as they stand, in Redis and in the table, but leave what is done."""
        rows = {id: (str(error), request) for _, error, id, request in refused if id}
        await self._patience(self._table.fail, rows)
        for held, error, _, _ in refused:
            self._settler.fail(held, str(error), kind=error.kind)

    async def _admit(self, orders: Sequence[tuple[Held, Order]]) -> list[tuple[Held, Order]]:
        """Write the rows in one transaction; returns the jobs that are to be proved."""
        requests: dict[str, Json] = {}
        for _, order in orders:
            requests.setdefault(order.id, dict(order.request))
        try:
            stood = await self._patience(self._table.admit, requests)
        except InvalidInput as error:
            if len(requests) == 1:
                await self._refuse([(held, error, "", None) for held, _ in orders])
                return []
            # Each by itself, so that a value which the database cannot hold spoils nobody else's job.
            return [pair for order in orders for pair in await self._admit([order])]
        admitted = []
        for held, order in orders:
            if self._goes_on(held, order, stood[order.id], digest_json(requests[order.id])):
                admitted.append((held, order))
        return admitted

    def _goes_on(self, held: Held, order: Order, row: Admission, first: str) -> bool:
        """Whether a job is to be proved, by how its row stood.

        Args:
            held: The job.
            order: Its content.
            row: Its row, as found.
            first: Digest of the request that its id came with first in this take.
        """
        same = row.same and order.digest == first
        if row.status is RowStatus.DONE and same:
            self._settler.complete(held)  # delivered again after its proof was written
            return False
        if not same and row.status is not RowStatus.FAILED:
            advice = "choose a new id" if row.status is RowStatus.DONE else "wait for it or choose a new id"
            reason = f"job id {order.id} is {row.status} for another request; {advice}"
            self._settler.fail(held, reason, retryable=row.status is not RowStatus.DONE, kind="InvalidInput")
            return False
        return True

    def _grouped(self, works: Batch) -> list[Batch]:
        """Units of one circuit and plan, spread over a few batches so that their stages overlap."""
        settings = self._settings
        size = max(1, min(settings.batch_max, -(-settings.worker_concurrency // settings.batches)))
        groups: dict[tuple[object, ...], Batch] = {}
        for held, work in works:
            params = work.unit.params
            groups.setdefault((params.get("circuit"), params.get("version"), work.plan), []).append(
                (held, work)
            )
        return [group[at : at + size] for group in groups.values() for at in range(0, len(group), size)]
