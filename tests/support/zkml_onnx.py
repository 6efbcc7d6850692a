"""Small ONNX models, made for tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

FLOAT = onnx.TensorProto.FLOAT


def model(
    nodes: Sequence[onnx.NodeProto],
    input_shape: Sequence[int | str | None],
    constants: Mapping[str, npt.ArrayLike] | None = None,
    opset: int = 17,
    output: str = "y",
) -> onnx.ModelProto:
    """Of an input ``x`` and an output ``y``; floating-point constants become single precision."""
    initialisers = []
    for name, value in (constants or {}).items():
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iub" else np.float32)
        initialisers.append(numpy_helper.from_array(array, name))
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", FLOAT, list(input_shape))],
        [helper.make_tensor_value_info(output, FLOAT, None)],
        initialisers,
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def single(
    operator: str,
    input_shape: Sequence[int | str | None],
    constants: Mapping[str, npt.ArrayLike] | None = None,
    opset: int = 17,
    inputs: Sequence[str] | None = None,
    domain: str = "",
    **attributes: Any,
) -> onnx.ModelProto:
    """One node, which takes ``x`` and then the constants, in order."""
    names = inputs if inputs is not None else ["x", *(constants or {})]
    node = helper.make_node(operator, names, ["y"], name="the node", domain=domain, **attributes)
    return model([node], input_shape, constants, opset)
