"""From ONNX nodes to layers: the state that operators work on.

A value is known when the model is read (an array: weights, shapes), or it is a tensor of the network. Operators on
known values alone are computed at once, elementwise in float64, so that every machine gets the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

import numpy as np
import onnx

from provery.core.errors import InvalidInput
from provery.systems.zkml.quantised.network import Floats, Layer, Scaling, Selection, Shape, count
from provery.systems.zkml.quantised.onnx_file import NODES_LIMIT, Array, check_shape, operator

TOTAL_LIMIT = 2**24
"""Numbers in all tensors of a network, and in all constants computed while one is read."""
WORK_LIMIT = 2**28
"""Multiplications of one inference. No prover here gets near it."""


@dataclass(frozen=True)
class Tensor:
    """A tensor of the network."""

    number: int
    shape: Shape


Value = Tensor | Array
"""A tensor, or what is known already."""


class Node:
    """An ONNX node: its inputs' values and its attributes, each of which must be asked for or left out."""

    def __init__(self, node: onnx.NodeProto, values: Mapping[str, Value], opset: int) -> None:
        self.operator = operator(node)
        self.name = node.name or (node.output[0] if node.output else "")
        self.opset = opset
        self.outputs = sum(1 for name in node.output if name)
        for name in node.input:
            if name and name not in values:
                self.refuse("it reads the second output of another node", value=name)
        self._inputs = [values[name] if name else None for name in node.input]
        self._attributes = {attribute.name: attribute for attribute in node.attribute}

    @property
    def where(self) -> str:
        """For messages."""
        return f"node {self.name[:80]!r} ({self.operator[:80]})"

    def refuse(self, why: str, value: object = None, expected: str = "") -> NoReturn:
        """Refuse the model because of this node."""
        raise InvalidInput(f"{self.where}: {why}", value=value, expected=expected)

    @property
    def inputs(self) -> list[Value]:
        """Inputs that are given, in order."""
        return [value for value in self._inputs if value is not None]

    def optional(self, place: int) -> Value | None:
        """An input that may be left out."""
        return self._inputs[place] if place < len(self._inputs) else None

    def input(self, place: int) -> Value:
        """An input."""
        value = self.optional(place)
        if value is None:
            self.refuse(f"input {place} is missing")
        return value

    def tensor(self, place: int) -> Tensor:
        """An input that must be a tensor of the network."""
        value = self.input(place)
        if not isinstance(value, Tensor):
            self.refuse(f"input {place} is a constant", expected="what depends on the model's input")
        return value

    def floats(self, place: int) -> Floats:
        """An input that must be known: floating-point numbers."""
        value = self.input(place)
        if isinstance(value, Tensor):
            self.refuse(f"input {place} depends on the model's input", expected="a constant")
        return value.astype(np.float64)

    def integers(self, place: int) -> Shape:
        """An input that must be known: whole numbers, flat."""
        value = self.input(place)
        if isinstance(value, Tensor) or value.dtype != np.int64:
            self.refuse(f"input {place} is no known whole numbers", expected="a constant")
        return tuple(int(entry) for entry in value.ravel())

    def attribute(self, name: str, kind: int) -> onnx.AttributeProto | None:
        """An attribute, None where it is left out."""
        found = self._attributes.pop(name, None)
        if found is not None and found.type != kind:
            self.refuse(f"attribute {name} has another type", value=found.type)
        return found

    def whole(self, name: str, default: int) -> int:
        """A whole number."""
        found = self.attribute(name, onnx.AttributeProto.INT)
        return default if found is None else int(found.i)

    def number(self, name: str, default: float) -> float:
        """A finite number."""
        found = self.attribute(name, onnx.AttributeProto.FLOAT)
        value = default if found is None else float(found.f)
        if not np.isfinite(value):
            self.refuse(f"attribute {name} is not finite", value=value)
        return value

    def text(self, name: str, default: str) -> str:
        """A string."""
        found = self.attribute(name, onnx.AttributeProto.STRING)
        return default if found is None else found.s.decode("utf-8", "replace")

    def ints(self, name: str) -> Shape | None:
        """Whole numbers."""
        found = self.attribute(name, onnx.AttributeProto.INTS)
        return None if found is None else tuple(found.ints)

    def skip(self, *names: str) -> None:
        """Attributes that change nothing here."""
        for name in names:
            self._attributes.pop(name, None)

    def done(self) -> None:
        """Refuse attributes that nobody asked for: they would change what the node computes."""
        if self._attributes:
            self.refuse("unknown attributes", value=sorted(self._attributes)[:10])


