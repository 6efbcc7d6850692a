"""What the stages share: calls of a prover for many units, and reading what the stages before have made."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from provery.core.errors import (
    InvalidInput,
    ProofRejected,
    ProverCrashed,
    ProveryError,
    ResourceExhausted,
)
from provery.core.ports import (
    ArtifactStore,
    CircomProver,
    CircuitFiles,
    ItemResult,
    Progress,
    StageContext,
    StageOutput,
)
from provery.core.types import ArtifactRef, Json, Unit
from provery.systems.queue.model import Order, Submission
from provery.systems.queue.spec import Shape, check_public
from provery.systems.queue.wire import check

L = TypeVar("L")
Outcome = StageOutput | ProveryError
INPUT, WITNESS, PROOF, PUBLIC = "input.json", "witness.wtns", "proof.json", "public.json"


@dataclass(frozen=True)
class Call(Generic[L]):
    """One call of a prover: units of one circuit version, with what was loaded for each."""

    circuit: CircuitFiles
    prover: CircomProver
    contexts: Sequence[StageContext]
    loaded: Sequence[L]

    @property
    def artifacts(self) -> ArtifactStore:
        """The store that all units share."""
        return self.contexts[0].artifacts

    @property
    def progress(self) -> Progress:
        """Where progress of the whole call goes."""
        return self.contexts[0].progress


async def isolating(call: Call[L], work: Callable[[Call[L]], Awaitable[list[Outcome]]]) -> list[Outcome]:
    """Do a call; where the prover dies over it, halve it until the one that kills it stands alone."""
    try:
        return await work(call)
    except (ProverCrashed, ResourceExhausted) as error:
        if len(call.contexts) == 1:
            return [error]
        half = len(call.contexts) // 2
        return [
            outcome
            for part in (slice(0, half), slice(half, None))
            for outcome in await isolating(
                replace(call, contexts=call.contexts[part], loaded=call.loaded[part]), work
            )
        ]


async def caught(work: Awaitable[L]) -> L | ProveryError:
    """What the work gives, or the domain error it ends with, so that one unit's fault stays its own."""
    try:
        return await work
    except ProveryError as error:
        return error


async def keep_files(
    artifacts: ArtifactStore, results: Sequence[ItemResult], made: Sequence[tuple[tuple[Path, str], ...]]
) -> list[Outcome]:
    """Store what succeeded, all files in one go, and pair it with its item again."""
    files = [
        file for result, files in zip(results, made, strict=True) if result.error is None for file in files
    ]
    refs = iter(await artifacts.put_files(files, move=True))
    return [
        result.error or StageOutput(tuple(next(refs) for _ in files), usage=result.usage)
        for result, files in zip(results, made, strict=True)
    ]


def input_of(context: StageContext, name: str) -> ArtifactRef:
    """The input of that role.

    Raises:
        InvalidInput: the stage was not given one.
    """
    found = next((ref for ref in context.inputs if ref.name == name), None)
    if found is None:
        got = ", ".join(ref.name for ref in context.inputs)
        raise InvalidInput(f"stage {context.given.plan.stage} lacks an input", value=got, expected=name)
    return found


async def order_of(unit: Unit, artifacts: ArtifactStore) -> Order:
    """The unit's order, checked again: a unit may also be started by hand."""
    request = unit.params.get("request")
    claim = unit.params.get("artifact")
    if isinstance(claim, dict):
        ref = ArtifactRef(str(claim.get("uri")), str(claim.get("sha256")), int(str(claim.get("size"))))
        request = json_object(await artifacts.read(ref), "request.json")
    order = check(unit.key, request, default_circuit=str(unit.params.get("circuit", "")))
    if order.circuit != unit.params.get("circuit"):
        raise InvalidInput("the request names another circuit than its unit", value=order.circuit)
    return order


async def about_itself(context: StageContext, shape: Shape) -> ProofRejected | None:
    """Compare the public signals with the request: a valid proof of something else is no result."""
    order = await order_of(context.unit, context.artifacts)
    wrong = check_public(await signals_of(context), shape, order.inputs)
    if wrong:
        return ProofRejected(
            f"the proof is valid for another statement: {wrong}", action="report this: it is a defect"
        )
    return None


async def signals_of(context: StageContext) -> list[str]:
    """The public signals of the unit's proof."""
    raw = json.loads(await context.artifacts.read(input_of(context, PUBLIC)))
    return [str(signal) for signal in raw] if isinstance(raw, list) else []


async def submission_of(context: StageContext) -> Submission:
    """The unit's row, from its request and its proof."""
    order = await order_of(context.unit, context.artifacts)
    proof = json_object(await context.artifacts.read(input_of(context, PROOF)), PROOF)
    public: Json = dict(order.public)
    if not order.public:
        signals: list[Json] = list(await signals_of(context))
        public = {"signals": signals}
    return Submission(order.id, dict(order.request), public, proof)


def json_object(body: bytes, name: str) -> dict[str, Json]:
    """Parse an artifact of ours that is a JSON object.

    Raises:
        InvalidInput: it is something else.
    """
    value = json.loads(body)
    if not isinstance(value, dict):
        raise InvalidInput(f"{name} is not a JSON object")
    return value
