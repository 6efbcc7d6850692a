"""Operators that are matrix products and windows: MatMul, Gemm, Conv and pools."""

from __future__ import annotations

from math import prod

import numpy as np

from provery.systems.zkml.quantised.lowering import Lowering, Node, Tensor, Value, check_known
from provery.systems.zkml.quantised.network import Convolution, Floats, Geometry, Linear, Pool, Shape
from provery.systems.zkml.quantised.onnx_file import check_shape

WINDOW_LIMIT = 2**16
"""Kernel sizes, strides, pads and dilations."""
TAPS_LIMIT = 2**22
"""Numbers under the windows of one channel, all windows together."""


def matmul(net: Lowering, node: Node) -> Value:
    """MatMul by a constant matrix or vector on the right."""
    tensor, matrix = node.tensor(0), node.floats(1)
    if matrix.ndim not in (1, 2) or matrix.shape[0] != tensor.shape[-1] or not matrix.size:
        node.refuse(
            "the constant does not fit", value=matrix.shape, expected=f"a matrix of {tensor.shape[-1]} rows"
        )
    columns = matrix.reshape(matrix.shape[0], -1)
    shape = (*tensor.shape[:-1], *matrix.shape[1:])
    return _linear(net, node, tensor, shape, columns.T, np.zeros(columns.shape[1]))


def gemm(net: Lowering, node: Node) -> Value:
    """Gemm by a constant matrix: alpha · A · B + beta · C."""
    tensor, matrix = node.tensor(0), node.floats(1)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if len(tensor.shape) != 2 or matrix.ndim != 2:
        node.refuse("its inputs are no matrices", value=(tensor.shape, matrix.shape))
    if node.whole("transA", 0):
        turned = net.move(node, tensor, lambda array: array.T)
        assert isinstance(turned, Tensor)  # noqa: S101 - a tensor moved is a tensor
        tensor = turned
    if node.whole("transB", 0):
        matrix = matrix.T
    if matrix.shape[0] != tensor.shape[1] or not matrix.size:
        node.refuse("the constant does not fit", value=matrix.shape, expected=f"{tensor.shape[1]} rows")
    shape = (tensor.shape[0], matrix.shape[1])
    made = _linear(net, node, tensor, shape, matrix.T * alpha, np.zeros(shape[1]))
    if node.optional(2) is None:
        return made
    offset = node.floats(2) * beta
    try:
        np.broadcast_to(offset, shape)
    except ValueError:
        node.refuse("input 2 does not fit", value=offset.shape, expected=f"what broadcasts to {shape}")
    return net.scaling(node, made, 1.0, offset)


def _linear(net: Lowering, node: Node, tensor: Tensor, shape: Shape, weights: Floats, bias: Floats) -> Tensor:
    check_known(node, weights)
    net.work(prod(shape) * weights.shape[1], node.where)
    return net.add(Linear(node.name, (tensor.number,), shape, np.ascontiguousarray(weights), bias))


