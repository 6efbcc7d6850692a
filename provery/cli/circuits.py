"""``provery circuits …``: the circuits that units are proved with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from provery.cli import statements
from provery.cli.options import JsonOption
from provery.cli.output import console, emit, jsonable, say, stamp, table
from provery.cli.session import Session, run
from provery.core.errors import ConfigurationError, InvalidInput, UnknownCircuit
from provery.core.types import Json
from provery.provers.statement_keys import StatementCircuit

app = typer.Typer(help="Add, import and inspect circuits and their keys.", no_args_is_help=True)
statements.register(app)
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Name of the circuit.")]
VersionArgument = Annotated[
    str, typer.Argument(metavar="[VERSION]", help="Digest of the version; the newest without.")
]


def _file(text: str) -> Any:
    return typer.Option(help=text, exists=True, dir_okay=False)


R1csOption = Annotated[Path | None, _file("The compiled circuit.")]
WasmOption = Annotated[Path | None, _file("Its witness program.")]
SymOption = Annotated[Path | None, _file("Its symbols: names of the signals.")]
ZkeyOption = Annotated[Path | None, _file("A proving key without a transcript; counts as insecure.")]
SourceOption = Annotated[Path | None, _file("The circuit's source, instead of --r1cs and --wasm.")]


@app.command()
def add(
    name: NameArgument,
    source: Annotated[
        Path | None, typer.Argument(help="The .circom file.", exists=True, dir_okay=False)
    ] = None,
    r1cs: R1csOption = None,
    wasm: WasmOption = None,
    zkey: ZkeyOption = None,
    sym: SymOption = None,
    json_: JsonOption = False,
) -> None:
    """Register a circuit: compile SOURCE and make an INSECURE development key, or take finished files.

    JSON: {"circuit": {"name", "version", "setup": {"kind", "insecure", …}, "constraints", "n_public", "public",
    "inputs", "artifacts": {role: artifact}, "created_at", …}}
    """

    async def go(session: Session) -> dict[str, Json]:
        if source is not None:
            if r1cs or wasm or zkey or sym:
                raise InvalidInput("a source and finished files at once", expected="one of the two")
            return await session.circuits().add_source(name, source)
        if r1cs is None or wasm is None or zkey is None:
            raise InvalidInput("nothing to add", expected="a .circom file, or --r1cs, --wasm and --zkey")
        return await session.circuits().add_files(name, r1cs, wasm, zkey, sym=sym)

    _print(run(go), json_)


@app.command("import")
def import_(
    name: NameArgument,
    zkey: Annotated[Path, typer.Option(help="The ceremony's final key.", exists=True, dir_okay=False)],
    ptau: Annotated[Path, typer.Option(help="Its powers of tau.", exists=True, dir_okay=False)],
    source: SourceOption = None,
    r1cs: R1csOption = None,
    wasm: WasmOption = None,
    sym: SymOption = None,
    skip_ptau: Annotated[bool, typer.Option("--skip-ptau", help="Do not check the powers of tau.")] = False,
    json_: JsonOption = False,
) -> None:
    """Register a key from a ceremony after checking its transcript.

    JSON: as for `circuits add`.
    """

    async def go(session: Session) -> dict[str, Json]:
        return await session.circuits().import_zkey(
            name, zkey, ptau, source=source, r1cs=r1cs, wasm=wasm, sym=sym, skip_ptau=skip_ptau
        )

    _print(run(go), json_)


@app.command("list")
def list_(json_: JsonOption = False) -> None:
    """List every version of every circuit, newest first, and the circuits of statements with their keys.

    JSON: {"circuits": [{as for `circuits add`}], "statements": [{"name", "circuit_id", "scheme", "about",
    "constraints", "key": digest of the verifying key in use or "", "kind", "insecure", "problem", "setups": [digest]}]}
    """

    async def go(session: Session) -> tuple[list[dict[str, Json]], list[StatementCircuit], str]:
        found = [manifest async for manifest in session.ledger().catalog.all()]
        try:
            return found, await session.native().circuits(), ""
        except ConfigurationError as error:
            # The program is not there: the registry is worth seeing all the same.
            return found, [], str(error)

    found, known, missing = run(go)
    if json_:
        emit({"circuits": found, "statements": statements.records(known)})
        return
    if found:
        rows = [
            (m.get("name"), str(m.get("version", ""))[:16], m.get("constraints"), key_of(m), _when(m))
            for m in found
        ]
        console().print(table("", ("name", "version", "constraints", "key", "added"), rows))
    else:
        say("no circuits; `provery circuits add NAME FILE.circom` makes one")
    if missing:
        say(missing, style="yellow", stderr=True)
    else:
        columns = ("statement", "constraints", "key", "digest")
        console().print(table("", columns, statements.rows(known)))


@app.command()
def show(name: NameArgument, version: VersionArgument = "", json_: JsonOption = False) -> None:
    """Show a circuit: inputs, public signals, keys, and how the key was made.

    JSON: as for `circuits add`.
    """
    _print(run(lambda session: _manifest(session, name, version)), json_)


@app.command()
def verify(name: NameArgument, version: VersionArgument = "", json_: JsonOption = False) -> None:
    """Check a circuit's files against their digests, and its key against this installation's policy.

    JSON: {"circuit": "name", "version", "files": {role: path}, "ok": true}
    """

    async def go(session: Session) -> dict[str, Any]:
        found = await _manifest(session, name, version)
        files = await session.circuits().resolve(name, str(found["version"]))
        paths = {"wasm": files.wasm, "zkey": files.zkey, "vkey": files.vkey}
        return {"circuit": name, "version": files.version, "files": jsonable(paths), "ok": True}

    done = run(go)
    if json_:
        emit(done)
    else:
        say(f"{name} {done['version'][:16]}: every file matches its digest")


async def _manifest(session: Session, name: str, version: str) -> dict[str, Json]:
    """A version's manifest; a version may be shortened to the start of its digest."""
    registry = session.circuits()
    if not version or len(version) == 64:
        return await registry.manifest(name, version)
    matches = [
        m
        async for m in session.ledger().catalog.all()
        if m.get("name") == name and str(m.get("version", "")).startswith(version)
    ]
    if len(matches) != 1:
        raise UnknownCircuit(
            "no such version" if not matches else "more than one version starts so", value=f"{name} {version}"
        )
    return matches[0]