class Lowering:
    """The layers made so far."""

    def __init__(self, input_shape: Shape) -> None:
        self.layers: list[Layer] = []
        self.total = count(input_shape)
        self.products = 0

    def work(self, products: int, where: str) -> None:
        """Count multiplications of an inference.

        Raises:
            InvalidInput: too many in all.
        """
        self.products += products
        if self.products > WORK_LIMIT:
            expected = f"at most {WORK_LIMIT} multiplications in all"
            raise InvalidInput(f"{where}: the model is too large", value=self.products, expected=expected)

    def spend(self, numbers: int, where: str) -> None:
        """Count numbers that are about to be made.

        Raises:
            InvalidInput: too many in all.
        """
        self.total += numbers
        if self.total > TOTAL_LIMIT:
            raise InvalidInput(
                f"{where}: the model has too many numbers", expected=f"at most {TOTAL_LIMIT} in all"
            )

    def add(self, layer: Layer) -> Tensor:
        """Append a layer."""
        check_shape(layer.shape, f"node {layer.name[:80]!r}")
        self.spend(count(layer.shape), f"node {layer.name[:80]!r}")
        if len(self.layers) >= NODES_LIMIT:
            raise InvalidInput("the model is too large", expected=f"at most {NODES_LIMIT} operations")
        self.layers.append(layer)
        return Tensor(len(self.layers), layer.shape)

    def move(self, node: Node, value: Value, change: Callable[[Array], Array]) -> Value:
        """Apply what only moves, drops or repeats numbers: at once to what is known, as a selection to a tensor."""
        try:
            if not isinstance(value, Tensor):
                changed = change(value)
                check_known(node, changed)
                self.spend(changed.size, node.where)
                return np.array(changed, order="C")
            places = change(np.arange(count(value.shape), dtype=np.int64).reshape(value.shape))
        except (ValueError, IndexError, TypeError, OverflowError) as error:
            node.refuse(f"impossible: {error}")
        shape = tuple(int(size) for size in places.shape)
        check_shape(shape, node.where)
        self.spend(places.size, node.where)
        index = np.ascontiguousarray(places.ravel(), dtype=np.int64)
        if index.size == count(value.shape) and bool((index == np.arange(index.size)).all()):
            return Tensor(value.number, shape)
        return self.add(Selection(node.name, (value.number,), shape, index))

    def scaling(self, node: Node, tensor: Tensor, weights: Array | float, bias: Array | float) -> Tensor:
        """Elementwise weights · x + bias; both broadcast to the tensor's shape."""
        self.spend(2 * count(tensor.shape), node.where)
        full = [
            np.ascontiguousarray(np.broadcast_to(np.asarray(numbers, dtype=np.float64), tensor.shape)).ravel()
            for numbers in (weights, bias)
        ]
        for numbers in full:
            check_known(node, numbers)
        return self.add(Scaling(node.name, (tensor.number,), tensor.shape, full[0], full[1]))

    def broadcast(self, node: Node, value: Value, shape: Shape) -> Value:
        """Repeat numbers as ONNX does where shapes differ."""
        check_shape(shape, node.where)
        return self.move(node, value, lambda array: np.broadcast_to(array, shape))


def common_shape(node: Node, values: Sequence[Value]) -> Shape:
    """The shape that values are broadcast to."""
    try:
        # Sizes may be huge: shapes alone are compared, nothing is made of them.
        return tuple(int(size) for size in np.broadcast_shapes(*(value.shape for value in values)))
    except ValueError:
        return node.refuse("shapes do not go together", value=[value.shape for value in values])


def check_known(node: Node, array: Array) -> None:
    """Refuse constants that no tensor here may be, or that are not finite."""
    if array.size:
        check_shape([size for size in array.shape if size], node.where)
    if array.dtype == np.float64 and not np.isfinite(array).all():
        node.refuse("a constant of it is not finite")
