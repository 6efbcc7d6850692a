"""What an operator may do to a unit: pause, resume, cancel, skip, re-prove, move."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from provery.client.address import BATCH_PREFIX, Address
from provery.client.connection import NotFound, translated
from provery.client.starting import start_unit
from provery.core.controls import (
    UPDATE_CANCEL,
    UPDATE_MOVE,
    UPDATE_PAUSE,
    UPDATE_REPROVE,
    UPDATE_RESUME,
    UPDATE_SKIP,
    Order,
)
from provery.core.errors import InvalidInput, TransientError, error_classes
from provery.core.ports import Ledger, UnitRow
from provery.core.types import Stage, UnitStatus, Work, check_name

UPDATES = (UPDATE_PAUSE, UPDATE_RESUME, UPDATE_CANCEL, UPDATE_SKIP, UPDATE_REPROVE, UPDATE_MOVE)
_CONCLUDES = {UPDATE_CANCEL: UnitStatus.CANCELLED, UPDATE_SKIP: UnitStatus.SKIPPED}


@dataclass(frozen=True)
class Obeyed:
    """What an order led to."""

    unit: str
    """``<system>/<stream>/<key>``."""
    order: str
    how: str
    """``updated`` (its workflow took the order), ``restarted`` (a new run), ``recorded`` (in the ledger only)."""
    workflow_id: str
    run_id: str = ""


class Orders:
    """Carries orders to the workflow that runs, or acts for the one that has ended."""

    def __init__(self, client: Client, ledger: Ledger, env: Mapping[str, str], timeout: float = 15.0) -> None:
        self._client, self._ledger, self._env, self._timeout = client, ledger, env, timeout

    async def give(self, name: str, unit: Address, order: Order) -> Obeyed:
        """Give one order.

        Raises:
            NotFound: nobody knows the unit.
            InvalidInput: the order does not fit the unit as it stands.
            TransientError: its workflow did not answer; the order may still be obeyed later.
        """
        order = _checked(name, order)
        try:
            return await self._update(name, unit, order)
        except NotFound:
            row = await self._ledger.unit(unit.system, unit.stream, unit.key)
        if row is None:
            raise NotFound(
                "no such unit",
                value=str(unit),
                action=f"`provery list {unit.system}/{unit.stream}` shows what there is",
            )
        if row.workflow_id.startswith(BATCH_PREFIX) and await self._runs(row.workflow_id):
            raise InvalidInput(
                f"the unit is one of a running batch, which takes no orders for single units: {row.workflow_id}",
                value=str(unit),
                action="wait until the batch has ended, then re-prove the unit",
            )
        if name == UPDATE_REPROVE:
            return await self._restart(unit, row, order)
        if name in _CONCLUDES:
            return await self._conclude(name, unit, row, order)
        raise InvalidInput(
            f"the unit is {row.status.value} and has no running workflow to {name}",
            value=str(unit),
            action=f"`provery reprove {unit}` starts it again",
        )

    async def _update(self, name: str, unit: Address, order: Order) -> Obeyed:
        handle = self._client.get_workflow_handle(unit.workflow_id)
        try:
            async with asyncio.timeout(self._timeout):
                with translated(f"asking the unit's workflow to {name}"):
                    await handle.execute_update(name, order)
        except TimeoutError as err:
            raise TransientError(
                f"the unit's workflow did not take the order within {self._timeout:g} s",
                value=str(unit),
                action="it is obeyed once an `orchestrate` worker runs; `provery doctor` shows which workers do",
            ) from err
        except WorkflowUpdateFailedError as err:
            cause = err.cause
            kind = cause.type or "" if isinstance(cause, ApplicationError) else ""
            text = cause.message if isinstance(cause, ApplicationError) else str(cause)
            raise error_classes().get(kind, InvalidInput)(f"the unit refused to {name}: {text}") from err
        return Obeyed(str(unit), name, "updated", unit.workflow_id)

    async def _restart(self, unit: Address, row: UnitRow, order: Order) -> Obeyed:
        """Start an ended unit again from a stage, ignoring what was computed from there on."""
        if row.plan is None:
            raise InvalidInput("the ledger has no plan of this unit", value=str(unit), action="start it anew")
        generation = 1 + max([row.generation, *(s.generation for s in row.plan.stages)])
        # Not express: an operator who proves again wants to see the stages.
        plan = replace(row.plan.from_stage(Stage(order.stage), generation), express=False)
        work = Work(row.unit, plan)
        # Remembered first: the next re-prove must not take this generation's results for its own.
        await self._ledger.conclude(
            row.unit,
            row.status,
            reason=row.reason,
            error_kind=row.error_kind,
            stage=row.stage,
            generation=generation,
        )
        await self._ledger.claim([work])
        if row.workflow_id != unit.workflow_id:
            await self._ledger.adopt(row.unit, row.workflow_id, unit.workflow_id)
        with translated("starting the unit again"):
            handle = await start_unit(self._client, self._env, work)
        return Obeyed(str(unit), UPDATE_REPROVE, "restarted", handle.id, handle.result_run_id or "")

    async def _conclude(self, name: str, unit: Address, row: UnitRow, order: Order) -> Obeyed:
        wanted = _CONCLUDES[name]
        stands = await self._ledger.conclude(row.unit, wanted, reason=order.reason or f"{name} by {order.by}")
        if stands is not wanted:
            raise InvalidInput(f"the unit is {stands.value} and stays so", value=str(unit))
        return Obeyed(str(unit), name, "recorded", row.workflow_id)

    async def _runs(self, workflow_id: str) -> bool:
        try:
            with translated("asking for the unit's batch"):
                seen = await self._client.get_workflow_handle(workflow_id).describe()
        except NotFound:
            return False
        return seen.status is WorkflowExecutionStatus.RUNNING


def _checked(name: str, order: Order) -> Order:
    """The order, complete.

    Raises:
        InvalidInput: if it lacks what it needs.
    """
    if name == UPDATE_SKIP and not order.reason.strip():
        raise InvalidInput("a skip needs a reason", action="say why with --reason; the audit trail keeps it")
    if name == UPDATE_REPROVE and not order.stage:
        order = replace(order, stage=Stage.PROVE.value)
    if name in (UPDATE_REPROVE, UPDATE_MOVE) and order.stage not in {s.value for s in Stage}:
        raise InvalidInput("no such stage", value=order.stage, expected=", ".join(s.value for s in Stage))
    if name == UPDATE_MOVE:
        check_name(order.queue, "queue name")
    return order
