"""ONNX files made to do harm: each is refused by an InvalidInput, soon, and nothing but its bytes is read."""

from __future__ import annotations

import builtins
import io
import os
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.systems.zkml.quantised.onnx_file import describe, parse
from provery.systems.zkml.quantised.onnx_reader import read_model
from provery.systems.zkml.quantised.prepare import prepare
from provery.systems.zkml.quantised.quantise import quantise
from tests.support.zkml_onnx import FLOAT, model, single

MODELS = Path("provery/systems/zkml/vectors/models")
FILES = {path.stem: path.read_bytes() for path in sorted(MODELS.glob("*.onnx"))}


def _try(data: bytes) -> None:
    with suppress(InvalidInput):
        quantise(read_model(data), ModelSettings(), "0" * 64)
    with suppress(InvalidInput):
        describe(parse(data))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from(["spending-model", "iris-classifier", "cancer-classifier", "diabetes-regressor"]),
    st.data(),
)
def test_flipped_bytes_give_a_model_or_a_refusal(name: str, data: st.DataObject) -> None:
    text = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(1, 8))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    _try(bytes(text))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(FILES)), st.data())
def test_truncated_files_give_a_model_or_a_refusal(name: str, data: st.DataObject) -> None:
    text = FILES[name]
    _try(text[: data.draw(st.integers(0, len(text) - 1))])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_give_a_refusal(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        read_model(data)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_drawn_attributes_and_shapes_give_a_model_or_a_refusal(data: st.DataObject) -> None:
    sizes = st.lists(st.integers(-2, 2**40) | st.integers(-2, 5), min_size=1, max_size=6)
    operator = data.draw(
        st.sampled_from(["Conv", "MaxPool", "AveragePool", "Reshape", "Slice", "Expand", "Transpose"])
    )
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=5))
    if operator in ("Reshape", "Expand"):
        built = single(operator, shape, {"s": np.array(data.draw(sizes), dtype=np.int64)})
    elif operator == "Slice":
        bounds = {name: np.array(data.draw(sizes), dtype=np.int64) for name in "seap"}
        built = single(operator, shape, bounds)
    elif operator == "Transpose":
        built = single(operator, shape, perm=data.draw(sizes))
    else:
        names = ["kernel_shape", "strides", "pads", "dilations"]
        attributes = {name: data.draw(sizes) for name in names if data.draw(st.booleans())}
        constants = (
            {"w": np.ones(data.draw(st.lists(st.integers(0, 4), max_size=5)))} if operator == "Conv" else {}
        )
        built = single(operator, shape, constants, **attributes)  # type: ignore[arg-type]
    _try(built.SerializeToString())


def test_large_files_are_refused_unread() -> None:
    with pytest.raises(InvalidInput, match="too large"):
        read_model(b"\0" * 1_001, limit=1_000)


def _external() -> onnx.ModelProto:
    built = single("MatMul", (1, 4), {"w": np.ones((4, 2))})
    tensor = built.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "/etc/passwd"), ("offset", "0"), ("length", "32")):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return built


def _external_in_a_subgraph() -> onnx.ModelProto:
    inner = _external().graph
    del inner.input[:]
    node = helper.make_node("If", ["x"], ["y"], then_branch=inner, else_branch=inner)
    return model([node], (1, 4))


def _external_in_a_constant() -> onnx.ModelProto:
    tensor = _external().graph.initializer[0]
    nodes = [
        helper.make_node("Constant", [], ["w"], value=tensor),
        helper.make_node("MatMul", ["x", "w"], ["y"]),
    ]
    return model(nodes, (1, 4))


