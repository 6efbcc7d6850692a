"""Units under way that somebody here waits for: each is watched once, however many wait, and though they all go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from provery.core.errors import ArtifactError, TransientError
from provery.core.ports import Units
from provery.core.types import Unit, UnitOutcome
from provery.systems.zkml.http.answers import Finished

log = logging.getLogger(__name__)
LOOK_S = 20.0
"""The engine is asked to answer within so long, and asked again."""
UNKNOWN_S = 30.0
"""A unit that nobody knows for so long is lost: somebody removed its records."""


@dataclass(frozen=True)
class Ended:
    """How a unit ended."""

    outcome: UnitOutcome | None
    """None for one that nobody knows any more."""
    finished: Finished | None
    at: float
    """Seconds since 1970."""


class Flight:
    """A unit under way.

    Args:
        digest: Of the request.
        ours: Whether this replica started it.
    """

    def __init__(self, digest: str, *, ours: bool) -> None:
        self.digest, self.ours = digest, ours
        self._done: asyncio.Future[Ended] = asyncio.get_running_loop().create_future()

    async def wait(self, seconds: float) -> Ended | None:
        """How it ended; None where it has not within the time."""
        done, _ = await asyncio.wait([self._done], timeout=seconds)
        return self._done.result() if done else None

    def end(self, ended: Ended) -> None:
        """Tell everybody."""
        if not self._done.done():
            self._done.set_result(ended)


Landed = Callable[[Flight, UnitOutcome | None], Awaitable[Ended]]


class Flights:
    """Watches units.

    Args:
        starter: Knows how they stand.
        landed: Told when one has ended; tried again while it meets transient errors.
    """

    def __init__(self, starter: Units, landed: Landed) -> None:
        self._starter, self._landed = starter, landed
        self._flights: dict[str, Flight] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.listeners: list[Callable[[str, Ended], Awaitable[None]]] = []
        """Called with digest and end of every flight."""

    def __len__(self) -> int:
        return len(self._flights)

    def of(self, digest: str) -> Flight | None:
        """The flight of a request, if it is watched here."""
        return self._flights.get(digest)

    def watch(self, unit: Unit, digest: str, ours: Callable[[], None] | None = None) -> Flight:
        """Watch a unit until it ends.

        Args:
            unit: Which.
            digest: Of its request.
            ours: Called at the end, where this replica started it.
        """
        there = self._flights.get(digest)
        if there is not None:
            return there
        flight = Flight(digest, ours=ours is not None)
        self._flights[digest] = flight
        task = asyncio.create_task(self._follow(unit, flight, ours), name=f"watch {digest[:12]}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return flight

    async def close(self) -> None:
        """Stop watching; the units go on."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, unit: Unit, flight: Flight, ours: Callable[[], None] | None) -> None:
        ended = Ended(None, None, 0.0)
        try:
            outcome = await self._outcome(unit)
            ended = await self._told(flight, outcome)
            for listener in self.listeners:
                await listener(flight.digest, ended)
        except Exception:
            log.exception("a defect in watching %s", unit.key)
        finally:
            del self._flights[flight.digest]
            if ours is not None:
                ours()
            flight.end(ended)

    async def _outcome(self, unit: Unit) -> UnitOutcome | None:
        loop = asyncio.get_running_loop()
        unknown_since: float | None = None
        pause = 0.1
        while True:
            began = loop.time()
            try:
                state = await self._starter.state(unit, wait_s=LOOK_S)
            except TransientError as error:
                log.warning("cannot see how %s stands: %s", unit.key, error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
                continue
            pause = 0.1
            if state is None:
                unknown_since = unknown_since if unknown_since is not None else loop.time()
                if loop.time() - unknown_since > UNKNOWN_S:
                    return None
                await asyncio.sleep(0.25)
                continue
            unknown_since = None
            if state.status.terminal and state.outcome is not None:
                return state.outcome
            if loop.time() - began < 0.05:
                await asyncio.sleep(0.25)  # a starter that does not wait must not be asked in a tight loop

    async def _told(self, flight: Flight, outcome: UnitOutcome | None) -> Ended:
        pause = 0.1
        while True:
            try:
                return await self._landed(flight, outcome)
            except TransientError as error:
                log.warning("cannot take the answer of %s yet: %s", flight.digest, error)
            except ArtifactError as error:
                log.warning("the answer of %s cannot be used: %s", flight.digest, error)
                return Ended(None, None, 0.0)
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)
