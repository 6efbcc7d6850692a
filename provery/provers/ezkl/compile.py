"""Compiling a model: settings, calibration, circuit, keys, verifier contract."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ezkl
import onnx

from provery.core.models import Visibility
from provery.core.types import canonical_json, digest_json
from provery.provers.ezkl import onnx_model, srs
from provery.provers.ezkl.faults import Refused, file_sha256, of_ezkl, refused_inputs, refused_model, said
from provery.provers.ezkl.instance import signed, unfelt

VISIBILITY = {Visibility.PUBLIC: "public", Visibility.HASHED: "hashed", Visibility.COMMITMENT: "polycommit"}
"""By ezkl's names."""
DECOMPOSITIONS = ((256, 6), (1024, 4), (16384, 3), (16384, 2))
"""Base and digits that numbers are decomposed into for comparisons. The base sets the smallest circuit: ezkl's default,
16384 and 2, needs 2^15 rows for any model. The power is the largest number that a comparison can take."""
OUTPUT_SCALE = 32
"""Bits of fraction of the outputs, at most: JSON's readers keep whole numbers up to 2^53."""
RESCALED = (10, 1)
"""How far scales grow from layer to layer before numbers are rescaled: 10 is exact and small, where outputs stay within
``OUTPUT_SCALE``; 1 rescales after each layer."""
CALIBRATED = 64
"""Rows of calibration looked at."""
_PROOF_SIZE = re.compile(r"eq\(0x([0-9a-f]+), proof\.length\)")
_INSTANCES = re.compile(r"0x([0-9a-f]{64})\) // num_instances")


@dataclass(frozen=True)
class Choice:
    """One way to make the circuit."""

    settings: Mapping[str, Any]
    base: int
    digits: int

    @property
    def cost(self) -> tuple[int, float]:
        """Rows first; of equal ones the widest range."""
        return int(self.settings["run_args"]["logrows"]), -(float(self.base) ** self.digits)

    @property
    def output_scale(self) -> int:
        """Bits of fraction of the outputs."""
        return int(self.settings["model_output_scales"][0])


@dataclass(frozen=True)
class Order:
    """What to compile."""

    model: Path
    rows: Sequence[Sequence[float]]
    into: Path
    scale: int
    visibility: Visibility
    tolerance: float
    srs: str
    """File or folder that the operator names."""
    cache: str
    """Folder of development SRS; empty where they are refused."""

    @classmethod
    def read(cls, request: Mapping[str, Any]) -> Order:
        """Of a request."""
        return cls(
            Path(request["model"]),
            rows_of(Path(request["calibration"])),
            Path(request["into"]),
            int(request["scale"]),
            Visibility(request["visibility"]),
            float(request["tolerance"]),
            str(request["srs"]),
            str(request["cache"]),
        )


def rows_of(path: Path) -> list[list[float]]:
    """The inputs that a model is calibrated on: ``{"rows": [[floats], …]}``, flat in row-major order.

    Raises:
        Refused: there are none.
    """
    told = json.loads(path.read_bytes())
    rows = told.get("rows") if isinstance(told, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, list) and row for row in rows):
        raise Refused("invalid_input", "the calibration has no rows; expected a list of inputs")
    return [[float(x) for x in row] for row in rows]


def compile_model(order: Order, tell: Callable[[str], None]) -> dict[str, str]:
    """Write ``circuit.ezkl``, ``settings.json``, ``srs``, ``pk``, ``vk`` and ``verifier.sol``.

    Returns:
        The facts of the version.

    Raises:
        Refused: ezkl cannot prove the model, or there is no SRS.
    """
    model = onnx_model.load(order.model)
    wrong = next((row for row in order.rows if len(row) != model.inputs), None)
    if wrong is not None:
        raise Refused(
            "invalid_input",
            f"a row of the calibration has {len(wrong)} numbers, the model takes {model.inputs}",
        )
    into, rows = order.into, list(order.rows)[:CALIBRATED]
    prefix: list[float] = []
    with TemporaryDirectory(prefix="compile-", dir=into) as folder:
        work = Path(folder)
        path = work / "model.onnx"
        proto = model.proto
        if order.visibility is Visibility.COMMITMENT:
            proto = onnx_model.salted(model)
            prefix = [0.0] * onnx_model.SALT_LIMBS
        onnx.save(proto, path)
        given = [[*prefix, *row] for row in rows]
        tell("calibration")
        chosen, error = _calibrate(path, given, model.infer(rows), order, work)
    tell("SRS")
    logrows = int(chosen.settings["run_args"]["logrows"])
    insecure = srs.take(logrows, order.srs, order.cache, into / "srs", tell)
    tell("keys")
    ezkl.setup(into / "circuit.ezkl", into / "vk", into / "pk", into / "srs", None, False)
    tell("verifier contract")
    proof_size, instances = _contract(into)
    return {
        "calibration_error": repr(error),
        "calibration_rows": str(len(rows)),
        "circuit": digest_json({"model": file_sha256(order.model), "settings": chosen.settings}),
        "circuit_file": file_sha256(into / "circuit.ezkl"),
        "contract": "Halo2Verifier",
        "decomposition": f"{chosen.base}^{chosen.digits}",
        "ezkl": str(chosen.settings["version"]),
        "input_scale": str(order.scale),
        "inputs": str(model.inputs),
        "insecure": "true" if insecure else "false",
        "logrows": str(logrows),
        "output_scale": str(chosen.output_scale),
        "outputs": str(instances - {"public": model.inputs, "hashed": 1}.get(order.visibility.value, 0)),
        "proof_size": str(proof_size),
        "srs": file_sha256(into / "srs"),
        "verifying_key": file_sha256(into / "vk"),
    }


