"""Operators that compute nothing: they move, drop, repeat or join numbers, or make constants."""

from __future__ import annotations

from functools import partial
from math import prod

import numpy as np
import onnx

from provery.systems.zkml.quantised.lowering import Lowering, Node, Tensor, Value, common_shape
from provery.systems.zkml.quantised.network import Shape, Sum, count
from provery.systems.zkml.quantised.onnx_file import Array, check_shape, constant

LARGEST_INDEX = 2**31


def identity(net: Lowering, node: Node) -> Value:
    """Identity, Dropout, and ZipMap, which only names columns."""
    if node.operator == "Dropout":
        node.skip("seed", "ratio")
        if node.opset >= 12 and node.optional(2) is not None and np.any(node.integers(2)):
            node.refuse("it is in training mode", expected="a model exported for inference")
        if node.outputs > 1:
            node.refuse("it has a second output", expected="its first output alone")
    if node.operator == "ai.onnx.ml.ZipMap":
        node.skip("classlabels_int64s", "classlabels_strings")
    return node.input(0)


def reshape(net: Lowering, node: Node) -> Value:
    """Reshape."""
    value, sizes = node.input(0), list(node.integers(1))
    keep = node.whole("allowzero", 0) != 0
    for place, size in enumerate(sizes):
        if size == 0 and not keep:
            if place >= len(value.shape):
                node.refuse("it keeps a size that its input has not", value=sizes)
            sizes[place] = value.shape[place]
    return _reshaped(net, node, value, sizes)


def _reshaped(net: Lowering, node: Node, value: Value, sizes: list[int]) -> Value:
    if sum(size == -1 for size in sizes) > 1 or any(size < -1 for size in sizes):
        node.refuse("impossible shape", value=sizes)
    return net.move(node, value, lambda array: array.reshape(sizes))


def flatten(net: Lowering, node: Node) -> Value:
    """Flatten."""
    value, axis = node.input(0), node.whole("axis", 1)
    rank = len(value.shape)
    if not -rank <= axis <= rank:
        node.refuse("no such axis", value=axis, expected=f"{-rank} to {rank}")
    axis += rank if axis < 0 else 0
    return _reshaped(net, node, value, [count(value.shape[:axis]), count(value.shape[axis:])])


def squeeze(net: Lowering, node: Node) -> Value:
    """Squeeze: its axes are an attribute before opset 13, an input since."""
    value, axes = node.input(0), _axes(node)
    return net.move(node, value, lambda array: np.squeeze(array, axis=axes))


def unsqueeze(net: Lowering, node: Node) -> Value:
    """Unsqueeze: its axes are an attribute before opset 13, an input since."""
    value, axes = node.input(0), _axes(node)
    if axes is None:
        node.refuse("its axes are missing")
    return net.move(node, value, lambda array: np.expand_dims(array, axis=axes))


def _axes(node: Node) -> Shape | None:
    if node.opset < 13:
        return node.ints("axes")
    return None if node.optional(1) is None else node.integers(1)


def transpose(net: Lowering, node: Node) -> Value:
    """Transpose."""
    order = node.ints("perm")
    return net.move(node, node.input(0), lambda array: np.transpose(array, order))


def expand(net: Lowering, node: Node) -> Value:
    """Expand."""
    value, sizes = node.input(0), node.integers(1)
    check_shape(sizes, node.where)
    wanted = np.broadcast_to(np.int64(0), sizes)
    return net.broadcast(node, value, common_shape(node, (value, wanted)))


def gather(net: Lowering, node: Node) -> Value:
    """Gather with known indices."""
    value, index, axis = node.input(0), node.input(1), node.whole("axis", 0)
    if isinstance(index, Tensor) or index.dtype != np.int64:
        node.refuse("its indices are no known whole numbers", expected="a constant")
    rank = len(value.shape)
    if not -rank <= axis < rank:
        node.refuse("no such axis", value=axis)
    check_shape([*value.shape[:axis], *index.shape, *value.shape[axis % rank + 1 :]] or [1], node.where)
    return net.move(node, value, lambda array: np.take(array, index.astype(np.int64), axis=axis))


