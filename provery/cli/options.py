"""Arguments and options that commands share, with their shell completion."""

from __future__ import annotations

import asyncio
import getpass
import os
import socket
from typing import Annotated

import typer

from provery.cli.session import Session
from provery.core.controls import Order
from provery.core.types import STAGES, UnitStatus
from provery.registry import systems

COMPLETION_S = 1.0
"""Seconds that a completion may take; the shell waits for it."""


def complete_unit(incomplete: str) -> list[str]:
    """Units of the ledger, newest first."""
    parts = incomplete.split("/")
    return [u for u in _units(parts[0] if len(parts) > 1 else "") if u.startswith(incomplete)]


def complete_stream(incomplete: str) -> list[str]:
    """Streams that the ledger has units of."""
    return sorted({s for u in _units("") if (s := u.rpartition("/")[0]).startswith(incomplete)})


def complete_system(incomplete: str) -> list[str]:
    """Systems of this installation."""
    try:
        return [name for name in systems(os.environ) if name.startswith(incomplete)]
    except Exception:  # the shell must not show our troubles while somebody types
        return []


def complete_stage(incomplete: str) -> list[str]:
    """Stages."""
    return [s.value for s in STAGES if s.value.startswith(incomplete)]


def complete_status(incomplete: str) -> list[str]:
    """Statuses of units."""
    return [s.value for s in UnitStatus if s.value.startswith(incomplete)]


def _units(system: str) -> list[str]:
    async def look() -> list[str]:
        session = Session(os.environ)
        try:
            async with asyncio.timeout(COMPLETION_S):
                rows = await session.ledger().units(system=system, limit=200)
            return [f"{row.unit.stream_id}/{row.unit.key}" for row in rows]
        finally:
            await session.close()

    try:
        return asyncio.run(look())
    except Exception:  # as above
        return []


UnitArgument = Annotated[
    str, typer.Argument(metavar="UNIT", help="SYSTEM/STREAM/KEY", autocompletion=complete_unit)
]
StreamArgument = Annotated[
    str, typer.Argument(metavar="STREAM", help="SYSTEM/STREAM", autocompletion=complete_stream)
]
OptionalStream = Annotated[
    str,
    typer.Argument(
        metavar="[STREAM]",
        help="SYSTEM or SYSTEM/STREAM; everything without.",
        autocompletion=complete_stream,
    ),
]
StageOption = Annotated[
    str, typer.Option(help="Which stage.", autocompletion=complete_stage, metavar="STAGE")
]
StatusOption = Annotated[str, typer.Option(help="Only this status.", autocompletion=complete_status)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
PrintTemporal = Annotated[
    bool, typer.Option("--print-temporal", help="Also print the equivalent temporal command and the UI link.")
]
ReasonOption = Annotated[str, typer.Option(help="Why, for the audit trail.")]
LimitOption = Annotated[int, typer.Option(min=1, max=1_000, help="At most this many.")]


def order(reason: str, stage: str = "", queue: str = "") -> Order:
    """An order by whoever runs this command."""
    try:
        who = f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # an account without a name, as in some containers
        who = f"uid {os.getuid()}@{socket.gethostname()}"
    return Order(reason=reason, by=who, stage=stage, queue=queue)
