"""What a unit of this system says, and how it is named. Pure.

``model-<digest>`` adds a version of a model; ``proof-<digest>`` proves one inference. Both digests are over everything
that the result depends on, so the same request always means the same unit, on every replica and after every restart.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provery.core.errors import InvalidInput
from provery.core.models import ModelSettings, ModelVersion, Visibility, version_of
from provery.core.types import ArtifactRef, Json, Unit, digest_json
from provery.systems.zkml.model import ATTESTS, SYSTEM

INLINE_VALUES = 1_024
"""Inputs up to so many numbers travel in the unit's parameters, larger ones as an artifact."""
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


@dataclass(frozen=True)
class Addition:
    """A unit that adds a version of a model, read."""

    model: str
    onnx: ArtifactRef
    calibration: ArtifactRef | None
    """Rows of inputs, ``{"rows": [[…]]}``; None where they are to be drawn."""
    settings: ModelSettings


@dataclass(frozen=True)
class Inference:
    """A unit that proves an inference, read."""

    model: str
    version: str
    values: tuple[float, ...] | None
    """The inputs, flat in row-major order; None where ``stored`` has them."""
    stored: ArtifactRef | None
    attest: str


def check_model_name(name: object) -> str:
    """A model's name, which is its file's name without ``.onnx``.

    Raises:
        InvalidInput: it is none: nothing else may become part of a path.
    """
    if isinstance(name, str) and _NAME.fullmatch(name) and ".." not in name:
        return name
    shown = name if isinstance(name, str) else type(name).__name__
    expected = "1 to 63 letters, digits, '.', '_' or '-', beginning with a letter or digit, without '..'"
    raise InvalidInput("not a model's name", value=shown[:100], expected=expected)


def request_digest(version: ModelVersion, values: Sequence[float], attest: str, owner: str = "") -> str:
    """The id of an inference: SHA-256 over model, version, inputs and what is to be shown, 64 hexadecimal digits.

    The name of the model is part of it: one file may lie in the library under two, and an answer names its model. A
    commitment is its owner's alone: who tries inputs out must not be given the salt, nor learn that they were right.
    """
    statement: dict[str, Json] = {"visibility": version.settings.visibility.value, "attest": attest}
    if version.settings.visibility is Visibility.COMMITMENT:
        statement["owner"] = owner
    # -0.0 and 0.0 are one number, and 1 and 1.0 are.
    numbers: list[Json] = [float(value) + 0.0 for value in values]
    said: dict[str, Json] = {"model": version.model, "version": version.version}
    return digest_json({**said, "inputs": numbers, "statement": statement})


def proof_key(digest: str) -> str:
    """Key of the unit of a request digest."""
    if not _DIGEST.fullmatch(digest):
        raise InvalidInput("not the id of a proof", value=digest[:100], expected="64 hexadecimal digits")
    return f"proof-{digest}"


def proof_unit(
    stream: str,
    version: ModelVersion,
    values: Sequence[float],
    attest: str = "",
    stored: ArtifactRef | None = None,
    owner: str = "",
) -> Unit:
    """The unit that proves an inference.

    Args:
        stream: Whose.
        version: Of the model.
        values: The inputs, flat in row-major order.
        attest: What goes on chain, one of ``ATTESTS``.
        stored: The inputs as an artifact; needed where :func:`to_be_stored` says so.
        owner: Whose commitment it is, where the model makes commitments.
    """
    if attest not in ATTESTS:
        raise InvalidInput("not a way to attest", value=attest, expected="hash, proof, or nothing")
    digest = request_digest(version, values, attest, owner)
    params: dict[str, Json] = {
        "kind": "proof",
        "model": version.model,
        "version": version.version,
        "attest": attest,
    }
    if stored is not None:
        params["stored"] = _ref(stored)
    else:
        params["values"] = [float(value) + 0.0 for value in values]
    return Unit(SYSTEM, stream, proof_key(digest), params, title=f"inference by {version.model}")


def to_be_stored(version: ModelVersion, values: Sequence[float]) -> bool:
    """Whether inputs must not travel in a workflow: too many, or nobody's business."""
    return len(values) > INLINE_VALUES or version.settings.visibility is not Visibility.PUBLIC


def model_unit(
    stream: str, model: str, onnx: ArtifactRef, settings: ModelSettings, calibration: ArtifactRef | None
) -> Unit:
    """The unit that adds a version of a model."""
    version = version_of(onnx.sha256, settings)
    params: dict[str, Json] = {
        "kind": "model",
        "model": check_model_name(model),
        "onnx": _ref(onnx),
        "settings": settings.document(),
        "calibration": _ref(calibration) if calibration is not None else None,
    }
    key = _model_key(model, version)
    return Unit(SYSTEM, stream, key, params, title=f"model {model}, version {version[:12]}")


