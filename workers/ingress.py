"""Feeding a stream from its source: BullMQ, HTTP. The systems know their sources; this starts what they hand over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from fastapi import APIRouter

from provery import registry
from provery.client import Provery
from provery.core.errors import ConfigurationError
from provery.core.ports import Ingress
from provery.core.types import UnitOutcome, Work, check_name
from workers.runtime import Environment


@dataclass(frozen=True)
class EngineStarter:
    """The port through which an ingress starts units: batches where the plans allow it."""

    engine: Provery

    async def run(self, works: Sequence[Work]) -> AsyncIterator[UnitOutcome]:
        """See :class:`provery.core.ports.Starter`."""
        async for outcome in self.engine.outcomes(works):
            yield outcome


@dataclass(frozen=True)
class Feed:
    """One ingress in this process."""

    ingress: Ingress

    @property
    def routers(self) -> list[APIRouter]:
        """The system's HTTP API, if it has one."""
        return [self.ingress.routes] if isinstance(self.ingress.routes, APIRouter) else []

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
    starter = EngineStarter(engine)
    return Feed(await make(environment.deps, check_name(stream, "stream"), starter, environment.metrics))