def key_of(manifest: dict[str, Json]) -> str:
    """How the key was made, in two words."""
    setup = manifest.get("setup")
    if not isinstance(setup, dict):
        return "unknown"
    return f"{setup.get('kind')}{' (INSECURE)' if setup.get('insecure') is not False else ''}"


def _when(manifest: dict[str, Json]) -> str:
    made = manifest.get("created_at")
    return stamp(float(made)) if isinstance(made, int | float) else ""


def _print(manifest: dict[str, Json], json_: bool) -> None:
    if json_:
        emit({"circuit": manifest})
        return
    rows: list[tuple[str, object]] = [
        ("name", manifest.get("name")),
        ("version", manifest.get("version")),
        ("key", key_of(manifest)),
        ("constraints", manifest.get("constraints")),
        ("inputs", ", ".join(_signals(manifest.get("inputs")))),
        ("public", ", ".join(map(str, _list(manifest.get("public"))))),
        ("verifying key", manifest.get("vkey_sha256")),
        ("added", _when(manifest)),
    ]
    console().print(table("", ("", ""), rows))
    setup = manifest.get("setup")
    if isinstance(setup, dict) and setup.get("warning"):
        say(str(setup["warning"]), style="yellow", stderr=True)


def _signals(inputs: Json) -> list[str]:
    if not isinstance(inputs, dict):
        return []
    return [name + "".join(f"[{d}]" for d in _list(dims)) for name, dims in inputs.items()]


def _list(value: Json) -> list[Json]:
    return value if isinstance(value, list) else []
