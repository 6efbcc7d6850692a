"""From layers of floating-point numbers to the quantised graph."""

from __future__ import annotations

from collections.abc import Iterable

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.systems.zkml.quantised import network as floats
from provery.systems.zkml.quantised import ops
from provery.systems.zkml.quantised.bounds import bounds
from provery.systems.zkml.quantised.checks import CONSTANT_BITS
from provery.systems.zkml.quantised.graph import INPUT_BITS, SCALES, Graph, read, write
from provery.systems.zkml.quantised.network import Floats, Geometry, Layer, Network
from provery.systems.zkml.quantised.spec import quantise as quantise_number
from provery.systems.zkml.quantised.tables import EXP, table


def quantise(network: Network, settings: ModelSettings, sha256: str) -> Graph:
    """The quantised graph of a network.

    Weights are rounded at scale s, biases of what is rescaled at 2s, added constants at s: always to the nearest,
    halves up, from the exact value of the double.

    Args:
        network: The model.
        settings: Scale, width of inputs, visibility.
        sha256: Of the ONNX file, 64 hexadecimal digits.

    Raises:
        InvalidInput: a number may exceed 2^120, a weight is too large, or the graph is; the message names the node.
    """
    if settings.scale not in SCALES or settings.input_bits not in INPUT_BITS:
        expected = f"scale {SCALES[0]} to {SCALES[-1]}, input_bits {INPUT_BITS[0]} to {INPUT_BITS[-1]}"
        value = (settings.scale, settings.input_bits)
        raise InvalidInput("settings of the model cannot be", value=value, expected=expected)
    graph = Graph(
        model=sha256,
        scale=settings.scale,
        input_bits=settings.input_bits,
        visibility=settings.visibility.value,
        input_shape=network.input_shape,
        output_shape=network.output_shape,
        nodes=tuple(_node(layer, settings.scale) for layer in network.layers) or (_nothing(network),),
        output=network.output if network.layers else 1,
    )
    bounds(graph)
    # What the reader refuses is refused here, before anything is proved with it.
    return read(write(graph))


def _nothing(network: Network) -> ops.Node:
    """The one node of a model that changes nothing: a graph has at least one."""
    numbers = floats.count(network.input_shape)
    return ops.Gather((0,), network.output_shape, tuple(range(numbers)))


def _node(layer: Layer, scale: int) -> ops.Node:
    sources, shape = layer.sources, layer.shape
    match layer:
        case floats.Linear(weights=weights, bias=bias):
            outputs, inputs = weights.shape
            return ops.Dense(
                sources, shape, inputs, outputs, _round(layer, weights, scale), _round(layer, bias, 2 * scale)
            )
        case floats.Convolution(weights=weights, bias=bias):
            channels = (weights.shape[1] * layer.groups, weights.shape[0])
            return ops.Conv(
                sources,
                shape,
                *_window(layer.geometry),
                channels=channels,
                groups=layer.groups,
                weights=_round(layer, weights, scale),
                bias=_round(layer, bias, 2 * scale),
            )
        case floats.Scaling(weights=weights, bias=bias):
            if (weights == 1).all():
                return ops.Shift(sources, shape, _round(layer, bias, scale))
            return ops.Affine(sources, shape, _round(layer, weights, scale), _round(layer, bias, 2 * scale))
        case floats.Sum():
            return ops.Add(sources, shape)
        case floats.Product():
            return ops.Mul(sources, shape)
        case floats.Rectifier():
            return ops.Relu(sources, shape)
        case floats.Pool(counts=None):
            return ops.MaxPool(sources, shape, *_window(layer.geometry), channels=layer.channels)
        case floats.Pool(counts=counts):
            assert counts is not None  # noqa: S101 - the case before
            factors = tuple(((2 << scale) + count) // (2 * count) for count in counts)
            return ops.AvgPool(
                sources, shape, *_window(layer.geometry), channels=layer.channels, factors=factors
            )
        case floats.Curve(function=function):
            found = table(function, scale)
            return ops.Table(sources, shape, found.low, found.step, found.values)
        case floats.SoftmaxLayer(length=length):
            found = table(EXP, scale)
            return ops.Softmax(sources, shape, length, found.step, found.values)
        case floats.Selection(index=index):
            return ops.Gather(sources, shape, tuple(index.tolist()))
        case _:
            raise InvalidInput(f"node {layer.name[:80]!r} cannot be quantised", value=type(layer).__name__)


def _window(
    geometry: Geometry,
) -> tuple[floats.Shape, floats.Shape, floats.Shape, floats.Shape, floats.Shape]:
    return geometry.kernel, geometry.strides, geometry.pads, geometry.dilations, geometry.size


def _round(layer: Layer, numbers: Floats, scale: int) -> tuple[int, ...]:
    values: Iterable[float] = numbers.ravel().tolist()
    found = tuple(quantise_number(value, scale) for value in values)
    if any(abs(value) >> CONSTANT_BITS for value in found):
        raise InvalidInput(
            f"a weight of node {layer.name[:80]!r} is too large at scale {scale}",
            value=float(abs(numbers).max()),
            expected=f"a magnitude below 2^{CONSTANT_BITS - scale}",
            action="lower the model's scale",
        )
    return found
