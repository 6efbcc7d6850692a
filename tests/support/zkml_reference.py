"""What quantised operations mean, written again: fractions, loops over indices, no code of the twin's.

A tensor of integers q at scale s stands for q/2^s. Every rescaled result is the exact rational result at scale s,
rounded to the nearest with halves up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

Numbers = list[int]


def nearest(value: Fraction) -> int:
    """The nearest whole number, halves up."""
    return math.floor(value + Fraction(1, 2))


def evaluate(document: dict[str, Any], inputs: Sequence[int]) -> Numbers:
    """Outputs of a graph given as its JSON document."""
    tensors = [list(inputs)]
    for node in document["nodes"]:
        tensors.append(OPS[node["op"]](node, [tensors[source] for source in node["in"]], document["scale"]))
    return tensors[document["output"]]


def _rescaled(total: int | Fraction, scale: int) -> int:
    return nearest(Fraction(total) / 2**scale)


def dense(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    x, n, m = sources[0], node["inputs"], node["outputs"]
    made = []
    for group in range(len(x) // n):
        for o in range(m):
            total = node["bias"][o]
            for i in range(n):
                total += node["weights"][o * n + i] * x[group * n + i]
            made.append(_rescaled(total, scale))
    return made


def _taps(node: dict[str, Any], y: int, x: int) -> list[tuple[int, int, int, int]]:
    """Cells of a window that are no padding: kernel row and column, input row and column."""
    found = []
    for i in range(node["kernel"][0]):
        for j in range(node["kernel"][1]):
            row = y * node["strides"][0] + i * node["dilations"][0] - node["pads"][0]
            column = x * node["strides"][1] + j * node["dilations"][1] - node["pads"][1]
            if 0 <= row < node["size"][0] and 0 <= column < node["size"][1]:
                found.append((i, j, row, column))
    return found


def _places(node: dict[str, Any]) -> list[tuple[int, int]]:
    counts = []
    for axis in (0, 1):
        reach = node["dilations"][axis] * (node["kernel"][axis] - 1) + 1
        room = node["size"][axis] + node["pads"][axis] + node["pads"][axis + 2] - reach
        counts.append(room // node["strides"][axis] + 1)
    return [(y, x) for y in range(counts[0]) for x in range(counts[1])]


def conv(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    data, (height, width) = sources[0], node["size"]
    inner, outer = (channels // node["groups"] for channels in node["channels"])
    kh, kw = node["kernel"]
    made = []
    for o in range(node["channels"][1]):
        for y, x in _places(node):
            total = node["bias"][o]
            for c in range(inner):
                channel = o // outer * inner + c
                for i, j, row, column in _taps(node, y, x):
                    weight = node["weights"][((o * inner + c) * kh + i) * kw + j]
                    total += weight * data[(channel * height + row) * width + column]
            made.append(_rescaled(total, scale))
    return made


def _pool(node: dict[str, Any], data: Numbers) -> list[list[int]]:
    height, width = node["size"]
    return [
        [data[(channel * height + row) * width + column] for _, _, row, column in _taps(node, y, x)]
        for channel in range(node["channels"])
        for y, x in _places(node)
    ]


def maxpool(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [sorted(window)[-1] for window in _pool(node, sources[0])]


def avgpool(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    windows, factors = _pool(node, sources[0]), node["factors"]
    return [_rescaled(sum(window) * factors[i % len(factors)], scale) for i, window in enumerate(windows)]


def affine(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [
        _rescaled(w * x + b, scale) for w, x, b in zip(node["weights"], sources[0], node["bias"], strict=True)
    ]


def shift(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [x + b for x, b in zip(sources[0], node["bias"], strict=True)]


def add(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [x + y for x, y in zip(*sources, strict=True)]


def mul(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [_rescaled(x * y, scale) for x, y in zip(*sources, strict=True)]


def relu(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [x if x > 0 else 0 for x in sources[0]]


def _between(x: int, low: int, step: int, values: Sequence[int]) -> int:
    spacing = 2**step
    x = min(max(x, low), low + (len(values) - 1) * spacing)
    place = math.floor(Fraction(x - low, spacing))
    if place == len(values) - 1:
        return values[place]
    return values[place] + nearest(
        (values[place + 1] - values[place]) * Fraction(x - low - place * spacing, spacing)
    )


def table(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [_between(x, node["low"], node["step"], node["values"]) for x in sources[0]]


def softmax(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    made: Numbers = []
    for start in range(0, len(sources[0]), node["length"]):
        group = sources[0][start : start + node["length"]]
        parts = [_between(max(group) - x, 0, node["table"]["step"], node["table"]["values"]) for x in group]
        made += [nearest(Fraction(part * 2**scale, sum(parts))) for part in parts]
    return made


def gather(node: dict[str, Any], sources: list[Numbers], scale: int) -> Numbers:
    return [sources[0][place] for place in node["index"]]


OPS = {
    "dense": dense, "conv": conv, "affine": affine, "shift": shift, "add": add, "mul": mul, "relu": relu,
    "maxpool": maxpool, "avgpool": avgpool, "table": table, "softmax": softmax, "gather": gather,
}  # fmt: skip
