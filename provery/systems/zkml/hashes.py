"""Hashes of answers, Keccak-256, as 0x and 64 hexadecimal digits: those of the upstream service."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from Crypto.Hash import keccak


def keccak256(data: bytes) -> str:
    """Of bytes."""
    return "0x" + keccak.new(digest_bits=256, data=data).hexdigest()


def model_hash(data: bytes) -> str:
    """Of an ONNX file."""
    return keccak256(data)


def proof_hash(data: bytes) -> str:
    """Of a proof."""
    return keccak256(data)


def input_hash(values: Sequence[float]) -> str:
    """Of inputs: the doubles, little-endian, one after the other, in row-major order."""
    return keccak256(struct.pack(f"<{len(values)}d", *values))


def output_hash(values: Sequence[float]) -> str:
    """Of raw outputs, in the same way."""
    return input_hash(values)
