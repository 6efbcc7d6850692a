"""Requests for proofs: found where they were answered before, attached to where they are under way, else started.

Nothing here is needed for a proof to be made: a unit that was started goes on in the engine whoever waits for it. What
is in memory only spares this replica to ask twice.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from provery.core.access import Made
from provery.core.errors import ArtifactError
from provery.core.ports import UnitState
from provery.core.types import Unit, UnitOutcome, UnitStatus
from provery.systems.zkml.http.admission import PROOF, Admission
from provery.systems.zkml.http.answers import Finished
from provery.systems.zkml.http.backend import Backend
from provery.systems.zkml.http.cache import Cache
from provery.systems.zkml.http.callers import Caller
from provery.systems.zkml.http.flights import Ended, Flight, Flights
from provery.systems.zkml.http.metrics import FROM_LEDGER, MISS, HttpMetrics
from provery.systems.zkml.http.models_seen import ModelsSeen
from provery.systems.zkml.http.problems import ApiError
from provery.systems.zkml.model import SYSTEM

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wanted:
    """A request, checked."""

    model: str
    version: str
    digest: str
    values: tuple[float, ...]
    attest: str = ""


@dataclass(frozen=True)
class Begun:
    """A request that was taken: answered at once, or under way."""

    finished: Finished | None = None
    flight: Flight | None = None


class Proofs:
    """Proofs of one stream.

    Args:
        backend: The rest of the system.
        models: Its current models.
        cache: Of this replica.
        admission: Says whether there is room.
        metrics: Of this process.
    """

    def __init__(
        self, backend: Backend, models: ModelsSeen, cache: Cache, admission: Admission, metrics: HttpMetrics
    ) -> None:
        self._backend, self._models, self._cache = backend, models, cache
        self._admission, self._metrics = admission, metrics
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}
        self.flights = Flights(backend.starter, self._landed)
        self.draining = False

    def unit(self, digest: str) -> Unit:
        """The unit of a digest: only its name counts to those who look for it."""
        return Unit(SYSTEM, self._backend.stream, PROOF + digest)

    async def begin(self, wanted: Wanted, caller: Caller) -> Begun:
        """Find an answer, attach to what is under way, or start it. Failures of before are tried again.

        Raises:
            ApiError: there is no room, or the caller has asked for too much.
            TransientError: ledger, store or engine do not answer.
        """
        found = await self._cache.get(wanted.digest)
        if found is not None:
            return Begun(finished=found)
        flight = self.flights.of(wanted.digest)
        if flight is not None:
            return Begun(flight=flight)
        async with self._alone(wanted.digest):
            flight = self.flights.of(wanted.digest)
            if flight is not None:
                return Begun(flight=flight)
            state = await self._backend.starter.state(self.unit(wanted.digest))
            if state is not None:
                found = await self._recorded(wanted.digest, state.outcome)
                if found is not None:
                    return Begun(finished=found)
                if not state.status.terminal:
                    return Begun(flight=self.flights.watch(self.unit(wanted.digest), wanted.digest))
            self._metrics.looked_up(MISS)
            return await self._start(wanted, caller)

    async def _start(self, wanted: Wanted, caller: Caller) -> Begun:
        if self.draining:
            headers = {"retry-after": "1", "connection": "close"}  # the next connection is to another replica
            raise ApiError("draining", "this replica is stopping; ask again", headers=headers)
        key = PROOF + wanted.digest
        await self._admission.enter(key, caller)
        try:
            version = await self._models.get(wanted.model, wanted.version)
            work = await self._backend.work(
                version,
                wanted.values,
                attest=wanted.attest,
                fairness=caller.fairness,
                weight=caller.weight,
                owner=caller.who,
            )
            await self._admission.pay(caller)
            try:
                state = await self._backend.starter.start(work)
            except BaseException:
                await asyncio.shield(self._admission.give_back(caller))
                raise
        except BaseException:
            self._admission.leave(key)
            raise
        if state.status.terminal:
            self._admission.leave(key)
            finished = await self._recorded(wanted.digest, state.outcome)
            if finished is None:
                raise failure(wanted.digest, state)
            return Begun(finished=finished)
        flight = self.flights.watch(work.unit, wanted.digest, ours=lambda: self._admission.leave(key))
        return Begun(flight=flight)

    async def attach(self, digest: str) -> Begun | None:
        """What was asked for before: its answer, or what is under way; None where neither is.

        Raises:
            TransientError: ledger, store or engine do not answer.
        """
        found = await self.finished(digest)
        if found is not None:
            return Begun(finished=found)
        state = await self.state(digest)
        if state is None or state.status.terminal:
            return None
        return Begun(flight=self.flights.watch(self.unit(digest), digest))

    async def finished(self, digest: str) -> Finished | None:
        """An answer from wherever it is; None where there is none yet.

        Raises:
            TransientError: ledger or store do not answer.
        """
        found = await self._cache.get(digest)
        if found is not None:
            return found
        state = await self._backend.starter.state(self.unit(digest))
        return await self._recorded(digest, state.outcome) if state is not None else None

    async def state(self, digest: str, *, live: bool = False) -> UnitState | None:
        """How a proof stands.

        Raises:
            TransientError: ledger or engine do not answer.
        """
        return await self._backend.starter.state(self.unit(digest), live=live)

    async def wait(self, digest: str, seconds: float) -> None:
        """Return when a proof has ended, or after so long. It goes on either way."""
        if seconds <= 0:
            return
        flight = self.flights.of(digest)
        if flight is None:
            state = await self.state(digest)
            if state is None or state.status.terminal:
                return
            flight = self.flights.watch(self.unit(digest), digest)
        await flight.wait(seconds)

    async def _recorded(self, digest: str, outcome: UnitOutcome | None) -> Finished | None:
        """An answer that the ledger leads to, kept for next time."""
        if outcome is None or outcome.status is not UnitStatus.DONE:
            return None
        try:
            finished = await self._take(digest, outcome)
        except ArtifactError as error:
            # Gone or damaged in the store: as if it had never been made. Starting the unit mends it.
            log.warning("the recorded answer of %s cannot be used: %s", digest, error)
            return None
        self._metrics.looked_up(FROM_LEDGER)
        return finished

    async def _take(self, digest: str, outcome: UnitOutcome) -> Finished:
        """The answer of a unit that is done: into the cache, and where its hashes lead."""
        finished = Finished(await self._backend.answer(outcome), dict(outcome.facts))
        answer = finished.answer
        made = Made(digest, answer.model_hash, answer.input_hash, answer.proof_hash)
        await self._backend.access.requests.made(made)
        await self._cache.put(digest, finished)
        return finished

    async def _landed(self, flight: Flight, outcome: UnitOutcome | None) -> Ended:
        """A unit has ended."""
        finished: Finished | None = None
        if outcome is not None and outcome.status is UnitStatus.DONE:
            finished = await self._take(flight.digest, outcome)
        if flight.ours:
            if finished is not None:
                self._metrics.proved(finished.answer.generation_ms / 1000)
            else:
                self._metrics.failed()
        return Ended(outcome, finished, time.time())

    @asynccontextmanager
    async def _alone(self, digest: str) -> AsyncIterator[None]:
        """One request at a time looks whether a proof has to be started."""
        lock, users = self._locks.get(digest, (asyncio.Lock(), 0))
        self._locks[digest] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._locks[digest]
            if users == 1:
                del self._locks[digest]
            else:
                self._locks[digest] = (lock, users - 1)


def failure(digest: str, ended: UnitState | UnitOutcome | None) -> ApiError:
    """What is said of a proof that ended without an answer."""
    outcome = ended.outcome if isinstance(ended, UnitState) else ended
    more = {"id": digest}
    kind = outcome.error_kind if outcome is not None else ""
    if ended is not None and ended.status is UnitStatus.CANCELLED:
        return ApiError("cancelled", "the proof was cancelled", more=more)
    if kind in ("InvalidInput", "InvalidWitness"):
        reason = outcome.reason if outcome is not None else ""
        return ApiError("unprovable", f"the inputs cannot be proved: {reason}"[:500], more=more)
    if kind in ("ResourceExhausted", "SpendingCapReached"):
        return ApiError(
            "out_of_memory",
            "Cannot allocate memory for proof generation",
            headers={"retry-after": "5"},
            more=more,
        )
    return ApiError(
        "proof_failed", f"the proof could not be made ({kind or 'unknown'}); ask again", more=more
    )
