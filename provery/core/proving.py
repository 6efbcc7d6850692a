"""What systems share that hand a statement's files to a prover: a workplace, what it wrote, and which key counts."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import ConfigurationError, InvalidInput, InvalidKey, ProverCrashed
from provery.core.ports import Proof, StageContext, Statement
from provery.core.types import ArtifactRef

FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a prover may call its files."""
_FACT = 200
"""Characters that one fact of a prover may have."""


@dataclass(frozen=True)
class Workplace:
    """The statement's and the proof's files by their own names, and a directory to write to."""

    statement: Statement
    proof: Mapping[str, Path]
    into: Path


@asynccontextmanager
async def workplace(
    context: StageContext, statement_files: Collection[str], circuit: str, params: Mapping[str, str]
) -> AsyncIterator[Workplace]:
    """Local copies of a stage's inputs.

    Args:
        context: The stage's.
        statement_files: Names of the inputs that are the statement's; the others are a proof's.
        circuit: Name of the circuit.
        params: Small values for the prover; the pinned key is added.
    """
    async with context.artifacts.scratch() as folder:
        given, into = folder / "in", folder / "out"
        given.mkdir()
        into.mkdir()
        files: dict[str, Path] = {}
        for ref in context.inputs:
            files[ref.name] = given / ref.name
            await asyncio.to_thread(shutil.copyfile, await context.artifacts.local(ref), files[ref.name])
        maker = context.given.facts.get("prover") or context.prover
        key = pinned(context.given.plan.verifying_key, maker, context.given.plan.prover)
        statement = Statement(
            unit=context.unit,
            circuit=circuit,
            files={name: path for name, path in files.items() if name in statement_files},
            params={**params, "verifying_key": key},
            request_key=context.request_key,
        )
        proof = {name: path for name, path in files.items() if name not in statement_files}
        yield Workplace(statement, proof, into)


async def keep(context: StageContext, proof: Proof, into: Path, taken: Collection[str]) -> list[ArtifactRef]:
    """Store what a prover wrote.

    Args:
        context: The stage's.
        proof: What it says that it wrote.
        into: The directory that it was given.
        taken: Names that it may not use.

    Raises:
        ProverCrashed: it wrote nothing, or something else than it says.
    """

    def wrong() -> list[str]:
        return [
            name
            for name, path in proof.files.items()
            if name in taken
            or not FILE_NAME.fullmatch(name)
            or path.is_symlink()
            or not path.is_file()
            or not path.resolve().is_relative_to(into.resolve())
        ]

    if not proof.files:
        raise ProverCrashed(f"prover {context.prover} made no files")
    if bad := await asyncio.to_thread(wrong):
        raise ProverCrashed(
            f"prover {context.prover} did not write the file that it named",
            value=bad[0],
            expected="a plain file in its directory, named as none of the statement's",
        )
    files: Sequence[tuple[Path, str]] = [(path, name) for name, path in proof.files.items()]
    return await context.artifacts.put_files(files, move=True)


def pin(keys: Mapping[str, str]) -> str:
    """What a plan pins: one prover's key as it is, several as ``prover=key,prover=key``."""
    if len(keys) == 1:
        return next(iter(keys.values()))
    return ",".join(f"{prover}={key}" for prover, key in keys.items())


def pinned(text: str, prover: str, first: str) -> str:
    """The key that a plan pins for one prover.

    Args:
        text: What :func:`pin` made.
        prover: Who made the proof.
        first: The plan's first prover.

    Raises:
        InvalidKey: the plan pins none for it.
    """
    if "=" not in text:
        if prover == first:
            return text
    else:
        for entry in text.split(","):
            name, _, key = entry.partition("=")
            if name == prover:
                return key
    raise InvalidKey(
        "the plan pins no verifying key for the prover of this proof",
        value=prover,
        expected=text,
        action="prove the unit again: its plan was made for other provers",
    )


def check_key(context: StageContext, maker: str, said: str) -> None:
    """Where a prover tells which key it used, it has to be the pinned one.

    Raises:
        InvalidKey: it is another.
    """
    wanted = pinned(context.given.plan.verifying_key, maker, context.given.plan.prover)
    if said and said != wanted:
        raise InvalidKey(
            f"prover {maker} used another key than the unit was planned with",
            value=said,
            expected=wanted,
            action="the next look plans the unit anew",
        )


def short(found: Mapping[str, str]) -> dict[str, str]:
    """Facts travel in the workflow's history: small ones only."""
    return {name: str(value)[:_FACT] for name, value in found.items()}


def input_named(context: StageContext, name: str) -> ArtifactRef:
    """The input of a stage that has this name.

    Raises:
        InvalidInput: there is none.
    """
    for ref in context.inputs:
        if ref.name == name:
            return ref
    got = ", ".join(ref.name for ref in context.inputs)
    raise InvalidInput(f"stage {context.given.plan.stage} lacks an input", value=got, expected=name)


def maker_of(context: StageContext) -> str:
    """Who made the proof: the plan's prover, or one that took over from it.

    Raises:
        ConfigurationError: nothing says so.
    """
    maker = context.given.facts.get("prover", "")
    if not maker:
        raise ConfigurationError("nothing says which prover made the proof", expected="the fact 'prover'")
    return maker
