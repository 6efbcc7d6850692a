"""The HTTP API, put together: what its routes share, and what runs beside them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.security import APIKeyHeader, HTTPBearer
from prometheus_client import CollectorRegistry

from provery.core.errors import TransientError
from provery.core.serving import Serving
from provery.core.types import Json
from provery.systems.zkml.http.admission import Admission
from provery.systems.zkml.http.asking import Asking
from provery.systems.zkml.http.backend import Backend
from provery.systems.zkml.http.cache import Cache
from provery.systems.zkml.http.callers import Callers
from provery.systems.zkml.http.events import Events
from provery.systems.zkml.http.flights import Ended
from provery.systems.zkml.http.metrics import HttpMetrics
from provery.systems.zkml.http.models_seen import ModelsSeen
from provery.systems.zkml.http.problems import refusal
from provery.systems.zkml.http.proofs import Proofs
from provery.systems.zkml.http.routes_documented import add_documented
from provery.systems.zkml.http.routes_proofs import add_proofs
from provery.systems.zkml.http.routing import route_class
from provery.systems.zkml.http.settings import HttpSettings
from provery.systems.zkml.http.standing import standing
from provery.systems.zkml.http.verifying import Verifying
from provery.systems.zkml.http.webhooks import Webhooks

log = logging.getLogger(__name__)
COUNT_S = 2.0
"""Between counts of what is under way, for the figures."""


class Parts:
    """What the routes share.

    Args:
        settings: Of the API.
        backend: The rest of the system.
        metrics: Where figures are registered.
        home: Of the installation.
    """

    def __init__(
        self, settings: HttpSettings, backend: Backend, metrics: CollectorRegistry, home: Path
    ) -> None:
        self.settings, self.backend = settings, backend
        self.started = time.monotonic()
        self.metrics = HttpMetrics(metrics)
        self.models = ModelsSeen(backend.registry, backend.missing)
        self.callers = Callers(settings, backend.access.keys)
        self.cache = Cache(
            settings.cache_folder(home), settings.cache_mb << 20, settings.cache_memory_mb << 20, self.metrics
        )
        self.admission = Admission(
            settings, backend.ledger, backend.access.buckets, backend.stream, self.metrics
        )
        self.proofs = Proofs(backend, self.models, self.cache, self.admission, self.metrics)
        self.asking = Asking(self)
        self.verifying = Verifying(settings, backend, self.proofs)
        self.webhooks = Webhooks(settings, backend.access.deliveries, self.told, self.metrics)
        self.events = Events(self)
        self.stopping = asyncio.Event()
        self.proofs.flights.listeners.append(self._ended)

    async def stands(self, digest: str) -> dict[str, Json] | None:
        """The document of a proof; None where nobody knows it.

        Raises:
            TransientError: ledger or store do not answer.
        """
        finished = await self.cache.get(digest)
        if finished is not None:
            return standing(digest, None, finished)
        state = await self.proofs.state(digest, live=True)
        if state is None:
            if self.proofs.flights.of(digest) is None:
                return None
            return {**standing(digest, None, None), "status": "running"}
        finished = await self.proofs.finished(digest) if state.status.terminal else None
        return standing(digest, state, finished)

    async def told(self, digest: str) -> dict[str, Json] | None:
        """The document of a proof that has ended; None for one that has not.

        Raises:
            TransientError: ledger or store do not answer.
        """
        state = await self.proofs.state(digest)
        if state is None or not state.status.terminal:
            return None
        return standing(digest, state, await self.proofs.finished(digest))

    async def until_stopping(self, work: Coroutine[Any, Any, None]) -> None:
        """Wait for something, unless this replica stops: a client asks again, and another answers."""
        waiting = asyncio.ensure_future(work)
        stopping = asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([waiting, stopping], return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                waiting.result()
        finally:
            waiting.cancel()
            stopping.cancel()

    async def _ended(self, digest: str, ended: Ended) -> None:
        _ = ended
        try:
            await self.webhooks.ended(digest)
        except TransientError as error:
            log.warning("webhooks of %s are told later: %s", digest, error)


class ZkmlApi:
    """The API of one stream, for an ingress to serve and run.

    Args:
        settings: Of the API.
        backend: The rest of the system.
        metrics: Where figures are registered.
        home: Of the installation.
    """

    def __init__(
        self, settings: HttpSettings, backend: Backend, metrics: CollectorRegistry, home: Path
    ) -> None:
        self.parts = Parts(settings, backend, metrics, home)
        keys = [
            Depends(HTTPBearer(auto_error=False, description="an API key")),
            Depends(APIKeyHeader(name="X-API-Key", auto_error=False)),
        ]
        self.routes = APIRouter(route_class=route_class(self.parts), dependencies=keys)
        """The routes."""
        add_documented(self.routes, self.parts)
        add_proofs(self.routes, self.parts)
        self.serving = Serving(settings.max_body_mb << 20, settings.body_s, refusal)
        """What they ask of the server."""
        self._opened = False

    async def run(self) -> None:
        """Keep figures, call webhooks, until :meth:`stop`; then let what is waited for end for a while."""
        parts = self.parts
        await self.open()
        beside = [asyncio.create_task(self._count()), asyncio.create_task(parts.webhooks.run())]
        stopping = asyncio.create_task(parts.stopping.wait())
        try:
            done, _ = await asyncio.wait([stopping, *beside], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stopping}:
                task.result()  # only a defect ends one, and it must not go unnoticed
            deadline = time.monotonic() + parts.settings.drain_s
            while len(parts.proofs.flights) and time.monotonic() < deadline:
                await asyncio.sleep(0.05)
        finally:
            for task in (stopping, *beside):
                task.cancel()
            await asyncio.gather(stopping, *beside, return_exceptions=True)

    async def open(self) -> None:
        """See what is in the cache."""
        if not self._opened:
            self._opened = True
            await self.parts.cache.open()

    async def stop(self) -> None:
        """Start nothing new; long polls and event streams end."""
        self.parts.proofs.draining = True
        self.parts.stopping.set()

    async def close(self) -> None:
        """Stop watching; units go on."""
        await self.parts.proofs.flights.close()

    async def _count(self) -> None:
        while True:
            try:
                await self.parts.admission.refresh()
            except TransientError as error:
                log.warning("what is under way cannot be counted: %s", error)
            await asyncio.sleep(COUNT_S)
