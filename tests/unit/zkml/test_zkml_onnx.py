"""ONNX models lowered: every operator beside the reference implementation, and refusals by name."""

from __future__ import annotations

import base64
import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.systems.zkml.quantised import calibrate, spec
from provery.systems.zkml.quantised.onnx_file import describe, parse
from provery.systems.zkml.quantised.onnx_reader import OPERATORS, network_of, read_model
from provery.systems.zkml.quantised.quantise import quantise
from tests.support.zkml_onnx import model, single

MODELS = Path("provery/systems/zkml/vectors/models")
FINE = ModelSettings(scale=20, input_bits=26)
DRAW = np.random.default_rng(20)


def numbers(*shape: int) -> np.ndarray:
    return DRAW.uniform(-1, 1, shape).astype(np.float32)


def agrees(built: onnx.ModelProto, tolerance: float = 2e-5, rows: int = 6) -> None:
    """The quantised model is near the reference implementation's outputs of the whole file."""
    network = network_of(parse(built.SerializeToString()))
    graph = quantise(network, FINE, "0" * 64)
    given = calibrate.draw_rows(network, FINE, rows)
    report = calibrate.compare(graph, FINE, given, calibrate.infer_floats(built, network, given))
    assert report.error <= tolerance
    quantised = [spec.quantise_inputs(row, FINE) for row in given]
    assert any(any(spec.infer(graph, row)) for row in quantised)


