"""Money and times as operators write them: exact, and never through a floating-point number. Pure."""

from __future__ import annotations

import re

WEI_PER_GWEI, WEI_PER_ETHER = 10**9, 10**18
_DECIMAL = re.compile(r"([0-9]{1,30})(?:\.([0-9]{1,30}))?")
_SPAN = re.compile(r"([0-9]+)\s*(ms|s|m|h|d)?")
_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def wei(text: str, unit: int) -> int:
    """An amount in wei.

    Args:
        text: A decimal number in the unit, such as ``1.8``.
        unit: Wei of the unit, a power of ten.

    Raises:
        ValueError: it is no such number, or has a part smaller than a wei.
    """
    found = _DECIMAL.fullmatch(text.strip())
    if found is None:
        raise ValueError("expected a decimal number such as 1.8, without sign, exponent or unit")
    places = len(str(unit)) - 1
    part = (found[2] or "").rstrip("0")
    if len(part) > places:
        raise ValueError(f"expected at most {places} digits after the point: a wei has no parts")
    return int(found[1]) * unit + int(part.ljust(places, "0") or "0")


def amount(value: int, unit: int) -> str:
    """An amount in wei as a decimal number in a unit: the inverse of :func:`wei`."""
    places = len(str(unit)) - 1
    whole, part = divmod(value, unit)
    return f"{whole}.{part:0{places}d}".rstrip("0").rstrip(".")


def seconds(text: str) -> float:
    """A time span in seconds: ``10m``, ``1h30m``, ``500ms``, or a number of seconds.

    Raises:
        ValueError: it is none, or zero.
    """
    rest, total = text.strip(), 0
    while rest:
        found = _SPAN.match(rest)
        if found is None:
            break
        total += int(found[1]) * _MS[found[2] or "s"]
        rest = rest[found.end() :].lstrip()
    if rest or not total:
        raise ValueError("expected a time such as 500ms, 2s, 10m or 1h30m")
    return total / 1_000
