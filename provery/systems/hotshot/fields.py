"""JSON from a stranger: bounded, and its fields parsed into records. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from provery.core.errors import InvalidInput
from provery.core.types import Json
from provery.systems.hotshot import tagged
from provery.systems.hotshot.model import (
    U64_MAX,
    BlsKey,
    LightClientState,
    SchnorrKey,
    Signature,
    Signatures,
    StakeTableState,
)
from provery.systems.hotshot.spec import STAKE_BITS, STAKE_LIMIT

LARGEST = 4 * 2**20
"""Bytes of an answer; a certificate of 200 validators has about 90 KB."""
MOST_VALIDATORS = 4096
"""Entries of a stake table and signatures of a state that are looked at."""
DEEPEST = 16
"""Levels of nesting; the known answers have six."""
_HEX_DIGITS = 64
T = TypeVar("T")


def load(body: bytes) -> Json:
    """Parse JSON as the standard has it: bounded in size and depth, no NaN, no name twice in an object.

    Raises:
        InvalidInput: it is none.
    """
    if len(body) > LARGEST:
        raise InvalidInput(
            "the answer is too large", value=f"{len(body)} bytes", expected=f"at most {LARGEST}"
        )

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise ValueError("a name occurs twice in an object")
        return found

    try:
        value: Json = json.loads(body, parse_constant=refuse, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise InvalidInput(
            f"malformed JSON: {reason}",
            value=body[:80].decode("utf-8", "replace"),
            expected="an answer of a relay server or sequencer",
        ) from error
    if _depth(value) > DEEPEST:
        raise InvalidInput("malformed JSON: it is nested too deeply", expected=f"at most {DEEPEST} levels")
    return value


def _depth(value: Json) -> int:
    depth, level = 0, [value]
    while level and depth <= DEEPEST:
        depth += 1
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return depth


# ------------------------------------------------------------ fields


def _field(parse: Callable[[object], T]) -> Callable[[object], T]:
    """A parser whose refusals pydantic reports with their place."""

    def checked(value: object) -> T:
        try:
            return parse(value)
        except InvalidInput as error:
            raise ValueError(str(error)) from error

    return checked


def uint(value: object) -> int:
    """A U256 as the reference writes it, 0x and hexadecimal digits; plain numbers are taken too."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**256:
        return value
    digits = value[2:] if isinstance(value, str) and value.startswith("0x") else ""
    if 0 < len(digits) <= _HEX_DIGITS and all(c in "0123456789abcdefABCDEF" for c in digits):
        return int(digits, 16)
    raise ValueError("expected 0x and 1 to 64 hexadecimal digits")


def stake(value: object) -> int:
    """An amount of stake that the circuit can add up."""
    amount = uint(value)
    if amount >= STAKE_LIMIT:
        raise ValueError(f"expected a stake below 2^{STAKE_BITS}")
    return amount


def uint64(value: object) -> int:
    """A height, view or epoch: a plain number."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= U64_MAX:
        return value
    raise ValueError("expected a uint64")


def rows(value: object) -> int:
    """A capacity: rows of a stake table, of which commitments hash every one."""
    if 0 < uint64(value) <= MOST_VALIDATORS:
        return uint64(value)
    raise ValueError(f"expected 1 to {MOST_VALIDATORS} rows")


def few(value: object) -> object:
    """Refuse what has more entries than any stake table."""
    if isinstance(value, list | dict) and len(value) > MOST_VALIDATORS:
        raise ValueError(f"has {len(value)} entries, at most {MOST_VALIDATORS} are taken")
    return value


def _signatures(value: object) -> Signatures:
    """Pairs or triples in a list, or an object by key. A name may occur once."""
    few(value)
    items: Sequence[object]
    if isinstance(value, dict):
        items = [[key, signature] for key, signature in value.items()]
    elif isinstance(value, list):
        items = value
    else:
        raise ValueError("expected signatures by key")
    found: dict[SchnorrKey, Signature] = {}
    for at, item in enumerate(items):
        if not isinstance(item, list) or len(item) not in (2, 3):
            raise ValueError(f"entry {at}: expected a key and one or two signatures")
        try:
            key, signature = tagged.parse_schnorr_key(item[0]), tagged.parse_signature(item[-1])
        except InvalidInput as error:
            raise ValueError(f"entry {at}: {error}") from error
        if key in found:
            raise ValueError(f"entry {at}: its key occurs twice")
        found[key] = signature
    return tuple(found.items())


StateField = Annotated[LightClientState, BeforeValidator(_field(tagged.parse_state))]
StakeStateField = Annotated[StakeTableState, BeforeValidator(_field(tagged.parse_stake_state))]
SchnorrKeyField = Annotated[SchnorrKey, BeforeValidator(_field(tagged.parse_schnorr_key))]
BlsKeyField = Annotated[BlsKey, BeforeValidator(_field(tagged.parse_bls_key))]
SignatureField = Annotated[Signature, BeforeValidator(_field(tagged.parse_signature))]
SignaturesField = Annotated[Signatures, BeforeValidator(_signatures)]
Uint64Field = Annotated[int, BeforeValidator(uint64)]
