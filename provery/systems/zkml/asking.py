"""From a request to its unit, and from the unit's outcome to the answer: what every way of asking shares."""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.errors import ArtifactMissing, InvalidInput
from provery.core.models import ModelVersion
from provery.core.ports import ArtifactStore
from provery.core.types import ArtifactRef, UnitOutcome, Work, canonical_json
from provery.systems.zkml.model import ATTEST_HASH, ATTEST_PROOF, Answer
from provery.systems.zkml.plan import proof_plan
from provery.systems.zkml.proving import ANSWER, quantised
from provery.systems.zkml.shop import Shop
from provery.systems.zkml.units import proof_unit, to_be_stored


async def inference_work(
    shop: Shop,
    stream: str,
    version: ModelVersion,
    values: Sequence[float],
    *,
    attest: str = "",
    priority: int = 3,
    fairness: str = "",
    weight: float = 1.0,
    owner: str = "",
) -> Work:
    """The unit of an inference. Its key is ``proof-<digest>``; the digest is the request's id.

    Args:
        shop: Of this process.
        stream: Whose.
        version: Of the model.
        values: The inputs, flat in row-major order, finite.
        attest: What goes on chain: nothing, ``hash`` or ``proof``.
        priority: Among what waits for a worker, 1 (first) to 5.
        fairness: Id of the key that asks, or what else takes turns.
        weight: Its share against others, 0.001 to 1000.
        owner: Whose commitment it is, where the model makes commitments.

    Raises:
        InvalidInput: of another number than the model's shape says, or out of range; or nothing is attested here.
    """
    _check_attest(shop, stream, version, attest)
    quantised(version, values)  # refuses what the witness stage would, before anything is started
    stored = await _stored(shop.artifacts, values) if to_be_stored(version, values) else None
    unit = proof_unit(stream, version, values, attest, stored, owner)
    plan = proof_plan(
        shop.settings, version, attest=attest, priority=priority, fairness=fairness, weight=weight
    )
    return Work(unit, plan)


async def read_answer(artifacts: ArtifactStore, outcome: UnitOutcome) -> Answer:
    """The verified inference of a unit that is done.

    Raises:
        ArtifactMissing: the outcome has none, or its artifact is gone.
        ArtifactCorrupt: it is something else.
    """
    for ref in outcome.outputs:
        if ref.name == ANSWER:
            return Answer.read(await artifacts.read(ref))
    raise ArtifactMissing("the unit has no answer", value=outcome.unit, expected=ANSWER)


def _check_attest(shop: Shop, stream: str, version: ModelVersion, attest: str) -> None:
    if not attest:
        return
    if not shop.chains.settings(stream).attests:
        raise InvalidInput("proofs are not attested here", value=attest, expected="a request without attest")
    if attest == ATTEST_PROOF and not version.facts.get("verifier"):
        raise InvalidInput(
            f"model {version.model} has no verifier contract", value=attest, expected=ATTEST_HASH
        )


async def _stored(artifacts: ArtifactStore, values: Sequence[float]) -> ArtifactRef:
    body = canonical_json([float(value) + 0.0 for value in values])
    return await artifacts.put_bytes(body, name="values.json")
