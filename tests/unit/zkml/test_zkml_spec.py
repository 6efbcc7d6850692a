"""The twin: rounding, tables, every vector, an independent evaluation, decisions, hashes, speed."""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from decimal import Decimal, localcontext
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.core.types import canonical_json
from provery.systems.zkml import hashes
from provery.systems.zkml.quantised import graph as graphs
from provery.systems.zkml.quantised import spec
from provery.systems.zkml.quantised.bounds import bounds
from provery.systems.zkml.quantised.fast import infer_fast
from provery.systems.zkml.quantised.onnx_reader import read_model
from provery.systems.zkml.quantised.ops import Add, Affine, Dense, Mul, Softmax
from provery.systems.zkml.quantised.quantise import quantise
from provery.systems.zkml.quantised.tables import CURVES, table
from tests.support import zkml_vectors
from tests.support.zkml_reference import evaluate

MODELS = Path("provery/systems/zkml/vectors/models")
VECTORS = sorted(zkml_vectors.FOLDER.glob("*.json"))
DOCUMENT_INPUTS = [0.05, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5]
finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite.filter(lambda x: abs(x) < 1e30), st.integers(1, 24))
def test_a_number_is_quantised_to_the_nearest_with_halves_up(x: float, scale: int) -> None:
    assert spec.quantise(x, scale) == math.floor(Fraction(x) * 2**scale + Fraction(1, 2))


@pytest.mark.parametrize(
    ("value", "quantised"),
    [(0.5, 1), (-0.5, 0), (1.5, 2), (-1.5, -1), (0.49999999999999994, 0), (-0.0, 0), (5e-324, 0)],
)
def test_halves_go_up_and_nothing_is_rounded_twice(value: float, quantised: int) -> None:
    assert spec.quantise(value, 0) == quantised


@given(st.integers(-(2**130), 2**130), st.integers(1, 40))
def test_rescaling_is_exact(value: int, scale: int) -> None:
    assert spec.rescale(value, scale) == math.floor(Fraction(value, 2**scale) + Fraction(1, 2))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 4096.0, -4096.0, 1e300, 4095.99999])
def test_inputs_out_of_range_are_refused_by_place(value: float) -> None:
    with pytest.raises(InvalidInput, match="input 1 is"):
        spec.quantise_inputs([0.0, value], ModelSettings())


def test_the_largest_inputs_are_taken() -> None:
    assert spec.quantise_inputs([4095.9997, -4095.9997], ModelSettings()) == (2**24 - 1, 1 - 2**24)


@given(st.lists(st.integers(-(2**53), 2**53), min_size=1), st.integers(1, 24))
def test_numbers_come_back(values: list[int], scale: int) -> None:
    back = spec.dequantise(values, scale)
    assert [Fraction(number) * 2**scale for number in back] == values


# ------------------------------------------------------------ vectors


def test_vectors_are_what_their_script_writes() -> None:
    assert {path.name: path.read_bytes() for path in VECTORS} == zkml_vectors.documents()


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_vectors_hold(path: Path) -> None:
    said = json.loads(path.read_bytes())
    text = canonical_json(said["graph"])
    graph = graphs.read(text)
    assert said["commitment"] == f"0x{graphs.commitment(text):064x}"
    limits = bounds(graph)
    rows = [case["inputs"] for case in said["cases"]]
    outputs = [tuple(case["outputs"]) for case in said["cases"]]
    assert [spec.infer(graph, row) for row in rows] == outputs
    assert infer_fast(graph, rows) == outputs
    for row in rows:
        for tensor, bound in zip(spec.trace(graph, row), limits, strict=True):
            assert bound.low <= min(tensor)
            assert max(tensor) <= bound.high


@settings(max_examples=60, deadline=None)
@given(st.data(), st.sampled_from(VECTORS))
def test_twin_fast_twin_and_fractions_agree(data: st.DataObject, path: Path) -> None:
    document: dict[str, Any] = json.loads(path.read_bytes())["graph"]
    graph = graphs.read(canonical_json(document))
    limit = 2**graph.input_bits - 1
    width = math.prod(graph.input_shape)
    row = data.draw(st.lists(st.integers(-limit, limit), min_size=width, max_size=width))
    expected = tuple(evaluate(document, row))
    assert spec.infer(graph, row) == expected
    assert infer_fast(graph, [row, row]) == [expected, expected]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 24), st.integers(2, 48), st.integers(1, 61))
def test_sums_too_wide_for_words_are_exact(data: st.DataObject, scale: int, bits: int, width: int) -> None:
    weights = tuple(data.draw(st.lists(st.integers(-(2**width), 2**width), min_size=6, max_size=6)))
    bias = tuple(data.draw(st.lists(st.integers(-(2**61), 2**61), min_size=2, max_size=2)))
    nodes = (
        Dense((0,), (1, 2), 3, 2, weights, bias),
        Affine((1,), (1, 2), weights[:2], bias),
        Mul((2, 1), (1, 2)),
        Add((3, 2), (1, 2)),
    )
    graph = graphs.Graph("0" * 64, scale, bits, "public", (1, 3), (1, 2), nodes, 4)
    row = data.draw(st.lists(st.integers(1 - 2**bits, 2**bits - 1), min_size=3, max_size=3))
    expected = tuple(evaluate(json.loads(graphs.write(graph)), row))
    assert spec.infer(graph, row) == expected
    assert infer_fast(graph, [row]) == [expected]


