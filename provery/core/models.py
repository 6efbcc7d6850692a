"""Models: what is known of one, and what the engine asks of a prover of inferences.

A *model* is an ONNX file under a name. A *version* of it is the file and its settings: what a proof is of. Provers take
and give files; the registry and the artifact store keep them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from provery.core.ports import Progress, Proof, Usage
from provery.core.types import ArtifactRef, Json, digest_json


class Visibility(StrEnum):
    """What a proof shows of its inputs. Outputs are always public."""

    PUBLIC = "public"
    """The quantised inputs themselves."""
    HASHED = "hashed"
    """A hash of them."""
    COMMITMENT = "commitment"
    """A commitment that hides them: nobody can try inputs out."""


@dataclass(frozen=True)
class ModelSettings:
    """How a model is quantised and proved: part of its version."""

    prover: str = "native"
    """``native`` or ``ezkl``."""
    scheme: str = "plonk"
    """Of the native prover: ``plonk`` or ``groth16``."""
    scale: int = 12
    """Bits of fraction: a number x is ⌊x·2^scale + 1/2⌋."""
    input_bits: int = 24
    """A quantised input q has -2^input_bits < q < 2^input_bits."""
    visibility: Visibility = Visibility.PUBLIC
    tolerance: float = 0.01
    """The largest difference of an output from the float model's, over the calibration's inputs, that is accepted."""

    def document(self) -> dict[str, Json]:
        """As JSON."""
        return {
            name: str(value) if isinstance(value, Visibility) else value
            for name, value in asdict(self).items()
        }


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model, added: everything that proving, verifying and describing it takes."""

    model: str
    """Its name, the ``model_id`` of requests."""
    sha256: str
    """Of the ONNX file."""
    model_hash: str
    """Keccak-256 of the ONNX file, 0x and hexadecimal digits."""
    settings: ModelSettings
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    files: Mapping[str, ArtifactRef] = field(default_factory=dict)
    """By name: ``model.onnx``, ``graph.json``, ``calibration.json`` and what the prover's ``compile`` wrote."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """``verifying_key``, ``circuit``, ``calibration_error``, ``peak_rss``, ``verifier`` (address) and the like."""
    added_at: float = 0.0

    @property
    def version(self) -> str:
        """Digest of file and settings: the same model added again is the same version."""
        return version_of(self.sha256, self.settings)


def version_of(sha256: str, settings: ModelSettings) -> str:
    """The version's name, 64 hexadecimal digits."""
    return digest_json({"onnx": sha256, "settings": settings.document()})


class ModelRegistry(Protocol):
    """Versions that were added, shared by every worker. Every method is one transaction."""

    async def add(self, version: ModelVersion) -> bool:
        """Record a version and make it its model's current one; adding it again only makes it current.

        Returns:
            Whether it was new.
        """
        ...

    async def get(self, model: str, version: str = "") -> ModelVersion | None:
        """A version, the model's current one without ``version``."""
        ...

    async def by_hash(self, model_hash: str) -> list[ModelVersion]:
        """Every version made of the file of a ``model_hash``, newest first: old proofs verify for ever."""
        ...

    async def current(self) -> list[ModelVersion]:
        """The current version of each model, by name."""
        ...

    async def retire(self, model: str) -> bool:
        """Let a model have no current version: requests for it are refused, its old proofs still verify."""
        ...


@dataclass(frozen=True)
class ModelFiles:
    """A model as checked local files, for a prover."""

    settings: ModelSettings
    files: Mapping[str, Path]
    facts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Compiled:
    """What ``compile`` made."""

    files: Mapping[str, Path]
    """By name, in the directory that was given. ``verifier.sol`` is the verifier contract, ``vk`` the verifying key."""
    facts: Mapping[str, str]
    """At least ``verifying_key`` (SHA-256 of the key that proofs are checked against) and ``circuit``."""
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Shown:
    """What a verified proof says."""

    outputs: tuple[int, ...]
    """Quantised, flat in row-major order."""
    inputs: tuple[int, ...] = ()
    """Quantised; empty where they are not public."""
    commitment: str = ""
    """Hash of, or commitment to, the inputs where they are not public: 0x and 64 hexadecimal digits."""
    output_scale: int = 0
    """Bits of fraction of the outputs."""


NATIVE_OPERATORS = frozenset(
    {
        "Add",
        "AveragePool",
        "BatchNormalization",
        "Constant",
        "Conv",
        "Div",
        "Dropout",
        "Flatten",
        "Gemm",
        "GlobalAveragePool",
        "Identity",
        "MatMul",
        "MaxPool",
        "Mul",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Softmax",
        "Squeeze",
        "Sub",
        "Tanh",
        "Transpose",
        "Unsqueeze",
    }
)
"""Operators of ONNX that the native prover takes: those that models are quantised from. Division is by constants."""

PROOF, INSTANCE, CALLDATA = "proof.bin", "instance.json", "calldata.bin"
"""What ``prove`` writes: the proof's bytes, its public values, and the call of the verifier contract."""


class ModelProver(Protocol):
    """Proves inferences. Resident: keys of models stay loaded in its children, as many as it has slots.

    Cancelling the awaiting task ends the work within two seconds.
    """

    name: str

    def refuses(self, operators: Sequence[str]) -> str:
        """The first operator that it cannot prove; empty where it can prove them all."""
        ...

    async def compile(self, model: ModelFiles, into: Path, progress: Progress) -> Compiled:
        """Make a model's circuit, keys and verifier contract of ``model.onnx``, ``graph.json``, ``calibration.json``.

        Raises:
            InvalidInput: the model cannot be proved; the message names the operator or the limit.
            InvalidKey: no usable SRS, and what to do to get one.
            ResourceExhausted: not enough memory here.
        """
        ...

    async def prove(self, model: ModelFiles, inputs: Path, into: Path, progress: Progress) -> Proof:
        """Prove one inference and verify the proof; writes ``PROOF``, ``INSTANCE`` and ``CALLDATA`` under ``into``.

        Args:
            model: Its files, with those of ``compile``.
            inputs: JSON: ``{"values": [floats], "quantised": [integers], "salt": "0x…" or ""}``, flat in row-major
                order. The salt, 31 random bytes, hides inputs whose visibility is ``commitment``.
            into: An empty directory.
            progress: Told of the steps.
        """
        ...

    async def verify(self, model: ModelFiles, proof: Mapping[str, Path]) -> Shown:
        """Check ``PROOF`` with ``INSTANCE`` against the model's verifying key.

        Raises:
            ProofRejected: it does not verify, or is of another model.
        """
        ...

    async def close(self) -> None:
        """End the children."""
        ...
