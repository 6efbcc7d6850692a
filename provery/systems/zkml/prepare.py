"""From an ONNX file to what provers compile: the quantised graph, calibrated, with the rows it was calibrated on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.core.types import canonical_json
from provery.systems.zkml import calibrate, graph
from provery.systems.zkml.calibrate import Rows
from provery.systems.zkml.network import Network, count
from provery.systems.zkml.onnx_file import SIZE_LIMIT, Description, describe, is_float_tensor, parse
from provery.systems.zkml.onnx_reader import network_of
from provery.systems.zkml.quantise import quantise
from provery.systems.zkml.reference import evaluator

NATIVE = "native"


@dataclass(frozen=True)
class Prepared:
    """What the stages after this one work with."""

    graph: bytes
    """Empty where the model's operators cannot be lowered, which only the native prover needs."""
    rows: bytes
    about: bytes
    """JSON: the names and shapes of input and output, and the calibration's report where there is one."""
    operators: tuple[str, ...]
    facts: Mapping[str, str]


def prepare(
    data: bytes, settings: ModelSettings, sha256: str, rows: bytes | None = None, limit: int = SIZE_LIMIT
) -> Prepared:
    """Quantise a model and compare it with its floating-point self.

    Args:
        data: The ONNX file.
        settings: How it is to be proved.
        sha256: Of the file.
        rows: Inputs to compare on, as JSON; None to draw them.
        limit: Bytes that the file may have.

    Raises:
        InvalidInput: the file is damaged, has an operator that the native prover lacks, or differs from its
            floating-point self by more than the settings tolerate.
    """
    model = parse(data, limit)
    try:
        network = network_of(model)
    except InvalidInput:
        if settings.prover == NATIVE:
            raise
        return _described(model, rows)
    given = _rows(network, settings, rows)
    facts = {"outputs_of": network.output_name, "rows": str(len(given))}
    if network.passed_over:
        facts["passed_over"] = ", ".join(network.passed_over)
    made, said = b"", None
    if settings.prover == NATIVE:
        quantised = quantise(network, settings, sha256)
        outputs = calibrate.infer_floats(model, network, given)
        report = calibrate.check(network, quantised, settings, given, outputs)
        facts |= {
            "calibration_error": f"{report.error:.6g}",
            "calibration_mean_error": f"{max(report.mean):.6g}",
            "same_argmax": f"{report.same_argmax:.4f}",
        }
        made, said = graph.write(quantised), report.document()
    about = {
        "input": network.input_name,
        "input_shape": network.input_shape,
        "output": network.output_name,
        "output_shape": network.output_shape,
        "passed_over": network.passed_over,
        "calibration": said,
    }
    return Prepared(made, calibrate.write_rows(given), canonical_json(about), network.operators, facts)


def _rows(network: Network, settings: ModelSettings, rows: bytes | None) -> Rows:
    if rows is None:
        return calibrate.draw_rows(network, settings)
    return calibrate.read_rows(rows, count(network.input_shape))


def _described(model: onnx.ModelProto, rows: bytes | None) -> Prepared:
    """A model that another prover takes as it is: its rows, and its shapes as it declares them or gives them when run.

    Raises:
        InvalidInput: it cannot be run, or has no floating-point output.
    """
    said = describe(model)
    numbers = count(said.input_shape)
    if rows is None:
        spread = np.random.default_rng(0).uniform(-1, 1, (calibrate.DRAWN, numbers)).astype(np.float32)
        given: Rows = tuple(tuple(row) for row in spread.astype(np.float64).tolist())
    else:
        given = calibrate.read_rows(rows, numbers)
    shape = _declared(model) or _run(model, said, given[0])
    about = {"input": said.input_name, "input_shape": said.input_shape, "output_shape": shape}
    facts = {"rows": str(len(given))}
    return Prepared(b"", calibrate.write_rows(given), canonical_json(about), said.operators, facts)


def _declared(model: onnx.ModelProto) -> tuple[int, ...]:
    """Shape of the first floating-point output, with 1 for an open batch dimension; empty where it is not declared."""
    output = next((value for value in model.graph.output if is_float_tensor(value)), None)
    if output is None:
        return ()
    shape = tuple(dim.dim_value for dim in output.type.tensor_type.shape.dim)
    shape = (shape[0] or 1, *shape[1:]) if len(shape) > 1 else shape
    return shape if shape and min(shape) > 0 else ()


def _run(model: onnx.ModelProto, said: Description, row: tuple[float, ...]) -> tuple[int, ...]:
    """Shape of the first floating-point output of an inference by the reference implementation."""
    declared = next(value for value in model.graph.input if value.name == said.input_name)
    kind = onnx.helper.tensor_dtype_to_np_dtype(declared.type.tensor_type.elem_type)
    try:
        given = np.array(row).astype(kind).reshape(said.input_shape)
        made = evaluator(model, said.opset).run(None, {said.input_name: given})
    except Exception as error:
        # The implementation raises whatever its operators raise.
        raise InvalidInput(f"the model cannot be run: {type(error).__name__}: {error}") from error
    first = next((np.asarray(one) for one in made if np.asarray(one).dtype.kind == "f"), None)
    if first is None or not math.prod(first.shape):
        raise InvalidInput("the model has no floating-point output", value=", ".join(said.outputs)[:200])
    return tuple(first.shape)
