"""``provery keys``: who may use the HTTP API."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from provery.cli.options import JsonOption, order
from provery.cli.output import console, emit, say, stamp, table
from provery.cli.session import Session, run
from provery.client import NotFound
from provery.core.access import PROVE, READ, SCOPES, VERIFY, ApiKey, AuditEntry
from provery.core.types import Json

app = typer.Typer(help="Keys of the HTTP API.", no_args_is_help=True)


@app.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose it is, for people.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help=f"What it may do: {', '.join(SCOPES)}; again for more.", show_default=False),
    ] = None,
    weight: Annotated[
        float, typer.Option(help="Its share of the workers where several keys have work waiting.")
    ] = 1.0,
    per_minute: Annotated[
        float, typer.Option(help="Proofs that it may ask for in a minute; 0: the installation's default.")
    ] = 0.0,
    json_: JsonOption = False,
) -> None:
    """Make a key. Its secret is printed this once: the ledger keeps a hash of it only.

    Without `--scope` it may prove, verify and read.

    JSON: {"key": {"id", "name", "scopes", "weight", "per_minute", "created_at", "revoked_at"}, "secret"}
    """
    scopes = scope or [PROVE, VERIFY, READ]

    async def go(session: Session) -> tuple[ApiKey, str]:
        access = session.ledger().access
        key, secret = await access.keys.add(name, scopes, weight=weight, per_minute=per_minute)
        await access.audit.append(_entry("keys.add", key.id, {"name": key.name, "scopes": list(key.scopes)}))
        return key, secret

    key, secret = run(go)
    # Past the redaction that everything else printed goes through: this is the one place that shows a secret.
    if json_:
        sys.stdout.write(json.dumps({"key": _object(key), "secret": secret}, indent=2) + "\n")
    else:
        say(f"key {key.id} ({key.name}): {', '.join(key.scopes)}", stderr=True)
        say("keep its secret, it is not shown again:", stderr=True)
        sys.stdout.write(secret + "\n")


@app.command("list")
def list_(json_: JsonOption = False) -> None:
    """List keys, revoked ones included, oldest first.

    JSON: {"keys": [key as in `keys add`]}
    """

    async def go(session: Session) -> Sequence[ApiKey]:
        return await session.ledger().access.keys.all()

    found = [_object(key) for key in run(go)]
    if json_:
        emit({"keys": found})
    elif found:
        columns = ("id", "name", "scopes", "weight", "per_minute", "created_at", "revoked_at")
        rows = [[" ".join(k[c]) if c == "scopes" else k[c] for c in columns] for k in found]
        console().print(table("", [c.replace("_", " ") for c in columns], rows))
    else:
        say("no keys")


@app.command()
def revoke(
    key: Annotated[str, typer.Argument(metavar="ID", help="The key's id, not its secret.")],
    json_: JsonOption = False,
) -> None:
    """Refuse a key's requests from now on; every server knows within a second. Safe to repeat.

    JSON: {"id", "revoked": true}
    """

    async def go(session: Session) -> bool:
        access = session.ledger().access
        done = await access.keys.revoke(key)
        if done:
            await access.audit.append(_entry("keys.revoke", key, {}))
        return done

    if not run(go):
        raise NotFound("no such key", value=key, action="`provery keys list`")
    if json_:
        emit({"id": key, "revoked": True})
    else:
        say(f"{key}: revoked")


def _entry(action: str, key: str, detail: dict[str, Json]) -> AuditEntry:
    who = f"operator:{order('').by}"
    return AuditEntry(time.time(), who, action, "ok", latency_ms=0.0, detail={"key": key, **detail})


def _object(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "scopes": list(key.scopes),
        "weight": key.weight,
        "per_minute": key.per_minute,
        "created_at": stamp(key.created_at),
        "revoked_at": stamp(key.revoked_at),
    }
