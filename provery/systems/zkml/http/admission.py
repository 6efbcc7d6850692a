"""Whether there is room for one more proof, and when to ask again: from what the ledger says is really done."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter

from provery.core.access import Buckets
from provery.core.ports import Ledger
from provery.core.types import UnitStatus
from provery.systems.zkml.http.callers import Caller
from provery.systems.zkml.http.metrics import HttpMetrics
from provery.systems.zkml.http.problems import ApiError
from provery.systems.zkml.http.settings import HttpSettings
from provery.systems.zkml.model import SYSTEM

PROOF = "proof-"
FRESH_S = 0.5
"""A count is good for so long; what this replica starts meanwhile is added."""
WINDOW_S = 60.0
SAMPLE = 1_000
SLOWEST_S = 120
"""Nobody is sent away for longer: by then things have changed."""


class Admission:
    """Counts the proofs that are under way on every replica.

    Args:
        settings: Of the API.
        ledger: Knows every unit.
        buckets: Of every caller.
        stream: Whose units count.
        metrics: Of this process.
    """

    def __init__(
        self, settings: HttpSettings, ledger: Ledger, buckets: Buckets, stream: str, metrics: HttpMetrics
    ) -> None:
        self._settings, self._ledger, self._buckets = settings, ledger, buckets
        self._stream, self._metrics = stream, metrics
        self._running: frozenset[str] = frozenset()
        self._rate = 0.0
        self._counted = -math.inf
        self._lock = asyncio.Lock()
        self._mine: dict[str, str] = {}
        self._each: Counter[str] = Counter()

    async def refresh(self) -> None:
        """Count, unless somebody just did.

        Raises:
            TransientError: the ledger does not answer.
        """
        async with self._lock:
            if time.monotonic() - self._counted < FRESH_S:
                return
            limit = self._settings.queue_limit + SAMPLE
            running = await self._ledger.units(
                system=SYSTEM, stream=self._stream, status=UnitStatus.RUNNING, limit=limit
            )
            done = await self._ledger.units(
                system=SYSTEM, stream=self._stream, status=UnitStatus.DONE, limit=SAMPLE
            )
            self._running = frozenset(row.unit.key for row in running if row.unit.key.startswith(PROOF))
            since = time.time() - WINDOW_S
            ended = [row for row in done if row.unit.key.startswith(PROOF) and row.updated_at >= since]
            self._rate = len(ended) / WINDOW_S
            self._counted = time.monotonic()
            self._show()

    async def enter(self, key: str, caller: Caller) -> None:
        """Take a place for one more proof, before anything is made for it; :meth:`leave` gives it back.

        Raises:
            ApiError: the queue is full, or this caller has its part of it.
        """
        await self.refresh()
        # No other request comes between the count and the place that is taken.
        under_way = len(self._running | self._mine.keys())
        if under_way >= self._settings.queue_limit and key not in self._running:
            wait = self._until_free(under_way - self._settings.queue_limit + 1)
            raise self._full(f"{under_way} proofs are under way, as many as are taken", wait)
        if self._each[caller.who] >= self._settings.per_caller:
            said = f"{self._each[caller.who]} of your proofs are under way, as many as one caller may have"
            raise self._full(said, self._until_free(1))
        self._mine[key] = caller.who
        self._each[caller.who] += 1
        self._show()

    def leave(self, key: str) -> None:
        """The proof has ended, or came to nothing."""
        who = self._mine.pop(key)
        self._each[who] -= 1
        if not self._each[who]:
            del self._each[who]
        # It has ended: the next count need not say so for there to be room.
        self._running -= {key}
        self._show()

    async def pay(self, caller: Caller) -> None:
        """Take a caller's token.

        Raises:
            ApiError: there is none.
        """
        rate = caller.per_minute
        if rate <= 0:
            raise ApiError("forbidden", "no proofs are made for this key or address")
        taken = await self._buckets.take(_bucket(caller), per_minute=rate, burst=max(1.0, rate))
        if not taken.allowed:
            wait = max(1, min(math.ceil(taken.retry_after_s), SLOWEST_S))
            raise ApiError(
                "rate_limited",
                f"more than {rate:g} proofs a minute; ask again in {wait} s",
                headers={"retry-after": str(wait)},
            )

    async def give_back(self, caller: Caller) -> None:
        """Return a token of a request that came to nothing."""
        await self._buckets.give_back(_bucket(caller))

    def _until_free(self, places: int) -> int:
        rate = self._rate
        if rate <= 0:
            each = self._metrics.seconds / self._metrics.proofs if self._metrics.proofs else 2.0
            rate = self._settings.slots / max(each, 0.05)
        return max(1, min(math.ceil(places / rate), SLOWEST_S))

    def _full(self, said: str, wait: int) -> ApiError:
        return ApiError("queue_full", f"{said}; ask again in {wait} s", headers={"retry-after": str(wait)})

    def _show(self) -> None:
        under_way = len(self._running | self._mine.keys())
        active = min(under_way, self._settings.slots)
        self._metrics.load(active, under_way - active)


def _bucket(caller: Caller) -> str:
    return f"prove:{caller.who}"
