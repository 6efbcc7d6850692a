"""How far the chain is, by every endpoint's word: what tells a node that lags from one that is up to date."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

TOLERANCE = 3
"""Blocks that a node may be behind the newest: blocks spread in seconds, and a short reorg takes some back."""
OWN_MEMORY_S = 30.0
"""Seconds after which an endpoint that went back is believed: the chain itself was set back."""
MEMORY_S = 600.0
"""Seconds for which the word of an endpoint that no longer answers counts against the others."""


@dataclass(frozen=True)
class _Seen:
    number: int
    at: float
    """When the endpoint last said so, or nearly so."""


class Heads:
    """The heads that endpoints reported.

    A node far behind would say that a transaction is unknown, or give a nonce that was used long ago. It is told by the
    others' heads, and by its own of shortly before: an address may stand for several nodes in turns.

    Args:
        clock: Seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: dict[str, _Seen] = {}

    def note(self, endpoint: str, number: int) -> bool:
        """Take an endpoint's word for its head.

        Returns:
            Whether it is up to date, as far as anybody knows.
        """
        now = self._clock()
        seen = self._seen.get(endpoint)
        if seen is None or now - seen.at > OWN_MEMORY_S:
            self._seen[endpoint] = _Seen(number, now)
        elif number >= seen.number - TOLERANCE:
            self._seen[endpoint] = _Seen(max(number, seen.number), now)
        return self.current(number)

    def current(self, number: int) -> bool:
        """Whether a head is up to date, as far as anybody knows."""
        return number >= self.highest - TOLERANCE

    @property
    def highest(self) -> int:
        """The highest head that counts; 0 where nothing is known."""
        now = self._clock()
        return max((s.number for s in self._seen.values() if now - s.at <= MEMORY_S), default=0)
