"""How each node of a stream has been doing, and whom to ask first. Pure: the clock is handed in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
"""Seconds that a failing node is asked last; the time doubles with every failure in a row."""


@dataclass
class Health:
    """Record of one node. Times are seconds of the clock that the owner uses."""

    name: str
    successes: int = 0
    failures: int = 0
    in_a_row: int = 0
    """Failures since the last success."""
    resting_until: float = 0.0
    last_error: str = ""
    last_success: float | None = None
    latency_s: float | None = None
    """Of the last success."""
    stale: bool = False
    """Whether its finalised epoch was behind the other nodes' when they were last compared."""
    plain_json: bool = False
    """Whether it turned out to speak no SSZ."""

    def succeeded(self, now: float, latency_s: float) -> None:
        """It gave an answer that passed the checks."""
        self.successes += 1
        self.in_a_row, self.resting_until = 0, 0.0
        self.last_success, self.latency_s = now, latency_s

    def failed(self, now: float, error: Exception) -> None:
        """It gave none, or a wrong one."""
        self.failures += 1
        self.in_a_row += 1
        self.last_error = str(error)
        rest = FIRST_REST_S * 2 ** min(self.in_a_row - 1, 16)
        self.resting_until = now + min(rest, LONGEST_REST_S)


def order(nodes: Sequence[T], health: Callable[[T], Health], now: float) -> list[T]:
    """Nodes as they should be asked: configured order, but those that are stale or resting come last.

    None is left out: when all are resting, the one that rests the shortest is still better than nobody.
    """

    def rank(node: T) -> tuple[bool, float]:
        state = health(node)
        resting = state.resting_until if state.resting_until > now else 0.0
        return state.stale, resting

    return sorted(nodes, key=rank)
