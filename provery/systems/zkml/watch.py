"""Keeps the list of models what the library says: new and changed ones are added, and readiness tells what lacks."""

from __future__ import annotations

import asyncio
import logging

from provery.core.errors import ProveryError
from provery.core.ports import Units
from provery.core.types import UnitStatus
from provery.systems.zkml.library import Library, Wrong
from provery.systems.zkml.system import ZkmlSystem

log = logging.getLogger(__name__)


class ModelWatch:
    """Looks at the library again and again.

    Args:
        system: Knows which models are to be added.
        library: Where they lie.
        units: Starts the units that add them.
        stream: Whose units they are.
        every_s: Seconds between looks.
    """

    def __init__(
        self, system: ZkmlSystem, library: Library, units: Units, stream: str, every_s: float
    ) -> None:
        self._system, self._library, self._units = system, library, units
        self._stream, self._every_s = stream, every_s
        self._stopping = asyncio.Event()
        self.missing: dict[str, str] = {"models": "the library was not looked at yet"}
        """Configured models that cannot be asked for yet, and why."""

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
        for found in await self._library.look():
            if isinstance(found, Wrong):
                missing[found.name] = found.reason
                continue
            work = await self._system.wanted(self._stream, found)
            if work is None:
                continue
            state = await self._units.state(work.unit)
            if state is None or not state.status.terminal or state.status is UnitStatus.DONE:
                # Done and not on the list: the list was lost, and starting the unit makes it anew.
                state = await self._units.start(work)
            reason = state.outcome.reason if state.outcome is not None else ""
            missing[found.name] = f"{state.status.value} {state.stage} {reason}".strip()
        return missing

    def stop(self) -> None:
        """Let :meth:`run` return."""
        self._stopping.set()