def slice_(net: Lowering, node: Node) -> Value:
    """Slice: its bounds are attributes before opset 10, inputs since."""
    value = node.input(0)
    if node.opset < 10:
        starts, ends, axes, steps = node.ints("starts"), node.ints("ends"), node.ints("axes"), None
    else:
        starts, ends = node.integers(1), node.integers(2)
        axes = None if node.optional(3) is None else node.integers(3)
        steps = None if node.optional(4) is None else node.integers(4)
    if starts is None or ends is None:
        node.refuse("its bounds are missing")
    axes = tuple(range(len(starts))) if axes is None else axes
    steps = (1,) * len(starts) if steps is None else steps
    rank = len(value.shape)
    if not len(starts) == len(ends) == len(axes) == len(steps) or 0 in steps:
        node.refuse("its bounds, axes and steps do not go together")
    if any(not -rank <= axis < rank for axis in axes):
        node.refuse("no such axis", value=axes)
    cuts = [slice(None)] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # A bound below -size means before the first number, which Python writes None going backwards.
        last: int | None = None if step < 0 and end < -value.shape[axis] else end
        cuts[axis] = slice(start, last, step)
    return net.move(node, value, lambda array: array[tuple(cuts)])


def concat(net: Lowering, node: Node) -> Value:
    """Concat: of tensors as a sum, each with zeros in the others' places."""
    values, axis = node.inputs, node.whole("axis", 1)
    if not values:
        node.refuse("it has no inputs")
    rank = len(values[0].shape)
    if any(len(value.shape) != rank for value in values) or not -rank <= axis < rank:
        node.refuse("its inputs do not go together", value=[value.shape for value in values][:10])
    if not any(isinstance(value, Tensor) for value in values):
        known = [value for value in values if not isinstance(value, Tensor)]
        if len({array.dtype for array in known}) != 1:
            node.refuse("its constants have several types")
        net.spend(sum(array.size for array in known), node.where)
        try:
            return np.concatenate(known, axis=axis)
        except ValueError as error:
            node.refuse(f"impossible: {error}")
    return _joined(net, node, values, axis)


def _joined(net: Lowering, node: Node, values: list[Value], axis: int) -> Tensor:
    try:
        # Which value each number comes from, and its place there.
        owner = np.concatenate([np.full(value.shape, n) for n, value in enumerate(values)], axis=axis)
        place = np.concatenate(
            [np.arange(count(value.shape)).reshape(value.shape) for value in values], axis=axis
        )
    except ValueError as error:
        node.refuse(f"impossible: {error}")
    net.spend(len(values) * owner.size, node.where)
    offset = np.zeros(owner.shape)
    parts: list[Tensor] = []
    for number, value in enumerate(values):
        mine = owner == number
        if not isinstance(value, Tensor):
            offset[mine] = value.ravel()
            continue
        spread = net.move(node, value, partial(_spread, np.where(mine, place, 0)))
        assert isinstance(spread, Tensor)  # noqa: S101 - a tensor moved is a tensor
        parts.append(net.scaling(node, spread, mine.astype(np.float64), 0.0))
    made = parts[0]
    for part in parts[1:]:
        made = net.add(Sum(node.name, (made.number, part.number), made.shape))
    return net.scaling(node, made, 1.0, offset) if offset.any() else made


def _spread(places: Array, array: Array) -> Array:
    found: Array = array.ravel()[places]
    return found


def constant_node(net: Lowering, node: Node) -> Value:
    """Constant."""
    tensor = node.attribute("value", onnx.AttributeProto.TENSOR)
    if tensor is not None:
        net.spend(prod(size for size in tensor.t.dims if size > 0), node.where)
        return constant(tensor.t)
    for name, kind, type_ in (
        ("value_float", onnx.AttributeProto.FLOAT, np.float64),
        ("value_int", onnx.AttributeProto.INT, np.int64),
        ("value_floats", onnx.AttributeProto.FLOATS, np.float64),
        ("value_ints", onnx.AttributeProto.INTS, np.int64),
    ):
        found = node.attribute(name, kind)
        if found is not None:
            plain = {"value_float": found.f, "value_int": found.i}.get(name)
            listed = found.floats if name == "value_floats" else found.ints
            array: Array = np.array(list(listed) if plain is None else plain, dtype=type_)
            if not np.isfinite(array).all():
                node.refuse("it has numbers that are not finite")
            return array
    node.refuse("it has no dense numbers", expected="value, value_float(s) or value_int(s)")


def constant_of_shape(net: Lowering, node: Node) -> Value:
    """ConstantOfShape."""
    sizes = node.integers(0)
    check_shape([size for size in sizes if size != 0], node.where)
    net.spend(prod(sizes), node.where)
    tensor = node.attribute("value", onnx.AttributeProto.TENSOR)
    filler = np.zeros(1) if tensor is None else constant(tensor.t)
    if filler.size != 1:
        node.refuse("its value is no single number", value=filler.shape)
    return np.full(sizes, filler.ravel()[0], dtype=filler.dtype)


def shape(net: Lowering, node: Node) -> Value:
    """Shape: known, as every shape here is."""
    sizes = node.input(0).shape
    start, end = node.whole("start", 0), node.whole("end", LARGEST_INDEX)
    return np.array(sizes[start:end], dtype=np.int64)
