"""ONNX files that anybody may have made, parsed safely.

Nothing but the given bytes is read: a model that keeps tensors in other files is refused. Sizes are checked before
anything is allocated.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import numpy_helper

from provery.core.errors import InvalidInput
from provery.systems.zkml.quantised.graph import RANK_LIMIT

SIZE_LIMIT = 2**31 - 1
"""Bytes of a file: what one protobuf message can have."""
OPSETS = range(7, onnx.defs.onnx_opset_version() + 1)
"""Versions of the standard operators that are understood. Before 7, broadcasting was another."""
DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
ELEMENTS_LIMIT = 2**24
"""Numbers in one constant or tensor."""
NODES_LIMIT = 100_000
DEPTH_LIMIT = 8
"""Graphs within graphs."""
Array = npt.NDArray[np.generic]
FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.BFLOAT16,
)
INTEGERS = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.INT8, onnx.TensorProto.UINT8)
PLAIN = (*FLOATS, *INTEGERS, onnx.TensorProto.BOOL)
"""Types of constants that are read."""


@dataclass(frozen=True)
class Description:
    """What a file says of itself, whether its operators can be lowered or not."""

    input_name: str
    input_shape: tuple[int, ...]
    """With 1 for an open batch dimension."""
    outputs: tuple[str, ...]
    operators: tuple[str, ...]
    """Sorted; those of other domains than the standard one as ``domain.Operator``."""
    opset: int
    producer: str


def parse(data: bytes, limit: int = SIZE_LIMIT) -> onnx.ModelProto:
    """Parse a file and check its structure.

    Args:
        data: The file's bytes.
        limit: Bytes that it may have.

    Raises:
        InvalidInput: it is too large or damaged, keeps tensors elsewhere, has an unknown version, or its nodes read
            what nothing makes.
    """
    if len(data) > limit:
        raise InvalidInput("the ONNX file is too large", value=len(data), expected=f"at most {limit} bytes")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"not an ONNX file: {error}") from None
    _check_names(model)
    _check(model)
    return model


def describe(model: onnx.ModelProto) -> Description:
    """What a parsed file says of itself.

    Raises:
        InvalidInput: its input is no single floating-point tensor of known shape.
    """
    name, shape = input_of(model)
    producer = f"{model.producer_name} {model.producer_version}".strip()
    outputs = tuple(output.name for output in model.graph.output)
    operators = sorted({operator(node) for node in _nodes(model.graph)})
    return Description(name, shape, outputs, tuple(operators), opset(model), producer[:100])


def operator(node: onnx.NodeProto) -> str:
    """An operator's name, with its domain unless that is the standard one."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def opset(model: onnx.ModelProto) -> int:
    """Version of the standard operators.

    Raises:
        InvalidInput: it is none, or one that is not understood.
    """
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] not in OPSETS:
        expected = f"one version of the standard operators, {OPSETS[0]} to {OPSETS[-1]}"
        raise InvalidInput("the model's opset is not understood", value=versions[:5], expected=expected)
    return versions[0]


