"""What an SP1 proof of a sync-committee period says, and what ``sync.ssz`` demands that it says.

``sync.ssz`` (mainnet preset): current keys, next keys (512 of 48 bytes each), bits, signature, generalised index, slot,
proposer, and the branch from the next committee's keys up to the signing root. Its last node is the signing domain; the
node computed just below the signing root is the attested header's root. Hashing is SSZ's (consensus specification,
``ssz/simple-serialize.md``): SHA-256 over pairs, each key padded to two chunks.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from provery.core.errors import InvalidInput, ProofRejected

KEYS, KEY_BYTES = 512, 48
_CURRENT, _NEXT = 18, 18 + KEYS * KEY_BYTES
_GINDEX, _BRANCH = 49_330, 49_358
_SIZES = {10: _BRANCH + 10 * 32 + 1, 11: _BRANCH + 11 * 32 + 1}
"""Bytes of the file by nodes of its branch: until Deneb, and from Electra."""


@dataclass(frozen=True)
class PublicValues:
    """Public values of the program; integers little-endian, roots as they are."""

    anchor: bytes
    """Root of the keys with which the chain of proofs began; of the signing committee's own where it begins here."""
    next_keys: bytes
    period: int
    """The period whose keys are ``next_keys``."""
    header: bytes = b""
    """Root of the attested header; empty in the 72-byte form."""
    domain: bytes = b""

    @classmethod
    def read(cls, data: bytes) -> PublicValues:
        """Take apart 72 or 136 bytes.

        Raises:
            ProofRejected: another length.
        """
        if len(data) not in (72, 136):
            raise ProofRejected(
                "not the public values of a sync-committee proof",
                value=f"{len(data)} bytes",
                expected="72 or 136",
            )
        return cls(data[:32], data[32:64], int.from_bytes(data[64:72], "little"), data[72:104], data[104:136])


@dataclass(frozen=True)
class Demand:
    """What a proof of one ``sync.ssz`` has to say."""

    current_keys: bytes
    next_keys: bytes
    header: bytes
    domain: bytes

    @classmethod
    def of(cls, sync: bytes) -> Demand:
        """Compute the roots of a ``sync.ssz``.

        Raises:
            InvalidInput: not a file of that form.
        """
        nodes = next((n for n, size in _SIZES.items() if size == len(sync)), 0)
        gindex = int.from_bytes(sync[_GINDEX : _GINDEX + 8], "little")
        if not nodes or gindex.bit_length() != nodes + 1:
            raise InvalidInput(
                "not a sync.ssz of the mainnet preset",
                value=f"{len(sync)} bytes, generalised index {gindex}",
                expected=" or ".join(f"{size} bytes" for size in _SIZES.values()),
            )
        branch = [sync[_BRANCH + 32 * i : _BRANCH + 32 * i + 32] for i in range(nodes)]
        next_keys = keys_root(sync[_NEXT : _NEXT + KEYS * KEY_BYTES])
        node = next_keys
        for beside in branch[:-1]:
            node = sha256(beside + node if gindex & 1 else node + beside).digest()
            gindex >>= 1
        return cls(keys_root(sync[_CURRENT:_NEXT]), next_keys, node, branch[-1])

    def check(self, public: bytes, period: int, anchor: bytes = b"") -> PublicValues:
        """Hold public values against this demand.

        Args:
            public: 72 or 136 bytes.
            period: The period whose keys are the next ones.
            anchor: Root at which the chain of proofs began; empty where it begins with this one.

        Raises:
            ProofRejected: they say something else.
        """
        said = PublicValues.read(public)
        demands = {
            "anchor": (said.anchor, anchor or self.current_keys),
            "root of the next keys": (said.next_keys, self.next_keys),
            "period": (said.period, period),
        }
        if said.header:
            demands["attested header's root"] = (said.header, self.header)
            demands["domain"] = (said.domain, self.domain)
        for what, (found, wanted) in demands.items():
            if found != wanted:
                raise ProofRejected(
                    f"the proof is of something else: its {what} differs",
                    value=found.hex() if isinstance(found, bytes) else found,
                    expected=wanted.hex() if isinstance(wanted, bytes) else str(wanted),
                )
        return said


def keys_root(keys: bytes) -> bytes:
    """SSZ root of a vector of 512 public keys, 48 bytes each."""
    level = [sha256(keys[at : at + KEY_BYTES] + bytes(16)).digest() for at in range(0, len(keys), KEY_BYTES)]
    while len(level) > 1:
        level = [sha256(level[i] + level[i + 1]).digest() for i in range(0, len(level), 2)]
    return level[0]
