"""Operators that work number by number, and softmax."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx

from provery.systems.zkml.quantised.lowering import Lowering, Node, Tensor, Value, check_known, common_shape
from provery.systems.zkml.quantised.network import Curve, Product, Rectifier, SoftmaxLayer, Sum, count
from provery.systems.zkml.quantised.onnx_file import FLOATS, Array

_KNOWN: dict[str, Callable[[Array, Array], Array]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "Div": np.divide,
}
LARGEST = 3.0e38
"""A bound of Clip from here on is none: exporters write the largest float32 number."""


def arithmetic(net: Lowering, node: Node) -> Value:
    """Add, Sub, Mul and Div."""
    left, right = node.input(0), node.input(1)
    shape = common_shape(node, (left, right))
    if not isinstance(left, Tensor) and not isinstance(right, Tensor):
        return _known(net, node, left, right, count(shape))
    left, right = (net.broadcast(node, value, shape) for value in (left, right))
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        return _both(net, node, left, right)
    if isinstance(left, Tensor):
        numbers = node.floats(1) if not isinstance(right, Tensor) else 0.0
        return _by_constant(net, node, left, numbers)
    assert isinstance(right, Tensor)  # noqa: S101 - both known went elsewhere
    numbers = node.floats(0)
    match node.operator:
        case "Sub":
            return net.scaling(node, right, -1.0, numbers)
        case "Div":
            node.refuse("it divides by what depends on the input", expected="a constant divisor")
        case _:
            return _by_constant(net, node, right, numbers)


def _by_constant(net: Lowering, node: Node, tensor: Tensor, numbers: Array | float) -> Tensor:
    match node.operator:
        case "Add":
            return net.scaling(node, tensor, 1.0, numbers)
        case "Sub":
            return net.scaling(node, tensor, 1.0, np.negative(numbers))
        case "Mul":
            return net.scaling(node, tensor, numbers, 0.0)
        case _:
            if not np.all(numbers):
                node.refuse("it divides by 0")
            with np.errstate(all="ignore"):
                return net.scaling(node, tensor, np.divide(1.0, numbers), 0.0)


def _both(net: Lowering, node: Node, left: Tensor, right: Tensor) -> Tensor:
    match node.operator:
        case "Add":
            return net.add(Sum(node.name, (left.number, right.number), left.shape))
        case "Sub":
            negative = net.scaling(node, right, -1.0, 0.0)
            return net.add(Sum(node.name, (left.number, negative.number), left.shape))
        case "Mul":
            return net.add(Product(node.name, (left.number, right.number), left.shape))
        case _:
            node.refuse("it divides by what depends on the input", expected="a constant divisor")


def _known(net: Lowering, node: Node, left: Array, right: Array, numbers: int) -> Array:
    """Of constants: whole numbers stay whole."""
    net.spend(numbers, node.where)
    whole = left.dtype == np.int64 and right.dtype == np.int64
    if node.operator == "Div" and not np.all(right):
        node.refuse("it divides by 0")
    with np.errstate(all="ignore"):
        if whole and node.operator == "Div":
            result: Array = np.trunc(left.astype(np.float64) / right.astype(np.float64)).astype(np.int64)
        else:
            result = _KNOWN[node.operator](left, right)
    check_known(node, result)
    return result


def relu(net: Lowering, node: Node) -> Value:
    """Relu."""
    tensor = node.tensor(0)
    return net.add(Rectifier(node.name, (tensor.number,), tensor.shape))


def clip(net: Lowering, node: Node) -> Value:
    """Clip, by way of max(x, 0)."""
    tensor = node.tensor(0)
    if node.opset < 11:
        low: float | None = node.number("min", -LARGEST)
        high: float | None = node.number("max", LARGEST)
    else:
        low, high = (_bound(node, place) for place in (1, 2))
    if low is not None and low > -LARGEST:
        tensor = tensor if low == 0 else net.scaling(node, tensor, 1.0, -low)
        tensor = net.add(Rectifier(node.name, (tensor.number,), tensor.shape))
        tensor = tensor if low == 0 else net.scaling(node, tensor, 1.0, low)
    if high is not None and high < LARGEST:
        # min(x, h) = h - max(h - x, 0)
        tensor = net.scaling(node, tensor, -1.0, high)
        tensor = net.add(Rectifier(node.name, (tensor.number,), tensor.shape))
        tensor = net.scaling(node, tensor, -1.0, high)
    if low is not None and high is not None and low > high:
        node.refuse("its bounds are the wrong way round", value=(low, high))
    return tensor


def _bound(node: Node, place: int) -> float | None:
    if node.optional(place) is None:
        return None
    numbers = node.floats(place)
    if numbers.size != 1:
        node.refuse("a bound is no single number", value=numbers.shape)
    return float(numbers.ravel()[0])


def curve(net: Lowering, node: Node) -> Value:
    """Sigmoid and Tanh."""
    tensor = node.tensor(0)
    return net.add(Curve(node.name, (tensor.number,), tensor.shape, node.operator.lower()))


def softmax(net: Lowering, node: Node) -> Value:
    """Softmax: along one axis since opset 13, over all axes from one on before."""
    tensor = node.tensor(0)
    rank = len(tensor.shape)
    axis = node.whole("axis", -1 if node.opset >= 13 else 1)
    if not -rank <= axis < rank and not (axis == rank and node.opset < 13):
        node.refuse("no such axis", value=axis, expected=f"{-rank} to {rank - 1}")
    axis += rank if axis < 0 else 0
    if node.opset < 13:
        length = count(tensor.shape[axis:])
        return net.add(SoftmaxLayer(node.name, (tensor.number,), tensor.shape, length))
    moved = net.move(node, tensor, lambda array: np.moveaxis(array, axis, -1))
    assert isinstance(moved, Tensor)  # noqa: S101 - a tensor moved is a tensor
    made = net.add(SoftmaxLayer(node.name, (moved.number,), moved.shape, moved.shape[-1]))
    return net.move(node, made, lambda array: np.moveaxis(array, -1, axis))


def cast(net: Lowering, node: Node) -> Value:
    """Cast: nothing between floating-point types; of constants also between them and whole numbers."""
    value, to = node.input(0), node.whole("to", 0)
    node.skip("saturate", "round_mode")
    if isinstance(value, Tensor):
        if to not in FLOATS:
            node.refuse("what depends on the input becomes no floating-point number", value=to)
        return value
    net.spend(value.size, node.where)
    if to in FLOATS:
        return value.astype(np.float64)
    if to not in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        node.refuse("a constant of an unsupported type", value=to)
    return value.astype(np.int64)


def scaler(net: Lowering, node: Node) -> Value:
    """ai.onnx.ml.Scaler: (x - offset) · scale along the last axis."""
    tensor = node.tensor(0)
    found = []
    for name, default in (("offset", 0.0), ("scale", 1.0)):
        attribute = node.attribute(name, onnx.AttributeProto.FLOATS)
        numbers = np.array(attribute.floats if attribute is not None else [default], dtype=np.float64)
        check_known(node, numbers)
        if numbers.size not in (1, tensor.shape[-1]):
            node.refuse(f"{name} has another length", value=numbers.size, expected=f"1 or {tensor.shape[-1]}")
        found.append(numbers)
    offset, scale = found
    return net.scaling(node, tensor, scale, -offset * scale)


def batch_normalization(net: Lowering, node: Node) -> Value:
    """BatchNormalization with fixed statistics: one scaling for each channel."""
    tensor = node.tensor(0)
    epsilon = node.number("epsilon", 1e-5)
    node.skip("momentum")
    if node.whole("training_mode", 0) or node.outputs > 1:
        node.refuse("it is in training mode", expected="a model exported for inference")
    if node.whole("spatial", 1) != 1:
        node.refuse("it is not by channel", expected="spatial=1")
    if len(tensor.shape) < 2:
        node.refuse("its input has no channels", value=tensor.shape)
    channels = tensor.shape[1]
    parts = [node.floats(place) for place in (1, 2, 3, 4)]
    for place, part in enumerate(parts, 1):
        if part.shape != (channels,):
            node.refuse(f"input {place} has another shape", value=part.shape, expected=f"({channels},)")
    scale, bias, mean, variance = parts
    if (variance + epsilon <= 0).any():
        node.refuse("a variance is not positive")
    factor = scale / np.sqrt(variance + epsilon)
    by_channel = (channels, *[1] * (len(tensor.shape) - 2))
    return net.scaling(node, tensor, factor.reshape(by_channel), (bias - mean * factor).reshape(by_channel))
