"""``provery circuits srs …``: structured reference strings, which the keys of PLONK circuits are made with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from provery.cli.options import JsonOption
from provery.cli.output import console, emit, say, table
from provery.cli.progress import bar
from provery.cli.session import Session, run
from provery.core.types import Json

app = typer.Typer(
    help="The powers of tau that PLONK circuits take, one for all circuits.", no_args_is_help=True
)
IdArgument = Annotated[str, typer.Argument(metavar="SRS", help="Id of the SRS.")]


@app.command("list")
def list_(json_: JsonOption = False) -> None:
    """List every SRS, with where it comes from and how large a circuit may be.

    JSON: {"current": id of the one in use or "", "strings": [{"srs_id", "power", "origin": {"kind", "insecure", …},
    "files": {file: {"bytes", "sha256"}}, "created_at"}], "problem": why they cannot be used, if so}
    """
    found = _order("srs_list")
    if json_:
        emit(found)
        return
    strings = found.get("strings")
    rows = [
        _row(one, found) for one in (strings if isinstance(strings, list) else []) if isinstance(one, dict)
    ]
    if rows:
        console().print(table("", ("srs", "gates up to", "kind", "in use"), rows))
    else:
        say("no SRS; `provery circuits srs import FILE.ptau` takes one from a ceremony")
    if problem := found.get("problem"):
        say(str(problem), style="yellow", stderr=True)


@app.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", exists=True, dir_okay=False, help="A powers-of-tau file (.ptau)."),
    ],
    digest: Annotated[
        str,
        typer.Option(
            "--digest", help="Its published digest, SHA-256 or BLAKE2b-512; without, it is INSECURE."
        ),
    ] = "",
    power: Annotated[
        int,
        typer.Option("--power", min=0, help="Take only what circuits of 2^POWER gates need; 0 takes all."),
    ] = 0,
    json_: JsonOption = False,
) -> None:
    """Check a powers-of-tau file of snarkjs and use it for the keys of PLONK circuits from now on.

    Every point is checked, and that they are the powers of one number. Which ceremony they are from only the digest
    tells.

    JSON: {"srs": {as for `circuits srs list`}, "made": false if it was there}
    """
    made = _order(
        "srs_import", f"import of {file.name}", json_, file=str(file.absolute()), digest=digest, power=power
    )
    _show(made, json_)


@app.command("make")
def make(
    power: Annotated[
        int, typer.Argument(metavar="POWER", min=1, max=28, help="For circuits of 2^POWER gates.")
    ],
    json_: JsonOption = False,
) -> None:
    """Make an INSECURE development SRS and use it.

    JSON: as for `circuits srs import`.
    """
    _show(_order("srs_make", "development SRS", json_, power=power), json_)


@app.command("use")
def use(string: IdArgument, json_: JsonOption = False) -> None:
    """Choose which SRS the keys of PLONK circuits are made with. Keys that are there stay as they are.

    JSON: {"srs": {as for `circuits srs list`}}
    """
    _show(_order("srs_use", srs=string), json_)


@app.command("audit")
def audit(
    string: Annotated[str, typer.Option("--srs", help="Id of the SRS; the one in use without.")] = "",
    json_: JsonOption = False,
) -> None:
    """Hash all files of an SRS and compare them with what was recorded when it was installed.

    JSON: {"srs": {as for `circuits srs list`}}
    """
    found = _order("srs_audit", srs=string)
    if not json_:
        say(f"every file of SRS {found.get('srs_id')} matches its digest")
    _show(found, json_)


def _order(op: str, title: str = "", quiet: bool = True, **fields: Json) -> Mapping[str, Json]:
    async def go(session: Session) -> Mapping[str, Json]:
        native = session.native()
        with bar(title, quiet=quiet or not title) as progress:
            return await native.order(op, "", progress, secure=native.policy.secure, **fields)

    return run(go)


def _show(made: Mapping[str, Json], json_: bool) -> None:
    if json_:
        extra = {"made": made["made"]} if "made" in made else {}
        emit({"srs": {k: v for k, v in made.items() if k != "made"}, **extra})
        return
    origin = _origin(made)
    say(f"SRS {made.get('srs_id')} for circuits of up to 2^{made.get('power')} gates ({origin.get('kind')})")
    if warning := origin.get("warning"):
        say(str(warning), style="yellow", stderr=True)


def _row(one: Mapping[str, Json], found: Mapping[str, Json]) -> tuple[str, str, str, str]:
    origin = _origin(one)
    kind = f"{origin.get('kind')}{'' if origin.get('insecure') is False else ' (INSECURE)'}"
    current = one.get("srs_id") == found.get("current")
    return str(one.get("srs_id"))[:16], f"2^{one.get('power')}", kind, "yes" if current else ""


def _origin(one: Mapping[str, Json]) -> Mapping[str, Json]:
    origin = one.get("origin")
    return origin if isinstance(origin, dict) else {}
