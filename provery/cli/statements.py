"""``provery circuits …`` for statements: the circuits compiled into the native prover, and their keys."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from provery.cli import srs
from provery.cli.options import JsonOption
from provery.cli.output import console, emit, say, table
from provery.cli.progress import bar
from provery.cli.session import Session, run
from provery.core.errors import InvalidKey
from provery.core.types import Json
from provery.provers.statement_keys import CEREMONY_HINT, PLONK, StatementCircuit, find

ceremony = typer.Typer(
    help="Make keys that are secure if one of several contributors is honest.", no_args_is_help=True
)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the statement's circuit.")]
SetupOption = Annotated[
    str, typer.Option("--setup", help="Digest of the verifying key; the one in use without.")
]
DirArgument = Annotated[Path, typer.Argument(metavar="DIR", help="The ceremony's directory.")]


def setup(
    name: NameArgument,
    string: Annotated[
        str, typer.Option("--srs", help="For PLONK: id of the SRS to use, instead of the one in use.")
    ] = "",
    json_: JsonOption = False,
) -> None:
    """Make a key for a statement's circuit, unless it has keys; a minute or two.

    For Groth16 it is an INSECURE development key. For PLONK it is as good as the SRS that it is made with, see
    `circuits srs`; without any, a development SRS is made.

    JSON: {"keys": {"circuit", "circuit_id", "setup_id", "scheme": "plonk" unless it is groth16, "constraints",
    "setup": {"kind", "insecure", …}, "files": {file: {"bytes", "sha256"}}, "created_at"}, "made": true if they were
    made now}
    """

    async def go(session: Session) -> tuple[Mapping[str, Json], bool]:
        native = session.native()
        known = find(await native.circuits(), name)
        if native.policy.secure and not known.current and known.scheme != PLONK:
            raise InvalidKey("production makes no development keys", value=name, action=CEREMONY_HINT)
        with bar(f"set-up of {name}", quiet=json_) as progress:
            return await native.setup(name, progress, string)

    keys, made = run(go)
    if json_:
        emit({"keys": keys, "made": made})
        return
    say(f"{name}: {'made' if made else 'has'} key {keys.get('setup_id')}")
    _warn(keys)


def use(
    name: NameArgument,
    setup: Annotated[str, typer.Argument(metavar="SETUP", help="Digest of the verifying key.")],
    json_: JsonOption = False,
) -> None:
    """Choose which of a statement circuit's keys new units are proved with.

    JSON: {"keys": {as for `circuits setup`}}
    """
    keys = _order("circuit_use", name, setup=setup)
    if json_:
        emit({"keys": keys})
    else:
        say(f"{name}: uses key {setup}")
        _warn(keys)


def audit(name: NameArgument, setup: SetupOption = "", json_: JsonOption = False) -> None:
    """Hash all key files of a statement's circuit and compare them with what was recorded when they were made.

    JSON: {"keys": {as for `circuits setup`}}
    """
    keys = _order("circuit_audit", name, setup=setup)
    if json_:
        emit({"keys": keys})
    else:
        say(f"{name}: every file of key {keys.get('setup_id')} matches its digest")
        _warn(keys)


def export_verifier(
    name: NameArgument,
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Where to write.")],
    setup: SetupOption = "",
    json_: JsonOption = False,
) -> None:
    """Write what a verifier needs: verifier.sol, verifying_key.bin, and where the key comes from.

    JSON: {"insecure", "files": [{"path", "bytes", "sha256"}]}
    """
    done = _order("circuit_export", name, setup=setup, out=str(out.absolute()))
    if json_:
        emit(done)
        return
    files = done.get("files")
    for file in files if isinstance(files, list) else []:
        if isinstance(file, dict):
            say(str(file.get("path")))
    if done.get("insecure") is not False:
        say("INSECURE development key: whoever made it can forge proofs", style="yellow", stderr=True)


@ceremony.command("init")
def init(name: NameArgument, directory: DirArgument, json_: JsonOption = False) -> None:
    """Start a ceremony for a statement's circuit in an empty directory.

    JSON: {"ceremony": {"circuit", "circuit_id", "domain", "phase": 1 | 2 | 3, "contributions": [{"phase", "name",
    "sha256"}], "beacons": [hex]}}
    """
    _show(_order("ceremony_init", name, "ceremony", dir=str(directory.absolute())), json_)


@ceremony.command("contribute")
def contribute(
    directory: DirArgument,
    name: Annotated[str, typer.Option("--name", help="Who contributes, for the record.")],
    json_: JsonOption = False,
) -> None:
    """Add this machine's randomness to the phase at hand, and forget it.

    JSON: as for `circuits ceremony init`.
    """
    done = _order("ceremony_contribute", "", "contribution", json_, dir=str(directory.absolute()), name=name)
    _show(done, json_)


@ceremony.command("verify")
def verify(directory: DirArgument, json_: JsonOption = False) -> None:
    """Check every contribution so far.

    JSON: as for `circuits ceremony init`.
    """
    _show(_order("ceremony_verify", "", "check", json_, dir=str(directory.absolute())), json_)


@ceremony.command("seal")
def seal(
    directory: DirArgument,
    beacon: Annotated[
        str,
        typer.Option("--beacon", help="Public random value that nobody could know before, in hexadecimal."),
    ],
    json_: JsonOption = False,
) -> None:
    """End the phase at hand with a beacon; the end of the second makes the keys and puts them into use.

    JSON: as for `circuits ceremony init`, and "keys" as for `circuits setup` after the second phase.
    """
    _show(_order("ceremony_seal", "", "seal", json_, dir=str(directory.absolute()), beacon=beacon), json_)


def _order(op: str, circuit: str, title: str = "", quiet: bool = True, **fields: Json) -> Mapping[str, Json]:
    async def go(session: Session) -> Mapping[str, Json]:
        with bar(title, quiet=quiet or not title) as progress:
            return await session.native().order(op, circuit, progress, **fields)

    return run(go)


def _show(state: Mapping[str, Json], json_: bool) -> None:
    if json_:
        keys = {"keys": state["keys"]} if "keys" in state else {}
        emit({"ceremony": {k: v for k, v in state.items() if k != "keys"}, **keys})
        return
    phase = state.get("phase")
    say(f"{state.get('circuit')}: " + ("over" if phase == 3 else f"phase {phase}"))
    contributions = state.get("contributions")
    rows = [
        (c.get("phase"), c.get("name"), c.get("sha256"))
        for c in (contributions if isinstance(contributions, list) else [])
        if isinstance(c, dict)
    ]
    console().print(table("", ("phase", "contributor", "sha256"), rows))
    keys_made = state.get("keys")
    if isinstance(keys_made, dict):
        say(f"uses key {keys_made.get('setup_id')}")


def _warn(keys: Mapping[str, Json]) -> None:
    provenance = keys.get("setup")
    if isinstance(provenance, dict) and provenance.get("warning"):
        say(str(provenance["warning"]), style="yellow", stderr=True)


def rows(circuits: list[StatementCircuit]) -> list[tuple[Any, ...]]:
    """What `circuits list` shows of statements' circuits."""
    return [(c.name, c.constraints, _key(c), c.current[:16]) for c in circuits]


def records(circuits: list[StatementCircuit]) -> list[dict[str, Json]]:
    """The same for programs."""
    return [
        {
            "name": c.name, "circuit_id": c.id, "scheme": c.scheme, "about": c.about, "constraints": c.constraints,
            "key": c.current, "kind": c.kind, "insecure": c.insecure, "problem": c.problem,
            "setups": [str(m.get("setup_id")) for m in c.setups],
        }
        for c in circuits
    ]  # fmt: skip


def _key(circuit: StatementCircuit) -> str:
    if circuit.problem:
        return "unusable"
    if not circuit.current:
        return "none"
    return f"{circuit.kind}{' (INSECURE)' if circuit.insecure else ''}"


def register(app: typer.Typer) -> None:
    """Add these commands to a group."""
    app.command("setup")(setup)
    app.command("use")(use)
    app.command("audit")(audit)
    app.command("export-verifier")(export_verifier)
    app.add_typer(ceremony, name="ceremony")
    app.add_typer(srs.app, name="srs")
