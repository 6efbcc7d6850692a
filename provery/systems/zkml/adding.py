"""The stages of adding a model: file taken in, quantised and calibrated, keys made, a proof tried, registered."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from provery.core.errors import ConfigurationError, InvalidInput, ProofRejected
from provery.core.models import PROOF, ModelFiles, ModelProver, ModelVersion
from provery.core.ports import Proof, StageContext, StageOutput
from provery.core.proving import input_named, keep, short
from provery.systems.zkml import hashes
from provery.systems.zkml.contracts import VERIFIER_CODE, compile_verifier
from provery.systems.zkml.proving import check_shown, quantised
from provery.systems.zkml.quantised.graph import read as read_graph
from provery.systems.zkml.quantised.prepare import prepare
from provery.systems.zkml.shop import GRAPH, Shop
from provery.systems.zkml.units import Addition, addition

ONNX, CALIBRATION, ABOUT = "model.onnx", "calibration.json", "about.json"
"""The model as it came; rows of inputs; its shapes."""
VERIFIER = "verifier.sol"
_TAKEN = (ONNX, GRAPH, CALIBRATION, ABOUT)


async def fetch(shop: Shop, context: StageContext) -> StageOutput:
    """The model's bytes are in the store since it was found; they are checked against their digest."""
    asked = addition(context.unit)
    shop.named(asked.settings.prover)
    data = await context.artifacts.read(asked.onnx, limit=shop.settings.model_max_mb << 20)
    refs = [asked.onnx, *([asked.calibration] if asked.calibration is not None else [])]
    return StageOutput(tuple(refs), {"model": asked.model, "model_hash": hashes.model_hash(data)})


async def witness(shop: Shop, context: StageContext) -> StageOutput:
    """Quantise, and compare with the float model over the calibration's rows.

    Raises:
        InvalidInput: an operator that the prover does not know, or a larger error than the settings tolerate.
    """
    asked = addition(context.unit)
    limit = shop.settings.model_max_mb << 20
    data = await context.artifacts.read(input_named(context, ONNX), limit=limit)
    rows = None
    if asked.calibration is not None:
        rows = await context.artifacts.read(input_named(context, CALIBRATION))
    context.progress("quantise and calibrate", 0, 1)
    made = await asyncio.to_thread(prepare, data, asked.settings, asked.onnx.sha256, rows, limit)
    # What could be lowered is proved from its graph, whose operators every prover of graphs has.
    refuses = "" if made.graph else shop.named(asked.settings.prover).refuses(made.operators)
    if refuses:
        raise InvalidInput(f"prover {asked.settings.prover} cannot prove this operator", value=refuses)
    outputs = [input_named(context, ONNX)]
    for name, body in ((GRAPH, made.graph), (CALIBRATION, made.rows), (ABOUT, made.about)):
        if body:
            outputs.append(await context.artifacts.put_bytes(body, name=name))
    return StageOutput(tuple(outputs), short(made.facts))


async def prove(shop: Shop, context: StageContext) -> StageOutput:
    """Circuit, keys and verifier contract."""
    asked = addition(context.unit)
    began = time.monotonic()
    model = await _given(context, asked, {})
    async with context.artifacts.scratch() as folder:
        made = await shop.named(asked.settings.prover).compile(model, folder, context.progress)
        facts = {**made.facts, "compile_s": f"{time.monotonic() - began:.1f}"}
        files = dict(made.files)
        if shop.chains.settings(context.unit.stream).attests:
            code = await compile_verifier(shop.compile_contracts, made.files[VERIFIER])
            files[VERIFIER_CODE] = folder / VERIFIER_CODE
            await asyncio.to_thread(files[VERIFIER_CODE].write_bytes, code)
            facts["verifier"] = shop.chains.verifier(context.unit.stream, code)
        refs = await keep(context, Proof(files, facts, made.usage), folder, _TAKEN)
    return StageOutput((*context.inputs, *refs), short(facts), made.usage)


async def verify(shop: Shop, context: StageContext) -> StageOutput:
    """Prove the calibration's first row, see that a changed proof is refused, measure, and register the model."""
    asked = addition(context.unit)
    facts = dict(context.given.facts)
    prover = shop.named(asked.settings.prover)
    about = json.loads(await context.artifacts.read(input_named(context, ABOUT)))
    rows = json.loads(await context.artifacts.read(input_named(context, CALIBRATION)))["rows"]
    version = ModelVersion(
        model=asked.model,
        sha256=asked.onnx.sha256,
        model_hash=facts["model_hash"],
        settings=asked.settings,
        input_shape=tuple(about["input_shape"]),
        output_shape=tuple(about["output_shape"]),
        files={ref.name: ref for ref in context.inputs},
        facts=facts,
        added_at=time.time(),
    )
    model = await _given(context, asked, facts)
    graph = read_graph(await context.artifacts.read(version.files[GRAPH])) if GRAPH in version.files else None
    inputs = quantised(version, [float(value) for value in rows[0]])
    async with shop.slots.hold(0), context.artifacts.scratch() as folder:
        given = folder / "inputs.json"
        given.write_bytes(inputs.write())
        into = folder / "out"
        into.mkdir()
        began = time.monotonic()
        proof = await prover.prove(model, given, into, context.progress)
        seconds = time.monotonic() - began
        shown = await prover.verify(model, proof.files)
        await check_shown(graph, inputs, shown)
        await _changed_is_refused(prover, model, proof.files, folder)
    measured = {
        "peak_rss": str(proof.usage.peak_rss),
        "prove_cpu_s": f"{proof.usage.cpu_s:.3f}",
        "prove_s": f"{seconds:.3f}",
    }
    await shop.registry.add(replace(version, facts={**facts, **measured}))
    return StageOutput(context.inputs, short(measured), proof.usage)


async def _given(context: StageContext, asked: Addition, facts: Mapping[str, str]) -> ModelFiles:
    paths = {ref.name: await context.artifacts.local(ref) for ref in context.inputs}
    return ModelFiles(asked.settings, paths, facts)


async def _changed_is_refused(
    prover: ModelProver, model: ModelFiles, proof: Mapping[str, Path], folder: Path
) -> None:
    """A prover whose verifier takes anything must not serve a single request."""
    body = bytearray(await asyncio.to_thread(proof[PROOF].read_bytes))
    body[len(body) // 2] ^= 1
    changed = folder / "changed.bin"
    await asyncio.to_thread(changed.write_bytes, bytes(body))
    try:
        await prover.verify(model, {**proof, PROOF: changed})
    except ProofRejected:
        return
    raise ConfigurationError(
        "the prover accepts a changed proof; the model is not added", value=prover.name, action="report this"
    )
