"""BLS signatures of the consensus layer, on py_arkworks_bls12381. Pure.

Scheme: proof of possession, keys in G1, signatures in G2 (draft-irtf-cfrg-bls-signature, section 3.3 and
``specs/phase0/beacon-chain.md``). Encodings are the compressed ones of ZCash: big-endian, three flag bits first.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from py_arkworks_bls12381 import GT, G1Point, G2Point

from provery.core.errors import InvalidInput
from provery.systems.beacon.model import PUBKEY_BYTES, SIGNATURE_BYTES

DST = b"BLS_SIG_BLS12381G2_XMD:SHA-256_SSWU_RO_POP_"
"""Domain separation tag of hashing to G2."""
FIELD = int(
    "1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab", 16
)
"""Order of the field that coordinates are in."""
_COMPRESSED, _INFINITY = 0x80, 0x40
_MINUS_G1 = -G1Point()
CACHED_KEYS = 2048
"""Decompressed keys that are remembered: four mainnet committees, about 0.5 MB."""


def verify(pubkeys: Sequence[bytes], message: bytes, signature: bytes) -> None:
    """Check an aggregate signature of all ``pubkeys`` over one message (FastAggregateVerify).

    Args:
        pubkeys: Compressed keys, 48 bytes each.
        message: Signing root, 32 bytes.
        signature: Compressed signature, 96 bytes.

    Raises:
        InvalidInput: there is no key, a key or the signature is no valid point of its subgroup, or the signature
            is not theirs.
    """
    if not pubkeys:
        raise InvalidInput("an aggregate signature has no signers", expected="at least one")
    total = G1Point.identity()
    for at, key in enumerate(pubkeys):
        try:
            total = total + public_key(key)
        except InvalidInput as error:
            raise InvalidInput(f"public key {at} of {len(pubkeys)}: {error}") from error
    if total == G1Point.identity():
        raise InvalidInput("the signers' keys cancel out", expected="a sum that is not the identity")
    point = signature_point(signature)
    if not GT.pairing_check([_MINUS_G1, total], [point, G2Point.hash_to_curve(message, DST)]):
        raise InvalidInput(
            "the aggregate signature does not verify",
            value=signature.hex(),
            expected=f"a signature of {len(pubkeys)} keys over {message.hex()}",
            action="the update is forged, of another chain, or signed by another committee: ask another node",
        )


@lru_cache(maxsize=CACHED_KEYS)
def public_key(data: bytes) -> G1Point:
    """A valid public key (KeyValidate): canonical, on the curve, in the subgroup, not the identity.

    Raises:
        InvalidInput: it is none.
    """
    _check_encoding(data, PUBKEY_BYTES, "public key")
    if data[0] & _INFINITY:
        raise InvalidInput("a public key is the point at infinity", value=data.hex())
    try:
        return G1Point.from_compressed_bytes(data)
    except ValueError as error:
        raise InvalidInput(
            "a public key is not a point of the G1 subgroup", value=data.hex(), expected="a compressed key"
        ) from error


def signature_point(data: bytes) -> G2Point:
    """A signature: canonical, on the curve, in the subgroup.

    Raises:
        InvalidInput: it is none.
    """
    _check_encoding(data, SIGNATURE_BYTES, "signature")
    try:
        return G2Point.from_compressed_bytes(data)
    except ValueError as error:
        raise InvalidInput(
            "a signature is not a point of the G2 subgroup",
            value=data.hex(),
            expected="a compressed signature",
        ) from error


def _check_encoding(data: bytes, size: int, what: str) -> None:
    if len(data) != size:
        raise InvalidInput(
            f"a {what} has the wrong length", value=f"{len(data)} bytes", expected=f"{size} bytes"
        )
    if not data[0] & _COMPRESSED:
        raise InvalidInput(f"a {what} is not compressed", value=data.hex(), expected="the highest bit set")
    if data[0] & _INFINITY:
        if data[0] != _COMPRESSED | _INFINITY or any(data[1:]):
            raise InvalidInput(f"a {what} at infinity has other bits set", value=data.hex())
        return
    first = bytes([data[0] & 0x1F]) + data[1:]
    for at in range(0, size, PUBKEY_BYTES):
        if int.from_bytes(first[at : at + PUBKEY_BYTES], "big") >= FIELD:
            raise InvalidInput(
                f"a coordinate of a {what} is not reduced", value=data.hex(), expected="below p"
            )
