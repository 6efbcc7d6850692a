"""Operations of a quantised graph, as records. Pure.

Tensors are flat, row-major sequences of integers. What each operation computes is in ``spec``; what it means for a
model is in ``docs/zkml-models.md``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar


@dataclass(frozen=True)
class Node:
    """One operation.

    Args:
        sources: Tensors that it reads, ``in`` in the document.
        shape: Of the tensor that it makes.
    """

    op: ClassVar[str] = ""
    arity: ClassVar[int] = 1
    sources: tuple[int, ...]
    shape: tuple[int, ...]

    @property
    def count(self) -> int:
        """How many numbers it makes."""
        return prod(self.shape)


@dataclass(frozen=True)
class Dense(Node):
    """acc = bias[o] + Σ weights[o·inputs + i]·x[i] on every ``inputs`` consecutive numbers; rescaled."""

    op: ClassVar[str] = "dense"
    inputs: int
    outputs: int
    weights: tuple[int, ...]
    bias: tuple[int, ...]


@dataclass(frozen=True)
class Window(Node):
    """What convolutions and pools share: channels, height, width; windows over the last two."""

    kernel: tuple[int, ...]
    """Height, width; so are ``strides``, ``dilations`` and ``size``."""
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    """Top, left, bottom, right."""
    dilations: tuple[int, ...]
    size: tuple[int, ...]
    """Of the input."""

    def places(self, axis: int) -> int:
        """Output positions along an axis, 0 (height) or 1 (width); below 1 where no window fits."""
        covered = self.dilations[axis] * (self.kernel[axis] - 1) + 1
        return (self.size[axis] + self.pads[axis] + self.pads[axis + 2] - covered) // self.strides[axis] + 1


@dataclass(frozen=True)
class Conv(Window):
    """Convolution with zero padding; rescaled. ``weights`` are by output, input of its group, height, width."""

    op: ClassVar[str] = "conv"
    channels: tuple[int, ...]
    """In, out."""
    groups: int
    weights: tuple[int, ...]
    bias: tuple[int, ...]


@dataclass(frozen=True)
class MaxPool(Window):
    """The largest number under the window; padding never wins."""

    op: ClassVar[str] = "maxpool"
    channels: int


@dataclass(frozen=True)
class AvgPool(Window):
    """Σ under the window times the position's factor; rescaled."""

    op: ClassVar[str] = "avgpool"
    channels: int
    factors: tuple[int, ...]
    """One for each output position, the same for every channel."""


@dataclass(frozen=True)
class Affine(Node):
    """Elementwise weights[i]·x[i] + bias[i]; rescaled."""

    op: ClassVar[str] = "affine"
    weights: tuple[int, ...]
    bias: tuple[int, ...]


@dataclass(frozen=True)
class Shift(Node):
    """Elementwise x[i] + bias[i]."""

    op: ClassVar[str] = "shift"
    bias: tuple[int, ...]


@dataclass(frozen=True)
class Add(Node):
    """Elementwise sum of two tensors."""

    op: ClassVar[str] = "add"
    arity: ClassVar[int] = 2


@dataclass(frozen=True)
class Mul(Node):
    """Elementwise product of two tensors; rescaled."""

    op: ClassVar[str] = "mul"
    arity: ClassVar[int] = 2


@dataclass(frozen=True)
class Relu(Node):
    """Negative numbers become 0."""

    op: ClassVar[str] = "relu"


@dataclass(frozen=True)
class Table(Node):
    """A function as straight lines between ``values``, 2^step apart, the first at ``low``; constant outside."""

    op: ClassVar[str] = "table"
    low: int
    step: int
    values: tuple[int, ...]
    """A power of two and one."""


@dataclass(frozen=True)
class Softmax(Node):
    """Softmax of every ``length`` consecutive numbers; ``step`` and ``values`` are the table of exp(-t), t ≥ 0."""

    op: ClassVar[str] = "softmax"
    length: int
    step: int
    values: tuple[int, ...]


@dataclass(frozen=True)
class Gather(Node):
    """y[j] = x[index[j]]."""

    op: ClassVar[str] = "gather"
    index: tuple[int, ...]


NODES: dict[str, type[Node]] = {
    kind.op: kind
    for kind in (Dense, Conv, Affine, Shift, Add, Mul, Relu, MaxPool, AvgPool, Table, Softmax, Gather)
}
"""Every operation by its name in the document."""
