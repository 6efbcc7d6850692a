"""The form that models are brought into for ezkl, run by ONNX's reference implementation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from provery.provers.ezkl.faults import Refused
from provery.provers.ezkl.onnx_model import SALT_LIMBS, limbs, load, salted

WEIGHTS = np.array([[1, -2, 3], [4, 5, -6]], dtype=np.float32)
ROW = [0.5, -0.25]


def saved(
    folder: Path, nodes: list[Any], outputs: list[Any], opset: int = 13, kind: int = TensorProto.FLOAT
) -> Path:
    given = helper.make_tensor_value_info("x", kind, ["batch", 2])
    graph = helper.make_graph(nodes, "test", [given], outputs, [numpy_helper.from_array(WEIGHTS, "w")])
    imports = [helper.make_opsetid("", opset), helper.make_opsetid("ai.onnx.ml", 1)]
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=8), path)
    return path


def floats(name: str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 3])


def classifier(folder: Path) -> Path:
    """As scikit-learn's exporter writes one: scaled inputs, a label, scores with names."""
    nodes = [
        helper.make_node("Scaler", ["x"], ["s"], domain="ai.onnx.ml", offset=[0.5, 0.25], scale=[2.0, 4.0]),
        helper.make_node("MatMul", ["s", "w"], ["y"]),
        helper.make_node("ArgMax", ["y"], ["label"], axis=1),
        helper.make_node("ZipMap", ["y"], ["named"], domain="ai.onnx.ml", classlabels_int64s=[0, 1, 2]),
    ]
    label = helper.make_tensor_value_info("label", TensorProto.INT64, None)
    named = helper.make_value_info(
        "named",
        helper.make_sequence_type_proto(
            helper.make_map_type_proto(
                TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, None)
            )
        ),
    )
    return saved(folder, nodes, [label, named])


def test_a_classifier_is_read_down_to_its_scores(tmp_path: Path) -> None:
    model = load(classifier(tmp_path))
    assert (model.shape, model.inputs) == ((1, 2), 2)
    assert {node.op_type for node in model.proto.graph.node} == {"Sub", "Mul", "MatMul"}
    expected = (np.array(ROW) - [0.5, 0.25]) * [2, 4] @ WEIGHTS
    assert model.infer([ROW]) == [pytest.approx(expected.tolist())]


@pytest.mark.parametrize("opset", [7, 9, 10, 13, 18])
def test_a_salt_before_the_inputs_changes_no_output(tmp_path: Path, opset: int) -> None:
    model = load(saved(tmp_path, [helper.make_node("MatMul", ["x", "w"], ["y"])], [floats("y")], opset))
    proto = salted(model)
    onnx.checker.check_model(proto)
    session: Any = ReferenceEvaluator(proto)
    for salt in (bytes(31), bytes(range(31)), b"\xff" * 31):
        given = np.array([[*limbs(salt), *ROW]], dtype=np.float32)
        assert session.run(None, {"provery_salted": given})[0].ravel().tolist() == model.infer([ROW])[0]
    assert [value.name for value in model.proto.graph.input] == ["x"]


def test_a_salt_is_told_whole() -> None:
    salt = bytes(range(1, 32))
    told = limbs(salt)
    assert len(told) == SALT_LIMBS
    assert told[:2] == [1, 0x0203]
    assert sum(limb << 16 * (SALT_LIMBS - 1 - at) for at, limb in enumerate(told)) == int.from_bytes(
        salt, "big"
    )


def test_other_models_are_refused(tmp_path: Path) -> None:
    multiply = helper.make_node("MatMul", ["x", "w"], ["y"])
    with pytest.raises(Refused, match="32-bit floats"):
        load(saved(tmp_path, [multiply], [floats("y")], kind=TensorProto.DOUBLE))
    label = helper.make_tensor_value_info("label", TensorProto.INT64, None)
    largest = helper.make_node("ArgMax", ["y"], ["label"], axis=1)
    with pytest.raises(Refused, match="no output"):
        load(saved(tmp_path, [multiply, largest], [label]))
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(Refused):
        load(tmp_path / "empty.onnx")
