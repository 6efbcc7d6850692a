"""SP1's proof files: a proof with its public values and the prover's version, in bincode.

bincode 1 as SP1 uses it: integers little-endian and of fixed width, lengths and enum tags in front (8 and 4 bytes). The
proof comes first, then the public values, the version and, from some builds, one zero byte for an absent field. Of a
Groth16 proof everything is read; of a compressed one, whose inside is for SP1 alone, what comes after it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from provery.core.errors import ProofRejected
from provery.provers.sp1_groth16 import PROOF_BYTES, PUBLIC_BYTES

COMPRESSED, GROTH16 = 1, 3
"""Tags of SP1's ``SP1Proof``; 0 is core and 2 is PLONK."""
SMALLEST_COMPRESSED = 10_000
"""Bytes; real ones have 1.3 to 1.5 million. Whoever serves an empty shell is found out by this."""
LARGEST = 64 * 2**20
"""Bytes."""
_LONGEST_TEXT = 8_192
_VERSION = re.compile(r"v\d{1,4}\.\d{1,4}\.\d{1,4}(?:-[0-9A-Za-z.-]{1,40})?")


@dataclass(frozen=True)
class Bundle:
    """What can be read of a proof file."""

    tag: int
    public: bytes
    version: str
    onchain: bytes = b""
    """For contracts: selector and points, 260 bytes; of a Groth16 proof only."""


def read(data: bytes, tag: int) -> Bundle:
    """Take a proof file apart.

    Args:
        data: The file.
        tag: What kind of proof it has to be.

    Raises:
        ProofRejected: it is damaged, or holds another kind.
    """
    found = int.from_bytes(data[:4], "little")
    if len(data) > LARGEST or len(data) < 4 or found != tag:
        raise ProofRejected(
            "not an SP1 proof file of the kind that was asked for",
            value=f"{len(data)} bytes, kind {found}",
            expected=f"kind {tag}",
        )
    return _groth16(data) if tag == GROTH16 else _compressed(data)


def bytes_in_bincode(data: bytes) -> bytes:
    """A vector of bytes, as the network wants a program's ELF."""
    return len(data).to_bytes(8, "little") + data


class _Cursor:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 4

    def take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) < count:
            raise ProofRejected("the SP1 proof file is cut off", value=f"{len(self._data)} bytes")
        self._at += count
        return taken

    def counted(self) -> bytes:
        length = int.from_bytes(self.take(8), "little")
        if length > _LONGEST_TEXT:
            raise ProofRejected("the SP1 proof file has an impossible length", value=length)
        return self.take(length)

    def text(self) -> str:
        try:
            return self.counted().decode("ascii")
        except UnicodeDecodeError:
            raise ProofRejected("the SP1 proof file has bytes where text should be") from None

    def end(self) -> None:
        if self._data[self._at :] not in (b"", b"\0"):
            raise ProofRejected(
                "the SP1 proof file has bytes after its end", value=len(self._data) - self._at
            )


def _groth16(data: bytes) -> Bundle:
    cursor = _Cursor(data)
    for _ in range(
        2
    ):  # the program's hash and that of the public values, decimal: both are checked elsewhere
        cursor.text()
    encoded = cursor.text()
    cursor.text()  # the same proof once more, in gnark's form
    selector = cursor.take(32)[:4]
    public, version = cursor.counted(), cursor.text()
    cursor.end()
    try:
        onchain = selector + bytes.fromhex(encoded)
    except ValueError:
        raise ProofRejected("the SP1 proof file has no proof in hexadecimal") from None
    if len(onchain) != PROOF_BYTES:
        raise ProofRejected(
            "the SP1 proof file has a proof of another form", value=f"{len(onchain)} bytes", expected="260"
        )
    return Bundle(GROTH16, public, _version(version), onchain)


def _compressed(data: bytes) -> Bundle:
    if len(data) < SMALLEST_COMPRESSED:
        raise ProofRejected(
            "too small for a compressed SP1 proof",
            value=f"{len(data)} bytes",
            expected=f"{SMALLEST_COMPRESSED} or more",
        )
    for end in (len(data), len(data) - 1):
        tail = re.search(rb"([\x05-\x40])\0{7}(v[0-9A-Za-z.-]{5,63})\Z", data[end - 80 : end])
        if tail and tail[1][0] == len(tail[2]) and data[end:] in (b"", b"\0"):
            before = end - 8 - len(tail[2])
            for length in PUBLIC_BYTES:
                if data[before - length - 8 : before - length] == length.to_bytes(8, "little"):
                    version = _version(tail[2].decode("ascii"))
                    return Bundle(COMPRESSED, data[before - length : before], version)
    raise ProofRejected("the compressed SP1 proof does not end with public values and a version")


def _version(text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise ProofRejected("the SP1 proof file names no version", value=text, expected="such as v5.0.0")
    return text
