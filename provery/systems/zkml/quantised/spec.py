"""What a quantised model computes, exactly: the definition that circuits reproduce bit for bit. Pure.

A number x is the integer ⌊x·2^s + 1/2⌋ at scale s. Products have scale 2s and come back to s by :func:`rescale`. Every
rounding here is to the nearest, halves up (towards +∞), never towards zero and never to even.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import repeat
from operator import add, mul

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.systems.zkml.quantised.checks import cells
from provery.systems.zkml.quantised.graph import Graph
from provery.systems.zkml.quantised.ops import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Dense,
    Gather,
    MaxPool,
    Mul,
    Node,
    Relu,
    Shift,
    Softmax,
    Table,
    Window,
)

THRESHOLD = 0.5
"""A first output above it approves."""
PADDING = -1
"""In a list of positions: no position."""


# ------------------------------------------------------------ numbers


def size(shape: Sequence[int]) -> int:
    """How many numbers a tensor of a shape has."""
    return math.prod(shape)


def quantise(value: float, scale: int) -> int:
    """⌊value·2^scale + 1/2⌋ of the exact value of a finite double."""
    numerator, denominator = value.as_integer_ratio()
    return ((numerator << (scale + 1)) + denominator) // (2 * denominator)


def quantise_inputs(values: Sequence[float], settings: ModelSettings) -> tuple[int, ...]:
    """Inputs as a model takes them.

    Args:
        values: Flat, in row-major order.
        settings: Scale and width.

    Raises:
        InvalidInput: one is not finite, or too large; the message names it.
    """
    found = []
    limit = 1 << settings.input_bits
    for index, value in enumerate(values):
        if not math.isfinite(value):
            raise InvalidInput(f"input {index} is not finite", value=value, expected="a finite number")
        quantised = quantise(float(value), settings.scale)
        if abs(quantised) >= limit:
            raise InvalidInput(
                f"input {index} is out of range",
                value=value,
                expected=f"a magnitude below {limit / 2**settings.scale:g}",
                action="or add the model with more input_bits",
            )
        found.append(quantised)
    return tuple(found)


def dequantise(values: Sequence[int], scale: int) -> tuple[float, ...]:
    """The numbers that integers stand for, rounded to the nearest doubles."""
    return tuple(value / (1 << scale) for value in values)


def rescale(value: int, scale: int) -> int:
    """From scale 2s to s: ⌊value/2^s + 1/2⌋."""
    return (value + (1 << scale >> 1)) >> scale


# ------------------------------------------------------------ inference


def infer(graph: Graph, inputs: Sequence[int]) -> tuple[int, ...]:
    """The quantised outputs, flat in row-major order.

    Args:
        graph: The model.
        inputs: Quantised, flat in row-major order.

    Raises:
        InvalidInput: too many, too few or too large inputs.
    """
    return tuple(trace(graph, inputs)[graph.output])


def trace(graph: Graph, inputs: Sequence[int]) -> list[Sequence[int]]:
    """Every tensor, by its number; otherwise as :func:`infer`."""
    expected = math.prod(graph.input_shape)
    if len(inputs) != expected:
        raise InvalidInput("inputs do not fit the model", value=len(inputs), expected=f"{expected} numbers")
    limit = 1 << graph.input_bits
    for index, value in enumerate(inputs):
        if not -limit < value < limit:
            expected_bits = f"a magnitude below 2^{graph.input_bits}"
            raise InvalidInput(f"input {index} is out of range", value=value, expected=expected_bits)
    tensors: list[Sequence[int]] = [tuple(inputs)]
    for node in graph.nodes:
        tensors.append(apply(node, [tensors[source] for source in node.sources], graph.scale))
    return tensors


def apply(node: Node, sources: Sequence[Sequence[int]], scale: int) -> list[int]:
    """What one node makes of its sources."""
    x = sources[0]
    half = 1 << scale >> 1
    match node:
        case Dense():
            return _dense(node, x, scale)
        case Conv():
            return _conv(node, x, scale)
        case Affine(weights=weights, bias=bias):
            return [(w * value + b + half) >> scale for w, value, b in zip(weights, x, bias, strict=True)]
        case Shift(bias=bias):
            return list(map(add, x, bias))
        case Add():
            return list(map(add, x, sources[1]))
        case Mul():
            return [(value + half) >> scale for value in map(mul, x, sources[1])]
        case Relu():
            return [max(value, 0) for value in x]
        case MaxPool():
            return [max(window) for window in _windows(node, node.channels, x)]
        case AvgPool():
            sums = map(sum, _windows(node, node.channels, x))
            return [
                (total * f + half) >> scale
                for total, f in zip(sums, node.factors * node.channels, strict=True)
            ]
        case Table():
            return [look_up(value, node.low, node.step, node.values) for value in x]
        case Softmax():
            return _softmax(node, x, scale)
        case Gather(index=index):
            return [x[place] for place in index]
        case _:
            raise InvalidInput("no such operation", value=node.op)


def _dense(node: Dense, x: Sequence[int], scale: int) -> list[int]:
    half, width = 1 << scale >> 1, node.inputs
    rows = [node.weights[start : start + width] for start in range(0, len(node.weights), width)]
    return [
        (sum(map(mul, row, x[start : start + width]), bias) + half) >> scale
        for start in range(0, len(x), width)
        for row, bias in zip(rows, node.bias, strict=True)
    ]


def _conv(node: Conv, x: Sequence[int], scale: int) -> list[int]:
    half = 1 << scale >> 1
    before, after = (channels // node.groups for channels in node.channels)
    area, taps = math.prod(node.size), before * math.prod(node.kernel)
    places = positions(node)
    found: list[int] = []
    for group in range(node.groups):
        planes = [
            x[start : start + area]
            for start in range(group * before * area, (group + 1) * before * area, area)
        ]
        patches = [
            [plane[cell] if cell != PADDING else 0 for plane in planes for cell in window]
            for window in places
        ]
        for channel in range(group * after, (group + 1) * after):
            row, bias = node.weights[channel * taps : (channel + 1) * taps], node.bias[channel]
            found.extend((sum(map(mul, row, patch), bias) + half) >> scale for patch in patches)
    return found


def _windows(node: Window, channels: int, x: Sequence[int]) -> list[list[int]]:
    """Numbers under each window that are no padding, channel by channel."""
    area = math.prod(node.size)
    inside = [[cell for cell in window if cell != PADDING] for window in positions(node)]
    return [
        [x[start + cell] for cell in window] for start in range(0, channels * area, area) for window in inside
    ]


def positions(node: Window) -> tuple[tuple[int, ...], ...]:
    """For each output position, the cells of a plane under the window's taps; ``PADDING`` where there is none."""
    return _positions(
        node.kernel, node.strides, node.pads, node.dilations, node.size, (node.places(0), node.places(1))
    )


