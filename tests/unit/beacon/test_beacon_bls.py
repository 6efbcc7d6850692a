"""Aggregate signatures: what verifies, and every encoding that must not."""

from __future__ import annotations

import pytest
from eth_consensus_specs.utils import bls as oracle

from provery.core.errors import InvalidInput
from provery.systems.beacon import bls
from tests.support.beacon import Signers

MESSAGE = bytes(range(32))
SIGNERS = Signers.of(7)
KEYS = [SIGNERS.committee.key(seat) for seat in range(32)]
SIGNATURE = SIGNERS.sign(MESSAGE, b"\xff" * 4)
INFINITY_G1 = b"\xc0" + bytes(47)
INFINITY_G2 = b"\xc0" + bytes(95)
# x = 4 lies on the curve of G1 but not in the subgroup.
OUTSIDE_G1 = b"\x80" + bytes(46) + b"\x04"


def on_curve_outside_g2() -> bytes:
    """A point of the twist's curve that is not in the subgroup: the first x that has a y."""
    from py_arkworks_bls12381 import G2Point

    for x in range(1, 100):
        data = b"\x80" + bytes(94) + bytes([x])
        try:
            point = G2Point.from_compressed_bytes_unchecked(data)
        except ValueError:
            continue
        if not point.is_in_subgroup():
            return data
    raise AssertionError("no such point")


def unreduced(data: bytes) -> bytes:
    """The same point with p added to its first coordinate, where that still fits into 381 bits."""
    x = int.from_bytes(bytes([data[0] & 0x1F]) + data[1:48], "big") + bls.FIELD
    raised = bytearray(x.to_bytes(48, "big"))
    raised[0] |= data[0] & 0xE0
    return bytes(raised) + data[48:]


def test_a_signature_of_all_and_of_some() -> None:
    bls.verify(KEYS, MESSAGE, SIGNATURE)
    bls.verify(KEYS[:1], MESSAGE, SIGNERS.sign(MESSAGE, b"\1"))
    assert oracle.FastAggregateVerify(KEYS, MESSAGE, SIGNATURE)


@pytest.mark.parametrize(
    ("keys", "message", "signature", "match"),
    [
        ([], MESSAGE, SIGNATURE, "no signers"),
        (KEYS[:-1], MESSAGE, SIGNATURE, "does not verify"),
        ([*KEYS, KEYS[0]], MESSAGE, SIGNATURE, "does not verify"),
        (KEYS, MESSAGE[::-1], SIGNATURE, "does not verify"),
        (KEYS, MESSAGE, INFINITY_G2, "does not verify"),
        (KEYS, MESSAGE, SIGNATURE[:-1], "96 bytes"),
        (KEYS, MESSAGE, SIGNATURE[:-1] + bytes([SIGNATURE[-1] ^ 1]), "G2 subgroup|does not verify"),
        (KEYS, MESSAGE, bytes([SIGNATURE[0] ^ 0x80]) + SIGNATURE[1:], "not compressed"),
        (KEYS, MESSAGE, bytes([SIGNATURE[0] ^ 0x20]) + SIGNATURE[1:], "does not verify"),
        (KEYS, MESSAGE, bytes([SIGNATURE[0] | 0x40]) + SIGNATURE[1:], "infinity has other bits"),
        (KEYS, MESSAGE, on_curve_outside_g2(), "G2 subgroup"),
        (KEYS, MESSAGE, b"\x9f" + b"\xff" * 95, "not reduced"),
        ([*KEYS, INFINITY_G1], MESSAGE, SIGNATURE, "public key 32 of 33.*infinity"),
        ([*KEYS, b"\xe0" + bytes(47)], MESSAGE, SIGNATURE, "other bits"),
        ([*KEYS, OUTSIDE_G1], MESSAGE, SIGNATURE, "G1 subgroup"),
        ([*KEYS, b"\x80" + bytes(46) + b"\x01"], MESSAGE, SIGNATURE, "G1 subgroup"),
        ([*KEYS, unreduced(OUTSIDE_G1)], MESSAGE, SIGNATURE, "not reduced"),
        ([*KEYS, b""], MESSAGE, SIGNATURE, "48 bytes"),
    ],
)
def test_everything_else_is_refused(keys: list[bytes], message: bytes, signature: bytes, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        bls.verify(keys, message, signature)
    assert not oracle.FastAggregateVerify(keys, message, signature)


def test_keys_that_cancel_out_sign_nothing() -> None:
    opposite = bytes([KEYS[0][0] ^ 0x20]) + KEYS[0][1:]
    with pytest.raises(InvalidInput, match="cancel out"):
        bls.verify([KEYS[0], opposite], MESSAGE, INFINITY_G2)
