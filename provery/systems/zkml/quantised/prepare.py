"""A model made ready for its prover: read, quantised, compared with the floating-point one. Takes seconds of a core."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import onnx

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.core.types import canonical_json
from provery.systems.zkml.quantised import calibrate
from provery.systems.zkml.quantised.graph import write
from provery.systems.zkml.quantised.network import Network, count
from provery.systems.zkml.quantised.onnx_file import FLOATS, SIZE_LIMIT, check_shape, describe, parse
from provery.systems.zkml.quantised.onnx_reader import network_of
from provery.systems.zkml.quantised.quantise import quantise

NATIVE = "native"


@dataclass(frozen=True)
class Prepared:
    """Files and facts."""

    graph: bytes
    """``graph.json``; empty for another prover than the native one, which quantises by itself."""
    rows: bytes
    """Rows of inputs, ``{"rows": [[…], …]}``: those that were given, or drawn."""
    about: bytes
    """JSON: input and output with names and shapes, operators, opset, producer, and the calibration's report."""
    operators: tuple[str, ...]
    """That the prover has to know, sorted."""
    facts: Mapping[str, str]


def prepare(
    data: bytes, settings: ModelSettings, sha256: str, rows: bytes | None = None, limit: int = SIZE_LIMIT
) -> Prepared:
    """Make a model ready.

    Args:
        data: The ONNX file.
        settings: How it is quantised and proved.
        sha256: Of the file.
        rows: Calibration, as :func:`calibrate.read_rows` takes it; None to draw some.
        limit: Bytes that the file may have.

    Raises:
        InvalidInput: the file or the calibration is malformed, an operator is not supported, or the quantised model
            differs by more than the settings tolerate.
    """
    model = parse(data, limit)
    if settings.prover != NATIVE:
        return _described(model, settings, rows)
    network = network_of(model)
    graph = quantise(network, settings, sha256)
    given = _rows(network, settings, rows)
    outputs = calibrate.infer_floats(model, network, given)
    report = calibrate.check(network, graph, settings, given, outputs)
    facts = {
        "calibration_error": f"{report.error:.6g}",
        "calibration_rows": str(report.rows),
        "same_argmax": f"{report.same_argmax:.4f}",
        "output": network.output_name[:80],
    }
    about = _about(model, network, operators=network.operators, calibration=report.document())
    return Prepared(write(graph), calibrate.write_rows(given), about, network.operators, facts)


def _described(model: onnx.ModelProto, settings: ModelSettings, rows: bytes | None) -> Prepared:
    """For a prover that reads the ONNX file by itself and may know more operators."""
    said = describe(model)
    try:
        network = network_of(model)
    except InvalidInput:
        shape = _declared_output(model)
        network = Network(said.input_name, said.input_shape, said.outputs[0], shape, (), 0)
    given = _rows(network, settings, rows)
    about = _about(model, network, operators=said.operators, calibration=None)
    return Prepared(
        b"", calibrate.write_rows(given), about, said.operators, {"output": network.output_name[:80]}
    )


def _rows(network: Network, settings: ModelSettings, rows: bytes | None) -> calibrate.Rows:
    if rows is None:
        return calibrate.draw_rows(network, settings)
    return calibrate.read_rows(rows, count(network.input_shape))


def _about(
    model: onnx.ModelProto, network: Network, *, operators: tuple[str, ...], calibration: object
) -> bytes:
    said = describe(model)
    return canonical_json(
        {
            "input": network.input_name,
            "input_shape": network.input_shape,
            "output": network.output_name,
            "output_shape": network.output_shape,
            "passed_over": network.passed_over,
            "operators": operators,
            "opset": said.opset,
            "producer": said.producer,
            "calibration": calibration,
        }
    )


def _declared_output(model: onnx.ModelProto) -> tuple[int, ...]:
    """Shape of the first output as the file declares it, with 1 for an open batch dimension."""
    output = model.graph.output[0]
    declared = output.type.tensor_type
    shape = tuple(dim.dim_value for dim in declared.shape.dim)
    if shape and shape[0] == 0:
        shape = (1, *shape[1:])
    if declared.elem_type not in FLOATS or not shape or min(shape) < 1:
        raise InvalidInput(
            f"output {output.name[:80]!r} is no floating-point tensor of known shape",
            value=shape,
            expected="a declared shape; only the batch dimension may be open",
        )
    check_shape(shape, "the output")
    return shape