def _calibrate(
    path: Path, rows: list[list[float]], wanted: list[list[float]], order: Order, work: Path
) -> tuple[Choice, float]:
    """The circuit with the fewest rows whose error is small enough, compiled to ``circuit.ezkl``; and its error."""
    (work / "rows.json").write_text(json.dumps({"input_data": [[x for row in rows for x in row]]}))
    found, failure = _choices(path, order, work)
    if not found:
        raise failure or Refused("unsupported", "ezkl finds no settings for the model")
    least = float("inf")
    circuit = order.into / "circuit.ezkl"
    for choice in sorted(found, key=lambda one: one.cost):
        settings = order.into / "settings.json"
        settings.write_text(json.dumps(choice.settings, sort_keys=True))
        ezkl.compile_circuit(path, circuit, settings)
        try:
            error = _error(circuit, rows, wanted, choice.output_scale, work)
        except Refused as refused:
            failure = refused
            continue
        if error <= order.tolerance:
            return choice, error
        least = min(least, error)
    if least == float("inf"):
        raise failure or Refused("unsupported", "ezkl finds no settings for the model")
    raise Refused(
        "invalid_input",
        f"at scale {order.scale} the quantised model is {least:.3g} off the float model, more than the tolerance of"
        f" {order.tolerance:g}; raise the scale or the tolerance",
    )


def _choices(path: Path, order: Order, work: Path) -> tuple[list[Choice], Refused | None]:
    found: list[Choice] = []
    failure: Refused | None = None
    settings = work / "settings.json"
    for base, digits in DECOMPOSITIONS:
        arguments: Any = ezkl.PyRunArgs()
        arguments.input_visibility = VISIBILITY[order.visibility]
        arguments.output_visibility, arguments.param_visibility = "public", "fixed"
        arguments.input_scale = arguments.param_scale = order.scale
        arguments.decomp_base, arguments.decomp_legs = base, digits
        for rescaled in RESCALED:
            said.lines.clear()
            try:
                ezkl.gen_settings(path, settings, arguments)
                ezkl.calibrate_settings(
                    str(work / "rows.json"), path, settings, "resources", 2.0, [order.scale], [rescaled], None
                )
            except BaseException as error:
                if not of_ezkl(error):
                    raise
                failure = failure or refused_model(error)
                continue
            choice = Choice(_settled(json.loads(settings.read_text())), base, digits)
            _check(choice.settings, order.scale)
            if choice.output_scale <= OUTPUT_SCALE:
                found.append(choice)
    return found, failure


def _settled(settings: dict[str, Any]) -> dict[str, Any]:
    """Settings in one order and without a time, so that the same model has the same verifying key in every process."""
    for name in ("required_lookups", "required_range_checks"):
        settings[name] = sorted(settings[name], key=canonical_json)
    einsum = settings["einsum_params"]
    einsum["equations"] = sorted(einsum["equations"], key=canonical_json)
    return {**settings, "timestamp": 0}


def _check(settings: Mapping[str, Any], scale: int) -> None:
    if settings["model_input_scales"] != [scale]:
        raise Refused(
            "unsupported",
            f"ezkl gives the model's input the scale {settings['model_input_scales']}, not {scale}",
        )
    if len(settings["model_output_scales"]) != 1:
        raise Refused("unsupported", "the model has several outputs, expected one")
    if len(settings["module_sizes"]["polycommit"]) > 1:
        raise Refused("unsupported", "the input is too large for one commitment")


def _error(
    circuit: Path, rows: list[list[float]], wanted: list[list[float]], scale: int, work: Path
) -> float:
    """The largest difference of an output from the float model's."""
    worst = 0.0
    for row, floats in zip(rows, wanted, strict=True):
        data = work / "row.json"
        data.write_text(json.dumps({"input_data": [row]}))
        said.lines.clear()
        try:
            witness = ezkl.gen_witness(str(data), circuit, None, None, None)
        except RuntimeError as error:
            raise refused_inputs(error) from None
        outputs = [signed(unfelt(text)) / 2**scale for text in witness["outputs"][0]]
        if len(outputs) != len(floats):
            raise Refused("unsupported", f"ezkl gives {len(outputs)} outputs, the float model {len(floats)}")
        worst = max([worst, *(abs(a - b) for a, b in zip(outputs, floats, strict=True))])
    return worst


def _contract(into: Path) -> tuple[int, int]:
    """Write ``verifier.sol``; the sizes of a proof and of its public values, which it checks.

    ezkl writes the contract and then wants to download a compiler for its ABI, which the child's environment keeps it
    from: that failure alone is expected, and only with the whole contract written.
    """
    path, abi = into / "verifier.sol", into / "verifier.abi"

    async def write() -> None:
        await ezkl.create_evm_verifier(into / "vk", into / "settings.json", path, abi, into / "srs", False)

    try:
        asyncio.run(write())
    except RuntimeError as error:
        if "svm error" not in str(error) and "solc" not in str(error):
            raise
    abi.unlink(missing_ok=True)
    text = path.read_text() if path.exists() else ""
    size, instances = _PROOF_SIZE.search(text), _INSTANCES.search(text)
    whole = text.rstrip().endswith("}") and text.count("{") == text.count("}")
    if size is None or instances is None or not whole:
        raise Refused("internal", "ezkl wrote no whole verifier contract")
    return int(size[1], 16), int(instances[1], 16)
