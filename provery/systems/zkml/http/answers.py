"""Responses about proofs, made of answers: the documented shapes, with more beside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from provery import __version__
from provery.core.errors import ArtifactCorrupt
from provery.core.models import ModelVersion
from provery.core.types import Json, canonical_json
from provery.systems.zkml.model import Answer
from provery.systems.zkml.quantised.spec import decision

DEFAULT_TAG = "inference"


@dataclass(frozen=True)
class Finished:
    """An answer, and what else its unit had to say: receipts of what went on chain."""

    answer: Answer
    facts: Mapping[str, str] = field(default_factory=dict)

    def write(self) -> bytes:
        """As canonical JSON."""
        return canonical_json({"answer": asdict(self.answer), "facts": dict(self.facts)})

    @classmethod
    def read(cls, text: bytes) -> Finished:
        """From what :meth:`write` made.

        Raises:
            ArtifactCorrupt: it is something else.
        """
        try:
            said: dict[str, Any] = json.loads(text)
            answer = Answer.read(canonical_json(said["answer"]))
            return cls(answer, {str(name): str(value) for name, value in said["facts"].items()})
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ArtifactCorrupt("not a finished proof", value=text[:80]) from None

    @property
    def attested(self) -> dict[str, Json]:
        """Of what went on chain: transaction, block and the like."""
        names = ("transaction", "block", "gas_used", "gas_price_wei", "fee_wei")
        return {name: self.facts[name] for name in names if name in self.facts}


def proved(
    finished: Finished, id: str, *, tag: str, now_ms: int, elapsed_ms: int, cached: bool
) -> dict[str, Json]:
    """The answer of /prove.

    Args:
        finished: What is told.
        id: Digest of the request.
        tag: Of the request.
        now_ms: Since 1970.
        elapsed_ms: What the request took.
        cached: Whether nothing had to be proved for it.
    """
    answer = finished.answer
    return {
        "success": True,
        "id": id,
        "cached": cached,
        "proof": _proof(answer, tag, now_ms),
        "inference": _inference(answer),
        "generation_time_ms": elapsed_ms,
        **({"attestation": finished.attested} if finished.attested else {}),
    }


def result(finished: Finished) -> dict[str, Json]:
    """A finished proof in the answers of ``/v1/proofs``: the same parts, and the inputs it is of."""
    answer = finished.answer
    return {
        "proof": _proof(answer, DEFAULT_TAG, answer.created_at_ms),
        "inference": _inference(answer),
        "inputs": list(answer.inputs),
        "quantised_inputs": list(answer.quantised),
        **({"attestation": finished.attested} if finished.attested else {}),
    }


def _proof(answer: Answer, tag: str, now_ms: int) -> dict[str, Json]:
    return {
        "proof": answer.proof,
        "proof_hash": answer.proof_hash,
        "program_io": "0x" + answer.instance.encode().hex(),
        "metadata": {
            "model_hash": answer.model_hash,
            "input_hash": answer.input_hash,
            "output_hash": answer.output_hash,
            "proof_size": answer.proof_size,
            "generation_time": answer.generation_ms,
            "prover_version": __version__,
            "model_id": answer.model,
            "model_version": answer.version,
            "prover": answer.prover,
            "scheme": answer.scheme,
            "verifying_key": answer.verifying_key,
            "created_at": answer.created_at_ms,
            "commitment": answer.commitment,
            "salt": answer.salt,
            "verifier": answer.verifier,
        },
        "calldata": answer.calldata,
        "tag": tag,
        "timestamp": now_ms,
    }


def _inference(answer: Answer) -> dict[str, Json]:
    verdict = decision(answer.raw_output)
    return {
        "output": verdict.output,
        "raw_output": list(answer.raw_output),
        "decision": verdict.decision,
        "confidence": verdict.confidence,
        "risk": verdict.risk,
        "raw_quantised": list(answer.raw_quantised),
    }


def described(version: ModelVersion) -> dict[str, Json]:
    """A model in the answer of /models."""
    name = version.facts.get("name") or version.model.replace("-", " ").replace("_", " ").title()
    return {
        "id": version.model,
        "name": name,
        "input_shape": list(version.input_shape),
        "output_shape": list(version.output_shape),
        "version": version.version,
        "model_hash": version.model_hash,
        "loaded": True,
        "verification_key_cached": True,
        "prover": version.settings.prover,
        "visibility": version.settings.visibility.value,
    }


def described_in_full(version: ModelVersion) -> dict[str, Json]:
    """A model in the answer of ``/v1/models/{id}``."""
    return {
        **described(version),
        "settings": version.settings.document(),
        "facts": dict(version.facts),
        "added_at": version.added_at,
        "files": {name: {"sha256": ref.sha256, "size": ref.size} for name, ref in version.files.items()},
    }
