"""What a request has to satisfy: field elements, circuit shapes, public signals. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from provery.core.errors import InvalidInput
from provery.core.types import Json

MODULUS = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of the scalar field of BN254: every circuit input is below it."""
_EXACT = 2**53 - 1
"""Largest integer that survives a JavaScript producer."""
_DECIMAL = re.compile(r"[0-9]{1,78}")
_HEX = re.compile(r"0[xX][0-9a-fA-F]{1,64}")
NESTING = 8
"""Dimensions that a circuit input may have."""


@dataclass(frozen=True)
class Shape:
    """What a circuit takes and shows."""

    inputs: Mapping[str, tuple[int, ...]]
    """Input signal → dimensions; ``()`` for a single element. Empty where the registry does not know them."""
    public: tuple[str, ...] = ()
    """Public signals in the order of ``public.json``, by name, an array element as ``name[0]``."""
    constraints: int = 0
    version: str = ""
    verifying_key: str = ""
    """SHA-256 of ``verification_key.json``."""

    @classmethod
    def of(cls, manifest: Mapping[str, Json]) -> Shape:
        """Read a circuit's manifest."""
        inputs, public, constraints = (manifest.get(k) for k in ("inputs", "public", "constraints"))
        known = inputs if isinstance(inputs, Mapping) else {}
        return cls(
            inputs={name: _dimensions(dims) for name, dims in known.items()},
            public=tuple(str(name) for name in public) if isinstance(public, list) else (),
            constraints=constraints if isinstance(constraints, int) else 0,
            version=str(manifest.get("version") or ""),
            verifying_key=str(manifest.get("vkey_sha256") or ""),
        )


def _dimensions(value: Json) -> tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    return tuple(int(str(n)) for n in value) if isinstance(value, list) else ()


def element(value: object, field: str) -> str:
    """A field element in decimal, from a decimal string, a 0x string (an address, say) or an exact JSON integer.

    Raises:
        InvalidInput: it is none of these, negative, or not below the modulus.
    """
    expected = "a decimal string, a 0x string or an integer, from 0 to the BN254 scalar field modulus"
    number = -1
    if isinstance(value, int) and not isinstance(value, bool):
        if abs(value) > _EXACT:
            raise InvalidInput(
                f"{field} is a JSON number that JavaScript cannot hold exactly",
                value=_show(value),
                expected="a string for anything above 2^53 - 1",
                action="send the number as a decimal or 0x string",
            )
        number = value
    elif isinstance(value, str) and _DECIMAL.fullmatch(value):
        number = int(value)
    elif isinstance(value, str) and _HEX.fullmatch(value):
        number = int(value, 16)
    else:
        negative = isinstance(value, str) and value.startswith("-")
        raise InvalidInput(
            f"{field} is {'negative' if negative else 'not a field element'}",
            value=_show(value),
            expected=expected,
            action="correct the request and send it again",
        )
    if number < 0 or number >= MODULUS:
        raise InvalidInput(
            f"{field} is {'negative' if number < 0 else 'not below the field modulus'}",
            value=_show(value),
            expected=f"0 to {MODULUS - 1}",
            action="reduce the number and add the job again",
        )
    return str(number)


def elements(value: object, field: str, depth: int = 0) -> Json:
    """A field element, or nested lists of them.

    Raises:
        InvalidInput: an element is malformed, or lists are nested too deeply.
    """
    if not isinstance(value, list):
        return element(value, field)
    if depth >= NESTING:
        raise InvalidInput(f"{field} is nested too deeply", expected=f"at most {NESTING} levels of lists")
    return [elements(item, f"{field}[{at}]", depth + 1) for at, item in enumerate(value)]


def check_shape(inputs: Mapping[str, Json], shape: Shape, circuit: str) -> None:
    """Compare inputs with what the circuit takes.

    Raises:
        InvalidInput: an input is missing, unknown, or has other dimensions.
    """
    for name in shape.inputs:
        if name not in inputs:
            raise InvalidInput(
                f"input {name} of circuit {circuit} is missing",
                expected=", ".join(sorted(shape.inputs)),
                action="add it and send the request again",
            )
    for name, value in inputs.items():
        if name not in shape.inputs:
            raise InvalidInput(
                f"circuit {circuit} has no such input",
                value=name,
                expected=", ".join(sorted(shape.inputs)),
                action="leave it out and send the request again",
            )
        # A circom witness calculator counts the elements of an input and ignores how they nest, so this does too.
        wanted, got = _product(shape.inputs[name]), _count(value)
        if wanted != got:
            raise InvalidInput(
                f"input {name} of circuit {circuit} has {got} elements",
                expected=f"{wanted} (dimensions {list(shape.inputs[name])})",
                action="correct the request and send it again",
            )


def check_public(signals: Sequence[str], shape: Shape, inputs: Mapping[str, Json]) -> str:
    """Whether a proof is about its own request: every named public input has the request's value.

    Returns what is wrong, or an empty string. A valid proof of somebody else's statement must not be written down.
    """
    if shape.public and len(signals) != len(shape.public):
        return f"{len(signals)} public signals, the circuit has {len(shape.public)}"
    flat = {name: value for key, field in inputs.items() for name, value in _flatten(key, field)}
    for name, signal in zip(shape.public, signals, strict=False):
        if name in flat and flat[name] != signal:
            return f"public signal {name} is {signal}, the request says {flat[name]}"
    return ""


def _flatten(name: str, value: Json) -> list[tuple[str, str]]:
    if not isinstance(value, list):
        return [(name, str(value))]
    return [pair for at, item in enumerate(value) for pair in _flatten(f"{name}[{at}]", item)]


def _count(value: Json) -> int:
    return sum(_count(item) for item in value) if isinstance(value, list) else 1


def _product(dims: Sequence[int]) -> int:
    total = 1
    for size in dims:
        total *= size
    return total


def _show(value: object) -> str:
    """Text of a hostile value; an integer may have more digits than Python prints."""
    try:
        return str(value)
    except ValueError:
        return "an integer of thousands of digits"
