"""The stages of an inference: inputs quantised and inferred, proved, and the proof checked for what was asked."""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import InvalidInput, InvalidKey, ProofRejected
from provery.core.models import CALLDATA, INSTANCE, PROOF, ModelVersion, Shown, Visibility
from provery.core.ports import StageContext, StageOutput
from provery.core.proving import input_named, keep, short
from provery.core.types import canonical_json
from provery.systems.zkml import hashes
from provery.systems.zkml.files import model_files
from provery.systems.zkml.model import Answer
from provery.systems.zkml.quantised import spec
from provery.systems.zkml.quantised.graph import Graph
from provery.systems.zkml.shared import taken
from provery.systems.zkml.shop import Shop
from provery.systems.zkml.units import inference, read_numbers

INPUTS, ANSWER, MADE = "inputs.json", "answer.json", "made.json"
"""The quantised inputs; the verified inference; when the proof was made and how long it took."""
SALT_BYTES = 31
"""Fits the scalar field of BN254."""


@dataclass(frozen=True)
class Inputs:
    """What is proved, as provers take it."""

    values: tuple[float, ...]
    quantised: tuple[int, ...]
    salt: str

    def write(self) -> bytes:
        """As ``inputs.json``."""
        return canonical_json({"values": self.values, "quantised": self.quantised, "salt": self.salt})

    @classmethod
    def read(cls, text: bytes) -> Inputs:
        """From what :meth:`write` made."""
        said = json.loads(text)
        return cls(tuple(said["values"]), tuple(said["quantised"]), said["salt"])


async def witness(shop: Shop, context: StageContext) -> StageOutput:
    """Quantise the inputs and see that the model takes them.

    Raises:
        InvalidInput: of another number than the model's shape says, or out of range.
    """
    asked = inference(context.unit)
    version = await shop.version(asked.model, asked.version)
    values = asked.values
    if values is None and asked.stored is not None:
        values = read_numbers(json.loads(await context.artifacts.read(asked.stored)))
    inputs = quantised(version, values or ())
    ref = await context.artifacts.put_bytes(inputs.write(), name=INPUTS)
    return StageOutput((ref,), {"model": asked.model, "version": asked.version})


def quantised(version: ModelVersion, values: Sequence[float]) -> Inputs:
    """Inputs in the prover's form. A salt is drawn where they are to be hidden: it is an output, and kept.

    Raises:
        InvalidInput: of another number than the model's shape says, or out of range.
    """
    count = math.prod(version.input_shape)
    if len(values) != count:
        raise InvalidInput(
            f"model {version.model} takes other inputs",
            value=len(values),
            expected=f"{count} numbers, shape {list(version.input_shape)}",
        )
    hidden = version.settings.visibility is Visibility.COMMITMENT
    salt = "0x" + secrets.token_bytes(SALT_BYTES).hex() if hidden else ""
    return Inputs(tuple(values), spec.quantise_inputs(values, version.settings), salt)


async def prove(shop: Shop, context: StageContext) -> StageOutput:
    """The proof, by the model's prover, when this worker has a place for it; one that is there already is taken."""
    asked = inference(context.unit)
    version = await shop.version(asked.model, asked.version)
    _check_key(context, version)
    given = await context.artifacts.local(input_named(context, INPUTS))
    there = await taken(shop, context, asked, version, given)
    if there is not None:
        return there
    model = await model_files(context.artifacts, version)
    async with (
        shop.slots.hold(int(version.facts.get("peak_rss", "0"))),
        context.artifacts.scratch() as folder,
    ):
        began = time.time()
        proof = await shop.prover(version).prove(model, given, folder, context.progress)
        seconds = time.time() - began
        made = {"created_at_ms": int(time.time() * 1000), "generation_ms": round(seconds * 1000)}
        refs = await keep(context, proof, folder, (INPUTS, MADE))
    refs.append(await context.artifacts.put_bytes(canonical_json(made), name=MADE))
    facts = {**short(proof.facts), "prove_s": f"{seconds:.3f}"}
    return StageOutput((input_named(context, INPUTS), *refs), facts, proof.usage)


