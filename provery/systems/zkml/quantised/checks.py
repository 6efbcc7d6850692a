"""Whether a node of a quantised graph fits the tensors that it reads. Pure.

The Go reader refuses the same: a graph that passes here can be computed without asking again.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from provery.core.errors import InvalidInput
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
    Shift,
    Softmax,
    Table,
    Window,
)

LIMIT_BITS = 120
"""No number in a graph, and none that it computes, has a magnitude above 2^120."""
CONSTANT_BITS = 62
"""A constant of a graph is below 2^62 in magnitude."""
STEP_LIMIT = 40
"""Bits between two values of a table."""
INTERVALS_LIMIT = 2**12
"""Of a table."""
HEIGHT_BITS = 44
"""A value of a table is below 2^44 in magnitude."""
EXTENT_LIMIT = 2**16
"""Sizes, strides, pads, dilations, channels of a window."""
WORK_LIMIT = 2**24
"""Numbers under the windows of one channel."""


def check_node(node: Node, shapes: Sequence[tuple[int, ...]], number: int) -> None:
    """Check lengths, sizes and ranges.

    Args:
        node: What to check.
        shapes: Of the tensors that it reads.
        number: Its place, for the message.

    Raises:
        InvalidInput: it does not fit; the message names the node and what does not.
    """
    check = _Check(f"node {number} ({node.op})")
    check.equal("in", len(node.sources), node.arity)
    sizes = [prod(shape) for shape in shapes]
    if isinstance(node, Dense):
        _check_dense(check, node, sizes[0])
    elif isinstance(node, Window):
        _check_window(check, node, sizes[0])
    elif isinstance(node, Gather):
        check.length("index", node.index, node.count)
        check.within("index", node.index, 0, sizes[0] - 1)
    elif isinstance(node, Add | Mul):
        check.same("in", shapes[0], shapes[1])
        check.same("shape", node.shape, shapes[0])
    else:
        check.equal("shape", node.count, sizes[0])
        _check_elementwise(check, node)


class _Check:
    """Refusals that name a node."""

    def __init__(self, where: str) -> None:
        self.where = where

    def equal(self, name: str, value: int, expected: int) -> None:
        if value != expected:
            raise InvalidInput(f"{self.where}: {name} does not fit", value=value, expected=str(expected))

    def same(self, name: str, value: tuple[int, ...], expected: tuple[int, ...]) -> None:
        if value != expected:
            raise InvalidInput(f"{self.where}: {name} does not fit", value=value, expected=str(expected))

    def length(self, name: str, values: Sequence[int], expected: int) -> None:
        self.equal(f"the number of {name}", len(values), expected)

    def within(self, name: str, values: Sequence[int], least: int, most: int) -> None:
        for value in values:
            if not least <= value <= most:
                expected = f"{least} to {most}"
                raise InvalidInput(f"{self.where}: {name} is out of range", value=value, expected=expected)

    def table(self, step: int, values: Sequence[int]) -> None:
        self.within("step", (step,), 0, STEP_LIMIT)
        intervals = len(values) - 1
        if not 1 <= intervals <= INTERVALS_LIMIT or intervals & (intervals - 1):
            raise InvalidInput(
                f"{self.where}: the number of values does not fit",
                value=len(values),
                expected=f"one more than a power of two of at most {INTERVALS_LIMIT}",
            )
        self.within("values", values, 1 - (1 << HEIGHT_BITS), (1 << HEIGHT_BITS) - 1)


def _check_dense(check: _Check, node: Dense, size: int) -> None:
    check.within("inputs", (node.inputs,), 1, size)
    check.within("outputs", (node.outputs,), 1, len(node.bias))
    check.equal("the tensor's length modulo inputs", size % node.inputs, 0)
    check.equal("shape", node.count, size // node.inputs * node.outputs)
    check.length("weights", node.weights, node.inputs * node.outputs)
    check.length("bias", node.bias, node.outputs)


def _check_window(check: _Check, node: Window, size: int) -> None:
    for name, values, count, least in (
        ("kernel", node.kernel, 2, 1),
        ("strides", node.strides, 2, 1),
        ("dilations", node.dilations, 2, 1),
        ("size", node.size, 2, 1),
        ("pads", node.pads, 4, 0),
    ):
        check.length(name, values, count)
        check.within(name, values, least, EXTENT_LIMIT)
    places = (node.places(0), node.places(1))
    check.within("output positions", places, 1, EXTENT_LIMIT)
    check.within("numbers under all windows", (prod(places) * prod(node.kernel),), 1, WORK_LIMIT)
    if isinstance(node, Conv):
        check.length("channels", node.channels, 2)
        check.within("channels", node.channels, 1, EXTENT_LIMIT)
        check.within("groups", (node.groups,), 1, min(node.channels))
        for channels in node.channels:
            check.equal("channels modulo groups", channels % node.groups, 0)
        taps = node.channels[0] // node.groups * prod(node.kernel)
        check.length("weights", node.weights, node.channels[1] * taps)
        check.length("bias", node.bias, node.channels[1])
        before, after = node.channels
    else:
        assert isinstance(node, MaxPool | AvgPool)  # noqa: S101 - the only other windows
        check.within("channels", (node.channels,), 1, EXTENT_LIMIT)
        before = after = node.channels
        _check_pool(check, node)
        if isinstance(node, AvgPool):
            check.length("factors", node.factors, prod(places))
    check.equal("the tensor's length", size, before * prod(node.size))
    check.equal("shape", node.count, after * prod(places))


def _check_pool(check: _Check, node: MaxPool | AvgPool) -> None:
    """Every window has a number that is no padding."""
    for axis in (0, 1):
        for place in range(node.places(axis)):
            start = place * node.strides[axis] - node.pads[axis]
            if not any(True for _ in cells(start, node.kernel[axis], node.dilations[axis], node.size[axis])):
                raise InvalidInput(f"{check.where}: the window at position {place} is all padding")


def cells(start: int, kernel: int, dilation: int, size: int) -> list[tuple[int, int]]:
    """Positions of a window along one axis that are no padding, as (offset in the kernel, position)."""
    return [
        (offset, start + offset * dilation)
        for offset in range(kernel)
        if 0 <= start + offset * dilation < size
    ]


def _check_elementwise(check: _Check, node: Node) -> None:
    if isinstance(node, Affine):
        check.length("weights", node.weights, node.count)
        check.length("bias", node.bias, node.count)
    elif isinstance(node, Shift):
        check.length("bias", node.bias, node.count)
    elif isinstance(node, Table):
        check.table(node.step, node.values)
    elif isinstance(node, Softmax):
        check.within("length", (node.length,), 1, node.count)
        check.equal("the tensor's length modulo length", node.count % node.length, 0)
        check.table(node.step, node.values)
        check.within("values", node.values, 0, 1 << HEIGHT_BITS)
        if node.values[0] < 1:
            raise InvalidInput(f"{check.where}: values begin with 0", expected="exp(0), 2^scale")
