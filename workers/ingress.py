"""Feeding a stream from its source: BullMQ, HTTP. The systems know their sources; this starts what they hand over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from fastapi import APIRouter

from provery import registry
from provery.client import Address, NotFound, Provery
from provery.client.settling import recorded_outcome
from provery.core.controls import UPDATE_CANCEL, Order
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.ports import ArtifactStore, Ingress, UnitState
from provery.core.serving import Serving
from provery.core.types import Stage, Unit, UnitOutcome, UnitStatus, Work, check_name
from workers.runtime import Environment

CANCEL_S = 5.0
"""How long a cancelled unit is waited for: its prover has two seconds to end."""


@dataclass(frozen=True)
class EngineStarter:
    """The ports through which an ingress starts units: batches where the plans allow it, or one by one."""

    engine: Provery
    artifacts: ArtifactStore

    async def run(self, works: Sequence[Work]) -> AsyncIterator[UnitOutcome]:
        """See :class:`provery.core.ports.Starter`."""
        async for outcome in self.engine.outcomes(works):
            yield outcome

    async def start(self, work: Work) -> UnitState:
        """See :class:`provery.core.ports.Units`."""
        [started] = await self.engine.start([work])
        outcome = started.outcome
        if outcome is not None and outcome.status is UnitStatus.DONE and await self._gone(outcome):
            row = await self.engine.ledger.unit(work.unit.system, work.unit.stream, work.unit.key)
            # From the stage whose outputs were the last; the engine makes again what that one lacks.
            plan = work.plan.from_stage(Stage.VERIFY, 1 + (row.generation if row is not None else 0))
            [started] = await self.engine.start([replace(work, plan=plan)])
            outcome = started.outcome
        if outcome is None:
            return UnitState(UnitStatus.RUNNING)
        return _ended(outcome)

    async def _gone(self, outcome: UnitOutcome) -> bool:
        """Whether what a unit has made is no longer in the store."""
        return not all(await self.artifacts.exists(outcome.outputs))

    async def state(self, unit: Unit, *, wait_s: float = 0.0, live: bool = False) -> UnitState | None:
        """See :class:`provery.core.ports.Units`."""
        address = Address(unit.system, unit.stream, unit.key)
        if wait_s > 0:
            try:
                async with asyncio.timeout(wait_s):
                    return _ended(await self.engine.wait(address))
            except TimeoutError:
                pass  # as it stands
            except NotFound:
                pass  # unknown, or between two workflows: the ledger tells
        row = await self.engine.ledger.unit(unit.system, unit.stream, unit.key)
        if row is None:
            return None
        if row.status.terminal:
            return _ended(await recorded_outcome(self.engine.ledger, row))
        if live and (pulse := await self.engine.pulse(address)) is not None:
            return UnitState(row.status, pulse.stage or row.stage, pulse.step, pulse.done)
        return UnitState(row.status, row.stage)

    async def cancel(self, unit: Unit, reason: str) -> UnitState | None:
        """See :class:`provery.core.ports.Units`."""
        address = Address(unit.system, unit.stream, unit.key)
        with suppress(NotFound, InvalidInput):  # unknown, or ended meanwhile: the ledger tells
            await self.engine.order(UPDATE_CANCEL, address, Order(by="api", reason=reason))
        return await self.state(unit, wait_s=CANCEL_S)


def _ended(outcome: UnitOutcome) -> UnitState:
    return UnitState(outcome.status, outcome.stage, outcome=outcome)


@dataclass(frozen=True)
class Feed:
    """One ingress in this process."""

    ingress: Ingress

    @property
    def routers(self) -> list[APIRouter]:
        """The system's HTTP API, if it has one."""
        return [self.ingress.routes] if isinstance(self.ingress.routes, APIRouter) else []

    @property
    def serving(self) -> Serving | None:
        """What the API asks of the server, if it asks anything."""
        found = getattr(self.ingress, "serving", None)
        return found if isinstance(found, Serving) else None

    async def waiting(self) -> str:
        """Why it is not ready."""
        return await self.ingress.waiting()

    async def run(self, stop: asyncio.Event) -> None:
        """Serve until ``stop``, then drain."""
        serving = asyncio.create_task(self.ingress.run())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
            await self.ingress.stop()
            await serving
        finally:
            stopping.cancel()
            await self.ingress.close()


def port(stream_id: str, env: Mapping[str, str]) -> int:
    """Where the process listens: where the clients of its ingress expect it, else ``METRICS_PORT``, else anywhere.

    Args:
        stream_id: ``<system>/<stream>`` of the ingress; empty for none.
        env: The process environment.
    """
    system, _, stream = stream_id.partition("/")
    expected = getattr(registry.load(system, env), "api_port", None) if system else None
    found = expected(stream, env) if expected is not None else None
    return int(found if found is not None else env.get("METRICS_PORT") or 0)


async def build(environment: Environment, stream_id: str) -> Feed:
    """The ingress of ``<system>/<stream>``.

    Raises:
        ConfigurationError: no such system, one without an ingress, or a wrong setting of it.
    """
    system, slash, stream = stream_id.partition("/")
    if not slash:
        raise ConfigurationError(
            "not a stream", value=stream_id, expected="<system>/<stream>, such as queue/prove"
        )
    module = registry.load(system, environment.env)
    make = getattr(module, "build_ingress", None)
    if make is None:
        raise ConfigurationError(
            "this system has no ingress", value=system, action="trigger it from the CLI or a schedule"
        )
    engine = Provery(environment.client, environment.ledger, environment.env)
    starter = EngineStarter(engine, environment.deps.artifacts)
    return Feed(await make(environment.deps, check_name(stream, "stream"), starter, environment.metrics))
