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
MAJORITY = 3
"""Endpoints from which on no single one decides how far the chain is."""
BURST, BLOCKS_PER_S = 100, 10.0
"""How far a head may be beyond the same endpoint's former one without being doubted: faster than chains go, and room
for a node that catches up or mines at request."""


@dataclass(frozen=True)
class _Seen:
    number: int
    at: float
    """When the endpoint last said so, or nearly so."""
    sound: int
    """The newest of its heads that was not doubted."""
    sound_at: float

    def believed(self, now: float) -> int:
        """The head, unless it is too far from the one before; then that one, until time has made it possible."""
        possible = self.sound + BURST + BLOCKS_PER_S * (now - self.sound_at)
        return self.number if self.number <= possible else self.sound


class Heads:
    """The heads that endpoints reported.

    A node far behind would say that a transaction is unknown, or give a nonce that was used long ago. It is told by the
    others' heads, and by its own of shortly before: an address may stand for several nodes in turns.

    A head that is invented must not make the honest ones look as if they lagged. Of three endpoints or more, a head
    counts once a second one has reached it, so that one liar changes nothing; nor does one good node among others that
    all lag. Of two, neither can outvote the other: the higher counts, except where it is further from the same
    endpoint's former head than a chain can have come, and the other has not reached it. What remains possible for one
    of two is a lie from its first word on, or one that grows as slowly as a chain does.

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
        if seen is None:
            self._seen[endpoint] = _Seen(number, now, number, now)
        elif number >= seen.number - TOLERANCE:
            self._seen[endpoint] = _Seen(max(number, seen.number), now, seen.sound, seen.sound_at)
        elif now - seen.at > OWN_MEMORY_S:
            self._seen[endpoint] = _Seen(number, now, min(number, seen.sound), now)
        self._trust(now)
        return self.current(number)

    def current(self, number: int) -> bool:
        """Whether a head is up to date, as far as anybody knows."""
        return number >= self.highest - TOLERANCE

    def likely(self, number: int) -> bool:
        """Whether a head is no further than the chain is, as far as anybody knows."""
        return number <= self.highest + TOLERANCE

    @property
    def highest(self) -> int:
        """The highest head that counts; 0 where nothing is known."""
        now = self._clock()
        recent = [s for s in self._seen.values() if now - s.at <= MEMORY_S]
        second = _second(recent)
        if len(recent) >= MAJORITY:
            return second
        return max([second, *(s.believed(now) for s in recent)])

    def _trust(self, now: float) -> None:
        """What is not doubted now is what the next head is measured by."""
        second = _second([s for s in self._seen.values() if now - s.at <= MEMORY_S])
        for name, s in self._seen.items():
            if s.number <= second or s.believed(now) == s.number:
                self._seen[name] = _Seen(s.number, s.at, s.number, s.at)


def _second(seen: list[_Seen]) -> int:
    """The highest head that two endpoints have reached; 0 without a second one."""
    numbers = sorted((s.number for s in seen), reverse=True)
    return numbers[1] if len(numbers) > 1 else 0
