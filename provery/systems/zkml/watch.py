"""Keeps the list of models what the library says: new and changed ones are added, and readiness tells what lacks."""

from __future__ import annotations

import asyncio
import logging

from provery.core.errors import ProveryError
from provery.core.ports import Units
from provery.core.types import UnitStatus
from provery.systems.zkml.library import Found, Wrong
from provery.systems.zkml.system import ZkmlSystem

log = logging.getLogger(__name__)


class ModelWatch:
    """Looks at the library again and again.

    Args:
        system: Knows what lies there and which models are to be added.
        units: Starts the units that add them.
        stream: Whose units they are.
    """

    def __init__(self, system: ZkmlSystem, units: Units, stream: str) -> None:
        self._system, self._units, self._stream = system, units, stream
        self._every_s = system.shop.settings.look_s
        self._stopping = asyncio.Event()
        self.missing: dict[str, str] = {"models": "the library was not looked at yet"}
        """Configured models that cannot be asked for yet, in no version, and why."""
        self._told: dict[str, str] = {}

    async def run(self) -> None:
        """Look until :meth:`stop`."""
        while not self._stopping.is_set():
            try:
                self.missing = await self.look()
            except ProveryError as error:
                log.warning("models cannot be looked at: %s", error)
                self.missing = {"models": str(error)}
            pause = min(self._every_s, 1.0) if self.missing else self._every_s
            try:
                async with asyncio.timeout(pause):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def look(self) -> dict[str, str]:
        """One look: start what is to be added; what lacks, with the reason."""
        missing: dict[str, str] = {}
        for found in await self._system.library.look():
            reason = found.reason if isinstance(found, Wrong) else await self._added(found)
            if not reason:
                continue
            if await self._system.shop.registry.get(found.name) is None:
                missing[found.name] = reason
            elif reason != self._told.get(found.name):
                log.warning("model %s stays in its older version: %s", found.name, reason)
            self._told[found.name] = reason
        return missing

    async def _added(self, found: Found) -> str:
        """Why a model is not on the list as it lies there; empty where it is."""
        work = await self._system.wanted(self._stream, found)
        if work is None:
            return ""
        state = await self._units.state(work.unit)
        if state is None or not state.status.terminal or state.status is UnitStatus.DONE:
            # Done and not on the list: the list was lost, and whoever reads the outcome makes it anew.
            state = await self._units.start(work)
        said = state.outcome.reason if state.outcome is not None else ""
        return " ".join(filter(None, (state.status.value, state.stage, said)))

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self._stopping.set()