IMAGE = (1, 4, 6, 7)
LINE = (1, 4, 9)
ROWS = (1, 6)
weights = {"w": numbers(6, 4, 3, 3) * 0.3}
CASES = {
    "MatMul": single("MatMul", ROWS, {"w": numbers(6, 4)}),
    "MatMul vector": single("MatMul", ROWS, {"w": numbers(6)}),
    "MatMul of several rows": single("MatMul", (2, 3, 4), {"w": numbers(4, 5)}),
    "MatMul rank 1": single("MatMul", (6,), {"w": numbers(6, 4)}),
    "Gemm": single("Gemm", ROWS, {"b": numbers(6, 3), "c": numbers(3)}),
    "Gemm alpha beta": single("Gemm", ROWS, {"b": numbers(3, 6), "c": numbers(1)}, transB=1, alpha=0.7, beta=-1.3),
    "Gemm transA": single("Gemm", (6, 2), {"b": numbers(6, 3), "c": numbers(2, 1)}, transA=1),
    "Gemm without C": single("Gemm", ROWS, {"b": numbers(6, 3)}),
    "Gemm opset 7": single("Gemm", ROWS, {"b": numbers(6, 3), "c": numbers(3)}, opset=7),
    "Add constant": single("Add", IMAGE, {"c": numbers(4, 1, 1)}),
    "Add left": single("Add", ROWS, {"c": numbers(6)}, inputs=["c", "x"]),
    "Add broadcasts the input": single("Add", (1, 6), {"c": numbers(3, 1)}),
    "Add self": single("Add", ROWS, inputs=["x", "x"]),
    "Sub constant": single("Sub", ROWS, {"c": numbers(1, 6)}),
    "Sub from constant": single("Sub", ROWS, {"c": numbers(6)}, inputs=["c", "x"]),
    "Mul constant": single("Mul", ROWS, {"c": numbers(6)}),
    "Mul self": single("Mul", ROWS, inputs=["x", "x"]),
    "Div constant": single("Div", ROWS, {"c": 1 + numbers(6) / 2}),
    "Relu": single("Relu", ROWS),
    "Clip": single("Clip", ROWS, {"low": np.float32(0)}),
    "Clip both": single("Clip", ROWS, {"low": np.float32(-0.25), "high": np.float32(0.5)}),
    "Clip above": single("Clip", ROWS, {"high": np.float32(0.3)}, inputs=["x", "", "high"]),
    "Clip opset 6 form": single("Clip", ROWS, opset=10, min=0.0, max=0.6),
    "Clip nothing": single("Clip", ROWS, opset=10),
    "Sigmoid": single("Sigmoid", ROWS),
    "Tanh": single("Tanh", ROWS),
    "Softmax": single("Softmax", (2, 3, 4)),
    "Softmax axis": single("Softmax", (2, 3, 4), axis=1),
    "Softmax opset 11": single("Softmax", (2, 3, 4), opset=11),
    "Softmax opset 11 axis": single("Softmax", (2, 3, 4), opset=11, axis=2),
    "Reshape": single("Reshape", (1, 6), {"s": [3, -1]}),
    "Reshape zero": single("Reshape", (2, 6), {"s": [0, 2, 3]}),
    "Flatten": single("Flatten", IMAGE),
    "Flatten axis 0": single("Flatten", IMAGE, axis=0),
    "Flatten axis -1": single("Flatten", IMAGE, axis=-1),
    "Squeeze": single("Squeeze", (1, 6, 1), {"a": [2]}),
    "Squeeze all": single("Squeeze", (1, 6, 1)),
    "Squeeze opset 11": single("Squeeze", (1, 6, 1), opset=11, axes=[0, 2]),
    "Unsqueeze": single("Unsqueeze", (1, 6), {"a": [1, -1]}),
    "Unsqueeze opset 11": single("Unsqueeze", (1, 6), opset=11, axes=[0]),
    "Identity": single("Identity", ROWS),
    "Dropout": single("Dropout", ROWS),
    "Dropout ratio": single("Dropout", ROWS, {"r": np.float32(0.5)}),
    "Dropout opset 10": single("Dropout", ROWS, opset=10, ratio=0.5),
    "Cast": single("Cast", ROWS, to=onnx.TensorProto.DOUBLE),
    "Transpose": single("Transpose", (1, 2, 3, 4), perm=[0, 2, 3, 1]),
    "Transpose plain": single("Transpose", (2, 3)),
    "Expand": single("Expand", (1, 3, 1), {"s": [2, 1, 4]}),
    "Slice": single("Slice", IMAGE, {"s": [1, -3], "e": [2**31, 1], "a": [1, 3], "p": [2, -1]}),
    "Slice opset 9": single("Slice", IMAGE, opset=9, starts=[1, 0], ends=[3, -1], axes=[1, 2]),
    "Gather": single("Gather", (2, 5), {"i": [[4, 0], [-1, 2]]}, axis=1),
    "Concat": single("Concat", (1, 3), inputs=["x", "x"], axis=-1),
    "Concat constant": single("Concat", (2, 3), {"c": numbers(1, 3)}, axis=0),
    "Conv": single("Conv", IMAGE, weights),
    "Conv bias pads": single("Conv", IMAGE, {**weights, "b": numbers(6)}, pads=[1, 0, 2, 1], strides=[2, 1]),
    "Conv groups": single("Conv", IMAGE, {"w": numbers(6, 2, 3, 3)}, group=2),
    "Conv depthwise": single("Conv", IMAGE, {"w": numbers(4, 1, 3, 2)}, group=4, pads=[1, 1, 1, 0]),
    "Conv dilations": single("Conv", IMAGE, {"w": numbers(2, 4, 2, 3)}, dilations=[3, 2]),
    "Conv SAME_UPPER": single("Conv", IMAGE, {"w": numbers(2, 4, 2, 4)}, auto_pad="SAME_UPPER", strides=[2, 2]),
    "Conv SAME_LOWER": single("Conv", IMAGE, {"w": numbers(2, 4, 2, 4)}, auto_pad="SAME_LOWER"),
    "Conv VALID": single("Conv", IMAGE, {"w": numbers(2, 4, 2, 4)}, auto_pad="VALID"),
    "Conv 1-D": single("Conv", LINE, {"w": numbers(5, 4, 3), "b": numbers(5)}, strides=[2], pads=[1, 2], dilations=[2]),
    "MaxPool": single("MaxPool", IMAGE, kernel_shape=[2, 3], strides=[2, 2]),
    "MaxPool pads": single("MaxPool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "MaxPool ceil": single("MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 3], ceil_mode=1),
    "MaxPool dilations": single("MaxPool", IMAGE, kernel_shape=[2, 2], dilations=[2, 3]),
    "MaxPool SAME": single("MaxPool", IMAGE, kernel_shape=[2, 2], auto_pad="SAME_UPPER"),
    "MaxPool 1-D": single("MaxPool", LINE, kernel_shape=[3], strides=[2]),
    "AveragePool": single("AveragePool", IMAGE, kernel_shape=[2, 3]),
    "AveragePool pads": single("AveragePool", IMAGE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], strides=[2, 2]),
    "AveragePool counted": single("AveragePool", IMAGE, kernel_shape=[3, 2], pads=[1, 1, 0, 1], count_include_pad=1),
    "AveragePool ceil": single("AveragePool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "AveragePool 1-D": single("AveragePool", LINE, kernel_shape=[4], strides=[3]),
    "GlobalAveragePool": single("GlobalAveragePool", IMAGE),
    "GlobalMaxPool": single("GlobalMaxPool", IMAGE),
    "BatchNormalization": single(
        "BatchNormalization",
        IMAGE,
        {"s": numbers(4), "b": numbers(4), "m": numbers(4), "v": 0.5 + numbers(4) / 4},
        epsilon=1e-3,
    ),
    "Scaler": single("Scaler", ROWS, domain="ai.onnx.ml", offset=[0.5] * 6, scale=[0.5, 1, 2, 3, 4, 0.1]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_operators_agree_with_the_reference_implementation(name: str) -> None:
    agrees(CASES[name])


def test_every_operator_is_tried() -> None:
    tried = {node.op_type for built in CASES.values() for node in built.graph.node}
    elsewhere = {"Constant", "ConstantOfShape", "Shape", "ZipMap"}
    assert {name.removeprefix("ai.onnx.ml.") for name in OPERATORS} == tried | elsewhere


def test_exporters_shape_arithmetic_is_followed() -> None:
    filler = numpy_helper.from_array(np.array([-1], dtype=np.int64))
    nodes = [
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Constant", [], ["zero"], value_int=0),
        helper.make_node("Gather", ["shape", "zero"], ["batch"]),
        helper.make_node("Constant", [], ["axes"], value_ints=[0]),
        helper.make_node("Unsqueeze", ["batch", "axes"], ["first"]),
        helper.make_node(
            "Constant", [], ["one"], value=numpy_helper.from_array(np.array([1], dtype=np.int64))
        ),
        helper.make_node("ConstantOfShape", ["one"], ["rest"], value=filler),
        helper.make_node("Concat", ["first", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["flat"]),
        helper.make_node("Constant", [], ["w0"], value_floats=[float(i) for i in range(24)]),
        helper.make_node("Constant", [], ["two"], value_ints=[12, 2]),
        helper.make_node("Reshape", ["w0", "two"], ["w1"]),
        helper.make_node("Constant", [], ["tenth"], value_float=0.1),
        helper.make_node("Mul", ["w1", "tenth"], ["w"]),
        helper.make_node("MatMul", ["flat", "w"], ["y"]),
    ]
    built = model(nodes, ["batch", 3, 2, 2])
    assert network_of(built).output_shape == (1, 2)
    agrees(built)


def test_convolutions_take_in_what_follows_them() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("Add", ["c", "b"], ["a"]),
        helper.make_node("BatchNormalization", ["a", "s", "o", "m", "v"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("Mul", ["r", "k"], ["y"]),
    ]
    constants = {
        "w": numbers(3, 4, 2, 2), "b": numbers(3, 1, 1), "s": numbers(3), "o": numbers(3), "m": numbers(3),
        "v": 1 + numbers(3) / 2, "k": numbers(3, 1, 1),
    }  # fmt: skip
    built = model(nodes, IMAGE, constants)
    kinds = [type(layer).__name__ for layer in network_of(built).layers]
    assert kinds == ["Convolution", "Rectifier", "Scaling"]
    agrees(built)


def test_what_is_read_twice_is_not_drawn_in() -> None:
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["a"]),
        helper.make_node("Add", ["a", "m"], ["y"]),
    ]
    built = model(nodes, ROWS, {"w": numbers(6, 3), "b": numbers(3)})
    assert [type(layer).__name__ for layer in network_of(built).layers] == ["Linear", "Scaling", "Sum"]
    agrees(built)


def test_biases_that_differ_by_place_are_not_drawn_in() -> None:
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Add", ["c", "b"], ["y"])]
    agrees(model(nodes, (1, 1, 3, 3), {"w": numbers(2, 1, 2, 2), "b": numbers(1, 2, 2, 2)}))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_windows_agree_whatever_their_geometry(data: st.DataObject) -> None:
    def draw(least: int, most: int) -> int:
        return data.draw(st.integers(least, most))

    kernel = [draw(1, 3), draw(1, 3)]
    size = [draw(5, 8), draw(5, 8)]
    attributes: dict[str, Any] = {
        "strides": [draw(1, 3), draw(1, 3)],
        "pads": [draw(0, kernel[i % 2] - 1) for i in range(4)],
    }
    operator = data.draw(st.sampled_from(["Conv", "MaxPool", "AveragePool"]))
    if operator == "Conv":
        group = draw(1, 2)
        attributes |= {"dilations": [draw(1, 2), draw(1, 2)], "group": group}
        built = single("Conv", (1, 2, *size), {"w": numbers(4, 2 // group, *kernel)}, **attributes)
    else:
        attributes |= {"kernel_shape": kernel}
        if operator == "AveragePool":
            attributes |= {"count_include_pad": draw(0, 1)}
        built = single(operator, (1, 2, *size), **attributes)
    agrees(built)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(0, 2**32 - 1), st.booleans())
def test_perceptrons_stay_within_their_error_bound(widths: list[int], seed: int, gemm: bool) -> None:
    draw = np.random.default_rng(seed)
    nodes, constants, before, name = [], {}, 4, "x"
    for place, width in enumerate(widths):
        constants[f"w{place}"] = draw.normal(0, 1, (before, width)) / math.sqrt(before)
        constants[f"b{place}"] = draw.normal(0, 1, (width,))
        if gemm:
            nodes.append(helper.make_node("Gemm", [name, f"w{place}", f"b{place}"], [f"s{place}"]))
        else:
            nodes.append(helper.make_node("MatMul", [name, f"w{place}"], [f"m{place}"]))
            nodes.append(helper.make_node("Add", [f"m{place}", f"b{place}"], [f"s{place}"]))
        name = "y" if place == len(widths) - 1 else f"r{place}"
        nodes.append(helper.make_node("Relu", [f"s{place}"], [name]))
        before = width
    built = model(nodes, (1, 4), constants)
    network = network_of(built)
    chosen = ModelSettings()
    rows = calibrate.draw_rows(network, chosen, 8)
    report = calibrate.compare(
        quantise(network, chosen, "0" * 64), chosen, rows, calibrate.infer_floats(built, network, rows)
    )
    # Half a unit at each input, weight and result, through sums of absolute weights and values.
    unit, error, largest = 2.0**-chosen.scale / 2, 2.0**-chosen.scale / 2, 1.0
    for place in range(len(widths)):
        weight = np.abs(constants[f"w{place}"])
        error = float(weight.sum(0).max()) * error + weight.shape[0] * unit * (largest + error) + 2 * unit
        largest = float((weight.sum(0) * largest + np.abs(constants[f"b{place}"])).max())
    assert report.error <= error + 1e-5 * largest


# ------------------------------------------------------------ models of others


@pytest.mark.parametrize(
    ("name", "output", "passed", "shapes"),
    [
        ("spending-model", "output", (), ((1, 8), (1, 3))),
        ("mnist-conv", "Plus214_Output_0", (), ((1, 1, 28, 28), (1, 10))),
        ("iris-classifier", "out_activations_result", ("output_label",), ((1, 4), (1, 3))),
        ("cancer-classifier", "probabilities", ("output_label",), ((1, 30), (1, 2))),
        ("diabetes-regressor", "variable", (), ((1, 10), (1, 1))),
    ],
)
def test_models_of_others_are_read(
    name: str, output: str, passed: tuple[str, ...], shapes: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    network = read_model((MODELS / f"{name}.onnx").read_bytes())
    assert (network.output_name, network.passed_over) == (output, passed)
    assert (network.input_shape, network.output_shape) == shapes


def test_models_are_those_that_provenance_names() -> None:
    said = (MODELS / "PROVENANCE.md").read_text()
    for path in MODELS.iterdir():
        if path.suffix != ".md":
            assert f"| `{path.name}` |" in said
            assert hashlib.sha256(path.read_bytes()).hexdigest() in said


def test_the_digit_is_recognised() -> None:
    network = read_model((MODELS / "mnist-conv.onnx").read_bytes())
    sample = json.loads((MODELS / "mnist-conv.sample.json").read_bytes())
    chosen = ModelSettings(scale=16, input_bits=26)
    graph = quantise(network, chosen, "0" * 64)
    outputs = spec.dequantise(spec.infer(graph, spec.quantise_inputs(sample["inputs"][0], chosen)), 16)
    assert outputs == pytest.approx(sample["outputs"][0], abs=0.2)
    assert outputs.index(max(outputs)) == 2


def test_a_file_describes_itself() -> None:
    said = describe(parse((MODELS / "iris-classifier.onnx").read_bytes()))
    assert said.input_shape == (1, 4)
    assert said.opset == 17
    assert said.producer == "skl2onnx 1.20.0"
    assert {"MatMul", "ai.onnx.ml.ZipMap", "ai.onnx.ml.Scaler"} <= set(said.operators)


# ------------------------------------------------------------ refusals


REFUSED = [
    (single("Erf", ROWS), "operator Erf of node 'the node' is not supported.*AveragePool.*ezkl"),
    (single("LeakyRelu", ROWS), "operator LeakyRelu"),
    (single("Relu", ["n", "m"]), "dimension 1 of input 'x' is open.*'m'"),
    (single("Relu", ["n"]), "dimension 0 of input 'x' is open"),
    (single("Relu", [1, 0]), "dimension 1 of input 'x' is open"),
    (single("Relu", [1, -4]), "impossible shape"),
    (single("Relu", [2**20, 2**20]), "impossible shape"),
    (single("Relu", ROWS, opset=6), "opset is not understood"),
    (single("Relu", ROWS, opset=999), "opset is not understood"),
    (single("Relu", ROWS, alpha=0.5), "unknown attributes.*alpha"),
    (single("Relu", ROWS, domain="com.example"), "unknown domain|not supported"),
    (single("MatMul", ROWS, {"w": numbers(5, 2)}), "the constant does not fit"),
    (single("MatMul", (2, 2), inputs=["x", "x"]), "depends on the model's input"),
    (single("MatMul", (2, 2), {"w": numbers(2, 2)}, inputs=["w", "x"]), "input 0 is a constant"),
    (single("Gemm", ROWS, {"b": numbers(6, 3), "c": numbers(4)}), "input 2 does not fit"),
    (single("Add", ROWS, {"c": numbers(5)}), "do not go together"),
    (single("Div", ROWS, {"c": [0.0] * 6}), "divides by 0"),
    (single("Div", ROWS, inputs=["x", "x"]), "divides by what depends"),
    (single("Div", ROWS, {"c": numbers(6)}, inputs=["c", "x"]), "divides by what depends"),
    (single("Mul", ROWS, {"c": [np.inf] * 6}), "not finite"),
    (single("Cast", ROWS, to=onnx.TensorProto.INT64), "no floating-point number"),
    (single("Reshape", ROWS, {"s": [4, -1]}), "impossible"),
    (single("Reshape", ROWS, {"s": [-1, -1]}), "impossible shape"),
    (single("Reshape", ROWS, {"s": [2**40, 2**40]}), "impossible"),
    (single("Expand", ROWS, {"s": [2**40, 6]}), "impossible shape"),
    (single("Expand", ROWS, {"s": [2**23, 6]}), "impossible shape|too many numbers"),
    (single("Transpose", ROWS, perm=[0, 0]), "impossible"),
    (single("Squeeze", ROWS, {"a": [1]}), "impossible"),
    (single("Gather", ROWS, {"i": [9]}, axis=1), "impossible"),
    (single("Softmax", ROWS, axis=2), "no such axis"),
    (single("Conv", (2, 4, 6, 6), weights), "unsupported input"),
    (single("Conv", (1, 4, 6, 6, 6), {"w": numbers(2, 4, 2, 2, 2)}), "unsupported input"),
    (single("Conv", IMAGE, weights, pads=[-1, 0, 0, 0]), "impossible pads"),
    (single("Conv", IMAGE, weights, strides=[0, 1]), "impossible strides"),
    (single("Conv", IMAGE, weights, group=3), "channels do not fit"),
    (single("Conv", IMAGE, weights, kernel_shape=[2, 2]), "kernel_shape is not"),
    (single("Conv", IMAGE, weights, dilations=[9, 9]), "window is larger"),
    (single("Conv", IMAGE, weights, auto_pad="SOME"), "unknown auto_pad"),
    (single("MaxPool", IMAGE, kernel_shape=[2]), "kernel_shape does not fit"),
    (single("MaxPool", IMAGE, kernel_shape=[2, 2], pads=[3, 3, 3, 3]), "all padding"),
    (single("AveragePool", IMAGE, kernel_shape=[2**40, 1]), "impossible kernel_shape"),
    (single("AveragePool", (1, 1, 1, 2**20), kernel_shape=[1, 2**15]), "too many or too large"),
    (single("Clip", ROWS, {"low": np.float32(2), "high": np.float32(1)}), "wrong way round"),
    (
        single("BatchNormalization", IMAGE, {k: -numbers(4) ** 2 - 1 for k in "sbmv"}),
        "variance is not positive",
    ),
    (single("ConstantOfShape", ROWS, {"s": [4]}, inputs=["s"]), "does not depend on the input"),
]  # fmt: skip


@pytest.mark.parametrize(("built", "said"), REFUSED)
def test_models_are_refused_by_node_and_reason(built: onnx.ModelProto, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        read_model(built.SerializeToString())


def test_an_output_that_is_not_lowered_is_not_replaced_by_another() -> None:
    built = single("Relu", ROWS)
    built.graph.node.append(helper.make_node("Erf", ["x"], ["first"]))
    built.graph.output.insert(0, helper.make_tensor_value_info("first", onnx.TensorProto.FLOAT, None))
    with pytest.raises(InvalidInput, match="operator Erf"):
        read_model(built.SerializeToString())


# ------------------------------------------------------------ another implementation

RUNTIME = json.loads(Path("provery/systems/zkml/vectors/onnx/onnxruntime.json").read_bytes())


@pytest.mark.parametrize("case", RUNTIME, ids=lambda case: case["name"])
def test_models_compute_what_onnxruntime_does(case: dict[str, Any]) -> None:
    built = parse(base64.b64decode(case["model"]))
    network = network_of(built)
    assert network.output_shape == tuple(case["shape"])
    row = tuple(case["input"])
    graph = quantise(network, FINE, "0" * 64)
    made = spec.dequantise(spec.infer(graph, spec.quantise_inputs(row, FINE)), FINE.scale)
    assert made == pytest.approx(case["output"], abs=1e-5)
    assert calibrate.infer_floats(built, network, (row,))[0] == pytest.approx(
        np.array(case["output"]), abs=1e-6
    )
