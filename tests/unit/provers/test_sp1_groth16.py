"""SP1 proofs of real periods: they verify, and nothing near them does."""

from __future__ import annotations

import random
import sys
from pathlib import Path

import pytest

from provery.core.errors import ConfigurationError, InvalidKey, ProofRejected, ProverCrashed
from provery.provers.sp1_groth16 import PROOF_BYTES, Claim, verdicts, verify
from provery.provers.tools import Tools

VECTORS = Path(__file__).parents[3] / "vectors/beacon"
PROGRAM = bytes.fromhex((VECTORS / "sp1/program.txt").read_text())
BN254 = 0x30644E72E131A029B85045B68181585D97816A916871CA8D3C208C16D87CFD47
"""Modulus of the curve's base field."""


def recorded(period: int) -> Claim:
    return Claim(
        (VECTORS / f"sp1/proof_{period}.bin").read_bytes(),
        (VECTORS / f"mainnet/public_values_{period}.bin").read_bytes(),
        PROGRAM,
    )


def changed(data: bytes, at: int, by: int) -> bytes:
    return data[:at] + bytes([data[at] ^ by]) + data[at + 1 :]


def replaced(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


@pytest.mark.parametrize("period", [1600, 1601])
def test_the_proof_of_a_real_period_verifies(period: int) -> None:
    claim = recorded(period)
    verify(claim.proof, claim.public, claim.program)


@pytest.mark.parametrize("period", [1600, 1601])
@pytest.mark.parametrize("part", ["proof", "public"])
def test_200_random_changes_of_one_byte_are_all_rejected(period: int, part: str) -> None:
    good = recorded(period)
    chance = random.Random(f"{period} {part}")
    claims = [good]
    for _ in range(200):
        proof, public = good.proof, good.public
        at, by = chance.randrange(len(getattr(good, part))), chance.randint(1, 255)
        if part == "proof":
            proof = changed(proof, at, by)
        else:
            public = changed(public, at, by)
        claims.append(Claim(proof, public, PROGRAM))
    first, *others = verdicts(claims)
    assert first is None
    assert [type(error) for error in others] == [ProofRejected] * 200


@pytest.mark.parametrize("at", range(4))
def test_every_byte_of_the_selector_counts(at: int) -> None:
    good = recorded(1600)
    with pytest.raises(ProofRejected, match="another release"):
        verify(changed(good.proof, at, 1), good.public, PROGRAM)


def test_a_proof_of_another_period_or_program_is_rejected() -> None:
    one, other = recorded(1600), recorded(1601)
    with pytest.raises(ProofRejected, match="pairing"):
        verify(one.proof, other.public, PROGRAM)
    with pytest.raises(ProofRejected, match="pairing"):
        verify(one.proof, one.public, changed(PROGRAM, 31, 1))


@pytest.mark.parametrize(
    ("at", "value", "says"),
    [
        (4, BN254.to_bytes(32, "big"), "modulus"),
        (4 + 7 * 32, b"\xff" * 32, "modulus"),
        (4, bytes(64), "infinity"),
        (4 + 64, bytes(128), "infinity"),
        (4, (1).to_bytes(32, "big") + (3).to_bytes(32, "big"), "not on the curve"),
        (4 + 192, (1).to_bytes(32, "big") + (3).to_bytes(32, "big"), "not on the curve"),
        (4 + 64 + 31, b"\x01", "not in its group"),
    ],
)
def test_points_must_be_finite_canonical_and_on_their_curve(at: int, value: bytes, says: str) -> None:
    good = recorded(1600)
    with pytest.raises(ProofRejected, match=says):
        verify(replaced(good.proof, at, value), good.public, PROGRAM)


@pytest.mark.parametrize("length", [0, 4, PROOF_BYTES - 1, PROOF_BYTES + 1])
def test_a_proof_of_another_length_is_rejected(length: int) -> None:
    good = recorded(1600)
    with pytest.raises(ProofRejected, match=f"{length} bytes"):
        verify((good.proof + b"\0")[:length], good.public, PROGRAM)


@pytest.mark.parametrize("length", [0, 71, 73, 135, 137])
def test_public_values_of_another_length_are_rejected(length: int) -> None:
    good = recorded(1600)
    with pytest.raises(ProofRejected, match=f"{length} bytes"):
        verify(good.proof, (good.public + bytes(100))[:length], PROGRAM)


@pytest.mark.parametrize("program", [b"", PROGRAM[1:], PROGRAM + b"\0"])
def test_a_program_is_32_bytes(program: bytes) -> None:
    good = recorded(1600)
    with pytest.raises(InvalidKey, match="32 bytes"):
        verify(good.proof, good.public, program)


def test_a_program_beyond_the_scalar_field_is_rejected() -> None:
    good = recorded(1600)
    with pytest.raises(ProofRejected, match="field element"):
        verify(good.proof, good.public, b"\xff" * 32)


def test_a_missing_or_foreign_program_is_not_taken_for_a_verdict(tmp_path: Path) -> None:
    good = recorded(1600)
    missing = Tools.find({"PROVERY_PROVER_BIN": str(tmp_path / "none")}, tmp_path)
    with pytest.raises(ConfigurationError, match="make setup"):
        verify(good.proof, good.public, PROGRAM, tools=missing)
    for answer in (
        "",
        "print('{}')",
        "print('[]')",
        "print('{\"valid\": true}\\n' * 2)",
        "raise SystemExit(3)",
    ):
        fake = tmp_path / "fake"
        fake.write_text(f"#!{sys.executable}\n{answer}\n")
        fake.chmod(0o755)
        with pytest.raises(ProverCrashed):
            verify(
                good.proof,
                good.public,
                PROGRAM,
                tools=Tools.find({"PROVERY_PROVER_BIN": str(fake)}, tmp_path),
            )
