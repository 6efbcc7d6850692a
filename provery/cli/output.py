"""Printing: tables for people, one JSON document for programs, no secrets for anybody."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from provery.core.ports import UnitRow
from provery.core.redact import redact
from provery.core.types import UnitOutcome

STATUS_STYLES = {
    "done": "green",
    "reused": "green",
    "ok": "green",
    "running": "cyan",
    "paused": "yellow",
    "parked": "yellow",
    "warn": "yellow",
    "failed": "red",
    "fail": "red",
    "cancelled": "magenta",
    "skipped": "magenta",
}


def console(*, stderr: bool = False) -> Console:
    """A console on the stream as it is now, so that redirection in tests and pipes holds."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True)


def say(text: str, *, style: str = "", stderr: bool = False) -> None:
    """Print a line as it is: no markup is read from it."""
    console(stderr=stderr).print(Text(redact(text), style=style))


def emit(value: Any) -> None:
    """Print one JSON document."""
    sys.stdout.write(redact_json(jsonable(value)) + "\n")
    sys.stdout.flush()


def emit_line(value: Any) -> None:
    """Print one JSON document on one line, for streams."""
    sys.stdout.write(redact_json(jsonable(value), indent=None) + "\n")
    sys.stdout.flush()


def redact_json(value: Any, indent: int | None = 2) -> str:
    """JSON text in which every string has lost its secrets; the structure stays whole."""
    return json.dumps(_redacted(value), indent=indent, ensure_ascii=False)


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: _redacted(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_redacted(v) for v in value]
    return value


def jsonable(value: Any) -> Any:
    """Records, tuples and enums as plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return jsonable(asdict(value))
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, Enum):
        return value.value
    return value if isinstance(value, str | int | float | bool) or value is None else str(value)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    """A table of plain text; a cell of the column ``status`` is coloured."""
    made = Table(title=title or None, title_justify="left", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        made.add_column(name, style="", header_style="dim", overflow="fold")
    for row in rows:
        made.add_row(*(cell(name, value) for name, value in zip(columns, row, strict=True)))
    return made


def cell(column: str, value: object) -> Text:
    """One cell."""
    text = "" if value is None else redact(value)
    return Text(text, style=STATUS_STYLES.get(text, "") if column == "status" else "")


def stamp(seconds: float | None) -> str:
    """Seconds since the epoch as ISO 8601 in UTC; empty for none."""
    if not seconds:
        return ""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def unit_object(row: UnitRow) -> dict[str, Any]:
    """A unit of the ledger as JSON."""
    unit = row.unit
    return {
        "unit": f"{unit.stream_id}/{unit.key}",
        "system": unit.system,
        "stream": unit.stream,
        "key": unit.key,
        "ordinal": unit.ordinal,
        "title": unit.title,
        "status": row.status.value,
        "stage": row.stage,
        "reason": row.reason,
        "error_kind": row.error_kind,
        "workflow_id": row.workflow_id,
        "run_id": row.run_id,
        "generation": row.generation,
        "created_at": stamp(row.created_at),
        "updated_at": stamp(row.updated_at),
    }


def outcome_object(outcome: UnitOutcome) -> dict[str, Any]:
    """An outcome as JSON."""
    return {
        "unit": outcome.unit.removeprefix("prove/"),
        "status": outcome.status.value,
        "stage": outcome.stage,
        "reason": outcome.reason,
        "error_kind": outcome.error_kind,
        "outputs": jsonable(outcome.outputs),
        "facts": dict(outcome.facts),
    }
