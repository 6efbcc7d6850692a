"""Calibration: figures, the tolerance and the advice where it is missed; models made ready for either prover."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings, Visibility
from provery.systems.zkml.quantised import calibrate, spec
from provery.systems.zkml.quantised.graph import read
from provery.systems.zkml.quantised.onnx_reader import read_model
from provery.systems.zkml.quantised.prepare import prepare
from provery.systems.zkml.quantised.quantise import quantise
from tests.support.zkml_onnx import model, single

MODELS = Path("provery/systems/zkml/vectors/models")


def _data(name: str) -> bytes:
    return (MODELS / f"{name}.onnx").read_bytes()


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("spending-model", ModelSettings()),
        ("iris-classifier", ModelSettings(visibility=Visibility.HASHED)),
        ("cancer-classifier", ModelSettings(scale=16, input_bits=30)),
        ("diabetes-regressor", ModelSettings(scale=20, input_bits=32)),
    ],
)
def test_models_are_made_ready(name: str, chosen: ModelSettings) -> None:
    data = _data(name)
    sha256 = hashlib.sha256(data).hexdigest()
    made = prepare(data, chosen, sha256)
    graph, about = read(made.graph), json.loads(made.about)
    assert (graph.model, graph.visibility, graph.scale) == (sha256, chosen.visibility.value, chosen.scale)
    assert about["output_shape"] == list(graph.output_shape)
    assert float(made.facts["calibration_error"]) <= chosen.tolerance
    assert float(made.facts["same_argmax"]) >= 0.95
    rows = json.loads(made.rows)["rows"]
    assert len(rows) == calibrate.DRAWN
    assert about["calibration"]["rows"] == len(rows)
    # The same again, byte for byte: versions are named by what they are made of.
    assert prepare(data, chosen, sha256) == made


def test_the_report_is_of_the_twin_and_the_float_model() -> None:
    built = single("MatMul", (1, 2), {"w": [[1.0, 0.0], [0.0, 1 / 3]]})
    chosen = ModelSettings(scale=4, input_bits=8, tolerance=1.0)
    data = built.SerializeToString()
    rows = ((1.0, 3.0), (0.5, -6.0), (3.0, 3.0))
    made = prepare(data, chosen, "0" * 64, calibrate.write_rows(rows))
    # 1/3 is 5/16, so the second output is 15/16 for 1, -30/16 for -2.
    said = json.loads(made.about)["calibration"]
    assert said["worst"] == pytest.approx([0.0, 0.125], abs=1e-6)
    assert said["mean"] == pytest.approx([0.0, (0.0625 + 0.125 + 0.0625) / 3], abs=1e-6)
    assert said["rows"] == 3
    assert made.facts["calibration_error"] == "0.125"


def test_shares_of_equal_argmax_count_rows() -> None:
    built = single("MatMul", (1, 1), {"w": [[1.0, 1.01]]})
    network = read_model(built.SerializeToString())
    chosen = ModelSettings(scale=4, input_bits=8)
    rows = ((1.0,), (-1.0,), (2.0,), (-2.0,))
    graph = quantise(network, chosen, "0" * 64)
    report = calibrate.compare(graph, chosen, rows, calibrate.infer_floats(built, network, rows))
    assert report.same_argmax == 0.5


def test_a_missed_tolerance_names_error_tolerance_and_a_scale_that_keeps_it() -> None:
    data = _data("cancer-classifier")
    with pytest.raises(
        InvalidInput, match=r"differs .* by 0\.02.*tolerance, 0\.01.*scale 14 with input_bits 26"
    ):
        prepare(data, ModelSettings(), "0" * 64)
    made = prepare(data, ModelSettings(scale=14, input_bits=26), "0" * 64)
    assert float(made.facts["calibration_error"]) <= 0.01


def test_a_tolerance_that_nothing_keeps_is_said_so() -> None:
    with pytest.raises(InvalidInput, match="no larger scale does, the best gives"):
        prepare(_data("spending-model"), ModelSettings(tolerance=1e-12), "0" * 64)


def test_drawn_rows_are_the_same_everywhere_and_standardised() -> None:
    network = read_model(_data("iris-classifier"))
    rows = calibrate.draw_rows(network, ModelSettings())
    assert rows == calibrate.draw_rows(network, ModelSettings())
    digest = hashlib.sha256(calibrate.write_rows(rows)).hexdigest()
    assert digest == "7281e5cb308b742fa939288057cf16f9835f643398cf756eba4b432dee521bc9"
    first = network.layers[0]
    standardised = np.array(rows) * first.weights + first.bias  # type: ignore[attr-defined]
    assert np.abs(standardised).max() <= 1.001
    small = calibrate.draw_rows(network, replace(ModelSettings(), input_bits=12))
    assert max(abs(value) for row in small for value in row) < 1
    for row in small:
        spec.quantise_inputs(row, replace(ModelSettings(), input_bits=12))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"{}", b'{"rows":[]}', b'{"rows":[[1]]}', b'{"rows":[[1,2],[1,"2"]]}', b'{"rows":[[1,true]]}',
        b'{"rows":[[1,NaN]]}', b'{"rows":[[1,1e999]]}', b'{"rows":[[1,2]],"more":1}', b"[" * 100_000,
        b'{"rows":' + b"[[1,2]," * 1 + b"[1,2]," * 1_024 + b"[1,2]]}", b'{"rows":[[1,%s]]}' % (b"9" * 400),
    ],
    ids=range(13),
)  # fmt: skip
def test_malformed_calibrations_are_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput, match="calibration"):
        calibrate.read_rows(text, 2)


def test_rows_out_of_range_are_refused_by_number() -> None:
    rows = calibrate.write_rows(((0.0, 0.0), (0.0, 5_000.0)))
    data = single("MatMul", (1, 2), {"w": [[1.0], [1.0]]}).SerializeToString()
    with pytest.raises(InvalidInput, match="row 1 of the calibration: input 1 is out of range"):
        prepare(data, ModelSettings(), "0" * 64, rows)


def test_another_provers_model_may_have_other_operators() -> None:
    nodes = [helper.make_node("Erf", ["x"], ["e"]), helper.make_node("Relu", ["e"], ["y"])]
    built = model(nodes, ["n", 4])
    del built.graph.output[:]
    built.graph.output.append(helper.make_tensor_value_info("y", 1, ["n", 4]))
    data = built.SerializeToString()
    with pytest.raises(InvalidInput, match="operator Erf"):
        prepare(data, ModelSettings(), "0" * 64)
    made = prepare(data, ModelSettings(prover="ezkl"), "0" * 64)
    about = json.loads(made.about)
    assert (made.graph, made.operators) == (b"", ("Erf", "Relu"))
    assert (about["input_shape"], about["output_shape"]) == ([1, 4], [1, 4])
    assert len(json.loads(made.rows)["rows"][0]) == 4


def test_the_convolutional_net_is_calibrated_on_its_image() -> None:
    sample = json.loads((MODELS / "mnist-conv.sample.json").read_bytes())
    rows = calibrate.write_rows((tuple(sample["inputs"][0]),))
    made = prepare(_data("mnist-conv"), ModelSettings(scale=16, input_bits=26, tolerance=0.2), "0" * 64, rows)
    assert made.facts["same_argmax"] == "1.0000"


def test_shapes_that_are_not_declared_are_refused_for_another_prover() -> None:
    # Nothing that a file asks for is run to find out what it is.
    data = single("Erf", (1, 4)).SerializeToString()
    with pytest.raises(InvalidInput, match="no floating-point tensor of known shape"):
        prepare(data, ModelSettings(prover="ezkl"), "0" * 64)
