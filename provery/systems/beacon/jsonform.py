"""The beacon API's JSON form of SSZ objects, checked field by field. Pure.

Source: ethereum/consensus-specs, ``ssz/simple-serialize.md``, "JSON mapping": integers are decimal strings, bytes and
bit fields are 0x and lower-case hex, containers are objects. Fields that a type does not know are ignored, as the
beacon API asks of its clients.
"""

from __future__ import annotations

import json
from typing import Any

from remerkleable.basic import uint
from remerkleable.bitfields import Bitvector
from remerkleable.byte_arrays import RawBytesView
from remerkleable.complex import Container

from provery.core.errors import InvalidInput
from provery.core.types import Json
from provery.systems.beacon.containers import (
    bootstrap_record,
    bootstrap_type,
    update_record,
    update_type,
    update_view,
)
from provery.systems.beacon.model import Bootstrap, Fork, Update
from provery.systems.beacon.spec import Preset

_DIGITS = 78
"""Of the largest uint256."""


def load(body: bytes) -> Json:
    """Parse JSON as the standard has it: no NaN, no infinities, no bottomless nesting.

    Raises:
        InvalidInput: it is none.
    """

    def refuse(name: str) -> None:
        raise ValueError(f"{name} is no JSON number")

    try:
        value: Json = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        start = body[:80].decode("utf-8", "replace")
        raise InvalidInput(
            f"malformed JSON: {reason}", value=start, expected="a beacon API answer"
        ) from error
    return value


def parse_update(fork: Fork, preset: Preset, value: Json) -> Update:
    """An update from its JSON form.

    Raises:
        InvalidInput: a field is missing or malformed; the message names it.
    """
    return update_record(fork, _parse(update_type(fork, preset.committee_size), value, "update"))


def parse_bootstrap(fork: Fork, preset: Preset, value: Json) -> Bootstrap:
    """A bootstrap from its JSON form.

    Raises:
        InvalidInput: a field is missing or malformed; the message names it.
    """
    return bootstrap_record(fork, _parse(bootstrap_type(fork, preset.committee_size), value, "bootstrap"))


def format_update(update: Update) -> Json:
    """The JSON form of an update."""
    return _format(update_view(update))


def _parse(kind: Any, value: Json, path: str) -> Any:
    if issubclass(kind, Container):
        if not isinstance(value, dict):
            raise _wrong(path, value, "an object")
        missing = [name for name in kind.fields() if name not in value]
        if missing:
            raise InvalidInput(
                f"{path} lacks fields", value=", ".join(missing), expected=", ".join(kind.fields())
            )
        return kind(
            **{name: _parse(field, value[name], f"{path}.{name}") for name, field in kind.fields().items()}
        )
    if issubclass(kind, uint):
        if not (isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= _DIGITS):
            raise _wrong(path, value, "a decimal string")
        try:
            return kind(int(value))
        except ValueError as error:
            raise _wrong(path, value, f"a {kind.__name__}") from error
    if issubclass(kind, RawBytesView | Bitvector):
        return _bytes(kind, value, path)
    size = kind.vector_length()
    if not isinstance(value, list) or len(value) != size:
        got = f"{len(value)} elements" if isinstance(value, list) else value
        raise _wrong(path, got, f"a list of {size}")
    element = kind.element_cls()
    return kind(*(_parse(element, item, f"{path}[{at}]") for at, item in enumerate(value)))


def _bytes(kind: Any, value: Json, path: str) -> Any:
    least, most = kind.min_byte_length(), kind.max_byte_length()
    expected = f"0x and {most} bytes in hex" if least == most else f"0x and at most {most} bytes in hex"
    if not isinstance(value, str) or not value.startswith("0x") or len(value) > 2 + 2 * most:
        raise _wrong(path, value, expected)
    try:
        return kind.decode_bytes(bytes.fromhex(value[2:]))
    except Exception as error:  # the library raises bare exceptions of many classes
        raise _wrong(path, value, expected) from error


def _wrong(path: str, value: object, expected: str) -> InvalidInput:
    return InvalidInput(f"{path} is malformed", value=value, expected=expected, action="ask another node")


def _format(view: Any) -> Json:
    if isinstance(view, Container):
        return {name: _format(getattr(view, name)) for name in view.fields()}
    if isinstance(view, uint):
        return str(int(view))
    if isinstance(view, RawBytesView | Bitvector):
        return "0x" + bytes(view.encode_bytes()).hex()
    return [_format(item) for item in view]
