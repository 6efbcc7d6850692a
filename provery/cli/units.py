"""``provery list|show|watch``: what there is and how far it has come."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from provery.cli import equivalents
from provery.cli.options import (
    JsonOption,
    LimitOption,
    OptionalStream,
    PrintTemporal,
    StatusOption,
    UnitArgument,
)
from provery.cli.output import console, emit, emit_line, jsonable, say, stamp, table, unit_object
from provery.cli.session import Session, run
from provery.client import Address, UnitView, ui_link
from provery.client.listing import visibility_query
from provery.core.errors import InvalidInput, TransientError
from provery.core.exits import UNIT_FAILED
from provery.core.ports import UnitRow
from provery.core.redact import redact
from provery.core.types import UnitStatus


def list_(
    stream: OptionalStream = "",
    status: StatusOption = "",
    limit: LimitOption = 50,
    temporal: Annotated[
        bool, typer.Option("--temporal", help="List workflows of Temporal instead of units of the ledger.")
    ] = False,
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """List units, newest first.

    JSON: {"units": [{"unit", "system", "stream", "key", "ordinal", "title", "status", "stage", "reason", "error_kind",
    "workflow_id", "run_id", "generation", "created_at", "updated_at"}]}; with --temporal {"runs": [{"workflow_id",
    "run_id", "type", "status", "started_at", "closed_at", "system", "stream", "unit", "stage", "prover", "ordinal",
    "events", "ui"}]}
    """
    system, _, name = stream.partition("/")
    if temporal:
        run(lambda session: _runs(session, system, name, status, limit, json_, print_temporal))
        return
    if status and status not in {s.value for s in UnitStatus}:
        raise InvalidInput("not a status", value=status, expected=", ".join(s.value for s in UnitStatus))

    async def go(session: Session) -> None:
        rows = await session.ledger().units(system=system, stream=name, status=status, limit=limit)
        if print_temporal:
            equivalents.show(
                *equivalents.for_list(session.env, visibility_query(system=system, stream=name), limit)
            )
        if json_:
            emit({"units": [unit_object(row) for row in rows]})
        elif rows:
            console().print(_unit_table(rows))
        else:
            say("no units")

    run(go)


async def _runs(
    session: Session, system: str, stream: str, status: str, limit: int, json_: bool, print_temporal: bool
) -> None:
    runs = await (await session.engine()).runs(system=system, stream=stream, status=status, limit=limit)
    if print_temporal:
        query = visibility_query(system=system, stream=stream, status=status)
        equivalents.show(*equivalents.for_list(session.env, query, limit))
    if json_:
        emit({"runs": [jsonable(r) for r in runs]})
        return
    rows = [(r.workflow_id, r.status.lower(), r.stage, r.prover, r.events, r.started_at) for r in runs]
    console().print(table("", ("workflow", "status", "stage", "prover", "events", "started"), rows))


def show(unit: UnitArgument, json_: JsonOption = False, print_temporal: PrintTemporal = False) -> None:
    """Show how far a unit has come.

    JSON: {"unit": {as in `list`} | null, "run": {as in `list --temporal`} | null, "progress": {"status", "stage",
    "stages": [{"stage", "status", "queue", "prover", "shards", "shards_done", "seconds", "host", "outputs"}], "reason",
    "notes", "facts"} | null, "temporal": "answered|unavailable", "ui"}
    """
    address = Address.parse(unit)

    async def go(session: Session) -> None:
        seen = await look(session, address)
        if print_temporal:
            equivalents.show(*equivalents.for_progress(session.env, address))
        if json_:
            emit(seen.json(session, address))
        else:
            console().print(seen.rendered(session, address))

    run(go)


def watch(
    target: Annotated[
        str, typer.Argument(metavar="[UNIT|STREAM]", help="What to watch; everything without.")
    ] = "",
    interval: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between looks.")] = 1.0,
    limit: LimitOption = 20,
    json_: JsonOption = False,
) -> None:
    """Watch a unit until it ends, or a stream until interrupted.

    JSON: one line for each change: a unit's as for `show`, a stream's {"units": […]}.
    """
    if target.count("/") == 2:
        run(lambda session: _watch_unit(session, Address.parse(target), interval, json_))
    else:
        run(lambda session: _watch_stream(session, target, interval, limit, json_))


async def _watch_unit(session: Session, unit: Address, interval: float, json_: bool) -> None:
    before: dict[str, Any] = {}
    with Live(console=console(), auto_refresh=False, transient=False) if not json_ else _NoLive() as live:
        while True:
            seen = await look(session, unit)
            if json_:
                now = seen.json(session, unit)
                if now != before:
                    emit_line(now)
                before = now
            else:
                live.update(seen.rendered(session, unit), refresh=True)
            row = seen.view.row
            if row is not None and row.status.terminal:
                break
            await asyncio.sleep(interval)
    if row.status is not UnitStatus.DONE:
        raise typer.Exit(UNIT_FAILED)


async def _watch_stream(session: Session, stream: str, interval: float, limit: int, json_: bool) -> None:
    system, _, name = stream.partition("/")
    before: list[dict[str, Any]] | None = None  # an empty stream is told of as well
    with Live(console=console(), auto_refresh=False) if not json_ else _NoLive() as live:
        while True:
            rows = await session.ledger().units(system=system, stream=name, limit=limit)
            if json_:
                now = [unit_object(row) for row in rows]
                if now != before:
                    emit_line({"units": now})
                before = now
            else:
                live.update(_unit_table(rows), refresh=True)
            await asyncio.sleep(interval)


class _NoLive:
    """In the place of a live display when JSON is printed."""

    def __enter__(self) -> Live:
        return Live()

    def __exit__(self, *_: object) -> None:
        return None


@dataclass(frozen=True)
class Seen:
    """A unit at one moment."""

    view: UnitView
    temporal: str

    def json(self, session: Session, unit: Address) -> dict[str, Any]:
        """As `show --json` prints it."""
        progress = jsonable(self.view.progress)
        if progress is not None:
            progress.pop("unit", None)
        return {
            "unit": unit_object(self.view.row) if self.view.row is not None else None,
            "run": jsonable(self.view.run),
            "progress": progress,
            "temporal": self.temporal,
            "ui": self.link(session, unit),
        }

    def link(self, session: Session, unit: Address) -> str:
        """Where the unit's workflow is shown."""
        if self.view.run is not None:
            return self.view.run.ui
        return ui_link(session.env, self.view.row.workflow_id if self.view.row else unit.workflow_id)

    def rendered(self, session: Session, unit: Address) -> Group:
        """For people."""
        row, progress = self.view.row, self.view.progress
        status = (
            progress.status if progress is not None else row.status.value if row is not None else "unknown"
        )
        reason = (progress.reason if progress is not None else "") or (row.reason if row is not None else "")
        head = [f"{unit}  {status}" + (f": {redact(reason)}" if reason else "")]
        if row is not None:
            head += [redact(row.unit.title)] if row.unit.title else []
            head.append(f"since {stamp(row.created_at)}, changed {stamp(row.updated_at)}")
        if self.temporal != "answered":
            head.append("Temporal does not answer: this is what the ledger knows")
        head.append(self.link(session, unit))
        parts: list[Any] = [Text("\n".join(head))]
        if progress is not None:
            columns = ("stage", "status", "queue", "prover", "shards", "seconds", "host", "outputs")
            rows = [
                (
                    s.stage,
                    s.status,
                    s.queue,
                    s.prover,
                    f"{s.shards_done}/{s.shards}" if s.shards else "",
                    f"{s.seconds:.2f}" if s.seconds else "",
                    s.host,
                    ", ".join(f"{o.name or 'artifact'} {o.sha256[:12]}" for o in s.outputs[:4]),
                )
                for s in progress.stages
            ]
            parts += [Text(""), table("", columns, rows)]
            parts += [Text(redact(note), style="dim") for note in progress.notes]
        return Group(*parts)


async def look(session: Session, unit: Address) -> Seen:
    """A unit as ledger and Temporal see it; the ledger alone where Temporal does not answer.

    Raises:
        NotFound: neither knows it.
    """
    try:
        return Seen(await (await session.engine()).view(unit), "answered")
    except TransientError:
        row = await session.ledger().unit(unit.system, unit.stream, unit.key)
        if row is None:
            raise
        return Seen(UnitView(row, None, None), "unavailable")


def _unit_table(rows: list[UnitRow]) -> Any:
    now = time.time()
    return table(
        "",
        ("unit", "status", "stage", "age", "title", "reason"),
        [
            (
                f"{r.unit.stream_id}/{r.unit.key}",
                r.status.value,
                r.stage,
                age(now - r.created_at),
                r.unit.title[:60],
                r.reason[:80],
            )
            for r in rows
        ],
    )


def age(seconds: float) -> str:
    """How long ago, in the largest fitting unit."""
    for size, name in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{name}"
    return f"{max(int(seconds), 0)}s"
