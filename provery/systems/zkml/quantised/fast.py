"""The quantised inference over many rows at once: the same integers as ``spec.infer``, by numpy.

Sums are made of doubles where no partial sum can reach 2^53, of 64-bit integers where none can reach 2^62, and of
Python's integers otherwise: each is exact, in whatever order it is summed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from provery.core.errors import InvalidInput
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
from provery.systems.zkml.quantised.spec import PADDING, positions

Numbers = npt.NDArray[Any]
"""Of 64-bit integers, or of objects that are Python's integers."""
DOUBLE, WORD = 1 << 53, 1 << 62
TOGETHER = 2**22
"""Numbers of one operation that are held at a time."""


def infer_fast(graph: Graph, rows: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """Quantised outputs of several rows of quantised inputs.

    Raises:
        InvalidInput: a row has too many, too few or too large inputs.
    """
    width, limit = prod(graph.input_shape), 1 << graph.input_bits
    for row in rows:
        if len(row) != width or any(abs(value) >= limit for value in row):
            expected = f"{width} numbers of a magnitude below 2^{graph.input_bits}"
            raise InvalidInput("inputs do not fit the model", value=len(row), expected=expected)
    at_once = max(1, TOGETHER // max(width, *(_width(node) for node in graph.nodes)))
    return [
        row for start in range(0, len(rows), at_once) for row in _infer(graph, rows[start : start + at_once])
    ]


def _width(node: Node) -> int:
    """Numbers that are held for one row."""
    if isinstance(node, Conv):
        return prod(node.shape[-2:]) * prod(node.kernel) * node.channels[0]
    return node.count * (prod(node.kernel) if isinstance(node, Window) else 1)


def _infer(graph: Graph, rows: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    tensors: list[Numbers] = [np.array(rows, dtype=np.int64).reshape(len(rows), prod(graph.input_shape))]
    for node in graph.nodes:
        tensors.append(_apply(node, [tensors[source] for source in node.sources], graph.scale))
    return [tuple(row) for row in tensors[graph.output].tolist()]


def _apply(node: Node, sources: Sequence[Numbers], scale: int) -> Numbers:
    x = sources[0]
    match node:
        case Dense():
            groups = x.reshape(len(x), -1, node.inputs)
            weights = _array(node.weights).reshape(node.outputs, node.inputs)
            return _rescale(_products(groups, weights, _array(node.bias)), scale).reshape(len(x), -1)
        case Conv():
            return _conv(node, x, scale)
        case Affine():
            weights, bias = _array(node.weights), _array(node.bias)
            wide = _fits(_largest(weights) * _largest(x) + _largest(bias))
            return _rescale(wide(x) * wide(weights) + wide(bias), scale)
        case Shift():
            bias = _array(node.bias)
            wide = _fits(_largest(x) + _largest(bias))
            return wide(x) + wide(bias)
        case Add():
            wide = _fits(_largest(x) + _largest(sources[1]))
            return wide(x) + wide(sources[1])
        case Mul():
            wide = _fits(_largest(x) * _largest(sources[1]))
            return _rescale(wide(x) * wide(sources[1]), scale)
        case Relu():
            return np.maximum(x, 0)
        case MaxPool():
            windows, padding = _windows(node, node.channels, x)
            least = int(x.min())
            tops: Numbers = np.where(padding, least, windows).max(axis=-1)
            return tops.reshape(len(x), -1)
        case AvgPool():
            windows, padding = _windows(node, node.channels, x)
            factors = _array(node.factors)
            wide = _fits(_largest(x) * windows.shape[-1] * max(_largest(factors), 1))
            sums = wide(np.where(padding, 0, windows)).sum(axis=-1)
            return _rescale(sums * wide(factors), scale).reshape(len(x), -1)
        case Table():
            return _look_up(x, node.low, node.step, node.values)
        case Softmax():
            groups = x.reshape(len(x), -1, node.length)
            wide = _fits(2 * _largest(x))
            away = wide(groups).max(axis=-1, keepdims=True) - wide(groups)
            parts = _look_up(away, 0, node.step, node.values)
            wide = _fits(max(node.values) * ((2 << scale) + 2 * node.length))
            total = wide(parts).sum(axis=-1, keepdims=True)
            shares: Numbers = (wide(parts) * (2 << scale) + total) // (2 * total)
            return shares.reshape(len(x), -1)
        case Gather():
            return x[:, np.array(node.index)]
        case _:
            raise InvalidInput("no such operation", value=node.op)


def _conv(node: Conv, x: Numbers, scale: int) -> Numbers:
    before, after = (channels // node.groups for channels in node.channels)
    windows, padding = _windows(node, node.channels[0], x)
    windows = np.where(padding, 0, windows)
    rows, _, places, taps = windows.shape
    weights = _array(node.weights).reshape(node.groups, after, before * taps)
    bias = _array(node.bias).reshape(node.groups, after)
    found = []
    for group in range(node.groups):
        mine = windows[:, group * before : (group + 1) * before]
        patches = mine.transpose(0, 2, 1, 3).reshape(rows, places, before * taps)
        found.append(_products(patches, weights[group], bias[group]).transpose(0, 2, 1))
    return _rescale(np.concatenate(found, axis=1), scale).reshape(rows, -1)


def _windows(node: Window, channels: int, x: Numbers) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Rows, channels, output positions, taps; and which taps are padding."""
    index = np.array(positions(node), dtype=np.int64)
    padding = index == PADDING
    planes = x.reshape(len(x), channels, prod(node.size))
    return planes[:, :, np.where(padding, 0, index)], padding


def _products(x: Numbers, weights: Numbers, bias: Numbers) -> Numbers:
    """Matrix products along the last axis, x · weightsᵀ + bias."""
    rows = [sum(map(abs, row)) for row in weights.tolist()]
    limit = max(rows) * _largest(x) + _largest(bias)
    if limit < DOUBLE:
        sums = x.astype(np.float64) @ weights.astype(np.float64).T + bias.astype(np.float64)
        exact: Numbers = sums.astype(np.int64)
        return exact
    wide = _fits(limit)
    found: Numbers = wide(x) @ wide(weights).T + wide(bias)
    return found


def _rescale(x: Numbers, scale: int) -> Numbers:
    found: Numbers = (x + (1 << scale >> 1)) >> scale
    return found


def _look_up(x: Numbers, low: int, step: int, values: Sequence[int]) -> Numbers:
    steps = len(values) - 1
    heights = _array(values)
    rise = max(abs(after - before) for before, after in pairwise(values)) << step
    wide = _fits(max(_largest(x) + abs(low), rise) + (1 << step) + _largest(heights))
    offset = np.minimum(np.maximum(wide(x) - low, 0), steps << step)
    place = np.minimum(offset >> step, steps - 1).astype(np.int64)
    rest = offset - (wide(place) << step)
    start = wide(heights[place])
    line = (wide(heights[place + 1]) - start) * rest
    found: Numbers = start + ((line + (1 << step >> 1)) >> step)
    return found


def _array(values: Sequence[int]) -> Numbers:
    return np.array(values, dtype=np.int64)


def _largest(x: Numbers) -> int:
    """Largest magnitude, as one of Python's integers."""
    return max(abs(int(x.max())), abs(int(x.min())))


def _fits(limit: int) -> Callable[[Numbers], Numbers]:
    """A conversion to numbers in which nothing up to a limit overflows."""
    kind = np.dtype(object) if limit >= WORD else np.dtype(np.int64)

    def convert(x: Numbers) -> Numbers:
        found: Numbers = x.astype(kind)
        return found

    return convert
