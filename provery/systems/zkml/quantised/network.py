"""A model as floating-point layers: what the reader makes of an ONNX file and the quantiser starts from.

Tensors are flat and row-major. Tensor 0 is the input, layer i (from 0) makes tensor i + 1. All arrays are float64
unless said otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """One operation.

    Args:
        name: Of the ONNX node, for messages.
        sources: Tensors that it reads.
        shape: Of the tensor that it makes.
    """

    name: str
    sources: tuple[int, ...]
    shape: Shape


@dataclass(frozen=True, eq=False)
class Linear(Layer):
    """y = weights · x + bias on every group of consecutive numbers."""

    weights: Floats
    """Outputs by inputs."""
    bias: Floats


@dataclass(frozen=True)
class Geometry:
    """Windows over planes; pairs are height and width, pads are top, left, bottom, right."""

    size: Shape
    kernel: Shape
    strides: Shape
    pads: Shape
    dilations: Shape

    def places(self) -> Shape:
        """Output positions along both axes."""
        return tuple(
            (self.size[i] + self.pads[i] + self.pads[i + 2] - self.dilations[i] * (self.kernel[i] - 1) - 1)
            // self.strides[i]
            + 1
            for i in (0, 1)
        )


@dataclass(frozen=True, eq=False)
class Convolution(Layer):
    """Convolution with zero padding, of one sample."""

    geometry: Geometry
    groups: int
    weights: Floats
    """Outputs, inputs of a group, height, width."""
    bias: Floats


@dataclass(frozen=True, eq=False)
class Pool(Layer):
    """The largest number, or the mean, under each window."""

    geometry: Geometry
    channels: int
    counts: tuple[int, ...] | None
    """What the sum at each output position is divided by; None for the largest number."""


@dataclass(frozen=True, eq=False)
class Scaling(Layer):
    """Elementwise weights · x + bias; both of the tensor's length."""

    weights: Floats
    bias: Floats


@dataclass(frozen=True, eq=False)
class Sum(Layer):
    """Elementwise sum of two tensors."""


@dataclass(frozen=True, eq=False)
class Product(Layer):
    """Elementwise product of two tensors."""


@dataclass(frozen=True, eq=False)
class Rectifier(Layer):
    """max(x, 0)."""


@dataclass(frozen=True, eq=False)
class Curve(Layer):
    """``sigmoid`` or ``tanh``, elementwise."""

    function: str


@dataclass(frozen=True, eq=False)
class SoftmaxLayer(Layer):
    """Softmax of every ``length`` consecutive numbers."""

    length: int


@dataclass(frozen=True, eq=False)
class Selection(Layer):
    """y[j] = x[index[j]]."""

    index: Indices


@dataclass(frozen=True, eq=False)
class Network:
    """A model."""

    input_name: str
    input_shape: Shape
    """With 1 for an open batch dimension."""
    output_name: str
    """The ONNX tensor that is the output."""
    output_shape: Shape
    layers: tuple[Layer, ...]
    output: int
    """The output's tensor."""
    operators: tuple[str, ...] = ()
    """ONNX operators that the output depends on, sorted."""
    passed_over: tuple[str, ...] = field(default=())
    """Outputs of the file before the one that was taken: they are no floating-point tensors."""


def work(network: Network) -> int:
    """About how many numbers an inference touches."""
    total = count(network.input_shape)
    for layer in network.layers:
        each = 1
        if isinstance(layer, Linear):
            each = layer.weights.shape[1]
        elif isinstance(layer, Convolution):
            each = prod(layer.weights.shape[1:])
        elif isinstance(layer, Pool):
            each = prod(layer.geometry.kernel)
        total += count(layer.shape) * each
    return total


def folded(network: Network) -> Network:
    """The same network with elementwise constants drawn into the layer before them, where nothing else reads it."""
    layers: list[Layer] = []
    tensors = [0]
    readers = [0] * (len(network.layers) + 1)
    readers[network.output] += 1
    for layer in network.layers:
        for source in layer.sources:
            readers[source] += 1
    for layer in network.layers:
        moved = replace(layer, sources=tuple(tensors[source] for source in layer.sources))
        made = len(layers)
        if (
            isinstance(moved, Scaling)
            and moved.sources == (made,)
            and made
            and readers[layer.sources[0]] == 1
        ):
            merged = _merge(layers[-1], moved)
            if merged is not None:
                layers[-1] = merged
                tensors.append(made)
                continue
        layers.append(moved)
        tensors.append(len(layers))
    return replace(network, layers=tuple(layers), output=tensors[network.output])


def _merge(before: Layer, scaling: Scaling) -> Layer | None:
    """Both as one layer; None where they are none."""
    if isinstance(before, Scaling):
        weights = before.weights * scaling.weights
        bias = before.bias * scaling.weights + scaling.bias
    elif isinstance(before, Linear | Convolution):
        outputs = len(before.bias)
        order = (outputs, -1) if isinstance(before, Convolution) else (-1, outputs)
        axis = 1 if isinstance(before, Convolution) else 0
        factors, offsets = (array.reshape(order) for array in (scaling.weights, scaling.bias))
        factor, offset = factors.take(0, axis), offsets.take(0, axis)
        for all_, one in ((factors, factor), (offsets, offset)):
            if not np.array_equal(all_, np.broadcast_to(np.expand_dims(one, axis), all_.shape)):
                return None
        weights = before.weights * factor.reshape(-1, *[1] * (before.weights.ndim - 1))
        bias = before.bias * factor + offset
    else:
        return None
    return replace(before, name=scaling.name, shape=scaling.shape, weights=weights, bias=bias)


def pruned(network: Network) -> Network:
    """The same network without what its output does not depend on."""
    needed = {network.output}
    for number in range(len(network.layers), 0, -1):
        if number in needed:
            needed.update(network.layers[number - 1].sources)
    tensors, layers = {0: 0}, []
    for number, layer in enumerate(network.layers, 1):
        if number in needed:
            layers.append(replace(layer, sources=tuple(tensors[source] for source in layer.sources)))
            tensors[number] = len(layers)
    return replace(network, layers=tuple(layers), output=tensors[network.output])


def count(shape: Shape) -> int:
    """Numbers in a tensor."""
    return prod(shape)
