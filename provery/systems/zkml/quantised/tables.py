"""Tables of functions, with every value correctly rounded, the same on every machine. Pure.

Values come from decimal arithmetic of 60 digits, whose exponential is correctly rounded, not from the machine's
library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from functools import lru_cache

from provery.systems.zkml.quantised.checks import INTERVALS_LIMIT

DIGITS = 60
EXP, SIGMOID, TANH = "exp", "sigmoid", "tanh"


@dataclass(frozen=True)
class Curve:
    """A function between two ends, beyond which it is constant at a scale.

    Args:
        of: The function.
        curvature: A bound of its second derivative's magnitude.
        reach: Bits of scale → a distance from 0 from which the function is within half a unit of what it tends to.
        both: Whether the table also has negative arguments.
    """

    of: Callable[[Decimal], Decimal]
    curvature: float
    reach: Callable[[int], float]
    both: bool


def _sigmoid(x: Decimal) -> Decimal:
    return 1 / (1 + (-x).exp())


def _tanh(x: Decimal) -> Decimal:
    return 2 / (1 + (-2 * x).exp()) - 1


LN2 = 0.6931471805599453
CURVES = {
    EXP: Curve(lambda t: (-t).exp(), 1.0, lambda scale: (scale + 1) * LN2, both=False),
    SIGMOID: Curve(_sigmoid, 0.0963, lambda scale: (scale + 1) * LN2, both=True),
    TANH: Curve(_tanh, 0.7699, lambda scale: (scale + 2) * LN2 / 2, both=True),
}
"""``exp`` is that of -t."""


@dataclass(frozen=True)
class Values:
    """A table: straight lines between ``values``, 2^step apart from ``low`` on, in units of 2^-scale."""

    low: int
    step: int
    values: tuple[int, ...]


@lru_cache(maxsize=64)
def table(function: str, scale: int) -> Values:
    """The table of a function at a scale.

    Its span is the least power of two that the function needs to become constant. Its step is the largest power of two
    with which straight lines stay within half a unit of the function, but the table has at most 2^12 steps.

    Args:
        function: ``exp`` (of -t, t from 0), ``sigmoid`` or ``tanh``.
        scale: Bits of fraction of arguments and values.
    """
    curve = CURVES[function]
    side = 0
    while (1 << side) < curve.reach(scale):
        side += 1
    span = side + scale + curve.both
    step = 0
    # The error of a line over a distance h is at most h²/8 times the curvature.
    while step < span and 4.0 ** (step + 1 - scale) / 8 * curve.curvature * 2.0**scale <= 0.5:
        step += 1
    step = max(step, span - (INTERVALS_LIMIT.bit_length() - 1))
    low = -(1 << (side + scale)) if curve.both else 0
    arguments = [low + (place << step) for place in range((1 << (span - step)) + 1)]
    return Values(low, step, tuple(_rounded(curve.of, argument, scale) for argument in arguments))


def _rounded(of: Callable[[Decimal], Decimal], argument: int, scale: int) -> int:
    """⌊of(argument / 2^scale) · 2^scale + 1/2⌋."""
    with localcontext(Context(prec=DIGITS)):
        value = of(Decimal(argument) / (1 << scale)) * (1 << scale) + Decimal("0.5")
        return int(value.to_integral_value(ROUND_FLOOR))
