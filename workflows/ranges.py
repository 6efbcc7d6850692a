"""Sets of shard numbers as short text: a 2,000-shard unit carries its progress in a few bytes."""

from __future__ import annotations

from collections.abc import Iterable


def to_text(numbers: Iterable[int]) -> str:
    """``{0,1,2,5}`` → ``0-2,5``."""
    spans: list[list[int]] = []
    for n in sorted(set(numbers)):
        if spans and n == spans[-1][1] + 1:
            spans[-1][1] = n
        else:
            spans.append([n, n])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in spans)


def from_text(text: str) -> set[int]:
    """``0-2,5`` → ``{0,1,2,5}``."""
    numbers: set[int] = set()
    for span in filter(None, text.split(",")):
        first, _, last = span.partition("-")
        numbers.update(range(int(first), int(last or first) + 1))
    return numbers