@lru_cache(maxsize=256)
def _positions(
    kernel: tuple[int, ...],
    strides: tuple[int, ...],
    pads: tuple[int, ...],
    dilations: tuple[int, ...],
    size: tuple[int, ...],
    places: tuple[int, int],
) -> tuple[tuple[int, ...], ...]:
    along: list[list[dict[int, int]]] = [
        [
            dict(cells(place * strides[axis] - pads[axis], kernel[axis], dilations[axis], size[axis]))
            for place in range(places[axis])
        ]
        for axis in (0, 1)
    ]
    return tuple(
        tuple(
            row[i] * size[1] + column[j] if i in row and j in column else PADDING
            for i in range(kernel[0])
            for j in range(kernel[1])
        )
        for row in along[0]
        for column in along[1]
    )


def look_up(x: int, low: int, step: int, values: Sequence[int]) -> int:
    """A function by its table: straight lines between ``values``, 2^step apart from ``low`` on, constant outside."""
    offset = x - low
    place = offset >> step
    if offset <= 0:
        return values[0]
    if place >= len(values) - 1:
        return values[-1]
    if step == 0:
        return values[place]
    rest = offset & ((1 << step) - 1)
    return values[place] + (((values[place + 1] - values[place]) * rest + (1 << step >> 1)) >> step)


def _softmax(node: Softmax, x: Sequence[int], scale: int) -> list[int]:
    found: list[int] = []
    for start in range(0, len(x), node.length):
        group = x[start : start + node.length]
        top = max(group)
        parts = list(
            map(look_up, [top - value for value in group], repeat(0), repeat(node.step), repeat(node.values))
        )
        total = sum(parts)
        found.extend(((part << (scale + 1)) + total) // (2 * total) for part in parts)
    return found


# ------------------------------------------------------------ what an answer says


@dataclass(frozen=True)
class Decision:
    """An inference as the upstream clients read it."""

    output: float
    """The first output."""
    decision: str
    """``approve`` or ``reject``."""
    confidence: float
    risk: float | None
    """None where there is no third output."""


def decision(raw_outputs: Sequence[float]) -> Decision:
    """Read outputs: approve, confidence, risk, in this order.

    The first output decides: above 1/2 approves. The second is the confidence. A model of one output has none: there it
    is read as the probability of approving, and the confidence is that of what was decided, between 0 and 1.

    Args:
        raw_outputs: At least one number.
    """
    first = raw_outputs[0]
    approved = first > THRESHOLD
    alone = min(max(first if approved else 1 - first, 0.0), 1.0)
    confidence = raw_outputs[1] if len(raw_outputs) > 1 else alone
    risk = raw_outputs[2] if len(raw_outputs) > 2 else None
    return Decision(first, "approve" if approved else "reject", confidence, risk)