def conv(net: Lowering, node: Node) -> Value:
    """Conv over one or two axes."""
    tensor, weights = node.tensor(0), node.floats(1)
    axes = _axes(node, tensor)
    if weights.ndim != len(tensor.shape) or not weights.size:
        node.refuse("its weights do not fit the input", value=weights.shape, expected=f"{axes + 2} axes")
    groups, channels, outputs = node.whole("group", 1), tensor.shape[1], weights.shape[0]
    if groups < 1 or channels % groups or outputs % groups or weights.shape[1] != channels // groups:
        node.refuse("channels do not fit the groups", value=(channels, weights.shape[:2], groups))
    said = node.ints("kernel_shape")
    kernel = tuple(int(size) for size in weights.shape[2:])
    if said is not None and said != kernel:
        node.refuse("kernel_shape is not that of the weights", value=said, expected=str(kernel))
    geometry, _, spatial = _geometry(node, tensor, kernel, ceil=False)
    bias = np.zeros(outputs) if node.optional(2) is None else node.floats(2)
    if bias.shape != (outputs,):
        node.refuse("its bias has another shape", value=bias.shape, expected=f"({outputs},)")
    net.work(prod(spatial) * weights.size, node.where)
    plane = weights.reshape(outputs, channels // groups, *geometry.kernel)
    shape = (1, outputs, *spatial)
    return net.add(Convolution(node.name, (tensor.number,), shape, geometry, groups, plane, bias))


def pool(net: Lowering, node: Node) -> Value:
    """MaxPool and AveragePool over one or two axes."""
    tensor = node.tensor(0)
    axes = _axes(node, tensor)
    kernel = node.ints("kernel_shape")
    if kernel is None or len(kernel) != axes:
        node.refuse("kernel_shape does not fit the input", value=kernel, expected=f"{axes} sizes")
    if node.outputs != 1:
        node.refuse("it has a second output", expected="the pooled tensor alone")
    ceil = bool(node.whole("ceil_mode", 0))
    geometry, pads, spatial = _geometry(node, tensor, kernel, ceil=ceil)
    counts: tuple[int, ...] | None = None
    if node.operator == "AveragePool":
        counts = _counts(geometry, pads if node.whole("count_include_pad", 0) else (0, 0, 0, 0))
    else:
        node.skip("storage_order")
    return _pool(net, node, tensor, geometry, spatial, counts)


def global_pool(net: Lowering, node: Node) -> Value:
    """GlobalAveragePool and GlobalMaxPool."""
    tensor = node.tensor(0)
    axes = _axes(node, tensor)
    size = _two(tensor.shape[2:], 1)
    geometry = Geometry(size, size, (1, 1), (0, 0, 0, 0), (1, 1))
    counts = (prod(size),) if node.operator == "GlobalAveragePool" else None
    return _pool(net, node, tensor, geometry, (1,) * axes, counts)


def _pool(
    net: Lowering,
    node: Node,
    tensor: Tensor,
    geometry: Geometry,
    spatial: Shape,
    counts: tuple[int, ...] | None,
) -> Tensor:
    for axis in (0, 1):
        if not all(_inside(geometry, axis, place) for place in range(geometry.places()[axis])):
            node.refuse("a window is all padding")
    shape = (1, tensor.shape[1], *spatial)
    return net.add(Pool(node.name, (tensor.number,), shape, geometry, tensor.shape[1], counts))


def _axes(node: Node, tensor: Tensor) -> int:
    """Axes that windows move over; one sample only."""
    axes = len(tensor.shape) - 2
    if axes not in (1, 2) or tensor.shape[0] != 1:
        node.refuse(
            "unsupported input",
            value=tensor.shape,
            expected="one sample: (1, channels, width) or with height",
        )
    return axes


def _two(values: Shape, filler: int) -> Shape:
    """Of height and width: one axis is a plane of height 1."""
    return values if len(values) == 2 else (filler, *values)


def _geometry(node: Node, tensor: Tensor, kernel: Shape, *, ceil: bool) -> tuple[Geometry, Shape, Shape]:
    """Windows; the pads as they were asked for; the output's sizes."""
    size = tensor.shape[2:]
    axes = len(size)
    strides = node.ints("strides") or (1,) * axes
    dilations = node.ints("dilations") or (1,) * axes
    auto, given = node.text("auto_pad", "NOTSET"), node.ints("pads")
    for name, values, length, least in (
        ("kernel_shape", kernel, axes, 1),
        ("strides", strides, axes, 1),
        ("dilations", dilations, axes, 1),
        ("pads", given or (0,) * (2 * axes), 2 * axes, 0),
    ):
        if len(values) != length or not all(least <= value <= WINDOW_LIMIT for value in values):
            node.refuse(
                f"impossible {name}", value=values, expected=f"{length} numbers, {least} to {WINDOW_LIMIT}"
            )
    covered = [dilations[i] * (kernel[i] - 1) + 1 for i in range(axes)]
    before, after = [0] * axes, [0] * axes
    if auto == "NOTSET":
        before, after = list((given or (0,) * (2 * axes))[:axes]), list((given or (0,) * (2 * axes))[axes:])
    elif auto in ("SAME_UPPER", "SAME_LOWER"):
        for i in range(axes):
            total = max((-(-size[i] // strides[i]) - 1) * strides[i] + covered[i] - size[i], 0)
            before[i] = total // 2 if auto == "SAME_UPPER" else total - total // 2
            after[i] = total - before[i]
    elif auto != "VALID":
        node.refuse("unknown auto_pad", value=auto, expected="NOTSET, SAME_UPPER, SAME_LOWER or VALID")
    asked = (*_two(tuple(before), 0), *_two(tuple(after), 0))
    spatial = []
    for i in range(axes):
        room = size[i] + before[i] + after[i] - covered[i]
        places = room // strides[i] + 1
        if ceil and room % strides[i] and places * strides[i] < size[i] + before[i]:
            # One more window, which begins inside and ends in padding that nobody asked for.
            after[i] += strides[i] - room % strides[i]
            places += 1
        if room < 0:
            node.refuse("the window is larger than the input", value=(size, kernel))
        spatial.append(places)
    check_shape(spatial, node.where)
    if prod(spatial) * prod(kernel) > TAPS_LIMIT:
        expected = f"at most {TAPS_LIMIT} numbers under all of one channel's windows"
        node.refuse("its windows are too many or too large", value=(spatial, kernel), expected=expected)
    geometry = Geometry(
        _two(size, 1),
        _two(kernel, 1),
        _two(strides, 1),
        (*_two(tuple(before), 0), *_two(tuple(after), 0)),
        _two(dilations, 1),
    )
    return geometry, asked, tuple(spatial)


def _inside(geometry: Geometry, axis: int, place: int, before: int = 0, after: int = 0) -> int:
    """Taps of a window along an axis that fall on the input, or so far beside it."""
    start = place * geometry.strides[axis] - geometry.pads[axis]
    end = geometry.size[axis] + after
    taps = (start + tap * geometry.dilations[axis] for tap in range(geometry.kernel[axis]))
    return sum(-before <= tap < end for tap in taps)


def _counts(geometry: Geometry, pads: Shape) -> tuple[int, ...]:
    """Numbers under the window at each output position, with padding that counts."""
    along = [
        [
            _inside(geometry, axis, place, pads[axis], pads[axis + 2])
            for place in range(geometry.places()[axis])
        ]
        for axis in (0, 1)
    ]
    return tuple(row * column for row in along[0] for column in along[1])
