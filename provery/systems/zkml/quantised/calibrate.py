"""How far the quantised model is from the floating-point one, over rows of inputs."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings
from provery.core.types import Json, canonical_json
from provery.systems.zkml.quantised.fast import infer_fast
from provery.systems.zkml.quantised.graph import INPUT_BITS, SCALES, Graph
from provery.systems.zkml.quantised.network import Floats, Network, Scaling, count, work
from provery.systems.zkml.quantised.onnx_file import opset
from provery.systems.zkml.quantised.quantise import quantise
from provery.systems.zkml.quantised.reference import evaluator
from provery.systems.zkml.quantised.spec import dequantise, quantise_inputs

Rows = tuple[tuple[float, ...], ...]
DRAWN = 64
"""Rows where none are given; fewer where the model is large."""
WORK_LIMIT = 2**27
"""Numbers that calibration touches, all drawn rows together."""
ROWS_LIMIT = 1_024
SEED = 20_230_614


@dataclass(frozen=True)
class Report:
    """Differences between quantised and floating-point outputs, absolute."""

    rows: int
    worst: tuple[float, ...]
    """Of each output."""
    mean: tuple[float, ...]
    """Of each output."""
    same_argmax: float
    """Share of rows whose largest output is the same one."""

    @property
    def error(self) -> float:
        """The worst of all outputs."""
        return max(self.worst)

    def document(self) -> dict[str, Json]:
        """As JSON."""
        return {
            "rows": self.rows,
            "worst": list(self.worst),
            "mean": list(self.mean),
            "same_argmax": self.same_argmax,
        }


def read_rows(data: bytes, width: int) -> Rows:
    """Rows of inputs, ``{"rows": [[…], …]}``, each flat in row-major order.

    Args:
        data: The JSON text.
        width: Numbers in a row.

    Raises:
        InvalidInput: it is something else; the message names the row.
    """
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the calibration is no JSON: {error}") from None
    rows = said.get("rows") if isinstance(said, dict) and set(said) == {"rows"} else None
    if not isinstance(rows, list) or not 1 <= len(rows) <= ROWS_LIMIT:
        expected = f'{{"rows": [[…], …]}} with 1 to {ROWS_LIMIT} rows of {width} numbers'
        raise InvalidInput("the calibration has no rows", expected=expected)
    for number, row in enumerate(rows):
        if (
            not isinstance(row, list)
            or len(row) != width
            or not all(type(value) in (int, float) and abs(value) <= 1e300 for value in row)
        ):
            raise InvalidInput(
                f"row {number} of the calibration does not fit", expected=f"{width} finite numbers"
            )
    return tuple(tuple(float(value) for value in row) for row in rows)


def write_rows(rows: Rows) -> bytes:
    """As :func:`read_rows` takes them."""
    return canonical_json({"rows": rows})


def draw_rows(network: Network, settings: ModelSettings, rows: int = DRAWN) -> Rows:
    """Rows where nobody gave any, always the same for a model: evenly from -1 to 1.

    A model that begins by standardising its inputs, as scikit-learn's pipelines do, gets inputs that become -1 to 1.
    Single precision holds every number that is drawn, so that both models get the same.
    """
    numbers = count(network.input_shape)
    rows = max(1, min(rows, WORK_LIMIT // work(network), 2**20 // numbers))
    centre, reach = np.zeros(numbers), np.ones(numbers)
    first = [layer for layer in network.layers if 0 in layer.sources]
    if len(first) == 1 and isinstance(first[0], Scaling) and (first[0].weights != 0).all():
        centre, reach = -first[0].bias / first[0].weights, np.abs(1 / first[0].weights)
    most = (2.0**settings.input_bits - 1) / 2.0**settings.scale
    # Not for secrets: the rows are to be the same everywhere.
    draw = random.Random(SEED)  # noqa: S311
    found = []
    for _ in range(rows):
        row = centre + reach * np.array([draw.uniform(-1, 1) for _ in range(numbers)])
        found.append(tuple(np.clip(row, -most, most).astype(np.float32).astype(np.float64).tolist()))
    return tuple(found)


def infer_floats(model: onnx.ModelProto, network: Network, rows: Rows) -> Floats:
    """Outputs of the floating-point model by ONNX's reference implementation, one row for each row.

    Raises:
        InvalidInput: it cannot be run, or its outputs are not finite numbers of the expected shape.
    """
    part = _up_to_output(model, network)
    declared = next(value for value in part.graph.input if value.name == network.input_name)
    kind = onnx.helper.tensor_dtype_to_np_dtype(declared.type.tensor_type.elem_type)
    found = []
    try:
        runner = evaluator(part, opset(part))
        with np.errstate(all="ignore"):
            for row in rows:
                given = np.array(row, dtype=np.float64).astype(kind).reshape(network.input_shape)
                (made,) = runner.run(None, {network.input_name: given})
                found.append(np.asarray(made, dtype=np.float64).ravel())
    except Exception as error:
        # The implementation raises whatever its operators raise.
        raise InvalidInput(
            f"the floating-point model cannot be run: {type(error).__name__}: {error}"
        ) from error
    outputs = np.array(found)
    if outputs.shape != (len(rows), count(network.output_shape)) or not np.isfinite(outputs).all():
        expected = f"{count(network.output_shape)} finite numbers"
        raise InvalidInput(
            "the floating-point model gives other outputs", value=outputs.shape, expected=expected
        )
    return outputs


def _up_to_output(model: onnx.ModelProto, network: Network) -> onnx.ModelProto:
    """The model without what its output does not depend on."""
    part = onnx.ModelProto()
    part.CopyFrom(model)
    needed, nodes = {network.output_name}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(node.input)
    del part.graph.node[:], part.graph.output[:], part.graph.value_info[:]
    part.graph.node.extend(reversed(nodes))
    output = part.graph.output.add()
    output.name = network.output_name
    output.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return part


def compare(graph: Graph, settings: ModelSettings, rows: Rows, outputs: Floats) -> Report:
    """The quantised model beside outputs of the floating-point one.

    Raises:
        InvalidInput: a row is out of the range of inputs.
    """
    quantised = []
    for number, row in enumerate(rows):
        try:
            quantised.append(quantise_inputs(row, settings))
        except InvalidInput as error:
            raise InvalidInput(f"row {number} of the calibration: {error}") from None
    made = np.array([dequantise(row, graph.scale) for row in infer_fast(graph, quantised)])
    errors = np.abs(made - outputs)
    same = made.argmax(axis=1) == outputs.argmax(axis=1)
    return Report(
        rows=len(rows),
        worst=tuple(errors.max(axis=0).tolist()),
        mean=tuple(math.fsum(column) / len(rows) for column in errors.T.tolist()),
        same_argmax=int(same.sum()) / len(rows),
    )


def check(network: Network, graph: Graph, settings: ModelSettings, rows: Rows, outputs: Floats) -> Report:
    """Compare, and refuse a model that differs by more than its settings tolerate.

    Args:
        network: The floating-point model.
        graph: The quantised one.
        settings: Its settings.
        rows: Inputs.
        outputs: What the floating-point model makes of them.

    Raises:
        InvalidInput: the difference is larger, or a row is out of range; the message names error, tolerance and
            settings that would do.
    """
    report = compare(graph, settings, rows, outputs)
    if report.error <= settings.tolerance:
        return report
    place = report.worst.index(report.error)
    enough = _enough(network, settings, rows, outputs)
    raise InvalidInput(
        f"output {place} of the quantised model differs from the floating-point one by {report.error:.3g}",
        expected=f"at most the tolerance, {settings.tolerance:g}",
        action=enough,
    )


def _enough(
    network: Network, settings: ModelSettings, rows: Sequence[tuple[float, ...]], outputs: Floats
) -> str:
    """Advice: the least larger scale with which the tolerance is kept."""
    best = math.inf
    for scale in range(settings.scale + 1, SCALES[-1] + 1):
        bits = min(settings.input_bits + scale - settings.scale, INPUT_BITS[-1])
        tried = replace(settings, scale=scale, input_bits=bits)
        try:
            error = compare(quantise(network, tried, "0" * 64), tried, tuple(rows), outputs).error
        except InvalidInput:
            break
        if error <= settings.tolerance:
            return f"scale {scale} with input_bits {bits} gives {error:.3g}; set them, or a larger tolerance"
        best = min(best, error)
    return (
        "no larger scale does"
        + (f", the best gives {best:.3g}" if best < math.inf else "")
        + "; set a larger tolerance"
    )
