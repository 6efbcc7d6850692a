"""What runs beside the workers for a stream: the HTTP API with its page, and the watch over the models."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from provery.core.ports import Deps, Units
from provery.systems.zkml.http.api import ZkmlApi
from provery.systems.zkml.http.page import page_routes
from provery.systems.zkml.http.settings import HttpSettings
from provery.systems.zkml.http.wiring import backend_of
from provery.systems.zkml.system import ZkmlSystem
from provery.systems.zkml.watch import ModelWatch


class ZkmlIngress:
    """Serves one stream.

    Args:
        api: The routes and what runs beside them.
        watch: Adds models.
        system: Opened what has to be closed.
    """

    def __init__(self, api: ZkmlApi, watch: ModelWatch, system: ZkmlSystem) -> None:
        self._api, self._watch, self._system = api, watch, system
        self.serving = api.serving
        """What the routes ask of the server."""
        self.routes = APIRouter()
        """The HTTP API, and the page."""
        self.routes.include_router(api.routes)
        self.routes.include_router(page_routes())

    async def run(self) -> None:
        """Serve and watch until :meth:`stop`."""
        beside = [asyncio.create_task(self._api.run()), asyncio.create_task(self._watch.run())]
        try:
            done, _ = await asyncio.wait(beside, return_when=asyncio.FIRST_EXCEPTION)
            for task in done:
                task.result()
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def stop(self) -> None:
        """Start nothing new; :meth:`run` returns once what is waited for has ended, or a while later."""
        self._watch.stop()
        await self._api.stop()

    async def waiting(self) -> str:
        """Which configured models cannot be asked for yet, and why."""
        return "; ".join(f"{name}: {reason}" for name, reason in self._watch.missing.items())

    async def close(self) -> None:
        """Release connections; units go on."""
        await self._api.close()
        await self._system.close()


def from_deps(deps: Deps, stream: str, units: Units, metrics: CollectorRegistry) -> ZkmlIngress:
    """The ingress of ``zkml/<stream>``, from what the workers inject."""
    system = ZkmlSystem.from_deps(deps)
    watch = ModelWatch(system, units, stream)
    backend = backend_of(deps, system.shop, stream, units, lambda: watch.missing)
    return ZkmlIngress(ZkmlApi(HttpSettings.load(deps.env), backend, metrics, deps.home), watch, system)
