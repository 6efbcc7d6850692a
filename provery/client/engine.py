"""The engine as seen from outside: start works, wait for outcomes, look, give orders."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from temporalio.client import Client, WorkflowExecutionDescription
from temporalio.exceptions import TemporalError

from provery.client.address import Address
from provery.client.batching import groups, work_size
from provery.client.connection import NotFound, patiently, same_converter, together, translated
from provery.client.links import ui_link
from provery.client.listing import Run, list_runs, run_of
from provery.client.orders import Obeyed, Orders
from provery.client.pulse import Pulse, pulse_of
from provery.client.schedules import Schedules
from provery.client.settling import CLAIM_GRACE_S, Settlement, recorded_outcome
from provery.client.starting import start_unit
from provery.core.controls import QUERY_PROGRESS, Order, UnitProgress
from provery.core.ports import Ledger, UnitRow
from provery.core.types import UnitOutcome, Work


@dataclass(frozen=True)
class Started:
    """What became of one work given to :meth:`Provery.start`."""

    unit: str
    """Workflow id of the unit."""
    how: str
    """``started`` (or attached to its own running workflow), ``attached`` (to a batch that has it), ``recorded``."""
    workflow_id: str
    run_id: str = ""
    outcome: UnitOutcome | None = None
    """Where the unit had ended before: its recorded outcome."""


@dataclass(frozen=True)
class UnitView:
    """A unit as the ledger, Temporal and its own workflow see it; each may know nothing."""

    row: UnitRow | None
    run: Run | None
    progress: UnitProgress | None


class Provery:
    """Starts, follows and steers units.

    Args:
        client: A Temporal client from :func:`provery.client.connect`.
        ledger: The ledger that the workers use.
        env: Process environment: queue names and links.
        grace_s: Seconds during which a fresh claim without a workflow is left to the client that made it.
    """

    def __init__(
        self, client: Client, ledger: Ledger, env: Mapping[str, str], *, grace_s: float = CLAIM_GRACE_S
    ) -> None:
        self.client, self.ledger, self.env = same_converter(client), ledger, env
        self.schedules = Schedules(self.client, env)
        self._orders = Orders(self.client, ledger, env)
        self._settlement = Settlement(self.client, ledger, env, grace_s)
        self._grace_s = grace_s

    async def start(self, works: Sequence[Work]) -> list[Started]:
        """Start each unit's workflow, attach to it, or return what is recorded; in the order of ``works``.

        Raises:
            InvalidInput: parameters are too large for a workflow.
            TransientError: Temporal or the ledger does not answer.
        """
        for work in works:
            work_size(work)
        wanted = {w.unit.workflow_id: w for w in works}
        done: dict[str, Started] = {}
        while missing := [w for name, w in wanted.items() if name not in done]:
            now = await self._settlement.look(missing, "", patient=False)
            for name, row in now.recorded.items():
                outcome = await recorded_outcome(self.ledger, row)
                done[name] = Started(name, "recorded", row.workflow_id, row.run_id, outcome)
            for owner, group in now.attached.items():
                done |= {w.unit.workflow_id: Started(w.unit.workflow_id, "attached", owner) for w in group}
            for work in now.mine:
                name = work.unit.workflow_id
                with translated("starting a unit"):
                    handle = await start_unit(self.client, self.env, work)
                done[name] = Started(name, "started", handle.id, handle.result_run_id or "")
            if now.later:
                await asyncio.sleep(max(self._grace_s / 4, 0.05))
        return [done[w.unit.workflow_id] for w in works]

    async def run(self, works: Sequence[Work]) -> list[UnitOutcome]:
        """Prove each unit in a workflow of its own and wait; rides out every outage while the caller waits."""
        for work in works:
            work_size(work)
        parts = await together([self._settlement.outcomes([w], batch=False) for w in works])
        return [part[0] for part in parts]

    async def run_batch(self, works: Sequence[Work]) -> list[UnitOutcome]:
        """Prove many units and wait; units with express plans share workflows.

        Units that another workflow works on are waited for there; units that have ended are answered from the ledger;
        units whose workflow is gone are taken over. Rides out every outage while the caller waits.

        Raises:
            InvalidInput: parameters are too large for a workflow, or one name stands for two sets of inputs.
        """
        outcomes = {outcome.unit: outcome async for outcome in self.outcomes(works)}
        return [outcomes[w.unit.workflow_id] for w in works]

    async def outcomes(self, works: Sequence[Work]) -> AsyncIterator[UnitOutcome]:
        """As :meth:`run_batch`, but each unit's outcome as soon as it is known, in any order."""
        ready: asyncio.Queue[UnitOutcome | None] = asyncio.Queue()
        parts = groups(works)

        async def settle() -> None:
            try:
                await together(
                    [self._settlement.outcomes(p, batch=True, tell=ready.put_nowait) for p in parts]
                )
            finally:
                ready.put_nowait(None)

        settling = asyncio.create_task(settle())
        try:
            while (outcome := await ready.get()) is not None:
                yield outcome
            await settling
        finally:
            settling.cancel()

    async def wait(self, unit: Address) -> UnitOutcome:
        """Wait for a unit that somebody started; never starts it.

        Raises:
            NotFound: nobody knows the unit, or its workflow has gone without an end being recorded.
        """
        row = await self._row(unit)
        while not row.status.terminal:
            if not await self._settlement.watch(row):
                row = await self._row(unit)
                if not row.status.terminal:
                    raise NotFound(
                        f"the unit is {row.status.value} but its workflow does not run: {row.workflow_id}",
                        value=str(unit),
                        action="`provery prove` with the same request takes it over",
                    )
                break
            row = await self._row(unit)
        return await recorded_outcome(self.ledger, row)

    async def order(self, name: str, unit: Address, order: Order) -> Obeyed:
        """Give an operator's order; see ``provery.core.controls`` for the names.

        Raises:
            NotFound: nobody knows the unit.
            InvalidInput: the order does not fit the unit as it stands.
            TransientError: its workflow did not answer.
        """
        return await self._orders.give(name, unit, order)

    async def view(self, unit: Address, *, live: bool = True) -> UnitView:
        """What is known of a unit.

        Args:
            unit: Whose.
            live: Ask its workflow for progress, which needs a running ``orchestrate`` worker.

        Raises:
            NotFound: neither the ledger nor Temporal knows it.
        """
        row = await self.ledger.unit(unit.system, unit.stream, unit.key)
        owner = row.workflow_id if row is not None else unit.workflow_id
        seen = await self._describe(owner)
        if row is None and seen is None:
            raise NotFound(
                "no such unit", value=str(unit), action=f"`provery list {unit.system}/{unit.stream}`"
            )
        progress = (
            await self.progress(unit) if live and seen is not None and owner == unit.workflow_id else None
        )
        return UnitView(row, run_of(seen, self.env) if seen is not None else None, progress)

    async def progress(self, unit: Address, timeout: float = 3.0) -> UnitProgress | None:
        """The stage table of a unit's workflow; None where no worker answers or none knows it."""
        handle = self.client.get_workflow_handle(unit.workflow_id)
        try:
            async with asyncio.timeout(timeout):
                progress: UnitProgress = await handle.query(QUERY_PROGRESS, result_type=UnitProgress)
        except (TimeoutError, TemporalError, RuntimeError, TypeError):
            return None  # a courtesy: without a worker, or with one of another version, there is no progress
        return progress

    async def pulse(self, unit: Address) -> Pulse | None:
        """What a unit's workers do now, by the server alone; None where its own workflow does not run."""
        seen = await self._describe(unit.workflow_id)
        return await pulse_of(seen) if seen is not None else None

    async def runs(
        self, *, system: str = "", stream: str = "", status: str = "", query: str = "", limit: int = 50
    ) -> list[Run]:
        """Workflows as Temporal's visibility store lists them, newest first; it lags by a moment."""
        with translated("listing workflows"):
            return await list_runs(
                self.client, self.env, system=system, stream=stream, status=status, query=query, limit=limit
            )

    def link(self, workflow_id: str, run_id: str = "") -> str:
        """URL of a workflow in the Temporal UI."""
        return ui_link(self.env, workflow_id, run_id)

    async def _describe(self, workflow_id: str) -> WorkflowExecutionDescription | None:
        try:
            with translated("asking for a unit's workflow"):
                return await self.client.get_workflow_handle(workflow_id).describe()
        except NotFound:
            return None

    async def _row(self, unit: Address) -> UnitRow:
        row = await patiently(lambda: self.ledger.unit(unit.system, unit.stream, unit.key), "reading a unit")
        if row is None:
            raise NotFound(
                "no such unit", value=str(unit), action=f"`provery list {unit.system}/{unit.stream}`"
            )
        return row
