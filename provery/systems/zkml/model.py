"""Records of the zkml system. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from provery.core.errors import ArtifactCorrupt
from provery.core.types import canonical_json

SYSTEM = "zkml"
ATTEST_HASH, ATTEST_PROOF = "hash", "proof"
ATTESTS = ("", ATTEST_HASH, ATTEST_PROOF)
"""What of a proof goes on chain: nothing, its hash, or all of it, for the verifier contract to check."""


@dataclass(frozen=True)
class Answer:
    """A verified inference: everything that any response about it is made of. Hashes are 0x and 64 digits."""

    model: str
    version: str
    model_hash: str
    input_hash: str
    output_hash: str
    proof: str
    """The proof's bytes: 0x and hexadecimal digits."""
    proof_hash: str
    proof_size: int
    """Bytes."""
    prover: str
    scheme: str
    verifying_key: str
    inputs: tuple[float, ...]
    """As they were asked for, flat in row-major order."""
    quantised: tuple[int, ...]
    raw_output: tuple[float, ...]
    """``raw_quantised`` over 2^scale: what the proof shows, not what the float model gives."""
    raw_quantised: tuple[int, ...]
    instance: str
    """The prover's ``instance.json``: what a verifier needs besides the key."""
    commitment: str
    """Hash of, or commitment to, the inputs; empty where they are public."""
    salt: str
    """Opens the commitment; empty where there is none."""
    calldata: str
    """The call of the verifier contract: 0x and hexadecimal digits."""
    verifier: str
    """Address of the verifier contract; empty where there is none."""
    created_at_ms: int
    """Since 1970, when the proof was made."""
    generation_ms: int
    """How long the prover took."""

    def write(self) -> bytes:
        """As canonical JSON."""
        return canonical_json(asdict(self))

    @classmethod
    def read(cls, text: bytes) -> Answer:
        """From what :meth:`write` made.

        Raises:
            ArtifactCorrupt: it is something else.
        """
        try:
            found: dict[str, Any] = json.loads(text)
            return cls(**{**found, **{name: tuple(found[name]) for name in _LISTS}})
        except (ValueError, TypeError, KeyError, AttributeError):
            expected = ", ".join(field.name for field in fields(cls))
            raise ArtifactCorrupt("not an answer", value=text[:80], expected=expected) from None


_LISTS = ("inputs", "quantised", "raw_output", "raw_quantised")
