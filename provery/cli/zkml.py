"""``provery zkml …``: models, and what only the zkml system has."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from provery.cli.options import JsonOption
from provery.cli.output import console, emit, outcome_object, say, stamp, table
from provery.cli.prove import deps_of
from provery.cli.session import Session, run
from provery.cli.zkml_deploy import deploy
from provery.client import NotFound
from provery.core.exits import UNIT_FAILED
from provery.core.models import ModelVersion
from provery.core.types import Json, UnitOutcome, UnitStatus
from provery.registry import load

app = typer.Typer(help="Models whose inferences are proved.", no_args_is_help=True)
app.command("deploy")(deploy)
NameArgument = Annotated[str, typer.Argument(metavar="MODEL", help="Name of the model.")]
StreamOption = Annotated[str, typer.Option(help="Stream of the zkml system.")]


@app.command()
def add(
    onnx: Annotated[Path, typer.Argument(help="The ONNX file.", exists=True, dir_okay=False)],
    name: Annotated[str, typer.Option(help="Name of the model; the file's name without it.")] = "",
    prover: Annotated[str, typer.Option(help="native or ezkl.")] = "",
    scheme: Annotated[str, typer.Option(help="Of the native prover: plonk or groth16.")] = "",
    scale: Annotated[int | None, typer.Option(help="Bits of fraction of quantised numbers.")] = None,
    visibility: Annotated[str, typer.Option(help="Of the inputs: public, hashed or commitment.")] = "",
    tolerance: Annotated[float | None, typer.Option(help="Largest error of an output.")] = None,
    calibration: Annotated[
        Path | None,
        typer.Option(help='Inputs to compare on: {"rows": [[…]]}.', exists=True, dir_okay=False),
    ] = None,
    stream: StreamOption = "default",
    json_: JsonOption = False,
) -> None:
    """Add a model, or a new version of it: quantise, calibrate, make keys, try a proof. Waits for the end.

    JSON: {"unit": name, "outcome": {"status", "reason", "facts", …}}
    """
    given = {
        "prover": prover,
        "scheme": scheme,
        "scale": scale,
        "visibility": visibility,
        "tolerance": tolerance,
    }
    settings: dict[str, Json] = {key: value for key, value in given.items() if value not in ("", None)}

    async def go(session: Session) -> UnitOutcome:
        module = load("zkml", session.env)
        work = await module.addition(stream, deps_of(session), name or onnx.stem, onnx, settings, calibration)
        engine = await session.engine()
        if not json_:
            say(f"adding {work.unit.title}  {engine.link(work.unit.workflow_id)}")
        [outcome] = await engine.run([work])
        models = session.ledger().models
        there = await models.get(name or onnx.stem, work.unit.key.removeprefix("model-"))
        if outcome.status is UnitStatus.DONE and there is not None:
            # What was done before is not done again, and the version may have been replaced or retired since.
            await models.add(there)
        return outcome

    outcome = run(go)
    if json_:
        emit({"unit": outcome.unit.removeprefix("prove/"), "outcome": outcome_object(outcome)})
    elif outcome.status is UnitStatus.DONE:
        shown = ("circuit", "constraints", "calibration_error", "prove_s", "verifying_key")
        console().print(table("", ("what", "is"), [(k, v) for k, v in outcome.facts.items() if k in shown]))
    elif outcome.status is UnitStatus.SKIPPED:
        say(f"added; nothing was deployed: {outcome.reason}", style="yellow", stderr=True)
    else:
        say(f"{outcome.status.value}: {outcome.reason}", style="red", stderr=True)
    # A verifier that somebody else has deployed is as good as one's own.
    if outcome.status not in (UnitStatus.DONE, UnitStatus.SKIPPED):
        raise typer.Exit(UNIT_FAILED)


@app.command("list")
def list_(json_: JsonOption = False) -> None:
    """List the models that can be asked for, each in its current version.

    JSON: {"models": [{"model", "version", "model_hash", "settings", "input_shape", "output_shape", "facts", …}]}
    """

    async def go(session: Session) -> list[ModelVersion]:
        return await session.ledger().models.current()

    found = run(go)
    if json_:
        emit({"models": [_object(one) for one in found]})
        return
    rows = [
        (
            one.model,
            one.version[:12],
            one.settings.prover,
            list(one.input_shape),
            list(one.output_shape),
            one.settings.visibility.value,
            one.facts.get("calibration_error", ""),
            stamp(one.added_at),
        )
        for one in found
    ]
    columns = ("model", "version", "prover", "input", "output", "inputs are", "error", "added")
    console().print(table("", columns, rows))


@app.command()
def retire(name: NameArgument, json_: JsonOption = False) -> None:
    """Refuse requests for a model from now on; its old proofs still verify. Adding it again brings it back.

    JSON: {"model": name, "retired": true}
    """

    async def go(session: Session) -> bool:
        return await session.ledger().models.retire(name)

    if not run(go):
        raise NotFound("no such model", value=name, action="`provery zkml list` shows them")
    emit({"model": name, "retired": True}) if json_ else say(f"{name} is retired")


def _object(version: ModelVersion) -> dict[str, Any]:
    return {
        **asdict(version),
        "settings": version.settings.document(),
        "version": version.version,
        "files": sorted(version.files),
    }
