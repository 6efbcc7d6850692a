"""Witness, prove, compress and verify: the statement's files go to the stream's prover and come back as a proof."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager

from provery.core.errors import InvalidInput, ProofRejected
from provery.core.ports import StageContext, StageOutput
from provery.core.proving import Workplace, check_key, input_named, keep, maker_of, short, workplace
from provery.core.types import Json
from provery.systems.beacon.chains import CHAINS, chain_from_config
from provery.systems.beacon.jsonform import load
from provery.systems.beacon.spec import Chain
from provery.systems.beacon.store import MANIFEST
from provery.systems.beacon.streams import Stream
from provery.systems.beacon.units import check_unit, period_of
from provery.systems.beacon.witness import (
    CHAIN,
    STATEMENT_FILES,
    SYNC,
    UPDATE,
    check_document,
    circuit_name,
    circuit_preset,
    facts,
    sync_file,
)

_TAKEN = (*STATEMENT_FILES, MANIFEST)
"""Names that no file of a proof may have."""


async def witness(stream: Stream, context: StageContext) -> StageOutput:
    """Check the update once more, from its bytes alone, and write the statement's files."""
    chain = await _chain(context)
    check_unit(context.unit, chain)
    body = await context.artifacts.read(input_named(context, UPDATE))
    period = period_of(context.unit)
    checked = await asyncio.to_thread(check_document, chain, body, period)
    outputs = [ref for ref in context.inputs if ref.name in STATEMENT_FILES]
    sync = await asyncio.to_thread(sync_file, chain, checked)
    if sync is not None:
        outputs.append(await context.artifacts.put_bytes(sync, name=SYNC))
    found = {**facts(checked), "circuit": circuit_name(chain, period), "preset": circuit_preset(chain.preset)}
    return StageOutput(tuple(outputs), found)


async def prove(stream: Stream, context: StageContext) -> StageOutput:
    """The proof by the plan's prover, beside the files that it is a proof of."""
    prover = stream.prover(context.prover)
    began = time.time()
    async with _place(stream, context) as place:
        proof = await prover.prove(place.statement, place.into, context.progress)
        refs = await keep(context, proof, place.into, _TAKEN)
    check_key(context, context.prover, proof.facts.get("verifying_key", ""))
    found = {
        **short(proof.facts),
        "prover": context.prover,
        "proved_at": f"{time.time():.3f}",
        "prove_s": f"{time.time() - began:.3f}",
    }
    inputs = tuple(ref for ref in context.inputs if ref.name in STATEMENT_FILES)
    return StageOutput((*inputs, *refs), found, proof.usage)


async def compress(stream: Stream, context: StageContext) -> StageOutput:
    """Wrap the proof, where the prover that made it does that; another one's is final already."""
    maker = maker_of(context)
    prover = stream.prover(maker)
    if not prover.compresses:
        return StageOutput(context.inputs)
    async with _place(stream, context) as place:
        proof = await prover.compress(place.statement, place.proof, place.into, context.progress)
        refs = await keep(context, proof, place.into, _TAKEN)
    check_key(context, maker, proof.facts.get("verifying_key", ""))
    replaced = {ref.name for ref in refs}
    kept = tuple(ref for ref in context.inputs if ref.name not in replaced)
    return StageOutput((*kept, *refs), short(proof.facts), proof.usage)


async def verify(stream: Stream, context: StageContext) -> StageOutput:
    """Nothing leaves before the pinned key accepts it. What does not verify is kept aside."""
    maker = maker_of(context)
    prover = stream.prover(maker)
    check_key(context, maker, context.given.facts.get("verifying_key", ""))
    async with _place(stream, context) as place:
        try:
            found = await prover.verify(place.statement, place.proof)
        except ProofRejected as error:
            for ref in context.inputs:
                if ref.name not in STATEMENT_FILES:
                    await context.artifacts.quarantine(ref, str(error))
            raise
        used = found.get("verifying_key") or await prover.verifying_key(place.statement.circuit)
    check_key(context, maker, used)
    return StageOutput(context.inputs, {**short(found), "verifying_key": used, "prover": maker})


# ---------------------------------------------------------------- parts


def _place(stream: Stream, context: StageContext) -> AbstractAsyncContextManager[Workplace]:
    period = period_of(context.unit)
    params = {
        "chain": str(context.unit.params.get("chain")),
        "period": str(period),
        "previous_period": str(period - 1),
    }
    if stream.settings.spending_cap:
        params["spending_cap"] = stream.settings.spending_cap
    return workplace(context, STATEMENT_FILES, context.given.facts.get("circuit", ""), params)


async def _chain(context: StageContext) -> Chain:
    """The unit's chain, without asking anybody: built in, or as its node said when the unit was fetched."""
    name = str(context.unit.params.get("chain"))
    if name in CHAINS:
        return CHAINS[name]
    said = load(await context.artifacts.read(input_named(context, CHAIN)))
    config: Json = said.get("config") if isinstance(said, dict) else None
    genesis: Json = said.get("genesis") if isinstance(said, dict) else None
    if not isinstance(config, dict) or not isinstance(genesis, dict):
        raise InvalidInput(f"{CHAIN} is malformed", expected="config and genesis")
    return chain_from_config(name, config, genesis)
