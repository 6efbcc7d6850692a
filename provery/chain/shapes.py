"""What nodes answer, checked: quantities, bytes, hashes, blocks (execution-apis, "Ethereum JSON-RPC Specification")."""

from __future__ import annotations

import re
from typing import Any

from provery.core.errors import shorten
from provery.core.lanes import Block

_QUANTITY = re.compile(r"0x(?:0|[1-9a-f][0-9a-f]{0,63})", re.IGNORECASE)
_DATA = re.compile(r"0x(?:[0-9a-f]{2})*", re.IGNORECASE)
_HASH = re.compile(r"0x[0-9a-f]{64}", re.IGNORECASE)
_ADDRESS = re.compile(r"0x[0-9a-f]{40}", re.IGNORECASE)


class Malformed(Exception):
    """A value that is not what the specification says; the message shows a bounded part of it."""

    def __init__(self, what: str, value: object) -> None:
        super().__init__(f"{what}, got {shorten(str(value)[:400], 80)}")


def quantity(value: object, *, bits: int = 256) -> int:
    """An integer: 0x and hexadecimal digits without leading zeros, below 2^``bits``.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, str) or not _QUANTITY.fullmatch(value):
        raise Malformed("not a quantity", value)
    number = int(value, 16)
    if number >> bits:
        raise Malformed(f"a quantity of more than {bits} bits", value)
    return number


def data(value: object) -> bytes:
    """Bytes: 0x and an even number of hexadecimal digits.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, str) or not _DATA.fullmatch(value):
        raise Malformed("not hexadecimal data", value)
    return bytes.fromhex(value[2:])


def digest(value: object) -> str:
    """A hash of 32 bytes, as 0x and lower-case digits.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, str) or not _HASH.fullmatch(value):
        raise Malformed("not a hash of 32 bytes", value)
    return value.lower()


def address(value: object) -> bytes:
    """An address, 20 bytes.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, str) or not _ADDRESS.fullmatch(value):
        raise Malformed("not an address of 20 bytes", value)
    return bytes.fromhex(value[2:])


def block(value: object) -> Block:
    """A block's header.

    Raises:
        Malformed: it is something else.
    """
    fields = mapping(value)
    return Block(
        number=quantity(fields.get("number"), bits=64),
        hash=digest(fields.get("hash")),
        parent=digest(fields.get("parentHash")),
        timestamp=quantity(fields.get("timestamp"), bits=64),
    )


def mapping(value: object) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, dict):
        raise Malformed("not an object", value)
    return value


def items(value: object) -> list[Any]:
    """A JSON array.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(value, list):
        raise Malformed("not an array", value)
    return value
