"""Public values of native proofs of inferences: as field elements, as ``instance.json``, and as a contract takes them.

``instance.json`` is canonical JSON: {"circuit", "commitment", "inputs", "model", "outputs", "public", "scale",
"verifying_key"}. ``public`` has the values that the proof is checked with, in order, as 0x and 64 hexadecimal digits:
the commitment to the graph, the inputs or the one value that stands for them, the outputs. All else follows from them
and the model; a file that says something else is refused, so that nobody reads what was not verified.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from Crypto.Hash import keccak
from eth_abi.abi import encode

from provery.core.errors import InvalidInput, ProofRejected
from provery.core.models import ModelFiles, Shown, Visibility
from provery.core.types import Json, canonical_json

MODULUS = 0x30644E72E131A029B85045B68181585D2833E84879B9709143E1F593F0000001
"""Of BN254's scalar field. A number q below zero is MODULUS + q."""
SIZE_LIMIT = 16 << 20
"""Bytes of an ``instance.json``."""
_WORD = re.compile(r"0x[0-9a-f]{64}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class Shape:
    """What is known of a model's public values, from its facts."""

    circuit: str
    circuit_id: str
    verifying_key: str
    model: str
    """The commitment to the graph, as a word."""
    inputs: int
    outputs: int
    scale: int
    scheme: str
    visibility: Visibility

    @classmethod
    def of(cls, model: ModelFiles) -> Shape:
        """Of a compiled model.

        Raises:
            InvalidInput: its facts are not those of the native prover.
        """
        facts = model.facts
        try:
            shape = cls(
                facts["circuit"],
                facts["circuit_id"],
                facts["verifying_key"],
                facts["graph_commitment"],
                int(facts["inputs"]),
                int(facts["outputs"]),
                int(facts["scale"]),
                facts["scheme"],
                Visibility(facts["visibility"]),
            )
        except (KeyError, ValueError) as error:
            raise InvalidInput(
                "the model lacks what the native prover knows of it",
                value=str(error),
                expected="the facts of its compile step",
                action="add the model again",
            ) from None
        digests = _DIGEST.fullmatch(shape.circuit_id) and _DIGEST.fullmatch(shape.verifying_key)
        if not digests or not _WORD.fullmatch(shape.model) or shape.inputs < 1 or shape.outputs < 1:
            raise InvalidInput("the model's facts are not the native prover's", action="add the model again")
        return shape

    @property
    def shown(self) -> int:
        """How many public values stand for the inputs."""
        return self.inputs if self.visibility is Visibility.PUBLIC else 1


def word(value: int) -> str:
    """A field element as 0x and 64 digits."""
    return f"0x{value:064x}"


def signed(value: int) -> int:
    """The number nearest to zero that a field element stands for."""
    return value if value <= MODULUS // 2 else value - MODULUS


def words_of(values: Mapping[str, Json], shape: Shape) -> list[int]:
    """The public values in order, of the program's by name."""
    names = ["model"]
    names += [f"input_{i}" for i in range(shape.shown)] + [f"output_{i}" for i in range(shape.outputs)]
    if set(values) != set(names):
        raise ProofRejected("the proof has other public values than the model", value=len(values),
                            expected=str(len(names)))  # fmt: skip
    return [int(str(values[name]), 16) for name in names]


def values_of(words: Sequence[int], shape: Shape) -> dict[str, Json]:
    """As the program names them."""
    inputs, outputs = words[1 : 1 + shape.shown], words[1 + shape.shown :]
    return {
        "model": hex(words[0]),
        **{f"input_{i}": hex(value) for i, value in enumerate(inputs)},
        **{f"output_{i}": hex(value) for i, value in enumerate(outputs)},
    }


def write_instance(words: Sequence[int], shape: Shape) -> bytes:
    """``instance.json`` of a proof."""
    shown = read_words(words, shape)
    return canonical_json(
        {
            "circuit": shape.circuit,
            "verifying_key": shape.verifying_key,
            "model": shape.model,
            "inputs": list(shown.inputs),
            "commitment": shown.commitment,
            "outputs": list(shown.outputs),
            "scale": shape.scale,
            "public": [word(value) for value in words],
        }
    )


def read_instance(text: bytes, shape: Shape) -> list[int]:
    """The public values in an ``instance.json``, which must be one of the model's.

    Raises:
        ProofRejected: it is malformed, of another model or key, or does not say what its public values do.
    """
    if len(text) > SIZE_LIMIT:
        raise ProofRejected("the public values are too long", value=len(text), expected=f"{SIZE_LIMIT} bytes")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    given = said.get("public") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(given, list):
        raise ProofRejected("the public values are not the expected JSON", expected="an instance.json")
    if said.get("verifying_key") != shape.verifying_key:
        raise ProofRejected("the proof is for another verifying key", value=said.get("verifying_key"),
                            expected=shape.verifying_key)  # fmt: skip
    if len(given) != 1 + shape.shown + shape.outputs:
        raise ProofRejected("the proof has other public values than the model", value=len(given),
                            expected=str(1 + shape.shown + shape.outputs))  # fmt: skip
    if not all(isinstance(one, str) and _WORD.fullmatch(one) and int(one, 16) < MODULUS for one in given):
        raise ProofRejected(
            "a public value is malformed", expected="0x and 64 lower-case digits, below the field's modulus"
        )
    words = [int(one, 16) for one in given]
    if given[0] != shape.model:
        raise ProofRejected("the proof is of another model", value=given[0], expected=shape.model)
    if write_instance(words, shape) != text:
        raise ProofRejected("the public values are not in their one form, or contradict each other")
    return words


def read_words(words: Sequence[int], shape: Shape) -> Shown:
    """What public values say."""
    public = shape.visibility is Visibility.PUBLIC
    return Shown(
        outputs=tuple(signed(value) for value in words[1 + shape.shown :]),
        inputs=tuple(signed(value) for value in words[1 : 1 + shape.shown]) if public else (),
        commitment="" if public else word(words[1]),
        output_scale=shape.scale,
    )


def call_data(scheme: str, proof: bytes, words: Sequence[int]) -> bytes:
    """The call of the verifier contract that gnark exports for a scheme."""
    name, kinds = ("Verify", ["bytes", "uint256[]"])
    if scheme == "groth16":
        name, kinds = ("verifyProof", ["bytes", f"uint256[{len(words)}]"])
    signature = f"{name}({','.join(kinds)})".encode()
    selector = keccak.new(data=signature, digest_bits=256).digest()[:4]
    return selector + encode(kinds, [proof, list(words)])
