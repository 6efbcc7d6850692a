"""The ONNX side of compiling: shapes, the float model's outputs, and an input that carries a salt."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from provery.provers.ezkl.faults import Refused

SALT_LIMBS = 16
"""Values that carry a salt, 16 bits each."""


@dataclass(frozen=True)
class Model:
    """A model with one input and one output of floats."""

    proto: onnx.ModelProto
    shape: tuple[int, ...]
    """Of the input; a dimension without a size is 1."""

    @property
    def inputs(self) -> int:
        """Numbers of one input."""
        return math.prod(self.shape)

    def infer(self, rows: Sequence[Sequence[float]]) -> list[list[float]]:
        """The float model's outputs, flat."""
        name = _inputs(self.proto)[0].name
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # numpy's, of overflows in a model's own numbers
            session: Any = ReferenceEvaluator(self.proto)
            found = []
            for row in rows:
                given = {name: np.array(row, dtype=np.float32).reshape(self.shape)}
                found.append([float(y) for y in np.asarray(session.run(None, given)[0]).ravel()])
        return found


def load(path: Path) -> Model:
    """Read a model, and bring it into a form that ezkl reads.

    The output is the file's first one of floats, as it is where names were given to its columns (ZipMap): labels, which
    classifiers put first, are passed over.

    Raises:
        Refused: it is damaged, or has another kind of inputs or outputs.
    """
    try:
        proto = onnx.load(path)
    except Exception as error:
        raise Refused("invalid_input", f"not an ONNX model: {type(error).__name__}") from None
    given = _inputs(proto)
    if len(given) != 1 or given[0].type.tensor_type.elem_type != TensorProto.FLOAT:
        raise Refused("unsupported", f"the model has {len(given)} inputs, expected one, of 32-bit floats")
    _keep_one_output(proto)
    for dimension in given[0].type.tensor_type.shape.dim:
        if dimension.dim_value <= 0:
            dimension.dim_value = 1  # one inference at a time
    _replace_scalers(proto)
    return Model(proto, tuple(d.dim_value for d in given[0].type.tensor_type.shape.dim))


def _keep_one_output(proto: onnx.ModelProto) -> None:
    graph = proto.graph
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        maker = makers.get(output.name)
        if output.type.tensor_type.elem_type == TensorProto.FLOAT:
            kept = output.name
        elif maker is not None and maker.op_type == "ZipMap":
            kept = maker.input[0]
        else:
            continue
        break
    else:
        raise Refused("unsupported", "no output of the model is a tensor of 32-bit floats")
    needed, names = [], {kept}
    for node in reversed(graph.node):
        if names.intersection(node.output):
            needed.append(node)
            names.update(node.input)
    value = next((one for one in graph.output if one.name == kept), None)
    value = value or helper.make_tensor_value_info(kept, TensorProto.FLOAT, None)
    _replace_nodes(graph, needed[::-1])
    value = onnx.ValueInfoProto.FromString(value.SerializeToString())
    del graph.output[:]
    graph.output.append(value)


def _replace_nodes(graph: onnx.GraphProto, nodes: Sequence[onnx.NodeProto]) -> None:
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)


def _replace_scalers(proto: onnx.ModelProto) -> None:
    """Scaler, which scikit-learn's exporter writes, as the subtraction and the multiplication that it is."""
    nodes: list[onnx.NodeProto] = []
    for number, node in enumerate(proto.graph.node):
        if node.op_type != "Scaler":
            nodes.append(node)
            continue
        values = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        names = [f"provery_scaler_{number}_{part}" for part in ("offset", "scale", "centred")]
        proto.graph.initializer.extend(
            numpy_helper.from_array(np.array(values[part], dtype=np.float32), name)
            for part, name in zip(("offset", "scale"), names, strict=False)
        )
        nodes.append(helper.make_node("Sub", [node.input[0], names[0]], [names[2]]))
        nodes.append(helper.make_node("Mul", [names[2], names[1]], [node.output[0]]))
    _replace_nodes(proto.graph, nodes)


def salted(model: Model) -> onnx.ModelProto:
    """The same model with an input that holds a salt before the numbers, of which the outputs do not depend.

    ezkl commits to the whole input and adds nothing random of its own: without a salt, whoever can guess inputs can
    compute their commitments.
    """
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    graph = proto.graph
    name, total = _inputs(proto)[0].name, SALT_LIMBS + model.inputs
    for index in [i for i, value in enumerate(graph.input) if value.name == name]:
        del graph.input[index]
    graph.input.append(helper.make_tensor_value_info("provery_salted", TensorProto.FLOAT, [1, total]))
    opset = next((o.version for o in proto.opset_import if o.domain in ("", "ai.onnx")), 0)
    constants = {"provery_shape": list(model.shape)}
    if opset >= 10:
        constants |= {"provery_start": [SALT_LIMBS], "provery_end": [total], "provery_axis": [1]}
        cut = helper.make_node(
            "Slice",
            ["provery_salted", "provery_start", "provery_end", "provery_axis"],
            ["provery_cut"],
        )
    else:
        cut = helper.make_node("Slice", ["provery_salted"], ["provery_cut"], axes=[1], starts=[SALT_LIMBS],
                               ends=[total])  # fmt: skip
    graph.initializer.extend(
        numpy_helper.from_array(np.array(v, dtype=np.int64), k) for k, v in constants.items()
    )
    shaped = helper.make_node("Reshape", ["provery_cut", "provery_shape"], [name])
    _replace_nodes(graph, [cut, shaped, *graph.node])
    return proto


def limbs(salt: bytes) -> list[int]:
    """A salt of 31 bytes as the whole numbers that stand before the inputs."""
    padded = bytes(2 * SALT_LIMBS - len(salt)) + salt
    return [int.from_bytes(padded[at : at + 2], "big") for at in range(0, len(padded), 2)]


def _inputs(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """What a caller gives: the graph's inputs without those that have a value in the file."""
    known = {tensor.name for tensor in proto.graph.initializer}
    return [value for value in proto.graph.input if value.name not in known]
