"""Public values of an ezkl proof: ``instance.json``, field elements, the commitment, the call of the contract.

An ezkl proof shows, in order: the inputs where they are public (one value each) or their Poseidon hash (one value),
then the outputs, one value each. A commitment to inputs is no public value: it is the first point of the proof.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from provery.core.errors import ProofRejected
from provery.core.models import Shown, Visibility
from provery.core.types import canonical_json
from provery.provers.formats import BASE_FIELD, FIELD

SELECTOR = bytes.fromhex("1e8e1e13")
"""``verifyProof(bytes,uint256[])``."""
LIMIT = 16 * 2**20
"""Bytes of an ``instance.json``."""
_KEYS = frozenset({"circuit", "commitment", "inputs", "outputs", "public", "scale", "verifying_key"})


@dataclass(frozen=True)
class Instance:
    """What a proof claims."""

    circuit: str
    """Digest of the model's file and ezkl's settings."""
    verifying_key: str
    """SHA-256 of the verifying key."""
    scale: int
    """Bits of fraction of the outputs."""
    inputs: tuple[int, ...]
    """Quantised; empty where they are not public."""
    outputs: tuple[int, ...]
    commitment: str
    """Hash of, or commitment to, the inputs where they are not public: 0x and 64 hexadecimal digits."""
    public: tuple[int, ...]
    """The field elements that the proof is checked with."""

    def encode(self) -> bytes:
        """As ``instance.json``."""
        return canonical_json(
            {
                "circuit": self.circuit,
                "commitment": self.commitment,
                "inputs": list(self.inputs),
                "outputs": list(self.outputs),
                "public": [word(value) for value in self.public],
                "scale": self.scale,
                "verifying_key": self.verifying_key,
            }
        )

    def shown(self) -> Shown:
        """For the caller of ``verify``."""
        return Shown(self.outputs, self.inputs, self.commitment, self.scale)


def instance_of(
    visibility: Visibility, public: tuple[int, ...], proof: bytes, inputs: int, identity: tuple[str, str, int]
) -> Instance:
    """Read public values.

    Args:
        visibility: Of the inputs.
        public: The field elements.
        proof: The proof's bytes, which begin with the commitment where there is one.
        inputs: How many the model has.
        identity: Digests of the circuit and of the verifying key, and the outputs' scale.

    Raises:
        ProofRejected: too few values, or no commitment.
    """
    split = {Visibility.PUBLIC: inputs, Visibility.HASHED: 1, Visibility.COMMITMENT: 0}[visibility]
    if len(public) <= split:
        raise ProofRejected("the proof shows too little", value=len(public), expected=f"over {split} values")
    commitment = ""
    if visibility is Visibility.HASHED:
        commitment = word(public[0])
    elif visibility is Visibility.COMMITMENT:
        commitment = committed(proof)
    shown = tuple(signed(value) for value in public[:split]) if visibility is Visibility.PUBLIC else ()
    circuit, key, scale = identity
    outputs = tuple(signed(value) for value in public[split:])
    return Instance(circuit, key, scale, shown, outputs, commitment, public)


def parse_instance(data: bytes, visibility: Visibility, proof: bytes, inputs: int, outputs: int) -> Instance:
    """Read ``instance.json`` strictly: one form for one meaning, and nothing in it that the proof does not show.

    Raises:
        ProofRejected: it has another form, or contradicts itself or the proof.
    """
    try:
        told = json.loads(data) if len(data) <= LIMIT else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or set(told) != _KEYS:
        raise ProofRejected("the proof's public values have another form", expected=", ".join(sorted(_KEYS)))
    public, scale = told["public"], told["scale"]
    texts = [told["circuit"], told["verifying_key"]]
    if not isinstance(public, list) or type(scale) is not int or not all(isinstance(t, str) for t in texts):
        raise ProofRejected("the proof's public values have another form", value=sorted(told))
    values = tuple(_element(one) for one in public)
    found = instance_of(visibility, values, proof, inputs, (str(texts[0]), str(texts[1]), scale))
    if found.encode() != data:
        raise ProofRejected(
            "the public values contradict each other",
            expected="inputs, outputs and commitment as in `public`",
        )
    if len(found.outputs) != outputs:
        raise ProofRejected("the proof shows another number of outputs", value=len(found.outputs),
                            expected=str(outputs))  # fmt: skip
    return found


def _element(text: object) -> int:
    digits = text[2:] if isinstance(text, str) and len(text) == 66 and text.startswith("0x") else ""
    if not digits or not set(digits) <= set("0123456789abcdef") or int(digits, 16) >= FIELD:
        raise ProofRejected(
            "not a public value", value=text, expected="0x and 64 digits, below the field's order"
        )
    return int(digits, 16)


def word(value: int) -> str:
    """A field element as 32 bytes, big-endian: 0x and 64 hexadecimal digits."""
    return f"0x{value:064x}"


def signed(value: int) -> int:
    """The integer that a field element stands for: the upper half of the field is negative."""
    return value if value <= FIELD // 2 else value - FIELD


def felt(value: int) -> str:
    """A field element as ezkl writes it: 32 bytes, little-endian, hexadecimal digits."""
    return (value % FIELD).to_bytes(32, "little").hex()


def unfelt(text: str) -> int:
    """The field element that ezkl wrote."""
    return int.from_bytes(bytes.fromhex(text), "little")


def committed(proof: bytes) -> str:
    """The commitment to the inputs in a proof: its first point, compressed.

    The point's x, big-endian, with the lowest bit of y as bit 254: what ezkl's ``kzg_commit`` gives, in the other byte
    order.

    Raises:
        ProofRejected: there is no point.
    """
    x, y = int.from_bytes(proof[:32], "big"), int.from_bytes(proof[32:64], "big")
    if len(proof) < 64 or x >= BASE_FIELD or y >= BASE_FIELD:
        raise ProofRejected("the proof begins with no commitment", expected="a point of BN254")
    return word(x | (y & 1) << 254)


def calldata(proof: bytes, public: tuple[int, ...]) -> bytes:
    """The call of the contract that checks a proof, in the one canonical encoding.

    ezkl's own ends with a word of zeros that means nothing.
    """
    padding = bytes(-len(proof) % 32)
    words = (64, 96 + len(proof) + len(padding), len(proof))
    head = b"".join(n.to_bytes(32, "big") for n in words)
    tail = b"".join(n.to_bytes(32, "big") for n in (len(public), *public))
    return SELECTOR + head + proof + padding + tail
