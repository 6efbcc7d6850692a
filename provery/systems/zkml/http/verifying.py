"""Whether a proof is good: by the prover's own verifier, and by what it shows beside what is claimed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from provery.core.errors import ArtifactError, InvalidInput, ProofRejected, ProveryError, TransientError
from provery.core.models import ModelVersion, Shown
from provery.core.redact import redact
from provery.systems.zkml import hashes
from provery.systems.zkml.http.answers import Finished
from provery.systems.zkml.http.asks import VerifyBody, from_hex, hash_of
from provery.systems.zkml.http.backend import Backend
from provery.systems.zkml.http.bodies import number
from provery.systems.zkml.http.problems import ApiError, shown
from provery.systems.zkml.http.proofs import Proofs
from provery.systems.zkml.http.settings import HttpSettings
from provery.systems.zkml.units import check_model_name

WAITING = 8
"""For each verification that runs, so many wait."""
PROOF_BYTES = 4 * 2**20
_NOT_FOUND = "its public values are not known here: send program_io, as /prove gave it"


@dataclass(frozen=True)
class Claim:
    """A proof and what is claimed of it, well-formed."""

    proof: bytes
    model: str | None
    model_hash: str
    input_hash: str
    outputs: tuple[float, ...] | None
    instance: str | None


def _named_by(instance: str, versions: Sequence[ModelVersion]) -> Sequence[ModelVersion]:
    """The versions that a proof's public values are of, by the verifying key that they name.

    One version where they name none of them, for its verifier to say what is wrong.
    """
    found = [
        one for one in versions if one.facts.get("verifying_key") and one.facts["verifying_key"] in instance
    ]
    return found or versions[:1]


@dataclass(frozen=True)
class Checked:
    """What became of a claim."""

    valid: bool
    code: str = ""
    """Why not, stable."""
    error: str = ""


def claim_of(body: VerifyBody, most: int) -> Claim:
    """A claim from a request.

    Raises:
        ApiError: it is malformed. What is well-formed and wrong is no error, but answered with ``valid: false``.
    """
    if body.model_hash is None and body.model_id is None:
        raise ApiError("invalid_request", "model_hash is missing; expected model_hash, model_id or both")
    outputs = None
    if body.expected_output is not None:
        if not isinstance(body.expected_output, list) or len(body.expected_output) > most:
            raise ApiError("invalid_request", "expected_output is not a list of numbers")
        outputs = tuple(
            number(value, f"expected_output[{index}]") for index, value in enumerate(body.expected_output)
        )
    instance = None
    if body.program_io is not None:
        try:
            instance = from_hex(body.program_io, "program_io").decode()
        except UnicodeDecodeError:
            instance = ""  # well-formed hexadecimal, and no public values of any proof of ours
    return Claim(
        proof=from_hex(body.proof, "proof", most=PROOF_BYTES),
        model=body.model_id,
        model_hash=hash_of(body.model_hash, "model_hash"),
        input_hash=hash_of(body.input_hash, "input_hash"),
        outputs=outputs,
        instance=instance,
    )


class Verifying:
    """Verifies proofs, a few at a time.

    Args:
        settings: Of the API.
        backend: The rest of the system.
        proofs: Leads to what was proved here.
    """

    def __init__(self, settings: HttpSettings, backend: Backend, proofs: Proofs) -> None:
        self._backend, self._proofs = backend, proofs
        self._running = asyncio.Semaphore(settings.verify_concurrent)
        self._places = settings.verify_concurrent * (1 + WAITING)

    async def check(self, claim: Claim) -> Checked:
        """Check a claim.

        Raises:
            ApiError: too many are checked at once.
            TransientError: ledger or store do not answer.
        """
        if self._places <= 0:
            raise ApiError(
                "busy", "too many verifications at once; ask again in 1 s", headers={"retry-after": "1"}
            )
        self._places -= 1
        try:
            async with self._running:
                return await self._check(claim)
        finally:
            self._places += 1

    async def _check(self, claim: Claim) -> Checked:
        versions = await self._versions(claim)
        if isinstance(versions, Checked):
            return versions
        known = await self._known(claim)
        candidates = (
            [claim.instance] if claim.instance is not None else [one.answer.instance for one in known]
        )
        if not candidates:
            return Checked(False, "proof_unknown", f"the proof was not made here; {_NOT_FOUND}")
        refused = Checked(False, "proof_rejected", "the proof does not verify")
        for instance in candidates:
            for version in _named_by(instance, versions):
                try:
                    found = await self._backend.check(version, claim.proof, instance)
                except TransientError:
                    raise
                except ArtifactError as error:
                    raise ApiError(
                        "unavailable", "a file of the model cannot be read now", headers={"retry-after": "5"}
                    ) from error
                except (ProofRejected, InvalidInput) as error:
                    refused = Checked(False, "proof_rejected", redact(error)[:500])
                    continue
                except ProveryError as error:
                    raise ApiError(
                        "unavailable", "the verifier failed", headers={"retry-after": "5"}
                    ) from error
                return self._compare(claim, version, found, known)
        return refused

    async def _versions(self, claim: Claim) -> list[ModelVersion] | Checked:
        """Versions that the proof may be of."""
        named: list[ModelVersion] | None = None
        if claim.model is not None:
            try:
                check_model_name(claim.model)
            except InvalidInput:
                return Checked(False, "model_not_found", f"Model not found: {shown(claim.model)}")
            current = await self._backend.registry.get(claim.model)
            if current is None and not claim.model_hash:
                return Checked(False, "model_not_found", f"Model not found: {claim.model}")
            named = [current] if current is not None else []
        if not claim.model_hash:
            return named or []
        versions = await self._backend.registry.by_hash(claim.model_hash)
        if not versions:
            code, said = "model_not_found", "no model with this model_hash was ever added here"
            return Checked(False, "model_hash_mismatch" if named else code, said)
        if claim.model is not None:
            versions = [one for one in versions if one.model == claim.model]
            if not versions:
                return Checked(False, "model_hash_mismatch", "model_hash is not a version of model_id")
        return versions

    async def _known(self, claim: Claim) -> list[Finished]:
        """What was proved here and may be what is claimed: by the proof's own hash, else by model and inputs."""
        requests = self._backend.access.requests
        digests = await requests.find(proof_hash=hashes.proof_hash(claim.proof))
        if not digests and claim.model_hash and claim.input_hash:
            digests = await requests.find(model_hash=claim.model_hash, input_hash=claim.input_hash)
        found = [await self._proofs.finished(digest) for digest in digests[:2]]
        return [one for one in found if one is not None]

    def _compare(
        self, claim: Claim, version: ModelVersion, found: Shown, known: Sequence[Finished]
    ) -> Checked:
        """What a good proof shows, beside what is claimed."""
        if claim.outputs is not None:
            raw = [value / 2**found.output_scale for value in found.outputs]
            half = 0.5 / 2**found.output_scale
            same = len(raw) == len(claim.outputs) and all(
                abs(one - other) < half for one, other in zip(raw, claim.outputs, strict=True)
            )
            if not same:
                return Checked(False, "output_mismatch", "the proof shows other outputs than expected_output")
        if claim.input_hash and not self._inputs_match(claim, version, found, known):
            return Checked(
                False, "input_hash_mismatch", "input_hash is not of the inputs that the proof is of"
            )
        return Checked(True)

    def _inputs_match(
        self, claim: Claim, version: ModelVersion, found: Shown, known: Sequence[Finished]
    ) -> bool:
        """Proofs show quantised inputs; the hash is over the numbers as they were sent, which their record here has."""
        for one in known:
            answer = one.answer
            same = answer.quantised == found.inputs if found.inputs else answer.commitment == found.commitment
            if same and answer.input_hash == claim.input_hash:
                return True
        if not found.inputs:
            return False
        exact = [value / 2**version.settings.scale for value in found.inputs]
        return hashes.input_hash(exact) == claim.input_hash
