"""``provery ledger …`` and ``provery artifacts …``: what outlives Temporal."""

from __future__ import annotations

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from provery.cli.options import JsonOption, UnitArgument
from provery.cli.output import console, emit, jsonable, say, table
from provery.cli.session import Session, run
from provery.client import Address, NotFound
from provery.core.errors import ArtifactCorrupt, ArtifactMissing, InvalidInput
from provery.core.exits import UNIT_FAILED
from provery.core.redact import redact
from provery.core.types import ArtifactRef

ledger = typer.Typer(help="The database of units, attempts, results and costs.", no_args_is_help=True)
artifacts = typer.Typer(help="The bytes that stages made.", no_args_is_help=True)


@ledger.command()
def migrate(json_: JsonOption = False) -> None:
    """Bring the ledger's schema up to date; safe to repeat.

    JSON: {"ledger": "url", "before": "revision" | null, "after": "revision"}
    """
    from provery.stores.schema import migrate as migrate_schema
    from provery.stores.schema import schema_version

    async def go(session: Session) -> dict[str, Any]:
        session.home.mkdir(parents=True, exist_ok=True)
        before = await asyncio.to_thread(schema_version, session.ledger_url)
        after = await asyncio.to_thread(migrate_schema, session.ledger_url)
        return {"ledger": redact(session.ledger_url), "before": before, "after": after}

    done = run(go)
    if json_:
        emit(done)
    else:
        say(
            f"{done['ledger']}: schema {done['after']}"
            + ("" if done["before"] == done["after"] else " (migrated)")
        )


@ledger.command()
def check(json_: JsonOption = False) -> None:
    """Check that the ledger answers and that its schema is this program's.

    JSON: {"ledger": "url", "schema": "revision", "units": {status: count, up to 1000 units}}
    """
    from provery.stores.schema import schema_version

    async def go(session: Session) -> dict[str, Any]:
        rows = await session.ledger().units(limit=1_000)
        counts: dict[str, int] = {}
        for row in rows:
            counts[row.status.value] = counts.get(row.status.value, 0) + 1
        version = await asyncio.to_thread(schema_version, session.ledger_url)
        return {"ledger": redact(session.ledger_url), "schema": version, "units": counts}

    found = run(go)
    if json_:
        emit(found)
    else:
        counts = ", ".join(f"{n} {status}" for status, n in found["units"].items()) or "no units"
        say(f"{found['ledger']}: schema {found['schema']}; {counts}")


@artifacts.command()
def get(
    unit: UnitArgument,
    name: Annotated[
        str, typer.Argument(help="Name of the artifact, STAGE/NAME, or the start of its SHA-256.")
    ],
    out: Annotated[str, typer.Option("--out", "-o", help="File to write; - for stdout.")] = "",
    json_: JsonOption = False,
) -> None:
    """Fetch an artifact of a unit; its bytes are checked against their digest.

    JSON: {"artifact": {"uri", "sha256", "size", "name"}, "stage", "path"}
    """
    address = Address.parse(unit)

    async def go(session: Session) -> dict[str, Any]:
        stage, ref = _pick(await refs_of(session, address), name)
        local = await session.store().local(ref)
        if out == "-":
            with local.open("rb") as file:
                shutil.copyfileobj(file, sys.stdout.buffer)
            return {}
        path = Path(out or ref.name.rpartition("/")[2] or ref.sha256)
        await asyncio.to_thread(shutil.copyfile, local, path)
        return {"artifact": jsonable(ref), "stage": stage, "path": str(path)}

    done = run(go)
    if done and json_:
        emit(done)
    elif done:
        say(f"{done['path']}: {done['artifact']['size']} bytes, SHA-256 {done['artifact']['sha256']}")


@artifacts.command()
def verify(unit: UnitArgument, json_: JsonOption = False) -> None:
    """Read every artifact of a unit and compare it with its digest; exit code 3 where one is damaged or gone.

    JSON: {"unit", "artifacts": [{"stage", "uri", "sha256", "size", "name", "status": "ok|missing|corrupt"}], "ok"}
    """
    address = Address.parse(unit)

    async def go(session: Session) -> list[dict[str, Any]]:
        found = []
        for stage, ref in await refs_of(session, address):
            status = "ok"
            try:
                await session.store().local(ref)
            except ArtifactMissing:
                status = "missing"
            except ArtifactCorrupt:
                status = "corrupt"
            found.append({"stage": stage, **jsonable(ref), "status": status})
        return found

    found = run(go)
    ok = all(a["status"] == "ok" for a in found)
    if json_:
        emit({"unit": str(address), "artifacts": found, "ok": ok})
    else:
        columns = ("stage", "name", "size", "sha256", "status")
        console().print(table("", columns, [[a[c] for c in columns] for a in found]))
    if not ok:
        raise typer.Exit(UNIT_FAILED)


async def refs_of(session: Session, unit: Address) -> list[tuple[str, ArtifactRef]]:
    """Stage and reference of every artifact recorded of a unit.

    Raises:
        NotFound: the ledger does not know the unit.
    """
    row = await session.ledger().unit(unit.system, unit.stream, unit.key)
    if row is None:
        raise NotFound("no such unit", value=str(unit), action=f"`provery list {unit.system}/{unit.stream}`")
    results = jsonable(await session.ledger().audit(row.unit)).get("results") or []
    return [
        (str(r.get("stage")), ArtifactRef(o["uri"], o["sha256"], int(o["size"]), o.get("name", "")))
        for r in results
        for o in r.get("outputs") or []
    ]


def _pick(refs: list[tuple[str, ArtifactRef]], name: str) -> tuple[str, ArtifactRef]:
    """The one artifact that a name means; the latest of equal names.

    Raises:
        NotFound: none is called so.
        InvalidInput: a digest's start fits several.
    """
    named = [(s, r) for s, r in refs if name in (r.name, f"{s}/{r.name}")]
    if named:
        return named[-1]
    digests = {r.sha256: (s, r) for s, r in refs if len(name) >= 4 and r.sha256.startswith(name.lower())}
    if len(digests) > 1:
        raise InvalidInput("more than one artifact starts so", value=name, action="give more of the digest")
    if not digests:
        known = ", ".join(sorted({f"{s}/{r.name}" for s, r in refs})[:20]) or "none"
        raise NotFound("no such artifact", value=name, expected=known)
    return next(iter(digests.values()))
