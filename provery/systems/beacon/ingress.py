"""What runs beside the workers for a stream: its period store over HTTP, its figures, and a look at the clock.

Periods are found by the stream's schedule, not here.
"""

from __future__ import annotations

import asyncio
import logging
import os

from prometheus_client import CollectorRegistry

from provery.core.errors import ProveryError
from provery.core.ports import Deps
from provery.systems.beacon.routes import routes
from provery.systems.beacon.streams import Stream, Streams

log = logging.getLogger(__name__)
LOOK_S = 15.0
"""Seconds between looks at the clock: figures and alarms are no older than that."""


class BeaconIngress:
    """Serves one stream.

    Args:
        stream: The stream.
        metrics: Where its figures are registered.
    """

    def __init__(self, stream: Stream, metrics: CollectorRegistry) -> None:
        self.routes = routes(stream.store)
        """The HTTP API."""
        self._stream = stream
        self._stopping = asyncio.Event()
        metrics.register(stream.collector)

    async def run(self) -> None:
        """Keep figures and alarms up to date until :meth:`stop`."""
        while not self._stopping.is_set():
            try:
                await self._stream.chain()
            except (
                ProveryError
            ) as error:  # a development chain whose node is away: its clock is not known yet
                log.warning("%s: %s", self._stream.id, error)
            await self._stream.show()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Let :meth:`run` return."""
        self._stopping.set()

    async def waiting(self) -> str:
        """Why it is not ready: a period store that is there and cannot be read."""
        root = self._stream.settings.output_dir
        if root.exists() and not os.access(root, os.R_OK | os.X_OK):
            return f"{root} cannot be read"
        return ""

    async def close(self) -> None:
        """Close connections."""
        await self._stream.close()


def from_deps(deps: Deps, stream: str, metrics: CollectorRegistry) -> BeaconIngress:
    """The ingress of ``beacon/<stream>``, from what the workers inject."""
    return BeaconIngress(Streams.of(deps).get(stream), metrics)