def input_of(model: onnx.ModelProto) -> tuple[str, tuple[int, ...]]:
    """Name and shape of the one input that is no constant.

    Raises:
        InvalidInput: there are several, or it is no floating-point tensor of known shape.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = [value.name for value in inputs]
        raise InvalidInput("the model needs one input", value=names[:5], expected="one floating-point tensor")
    value = inputs[0]
    if not is_float_tensor(value):
        raise InvalidInput(
            f"input {value.name[:80]!r} is no floating-point tensor",
            expected="a tensor of float, double, float16 or bfloat16",
        )
    dims = value.type.tensor_type.shape.dim
    if not value.type.tensor_type.HasField("shape") or not 1 <= len(dims) <= RANK_LIMIT:
        expected = f"a shape of 1 to {RANK_LIMIT} dimensions"
        raise InvalidInput(f"input {value.name[:80]!r} has no known shape", expected=expected)
    shape = []
    for place, dim in enumerate(dims):
        size = dim.dim_value
        if not dim.HasField("dim_value") or size == 0:
            if place or len(dims) == 1:
                raise InvalidInput(
                    f"dimension {place} of input {value.name[:80]!r} is open",
                    value=dim.dim_param or "unknown",
                    expected="a fixed size; only the batch dimension, the first of several, may be open",
                    action="export the model with fixed sizes",
                )
            size = 1
        shape.append(size)
    check_shape(shape, f"input {value.name[:80]!r}")
    return value.name, tuple(shape)


def is_float_tensor(value: onnx.ValueInfoProto) -> bool:
    """Whether a declared value is a tensor of floating-point numbers."""
    return value.type.HasField("tensor_type") and value.type.tensor_type.elem_type in FLOATS


def check_shape(shape: Iterable[int], where: str) -> None:
    """Refuse sizes that no tensor here may have.

    Raises:
        InvalidInput: a size below 1, or too many numbers.
    """
    sizes = tuple(shape)
    if len(sizes) > RANK_LIMIT or any(size < 1 for size in sizes) or prod(sizes) > ELEMENTS_LIMIT:
        expected = f"sizes from 1, at most {ELEMENTS_LIMIT} numbers in all"
        raise InvalidInput(
            f"{where} has an impossible shape", value=sizes[: RANK_LIMIT + 1], expected=expected
        )


def constant(tensor: onnx.TensorProto) -> Array:
    """A constant: floating-point numbers as float64, all else as int64.

    Raises:
        InvalidInput: its type, size or data cannot be, or it has numbers that are not finite.
    """
    where = f"constant {tensor.name[:80]!r}"
    if tensor.data_type not in PLAIN:
        raise InvalidInput(
            f"{where} has an unsupported type", value=tensor.data_type, expected="float or integer"
        )
    if len(tensor.dims) > RANK_LIMIT or any(size < 0 for size in tensor.dims):
        raise InvalidInput(f"{where} has an impossible shape", value=list(tensor.dims)[:20])
    if prod(tensor.dims) > ELEMENTS_LIMIT:
        raise InvalidInput(
            f"{where} is too large", value=list(tensor.dims), expected=f"at most {ELEMENTS_LIMIT} numbers"
        )
    try:
        array = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidInput(f"{where} is damaged: {error}") from None
    if tensor.data_type not in FLOATS:
        return array.astype(np.int64)
    with np.errstate(all="ignore"):
        numbers = array.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InvalidInput(f"{where} has numbers that are not finite")
    return numbers


def _check_names(model: onnx.ModelProto) -> None:
    """Names that are no UTF-8 come out of protobuf as bytes."""
    names: list[object] = [model.producer_name, model.producer_version]
    names += [entry.domain for entry in model.opset_import]
    for graph in _graphs(model.graph):
        names += [value.name for value in (*graph.input, *graph.output)]
        names += [tensor.name for tensor in graph.initializer]
        names += [dim.dim_param for value in graph.input for dim in value.type.tensor_type.shape.dim]
        for node in graph.node:
            names += [node.name, node.op_type, node.domain, *node.input, *node.output]
            names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(name, str) for name in names):
        raise InvalidInput("not an ONNX file: a name is no UTF-8")


def _check(model: onnx.ModelProto) -> None:
    opset(model)
    for entry in model.opset_import:
        if entry.domain not in DOMAINS and any(node.domain == entry.domain for node in _nodes(model.graph)):
            raise InvalidInput(
                "the model has operators of an unknown domain",
                value=entry.domain,
                expected="ai.onnx, ai.onnx.ml",
            )
    if not model.HasField("graph") or not model.graph.output:
        raise InvalidInput("the model has no outputs", expected="a graph with at least one output")
    if model.graph.sparse_initializer:
        raise InvalidInput("the model has sparse constants", action="export it with dense ones")
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor.external_data:
            raise InvalidInput(
                "the model keeps tensors in other files",
                value=tensor.name,
                expected="one file with all its tensors",
                action="save it without external data",
            )
    known = {value.name for value in model.graph.input} | {tensor.name for tensor in model.graph.initializer}
    for node in model.graph.node:
        for name in node.input:
            if name and name not in known:
                raise InvalidInput(
                    f"node {node.name[:80]!r} ({node.op_type[:80]}) reads what nothing before it makes",
                    value=name,
                    expected="nodes in order, without cycles",
                )
        for name in node.output:
            if name and name in known:
                raise InvalidInput("two nodes make the same tensor", value=name)
            known.add(name)
    for value in model.graph.output:
        if value.name not in known:
            raise InvalidInput("nothing makes an output of the model", value=value.name)


def _graphs(graph: onnx.GraphProto, depth: int = 0) -> Iterator[onnx.GraphProto]:
    if depth > DEPTH_LIMIT:
        raise InvalidInput("the model has graphs too deep within graphs", expected=f"at most {DEPTH_LIMIT}")
    if len(graph.node) > NODES_LIMIT:
        raise InvalidInput("the model is too large", value=len(graph.node), expected=f"{NODES_LIMIT} nodes")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs):
                yield from _graphs(inner, depth + 1)


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for inner in _graphs(graph):
        yield from inner.node


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    for inner in _graphs(graph):
        yield from inner.initializer
        for sparse in inner.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        for node in inner.node:
            for attribute in node.attribute:
                if attribute.HasField("t"):
                    yield attribute.t
                yield from attribute.tensors
