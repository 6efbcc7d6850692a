"""A proof's progress as server-sent events: ``stage``, ``progress`` and, last, ``end``."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from provery.core.errors import ProveryError, TransientError
from provery.core.ports import UnitState
from provery.core.types import Json
from provery.systems.zkml.http.problems import ApiError
from provery.systems.zkml.http.standing import standing

if TYPE_CHECKING:
    from provery.systems.zkml.http.api import Parts

LOOK_S = 0.5
"""Between looks; the end is told at once."""
RETRY_MS = 2_000


class Events:
    """Streams of one replica.

    Args:
        parts: Of the API.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._open = 0

    def enter(self) -> None:
        """Take a place for a stream.

        Raises:
            ApiError: as many as are allowed are open.
        """
        if self._open >= self._parts.settings.streams_max:
            raise ApiError(
                "busy", "too many event streams are open; poll instead", headers={"retry-after": "5"}
            )
        self._open += 1

    async def stream(self, digest: str, after: int) -> AsyncIterator[bytes]:
        """Events of a proof until it has ended. :meth:`enter` comes first.

        Args:
            digest: Of the request.
            after: The client's Last-Event-ID: numbers go on from there; what has changed meanwhile comes as it is now.
        """
        try:
            yield f"retry: {RETRY_MS}\n\n".encode()
            async for event in self._events(digest, after):
                yield event
        finally:
            self._open -= 1

    async def _events(self, digest: str, number: int) -> AsyncIterator[bytes]:
        settings = self._parts.settings
        until = time.monotonic() + settings.stream_max_s
        heard = time.monotonic()
        stage, progress = None, None
        while time.monotonic() < until and not self._parts.stopping.is_set():
            try:
                state = await self._parts.proofs.state(digest, live=True)
                ended = await self._end(digest, state)
            except TransientError:
                state, ended = None, None  # seen again with the next look
            except ProveryError:
                return
            if state is not None and not state.status.terminal:
                now = (state.step, round(state.done, 4))
                if state.stage != stage:
                    stage, number, heard = state.stage, number + 1, time.monotonic()
                    yield _event(
                        "stage", number, {"id": digest, "stage": stage, "status": state.status.value}
                    )
                if now != progress and (now[0] or now[1]):
                    progress, number, heard = now, number + 1, time.monotonic()
                    yield _event(
                        "progress",
                        number,
                        {"id": digest, "stage": stage, "step": now[0], "progress": now[1]},
                    )
            if ended is not None:
                yield _event("end", number + 1, ended)
                return
            if time.monotonic() - heard >= settings.heartbeat_s:
                heard = time.monotonic()
                yield b": still here\n\n"
            await self._pause(digest)

    async def _end(self, digest: str, state: UnitState | None) -> dict[str, Json] | None:
        if state is not None and not state.status.terminal:
            return None
        finished = await self._parts.proofs.finished(digest)
        if state is None and finished is None:
            return None
        return standing(digest, state, finished)

    async def _pause(self, digest: str) -> None:
        flight = self._parts.proofs.flights.of(digest)
        if flight is not None:
            await flight.wait(LOOK_S)
        else:
            await asyncio.sleep(LOOK_S)


def last_event(given: str | None) -> int:
    """A Last-Event-ID, if it is one of ours; anything else begins anew."""
    return int(given) if given is not None and given.isascii() and given.isdigit() and len(given) < 10 else 0


def _event(name: str, number: int, data: dict[str, Json]) -> bytes:
    return f"id: {number}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode()
