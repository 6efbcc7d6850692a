"""Public values of an ezkl proof: one form, and nothing in it that the proof does not show."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_abi.abi import decode

from provery.core.errors import ProofRejected
from provery.core.models import Visibility
from provery.provers.ezkl.instance import (
    Instance,
    calldata,
    committed,
    felt,
    instance_of,
    parse_instance,
    signed,
    unfelt,
)
from provery.provers.formats import BASE_FIELD, FIELD

IDENTITY = ("c" * 64, "d" * 64, 7)
PROOF = bytes(31) + b"\x01" + bytes(31) + b"\x02" + bytes(64)
"""Begins with BN254's generator, (1, 2)."""


def made(visibility: Visibility, *public: int) -> Instance:
    return instance_of(visibility, public, PROOF, 2, IDENTITY)


def test_each_visibility_shows_what_it_should() -> None:
    public = made(Visibility.PUBLIC, 5, FIELD - 3, 7, FIELD - 1)
    assert (public.inputs, public.outputs, public.commitment) == ((5, -3), (7, -1), "")
    hashed = made(Visibility.HASHED, 255, FIELD - 1, 4)
    assert (hashed.inputs, hashed.outputs, hashed.commitment) == ((), (-1, 4), f"0x{255:064x}")
    hidden = made(Visibility.COMMITMENT, 9, FIELD - 2)
    assert (hidden.inputs, hidden.outputs, hidden.commitment) == ((), (9, -2), f"0x{1:064x}")
    assert hidden.shown().output_scale == 7
    with pytest.raises(ProofRejected, match="too little"):
        made(Visibility.PUBLIC, 5, 6)


@pytest.mark.parametrize("visibility", list(Visibility))
def test_what_is_written_is_read(visibility: Visibility) -> None:
    wrote = made(visibility, 5, FIELD - 3, 7)
    assert parse_instance(wrote.encode(), visibility, PROOF, 2, len(wrote.outputs)) == wrote


def changed(name: str, value: Any) -> bytes:
    document = json.loads(made(Visibility.PUBLIC, 5, FIELD - 3, 7).encode())
    document[name] = value
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b"[" * 100_000,
        b"\xff",
        changed("inputs", [5, -4]),
        changed("inputs", [5, -3, 7]),
        changed("outputs", [8]),
        changed("outputs", [7.0]),
        changed("commitment", "0x" + "0" * 64),
        changed("scale", "7"),
        changed("scale", True),
        changed("circuit", 1),
        changed("more", 1),
        changed("public", ["0x5", "0x6", "0x7"]),
        changed("public", [5, 6, 7]),
        changed("public", "0x" + "0" * 64),
        changed("public", [f"0x{n:064x}" for n in (5, FIELD - 3)]),
        changed("public", [f"0x{n:064x}" for n in (5, FIELD - 3, FIELD + 7)]),
        changed("public", [f"0x{5:064x}", f"0x{FIELD - 3:064X}", f"0x{7:064x}"]),
        made(Visibility.PUBLIC, 5, FIELD - 3, 7).encode() + b" ",
        made(Visibility.PUBLIC, 5, FIELD - 3, 7, 8).encode(),
        made(Visibility.HASHED, 5, 7).encode(),
    ],
)
def test_other_forms_are_rejected(data: bytes) -> None:
    with pytest.raises(ProofRejected):
        parse_instance(data, Visibility.PUBLIC, PROOF, 2, 1)


def test_a_commitment_is_what_the_proof_holds() -> None:
    good = made(Visibility.COMMITMENT, 9)
    other = bytes(31) + b"\x03" + PROOF[32:]
    with pytest.raises(ProofRejected, match="contradict"):
        parse_instance(good.encode(), Visibility.COMMITMENT, other, 2, 1)
    for point in (b"", bytes(63), BASE_FIELD.to_bytes(32, "big") + bytes(32), bytes(32) + b"\xff" * 32):
        with pytest.raises(ProofRejected, match="no commitment"):
            committed(point)
    assert committed(PROOF[:63] + b"\x03") == f"0x{1 | 1 << 254:064x}"


@pytest.mark.parametrize("value", [0, 1, -1, 2**48, -(2**48), FIELD // 2, -(FIELD // 2)])
def test_field_elements_stand_for_integers(value: int) -> None:
    assert signed(unfelt(felt(value))) == value


def test_the_call_is_plain_abi() -> None:
    call = calldata(b"proof" * 10, (3, FIELD - 1))
    assert call[:4].hex() == "1e8e1e13"
    assert decode(["bytes", "uint256[]"], call[4:]) == (b"proof" * 10, (3, FIELD - 1))
