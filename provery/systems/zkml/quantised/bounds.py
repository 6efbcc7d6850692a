"""How large every number of a quantised model can become, whatever its inputs. Pure.

Interval arithmetic from the inputs' width and the weights: what circuits derive their widths from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from provery.core.errors import InvalidInput
from provery.systems.zkml.quantised.checks import LIMIT_BITS
from provery.systems.zkml.quantised.graph import Graph
from provery.systems.zkml.quantised.ops import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Dense,
    Mul,
    Node,
    Relu,
    Shift,
    Softmax,
    Table,
)
from provery.systems.zkml.quantised.spec import PADDING, positions, rescale


@dataclass(frozen=True)
class Bound:
    """Of one tensor."""

    low: int
    high: int
    accumulator: int = 0
    """No number on the way to the tensor, partial sums in any order included, has a larger magnitude."""

    @property
    def magnitude(self) -> int:
        """Of its largest number."""
        return max(abs(self.low), abs(self.high))

    @property
    def bits(self) -> int:
        """Of the largest magnitude on the way, without the sign."""
        return max(self.accumulator, self.magnitude).bit_length()


def bounds(graph: Graph) -> list[Bound]:
    """Of every tensor, by its number.

    Raises:
        InvalidInput: a number may exceed 2^120; the message names the node.
    """
    limit = (1 << graph.input_bits) - 1
    found = [Bound(-limit, limit)]
    for number, node in enumerate(graph.nodes):
        bound = _bound(node, [found[source] for source in node.sources], graph.scale)
        if max(bound.accumulator, bound.magnitude) > 1 << LIMIT_BITS:
            raise InvalidInput(
                f"numbers in node {number} ({node.op}) may become too large",
                value=f"{bound.bits} bits",
                expected=f"at most 2^{LIMIT_BITS}",
                action="lower scale or input_bits, or scale the model's weights",
            )
        found.append(bound)
    return found


def _bound(node: Node, sources: Sequence[Bound], scale: int) -> Bound:
    x = sources[0]
    match node:
        case Dense():
            return _linear(node.weights, node.bias, x, scale)
        case Conv():
            # Padding puts zeros under the window.
            return _linear(node.weights, node.bias, Bound(min(x.low, 0), max(x.high, 0)), scale)
        case Affine():
            return _linear(node.weights, node.bias, x, scale)
        case Shift():
            return Bound(x.low + min(node.bias), x.high + max(node.bias))
        case Add():
            return Bound(x.low + sources[1].low, x.high + sources[1].high)
        case Mul():
            other = sources[1]
            products = [a * b for a in (x.low, x.high) for b in (other.low, other.high)]
            return _rescaled(min(products), max(products), max(map(abs, products)), scale)
        case Relu():
            return Bound(max(x.low, 0), max(x.high, 0))
        case AvgPool():
            return _average(node, x, scale)
        case Table():
            return Bound(min(node.values), max(node.values), _table(node.low, node.step, node.values, x))
        case Softmax():
            away = Bound(0, x.high - x.low)
            accumulator = max(node.values) * (2 << scale) + node.length * max(node.values)
            return Bound(0, 1 << scale, max(accumulator, _table(0, node.step, node.values, away)))
        case _:  # maxpool, gather
            return Bound(x.low, x.high)


def _linear(weights: Sequence[int], bias: Sequence[int], x: Bound, scale: int) -> Bound:
    """Sums with as many weights as fall to each bias."""
    width = len(weights) // len(bias)
    low = high = accumulator = 0
    for place, start in enumerate(range(0, len(weights), width)):
        row, offset = weights[start : start + width], bias[place]
        up, down = sum(w for w in row if w > 0), sum(w for w in row if w < 0)
        ends = (up * x.low + down * x.high + offset, up * x.high + down * x.low + offset)
        low, high = (min(low, ends[0]), max(high, ends[1])) if place else ends
        accumulator = max(accumulator, (up - down) * x.magnitude + abs(offset))
    return _rescaled(low, high, accumulator, scale)


def _rescaled(low: int, high: int, accumulator: int, scale: int) -> Bound:
    half = 1 << scale >> 1
    return Bound(rescale(low, scale), rescale(high, scale), accumulator + half)


def _average(node: AvgPool, x: Bound, scale: int) -> Bound:
    counts = [sum(cell != PADDING for cell in window) for window in positions(node)]
    ends = [
        end * count * factor
        for count, factor in set(zip(counts, node.factors, strict=True))
        for end in (x.low, x.high)
    ]
    largest = max(prod((count, abs(factor))) for count, factor in zip(counts, node.factors, strict=True))
    return _rescaled(min(ends), max(ends), max(largest, max(counts)) * x.magnitude, scale)


def _table(low: int, step: int, values: Sequence[int], x: Bound) -> int:
    """Largest magnitude while a table is read."""
    rise = max(abs(after - before) for before, after in pairwise(values))
    return max(abs(x.low - low), abs(x.high - low), (rise << step) + (1 << step >> 1))