@pytest.mark.parametrize("row", [[0] * 7, [0] * 9, [2**24] + [0] * 7, [-(2**24)] + [0] * 7])
def test_rows_that_do_not_fit_are_refused(row: list[int]) -> None:
    graph = _spending()
    for infer in (spec.infer, lambda graph, row: infer_fast(graph, [row])):
        with pytest.raises(InvalidInput):
            infer(graph, row)


def test_numbers_above_the_limit_are_refused_by_node() -> None:
    wide = tuple(Dense((i,), (1, 1), 1, 1, (2**40,), (0,)) for i in range(4))
    with pytest.raises(InvalidInput, match=r"node 3 \(dense\) may become too large"):
        bounds(graphs.Graph("0" * 64, 12, 24, "public", (1, 1), (1, 1), wide, 4))


# ------------------------------------------------------------ tables


@pytest.mark.parametrize("function", sorted(CURVES))
@pytest.mark.parametrize("scale", [1, 4, 8, 12, 16, 20, 24])
def test_tables_are_correctly_rounded_and_near_everywhere(function: str, scale: int) -> None:
    made = table(function, scale)
    assert len(made.values) - 1 in [2**k for k in range(13)]
    worst = Fraction(0)
    with localcontext() as context:
        context.prec = 80
        for place in range(0, len(made.values) - 1, max(1, len(made.values) // 300)):
            for q in {
                made.low + (place << made.step),
                made.low + (place << made.step) + (1 << made.step) // 2,
            }:
                exact = Fraction(_function(function, Decimal(q) / 2**scale)) * 2**scale
                if q == made.low + (place << made.step):
                    assert made.values[place] == math.floor(exact + Fraction(1, 2))
                worst = max(worst, abs(spec.look_up(q, made.low, made.step, made.values) - exact))
    # The line's distance, and half a unit each of its ends and its own rounding.
    line = Fraction(4) ** (made.step - scale) / 8 * Fraction(CURVES[function].curvature) * 2**scale
    assert worst <= line + 1
    assert line <= Fraction(1, 2) or len(made.values) == 4_097


def _function(name: str, x: Decimal) -> Decimal:
    if name == "exp":
        return 1 / x.exp()
    grown = x.exp()
    if name == "sigmoid":
        return grown / (grown + 1)
    return (grown - 1 / grown) / (grown + 1 / grown)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-30, 30), min_size=2, max_size=12), st.sampled_from([8, 12, 16]))
def test_softmax_is_near_and_sums_to_one(values: list[float], scale: int) -> None:
    made = table("exp", scale)
    node = Softmax((0,), (1, len(values)), len(values), made.step, made.values)
    quantised = [spec.quantise(value, scale) for value in values]
    shares = spec.apply(node, [quantised], scale)
    weights = [math.exp(q / 2**scale - max(quantised) / 2**scale) for q in quantised]
    for share, weight in zip(shares, weights, strict=True):
        assert abs(share / 2**scale - weight / math.fsum(weights)) <= 2 * len(values) / 2**scale
    assert abs(sum(shares) - 2**scale) <= len(values)


# ------------------------------------------------------------ the upstream's model


def _spending(scale: int = 12) -> graphs.Graph:
    data = (MODELS / "spending-model.onnx").read_bytes()
    return quantise(read_model(data), replace(ModelSettings(), scale=scale), "0" * 64)


def test_hashes_are_the_upstreams() -> None:
    data = (MODELS / "spending-model.onnx").read_bytes()
    assert hashes.model_hash(data) == "0x4fdca7df4abaa8048786080d8edf633dd921894813249ab94c421d2c3bf9fd99"
    expected = "0x225f2461ee0b5d5672f9f52744bd77558bcb0b6538c3ae6213bf5327942a984a"
    assert hashes.input_hash(DOCUMENT_INPUTS) == expected
    assert hashes.output_hash(DOCUMENT_INPUTS) == expected
    assert hashes.proof_hash(b"") == "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


def test_the_documents_inputs_give_the_float_models_outputs() -> None:
    raw = spec.dequantise(spec.infer(_spending(), spec.quantise_inputs(DOCUMENT_INPUTS, ModelSettings())), 12)
    assert raw == pytest.approx((-0.0088, 0.0012, -0.0012), abs=5e-4)


def test_the_twin_takes_under_two_milliseconds() -> None:
    graph, row = _spending(), spec.quantise_inputs(DOCUMENT_INPUTS, ModelSettings())
    times = []
    for _ in range(50):
        began = time.perf_counter()
        spec.infer(graph, row)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.002


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ((1.0, 87.0, 12.0), spec.Decision(1.0, "approve", 87.0, 12.0)),
        ((0.5, 0.2, 0.1), spec.Decision(0.5, "reject", 0.2, 0.1)),
        ((0.9, 0.1), spec.Decision(0.9, "approve", 0.1, None)),
        ((0.75,), spec.Decision(0.75, "approve", 0.75, None)),
        ((0.25,), spec.Decision(0.25, "reject", 0.75, None)),
        ((-3.0,), spec.Decision(-3.0, "reject", 1.0, None)),
        ((0.6, 0.3, 0.1, 0.0), spec.Decision(0.6, "approve", 0.3, 0.1)),
    ],
)
def test_decisions_are_the_documents(raw: tuple[float, ...], expected: spec.Decision) -> None:
    assert spec.decision(raw) == expected
