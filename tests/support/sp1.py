"""Real SP1 proofs of mainnet periods 1600 and 1601 as provers hand them out, and statements that they prove."""

from __future__ import annotations

import random
from pathlib import Path

from provery.core.ports import Statement
from provery.core.types import Unit

VECTORS = Path(__file__).parents[2] / "vectors/beacon"
PROGRAM = (VECTORS / "sp1/program.txt").read_text().strip()
KEY = "7f0bd1a9c1d2e3f405162738495a6b7c8d9eafb0c1d2e3f405162738495a6b01"
"""A private key; of nobody."""


def public(period: int) -> bytes:
    return (VECTORS / f"mainnet/public_values_{period}.bin").read_bytes()


def onchain(period: int) -> bytes:
    return (VECTORS / f"sp1/proof_{period}.bin").read_bytes()


def groth16(period: int) -> bytes:
    """The Groth16 proof as the network serves it."""
    return (VECTORS / f"sp1/groth16_{period}.bin").read_bytes()


def compressed(period: int, size: int = 20_000) -> bytes:
    """A file with the outside of a compressed proof: no verifier of ours looks inside one, and a real one is 1.4 MB."""
    values, version = public(period), b"v5.0.0"
    inside = random.Random(period).randbytes(size)
    return b"".join(
        (
            (1).to_bytes(4, "little"),
            inside,
            len(values).to_bytes(8, "little"),
            values,
            len(version).to_bytes(8, "little"),
            version,
        )
    )


def statement(folder: Path, period: int = 1600, *, request_key: str = "") -> Statement:
    """What is to be proved of a period; 1601 continues the proof of 1600."""
    files = {"sync.ssz": VECTORS / f"mainnet/sync_{period}.ssz"}
    if period > 1600:
        files["previous_zk_proof.bin"] = folder / "previous_zk_proof.bin"
        files["previous_zk_proof.bin"].write_bytes(compressed(period - 1))
        files["previous_zk_vk_raw.bin"] = VECTORS / "sp1/vk.bin"
    return Statement(
        Unit("beacon", "mainnet", str(period)),
        "beacon-step-mainnet-6",
        files,
        {"chain": "mainnet", "period": str(period), "previous_period": str(period - 1)},
        request_key or f"{period:064x}",
    )
