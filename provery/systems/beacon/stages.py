"""Witness, prove, compress and verify: the statement's files go to the stream's prover and come back as a proof."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from provery.core.errors import ConfigurationError, InvalidInput, InvalidKey, ProofRejected, ProverCrashed
from provery.core.ports import Proof, StageContext, StageOutput, Statement
from provery.core.types import ArtifactRef, Json
from provery.systems.beacon.chains import CHAINS, chain_from_config
from provery.systems.beacon.jsonform import load
from provery.systems.beacon.plan import pinned
from provery.systems.beacon.spec import Chain
from provery.systems.beacon.store import MANIFEST, NAME
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

_FACT = 200
"""Characters that one fact of a prover may have."""


async def witness(stream: Stream, context: StageContext) -> StageOutput:
    """Check the update once more, from its bytes alone, and write the statement's files."""
    chain = await _chain(context)
    check_unit(context.unit, chain)
    body = await context.artifacts.read(_input(context, UPDATE))
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
    async with _workplace(stream, context) as place:
        proof = await prover.prove(place.statement, place.into, context.progress)
        refs = await _keep(context, proof, place.into)
    _check_key(context, context.prover, proof.facts)
    found = {
        **_short(proof.facts),
        "prover": context.prover,
        "proved_at": f"{time.time():.3f}",
        "prove_s": f"{time.time() - began:.3f}",
    }
    inputs = tuple(ref for ref in context.inputs if ref.name in STATEMENT_FILES)
    return StageOutput((*inputs, *refs), found, proof.usage)


async def compress(stream: Stream, context: StageContext) -> StageOutput:
    """Wrap the proof, where the prover that made it does that; another one's is final already."""
    maker = _maker(context)
    prover = stream.prover(maker)
    if not prover.compresses:
        return StageOutput(context.inputs)
    async with _workplace(stream, context) as place:
        proof = await prover.compress(place.statement, place.proof, place.into, context.progress)
        refs = await _keep(context, proof, place.into)
    _check_key(context, maker, proof.facts)
    replaced = {ref.name for ref in refs}
    kept = tuple(ref for ref in context.inputs if ref.name not in replaced)
    return StageOutput((*kept, *refs), _short(proof.facts), proof.usage)


async def verify(stream: Stream, context: StageContext) -> StageOutput:
    """Nothing leaves before the pinned key accepts it. What does not verify is kept aside."""
    maker = _maker(context)
    prover = stream.prover(maker)
    _check_key(context, maker, context.given.facts)
    async with _workplace(stream, context) as place:
        try:
            found = await prover.verify(place.statement, place.proof)
        except ProofRejected as error:
            for ref in context.inputs:
                if ref.name not in STATEMENT_FILES:
                    await context.artifacts.quarantine(ref, str(error))
            raise
        used = found.get("verifying_key") or await prover.verifying_key(place.statement.circuit)
    _check_key(context, maker, {"verifying_key": used})
    return StageOutput(context.inputs, {**_short(found), "verifying_key": used, "prover": maker})


# ---------------------------------------------------------------- parts


class _Place:
    """A prover's workplace: the statement's and the proof's files by their own names, and a directory to write to."""

    def __init__(self, statement: Statement, proof: Mapping[str, Path], into: Path) -> None:
        self.statement, self.proof, self.into = statement, proof, into


@asynccontextmanager
async def _workplace(stream: Stream, context: StageContext) -> AsyncIterator[_Place]:
    async with context.artifacts.scratch() as folder:
        given, into = folder / "in", folder / "out"
        given.mkdir()
        into.mkdir()
        files: dict[str, Path] = {}
        for ref in context.inputs:
            files[ref.name] = given / ref.name
            source = await context.artifacts.local(ref)
            await asyncio.to_thread(shutil.copyfile, source, files[ref.name])
        period = period_of(context.unit)
        params = {
            "chain": str(context.unit.params.get("chain")),
            "period": str(period),
            "previous_period": str(period - 1),
        }
        maker = context.given.facts.get("prover") or context.prover
        params["verifying_key"] = pinned(context.given.plan.verifying_key, maker, context.given.plan.prover)
        if stream.settings.spending_cap:
            params["spending_cap"] = stream.settings.spending_cap
        statement = Statement(
            unit=context.unit,
            circuit=context.given.facts.get("circuit", ""),
            files={name: path for name, path in files.items() if name in STATEMENT_FILES},
            params=params,
            request_key=context.request_key,
        )
        proof = {name: path for name, path in files.items() if name not in STATEMENT_FILES}
        yield _Place(statement, proof, into)


async def _chain(context: StageContext) -> Chain:
    """The unit's chain, without asking anybody: built in, or as its node said when the unit was fetched."""
    name = str(context.unit.params.get("chain"))
    if name in CHAINS:
        return CHAINS[name]
    said = load(await context.artifacts.read(_input(context, CHAIN)))
    config: Json = said.get("config") if isinstance(said, dict) else None
    genesis: Json = said.get("genesis") if isinstance(said, dict) else None
    if not isinstance(config, dict) or not isinstance(genesis, dict):
        raise InvalidInput(f"{CHAIN} is malformed", expected="config and genesis")
    return chain_from_config(name, config, genesis)


async def _keep(context: StageContext, proof: Proof, into: Path) -> list[ArtifactRef]:
    """Store what a prover wrote."""
    wrong = await asyncio.to_thread(_not_written, proof, into)
    if wrong:
        raise ProverCrashed(
            f"prover {context.prover} did not write the file that it named",
            value=wrong[0],
            expected="a plain file in its directory, named as none of the statement's",
        )
    if not proof.files:
        raise ProverCrashed(f"prover {context.prover} made no files")
    files: Sequence[tuple[Path, str]] = [(path, name) for name, path in proof.files.items()]
    return await context.artifacts.put_files(files, move=True)


def _not_written(proof: Proof, into: Path) -> list[str]:
    return [
        name
        for name, path in proof.files.items()
        if not path.resolve().is_relative_to(into.resolve())
        or not path.is_file()
        or path.is_symlink()
        or name in STATEMENT_FILES
        or not NAME.fullmatch(name)
        or name == MANIFEST
    ]


def _input(context: StageContext, name: str) -> ArtifactRef:
    for ref in context.inputs:
        if ref.name == name:
            return ref
    got = ", ".join(ref.name for ref in context.inputs)
    raise InvalidInput(f"stage {context.given.plan.stage} lacks an input", value=got, expected=name)


def _maker(context: StageContext) -> str:
    """Who made the proof: the plan's prover, or one that took over from it."""
    maker = context.given.facts.get("prover", "")
    if not maker:
        raise ConfigurationError("nothing says which prover made the proof", expected="the fact 'prover'")
    return maker


def _check_key(context: StageContext, maker: str, said: Mapping[str, str]) -> None:
    """Where a prover tells which key it used, it has to be the pinned one."""
    key = said.get("verifying_key")
    wanted = pinned(context.given.plan.verifying_key, maker, context.given.plan.prover)
    if key and key != wanted:
        raise InvalidKey(
            f"prover {maker} used another key than the period was planned with",
            value=key,
            expected=wanted,
            action="the next look plans the period anew",
        )


def _short(found: Mapping[str, str]) -> dict[str, str]:
    """Facts travel in the workflow's history: small ones only."""
    return {name: str(value)[:_FACT] for name, value in found.items()}
