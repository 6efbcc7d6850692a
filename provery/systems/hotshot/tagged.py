"""TaggedBase64, the text form of keys, signatures and states, and the bodies within. Pure.

A value is its tag, ``~``, and base64url without padding of the body and a checksum: the CRC-8 (polynomial 7) of tag and
body, xor the body's length. Bodies are little-endian integers of 8 or 32 bytes one after the other.
"""

from __future__ import annotations

import base64
import binascii
import re

from provery.core.errors import InvalidInput
from provery.systems.hotshot import bls
from provery.systems.hotshot.model import (
    BlsKey,
    LightClientState,
    SchnorrKey,
    Signature,
    StakeTableState,
)
from provery.systems.hotshot.roots import FIELD
from provery.systems.hotshot.schnorr import ORDER, on_curve

BLS_KEY, SCHNORR_KEY, SCHNORR_SIGNATURE = "BLS_VER_KEY", "SCHNORR_VER_KEY", "SCHNORR_SIG"
STATE, STAKE_STATE = "LIGHT_CLIENT_STATE", "STAKE_TABLE_STATE"
LONGEST = 256
"""Characters; the longest value there is, a BLS key, has 184."""
_ALPHABET = re.compile(r"[A-Za-z0-9_-]+\Z")
_WORD = 32
_U64 = 8


def _crc_table() -> bytes:
    table = bytearray()
    for value in range(256):
        for _ in range(8):
            value = (value << 1 ^ (0x107 if value & 0x80 else 0)) & 0x1FF
        table.append(value & 0xFF)
    return bytes(table)


_CRC8 = _crc_table()


def checksum(tag: str, body: bytes) -> int:
    """The byte that ends every value."""
    crc = 0
    for byte in tag.encode("ascii") + body:
        crc = _CRC8[crc ^ byte]
    return crc ^ len(body) & 0xFF


def encode(tag: str, body: bytes) -> str:
    """The text of a body."""
    packed = base64.urlsafe_b64encode(body + bytes([checksum(tag, body)]))
    return f"{tag}~{packed.decode('ascii').rstrip('=')}"


def decode(tag: str, text: object, size: int) -> bytes:
    """The body of a text.

    Args:
        tag: The tag that it must have.
        text: What was received.
        size: Bytes that the body must have.

    Raises:
        InvalidInput: it is no text, or has another tag, form, length or checksum.
    """
    if not isinstance(text, str) or len(text) > LONGEST or not text.startswith(f"{tag}~"):
        raise InvalidInput("a tagged value is none", value=_start(text), expected=f"{tag}~ and base64url")
    coded = text[len(tag) + 1 :]
    if not _ALPHABET.match(coded):
        raise InvalidInput(f"a {tag} is not base64url without padding", value=_start(text))
    try:
        packed = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    except binascii.Error as error:
        raise InvalidInput(f"a {tag} is not base64url without padding", value=_start(text)) from error
    body = packed[:-1]
    if len(body) != size:
        raise InvalidInput(f"a {tag} has the wrong length", value=len(body), expected=f"{size} bytes")
    if encode(tag, body) != text:  # of the bits that the last character does not need, too
        raise InvalidInput(f"the checksum of a {tag} is wrong", value=_start(text), action="ask for it again")
    return body


# ------------------------------------------------------------ bodies


def parse_state(text: object) -> LightClientState:
    """A LIGHT_CLIENT_STATE: view and height of 8 bytes, the root of 32.

    Raises:
        InvalidInput: it is none.
    """
    body = decode(STATE, text, 2 * _U64 + _WORD)
    view, height = (int.from_bytes(body[at : at + _U64], "little") for at in (0, _U64))
    (root,) = _words(STATE, body[2 * _U64 :], FIELD)
    return LightClientState(view, height, root)


def format_state(state: LightClientState) -> str:
    """Its text."""
    head = state.view.to_bytes(_U64, "little") + state.height.to_bytes(_U64, "little")
    return encode(STATE, head + _pack(state.block_comm_root))


def parse_stake_state(text: object) -> StakeTableState:
    """A STAKE_TABLE_STATE: the three commitments and the threshold.

    Raises:
        InvalidInput: it is none.
    """
    return StakeTableState(*_words(STAKE_STATE, decode(STAKE_STATE, text, 4 * _WORD), FIELD))


def format_stake_state(state: StakeTableState) -> str:
    """Its text."""
    return encode(STAKE_STATE, _pack(state.bls, state.schnorr, state.amount, state.threshold))


def parse_schnorr_key(text: object) -> SchnorrKey:
    """A SCHNORR_VER_KEY: a point of the curve. That it is in the subgroup is left to whoever trusts a signature.

    Raises:
        InvalidInput: it is none.
    """
    x, y = _words(SCHNORR_KEY, decode(SCHNORR_KEY, text, 2 * _WORD), FIELD)
    if not on_curve((x, y)):
        raise InvalidInput("a Schnorr key is no point of the curve", value=_start(text))
    return x, y


def format_schnorr_key(key: SchnorrKey) -> str:
    """Its text."""
    return encode(SCHNORR_KEY, _pack(*key))


def parse_signature(text: object) -> Signature:
    """A SCHNORR_SIG: the scalar, and R's coordinates. That R is a point is left to the check of the signature.

    Raises:
        InvalidInput: it is none.
    """
    s, rx, ry = _words(SCHNORR_SIGNATURE, decode(SCHNORR_SIGNATURE, text, 3 * _WORD), FIELD)
    if s >= ORDER:
        raise InvalidInput("the scalar of a Schnorr signature is not reduced", value=_start(text))
    return Signature(s, rx, ry)


def format_signature(signature: Signature) -> str:
    """Its text."""
    return encode(SCHNORR_SIGNATURE, _pack(signature.s, signature.rx, signature.ry))


def parse_bls_key(text: object) -> BlsKey:
    """A BLS_VER_KEY: a point of G2's curve, with the sign of y in the highest bit.

    Raises:
        InvalidInput: it is none.
    """
    body = decode(BLS_KEY, text, 4 * _WORD)
    signed = body[-1] >> 7
    x0, x1, y0, y1 = _words(BLS_KEY, body[:-1] + bytes([body[-1] & 0x7F]), bls.BASE_FIELD)
    key = (x0, x1, y0, y1)
    if not bls.on_curve(key) or bls.sign(key) != signed:
        raise InvalidInput(
            "a BLS key is no point of the curve, or has the wrong sign bit", value=_start(text)
        )
    return key


def format_bls_key(key: BlsKey) -> str:
    """Its text."""
    x0, x1, y0, y1 = key
    return encode(BLS_KEY, _pack(x0, x1, y0, y1 | bls.sign(key) << bls.SIGN))


def _words(tag: str, body: bytes, bound: int) -> list[int]:
    found = [int.from_bytes(body[at : at + _WORD], "little") for at in range(0, len(body), _WORD)]
    if any(value >= bound for value in found):
        raise InvalidInput(
            f"an element of a {tag} is not reduced", value=body.hex(), expected="below the modulus"
        )
    return found


def _pack(*values: int) -> bytes:
    return b"".join(value.to_bytes(_WORD, "little") for value in values)


def _start(value: object) -> str:
    return value[:LONGEST] if isinstance(value, str) else repr(value)[:LONGEST]
