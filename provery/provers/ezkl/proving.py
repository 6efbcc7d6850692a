"""Proving and verifying in the child."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ezkl

from provery.core.errors import ProofRejected
from provery.core.models import CALLDATA, INSTANCE, PROOF, Visibility
from provery.provers.ezkl.compile import Order, compile_model
from provery.provers.ezkl.faults import Refused, check_file, refused_inputs
from provery.provers.ezkl.instance import calldata, felt, instance_of, signed, unfelt
from provery.provers.ezkl.onnx_model import limbs

SALT_BYTES = 31


def compile_op(request: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Compile a model."""
    return {"facts": compile_model(Order.read(request), tell)}


def prove_op(request: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Prove an inference and verify the proof."""
    files = _files(request)
    facts, into = request["facts"], Path(request["into"])
    visibility, scale = Visibility(request["visibility"]), int(facts["input_scale"])
    quantised = _quantised(Path(request["inputs"]), visibility, int(facts["inputs"]))
    _check(files, facts)
    seconds: dict[str, float] = {}
    with TemporaryDirectory(prefix="prove-", dir=into) as folder:
        work = Path(folder)
        witness, made = work / "witness.json", work / "proof.json"
        tell("witness")
        begun = time.monotonic()
        # Exact: a quantised number is a float of few bits.
        given = {"input_data": [[q / 2**scale for q in quantised]]}
        (work / "input.json").write_text(json.dumps(given))
        try:
            found = ezkl.gen_witness(
                str(work / "input.json"), files["circuit.ezkl"], witness, files["vk"], files["srs"]
            )
        except RuntimeError as error:
            raise refused_inputs(error) from None
        if [signed(unfelt(text)) for text in found["inputs"][0]] != quantised:
            raise Refused(
                "invalid_input", "the inputs have more bits than a 32-bit float; lower the model's input_bits"
            )
        seconds["witness_s"] = time.monotonic() - begun
        tell("proof")
        begun = time.monotonic()
        ezkl.prove(witness, files["circuit.ezkl"], files["pk"], made, files["srs"])
        seconds["prove_s"] = time.monotonic() - begun
        told = json.loads(made.read_text())
    proof = bytes(told["proof"])
    public = tuple(unfelt(text) for text in told["instances"][0])
    tell("verification")
    begun = time.monotonic()
    if len(proof) != int(facts["proof_size"]):
        raise Refused("internal", f"ezkl made a proof of {len(proof)} bytes, expected {facts['proof_size']}")
    try:
        _verify(files, proof, public)
        inputs = int(facts["inputs"])
        identity = (facts["circuit"], facts["verifying_key"], int(facts["output_scale"]))
        instance = instance_of(visibility, public, proof, inputs, identity)
    except (Refused, ProofRejected) as error:
        raise Refused("internal", f"ezkl made a proof that does not verify: {error}") from None
    seconds["verify_s"] = time.monotonic() - begun
    _write(into / PROOF, proof)
    _write(into / INSTANCE, instance.encode())
    _write(into / CALLDATA, calldata(proof, public))
    return {"seconds": seconds}


def verify_op(request: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """Check a proof against public values that the worker has read already."""
    files = _files(request)
    _check(files, request["facts"])
    public = tuple(int(text, 16) for text in request["public"])
    _verify(files, Path(request["proof"]).read_bytes(), public)
    return {"valid": True}


def ping_op(request: Mapping[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
    """A sign of life."""
    return {}


OPERATIONS = {"compile": compile_op, "ping": ping_op, "prove": prove_op, "verify": verify_op}


def _verify(files: Mapping[str, Path], proof: bytes, public: tuple[int, ...]) -> None:
    document = {
        "protocol": None,
        "instances": [[felt(value) for value in public]],
        "proof": list(proof),
        "hex_proof": None,
        "split": None,
        "pretty_public_inputs": None,
        "timestamp": None,
        "version": None,
    }
    with TemporaryDirectory(prefix="provery-ezkl-") as folder:
        path = Path(folder) / "proof.json"
        path.write_text(json.dumps(document))
        try:
            good = ezkl.verify(path, files["settings.json"], files["vk"], files["srs"], False)
        except RuntimeError as error:
            raise Refused("invalid_proof", f"the proof does not verify: {error}") from None
    if good is not True:
        raise Refused("invalid_proof", "the proof does not verify")


def _check(files: Mapping[str, Path], facts: Mapping[str, str]) -> None:
    check_file(files["vk"], facts["verifying_key"], "verifying key")
    check_file(files["srs"], facts["srs"], "SRS")
    if "circuit.ezkl" in files:
        check_file(files["circuit.ezkl"], facts["circuit_file"], "circuit")


def _files(request: Mapping[str, Any]) -> dict[str, Path]:
    return {name: Path(path) for name, path in request["files"].items()}


def _quantised(path: Path, visibility: Visibility, count: int) -> list[int]:
    """The whole numbers of the circuit's input: the salt's, where there is one, and the quantised inputs."""
    told = json.loads(path.read_bytes())
    quantised, salt = told.get("quantised"), told.get("salt", "")
    if not isinstance(quantised, list) or not all(type(q) is int for q in quantised):
        raise Refused("invalid_input", "`quantised` is not a list of whole numbers")
    if len(quantised) != count:
        raise Refused("invalid_input", f"{len(quantised)} inputs were given, the model takes {count}")
    if visibility is not Visibility.COMMITMENT:
        return quantised
    digits = salt[2:] if isinstance(salt, str) and salt.startswith("0x") else ""
    if len(digits) != 2 * SALT_BYTES:
        raise Refused("invalid_input", f"a commitment needs a salt of {SALT_BYTES} bytes")
    return limbs(bytes.fromhex(digits)) + quantised


def _write(path: Path, data: bytes) -> None:
    """A reader never sees half a file."""
    partial = path.with_suffix(".part")
    partial.write_bytes(data)
    os.replace(partial, path)