@pytest.mark.parametrize("make", [_external, _external_in_a_subgraph, _external_in_a_constant])
@pytest.mark.parametrize("prover", ["native", "ezkl"])
def test_tensors_in_other_files_are_refused_and_no_file_is_opened(
    make: object, prover: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = make().SerializeToString()  # type: ignore[operator]

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a file was opened")

    for place, name in ((builtins, "open"), (io, "open"), (os, "open")):
        monkeypatch.setattr(place, name, refuse)
    with pytest.raises(InvalidInput, match="other files"):
        prepare(data, ModelSettings(prover=prover), "0" * 64)


def test_huge_shapes_without_data_are_refused_without_memory() -> None:
    built = single("MatMul", (1, 4), {"w": np.ones((4, 2))})
    tracemalloc.start()
    try:
        for dims in ([2**40, 2**40], [2**62], [4, 2**30], [-1, 2], [2**12, 2**12, 2], [2**11, 2**11]):
            del built.graph.initializer[0].dims[:]
            built.graph.initializer[0].dims.extend(dims)
            with pytest.raises(InvalidInput, match=r"constant 'w' is|constant 'w' has"):
                read_model(built.SerializeToString())
        assert tracemalloc.get_traced_memory()[1] < 2**24
    finally:
        tracemalloc.stop()


def test_repeated_broadcasts_are_refused_without_memory() -> None:
    nodes, name = [], "x"
    for place in range(40):
        nodes.append(helper.make_node("Concat", [name, name], [f"t{place}"], axis=0))
        name = f"t{place}"
    nodes.append(helper.make_node("Relu", [name], ["y"]))
    tracemalloc.start()
    try:
        with pytest.raises(InvalidInput, match=r"too many numbers|impossible shape"):
            read_model(model(nodes, (1, 64)).SerializeToString())
        assert tracemalloc.get_traced_memory()[1] < 2**30
    finally:
        tracemalloc.stop()


def test_constants_that_grow_are_refused() -> None:
    nodes, name = [helper.make_node("Concat", ["w", "w"], ["t"], axis=0)], "t"
    for place in range(40):
        nodes.append(helper.make_node("Concat", [name, name], [f"t{place}"], axis=0))
        name = f"t{place}"
    nodes.append(helper.make_node("Add", ["x", name], ["y"]))
    with pytest.raises(InvalidInput, match="too many numbers"):
        read_model(model(nodes, (1, 4), {"w": np.ones(64)}).SerializeToString())


def test_graphs_deep_within_graphs_are_refused() -> None:
    graph = single("Relu", (1, 4)).graph
    for _ in range(20):
        node = helper.make_node("If", ["x"], ["y"], then_branch=graph)
        outputs = [helper.make_tensor_value_info("y", FLOAT, None)]
        graph = helper.make_graph([node], "g", [], outputs)
    built = single("Relu", (1, 4))
    built.graph.node.append(helper.make_node("If", ["x"], ["z"], then_branch=graph))
    with pytest.raises(InvalidInput, match=r"too deep|not an ONNX file"):
        read_model(built.SerializeToString())


def test_protobuf_nested_past_its_limit_is_refused() -> None:
    # NodeProto.attribute(5) → AttributeProto.g(6) → GraphProto.node(1), again and again.
    inner = b""
    for _ in range(2_000):
        for tag in (0x0A, 0x32, 0x2A):
            size, length = len(inner), b""
            while size >= 128:
                length += bytes([size & 127 | 128])
                size >>= 7
            inner = bytes([tag]) + length + bytes([size]) + inner
    with pytest.raises(InvalidInput):
        read_model(inner)


def test_cycles_and_missing_tensors_are_refused() -> None:
    loop = [helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])]
    missing = single("Add", (1, 4), inputs=["x", "nowhere"])
    twice = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Tanh", ["x"], ["y"])]
    with pytest.raises(InvalidInput, match="reads what nothing before it makes; got 'b'"):
        read_model(model(loop, (1, 4), output="b").SerializeToString())
    with pytest.raises(InvalidInput, match="'nowhere'"):
        read_model(missing.SerializeToString())
    with pytest.raises(InvalidInput, match="two nodes make the same tensor"):
        read_model(model(twice, (1, 4)).SerializeToString())
    with pytest.raises(InvalidInput, match="nothing makes an output"):
        read_model(model(loop[:0], (1, 4)).SerializeToString())


def test_several_inputs_other_types_and_no_outputs_are_refused() -> None:
    two = single("Relu", (1, 4))
    two.graph.input.append(helper.make_tensor_value_info("z", FLOAT, [1]))
    whole = single("Relu", (1, 4))
    whole.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    none = single("Relu", (1, 4))
    del none.graph.output[:]
    shapeless = single("Relu", (1, 4))
    shapeless.graph.input[0].type.tensor_type.ClearField("shape")
    labels = single("Relu", (1, 4))
    labels.graph.output[0].type.tensor_type.elem_type = onnx.TensorProto.INT64
    for built, said in (
        (two, "needs one input"),
        (whole, "no floating-point tensor"),
        (none, "no outputs"),
        (shapeless, "no known shape"),
        (labels, "no output is a floating-point tensor"),
    ):
        with pytest.raises(InvalidInput, match=said):
            read_model(built.SerializeToString())


def test_weights_that_are_not_finite_or_of_other_types_are_refused() -> None:
    for value in (np.nan, np.inf):
        with pytest.raises(InvalidInput, match="constant 'w' has numbers that are not finite"):
            read_model(single("MatMul", (1, 1), {"w": [[value]]}).SerializeToString())
    text = single("MatMul", (1, 1), {"w": [[1.0]]})
    text.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.array([["a"]], dtype=object), "w"))
    with pytest.raises(InvalidInput, match="unsupported type"):
        read_model(text.SerializeToString())


def test_weights_too_large_for_a_graph_are_refused_by_node() -> None:
    network = read_model(single("MatMul", (1, 1), {"w": [[1e30]]}).SerializeToString())
    with pytest.raises(InvalidInput, match="weight of node 'the node' is too large at scale 12"):
        quantise(network, ModelSettings(), "0" * 64)


def test_names_that_are_no_text_are_refused() -> None:
    data = single("Relu", (1, 4)).SerializeToString()
    for name in (b"Relu", b"the node"):
        with pytest.raises(InvalidInput, match=r"UTF-8|not an ONNX file"):
            read_model(data.replace(name, b"\xff" * len(name)))


def test_more_outputs_than_a_proof_has_room_for_are_refused() -> None:
    with pytest.raises(InvalidInput, match="each is a public value"):
        read_model(single("Expand", (1, 1), {"s": [1, 2**15]}).SerializeToString())


@pytest.mark.parametrize("operator", ["MatMul", "Softmax", "Transpose", "Concat", "Relu"])
def test_tensors_without_axes_give_a_model_or_a_refusal(operator: str) -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "s"], ["t"]),
        helper.make_node(operator, ["t", "w"] if operator == "MatMul" else ["t"], ["y"]),
    ]
    constants = {"s": np.zeros(0, dtype=np.int64), "w": np.ones((1, 1))}
    _try(model(nodes, (1, 1), constants).SerializeToString())
    with pytest.raises(InvalidInput, match="no inputs"):
        read_model(single("Concat", (1, 1), inputs=[], axis=0).SerializeToString())