async def verify(shop: Shop, context: StageContext) -> StageOutput:
    """Nothing is answered before the pinned key accepts it, and it shows what was asked."""
    asked = inference(context.unit)
    version = await shop.version(asked.model, asked.version)
    _check_key(context, version)
    names = (INPUTS, PROOF, INSTANCE, CALLDATA, MADE)
    text = {name: await context.artifacts.read(input_named(context, name)) for name in names}
    inputs = Inputs.read(text[INPUTS])
    model = await model_files(context.artifacts, version)
    proof = {name: await context.artifacts.local(input_named(context, name)) for name in (PROOF, INSTANCE)}
    try:
        shown = await shop.prover(version).verify(model, proof)
        await check_shown(await shop.graph(version), inputs, shown)
    except ProofRejected as error:
        await context.artifacts.quarantine(input_named(context, PROOF), str(error))
        raise
    answer = answer_of(version, inputs, shown, text)
    ref = await context.artifacts.put_bytes(answer.write(), name=ANSWER)
    facts = {
        "proof_hash": answer.proof_hash,
        "output_hash": answer.output_hash,
        "input_hash": answer.input_hash,
    }
    return StageOutput((ref, input_named(context, PROOF), input_named(context, CALLDATA)), facts)


async def check_shown(graph: Graph | None, inputs: Inputs, shown: Shown) -> None:
    """Whether a proof shows the inference that was asked for.

    Args:
        graph: The model, quantised as the native prover proves it; None for a prover that quantises by rules of its
            own: its proof is the only word on the outputs.
        inputs: What was asked.
        shown: What the verified proof shows.

    Raises:
        ProofRejected: it shows other inputs, or other outputs than the model's twin infers.
    """
    if shown.inputs and shown.inputs != inputs.quantised:
        raise ProofRejected(
            "the proof is of other inputs", value=shown.inputs[:8], expected=str(inputs.quantised[:8])
        )
    if graph is None:
        return
    expected = await asyncio.to_thread(spec.infer, graph, inputs.quantised)
    if shown.outputs != expected:
        raise ProofRejected(
            "the proof shows other outputs than the model has",
            value=shown.outputs[:8],
            expected=str(expected[:8]),
        )


def answer_of(version: ModelVersion, inputs: Inputs, shown: Shown, text: Mapping[str, bytes]) -> Answer:
    """What is answered.

    Args:
        version: Of the model.
        inputs: What was asked.
        shown: What the proof shows.
        text: The proof stage's files by name.
    """
    made = json.loads(text[MADE])
    raw = tuple(value / 2**shown.output_scale for value in shown.outputs)
    proof = text[PROOF]
    return Answer(
        model=version.model,
        version=version.version,
        model_hash=version.model_hash,
        input_hash=hashes.input_hash(inputs.values),
        output_hash=hashes.output_hash(raw),
        proof="0x" + proof.hex(),
        proof_hash=hashes.proof_hash(proof),
        proof_size=len(proof),
        prover=version.settings.prover,
        scheme=version.settings.scheme if version.settings.prover == "native" else "halo2",
        verifying_key=version.facts.get("verifying_key", ""),
        inputs=inputs.values,
        quantised=inputs.quantised,
        raw_output=raw,
        raw_quantised=shown.outputs,
        instance=text[INSTANCE].decode(),
        commitment=shown.commitment,
        salt=inputs.salt,
        calldata="0x" + text[CALLDATA].hex(),
        verifier=version.facts.get("verifier", ""),
        created_at_ms=int(made["created_at_ms"]),
        generation_ms=int(made["generation_ms"]),
    )


def proof_files(folder: Path, proof: bytes, instance: str) -> dict[str, Path]:
    """A proof that came from outside, as a prover's files."""
    files = {PROOF: folder / PROOF, INSTANCE: folder / INSTANCE}
    files[PROOF].write_bytes(proof)
    files[INSTANCE].write_text(instance)
    return files


def _check_key(context: StageContext, version: ModelVersion) -> None:
    wanted, there = context.given.plan.verifying_key, version.facts.get("verifying_key", "")
    if wanted != there:
        raise InvalidKey(
            "the model has another verifying key than the unit was planned with", value=there, expected=wanted
        )