def _model_key(model: str, version: str) -> str:
    """The name is part of it: one file may lie in the library under two."""
    return f"model-{digest_json({'model': model, 'version': version})}"


def addition(unit: Unit) -> Addition:
    """Read a unit that adds a model.

    Raises:
        InvalidInput: it is none.
    """
    onnx = _read_ref(unit.params.get("onnx"))
    given = unit.params.get("calibration")
    settings = read_settings(unit.params.get("settings"))
    model = check_model_name(unit.params.get("model"))
    if unit.params.get("kind") != "model" or unit.key != _model_key(model, version_of(onnx.sha256, settings)):
        raise InvalidInput("not a unit that adds a model", value=unit.key)
    return Addition(model, onnx, _read_ref(given) if given is not None else None, settings)


def inference(unit: Unit) -> Inference:
    """Read a unit that proves an inference.

    Raises:
        InvalidInput: it is none.
    """
    said = unit.params
    version, attest, values = said.get("version"), said.get("attest"), said.get("values")
    if (
        said.get("kind") != "proof"
        or not (isinstance(version, str) and _DIGEST.fullmatch(version))
        or not (isinstance(attest, str) and attest in ATTESTS)
    ):
        raise InvalidInput("not a unit that proves an inference", value=unit.key)
    model = check_model_name(said.get("model"))
    if values is None:
        return Inference(model, version, None, _read_ref(said.get("stored")), attest)
    return Inference(model, version, read_numbers(values), None, attest)


def read_numbers(values: object) -> tuple[float, ...]:
    """A list of numbers.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(values, list):
        raise InvalidInput("inputs are not a list", value=type(values).__name__, expected="a list of numbers")
    for index, value in enumerate(values):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise InvalidInput(f"input {index} is not a number", value=str(value)[:80])
    return tuple(float(value) for value in values)


def read_settings(said: object) -> ModelSettings:
    """Settings of a model from JSON.

    Raises:
        InvalidInput: unknown names, or a value that cannot be.
    """
    known = ModelSettings().document()
    if not isinstance(said, Mapping) or not set(said) <= set(known):
        expected = ", ".join(known)
        raise InvalidInput("settings of a model are malformed", value=str(said)[:200], expected=expected)
    merged = {**known, **said}
    prover, scheme, scale, bits = (merged[name] for name in ("prover", "scheme", "scale", "input_bits"))
    visibility, tolerance = merged["visibility"], merged["tolerance"]
    if not isinstance(prover, str) or not re.fullmatch(r"[a-z][a-z0-9-]{0,31}", prover):
        raise InvalidInput("not a prover of models", value=str(prover)[:80], expected="native or ezkl")
    if scheme not in ("plonk", "groth16"):
        raise InvalidInput("not a scheme", value=str(scheme)[:80], expected="plonk or groth16")
    if visibility not in tuple(Visibility):
        raise InvalidInput(
            "not a visibility", value=str(visibility)[:80], expected="public, hashed or commitment"
        )
    if not (isinstance(tolerance, int | float) and not isinstance(tolerance, bool) and 0 < tolerance < 1e9):
        raise InvalidInput("not a tolerance", value=str(tolerance)[:80], expected="a number above 0")
    return ModelSettings(
        prover=prover,
        scheme=str(scheme),
        scale=_whole("scale", scale, 1, 24),
        input_bits=_whole("input_bits", bits, 2, 48),
        visibility=Visibility(str(visibility)),
        tolerance=float(tolerance),
    )


def _whole(name: str, value: Json, least: int, most: int) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    raise InvalidInput(f"not a usable {name}", value=str(value)[:80], expected=f"{least} to {most}")


def _ref(ref: ArtifactRef) -> dict[str, Json]:
    return {"uri": ref.uri, "sha256": ref.sha256, "size": ref.size, "name": ref.name}


def _read_ref(value: Json) -> ArtifactRef:
    if isinstance(value, dict):
        uri, sha256, size, name = (value.get(key) for key in ("uri", "sha256", "size", "name"))
        if (
            isinstance(uri, str)
            and isinstance(sha256, str)
            and isinstance(size, int)
            and isinstance(name, str)
        ):
            return ArtifactRef(uri, sha256, size, name)
    raise InvalidInput("an artifact's name is malformed", expected="uri, sha256, size and name")
