"""The application ``provery``: its commands, and how errors become messages and exit codes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, cast

import typer
from typer import rich_utils
from typer.core import TyperGroup
from typer.exceptions import TyperException

from provery.cli import (
    audit,
    circuits,
    contracts,
    demo,
    explain,
    hotshot,
    keys,
    lanes,
    local,
    orders,
    prove,
    schedules,
    storage,
    units,
    zkml,
)
from provery.cli.failures import error_object, exit_code, usage_object
from provery.cli.output import emit, say
from provery.core.errors import ProveryError
from provery.core.exits import INTERRUPTED, USAGE


class Commands(TyperGroup):
    """Turns errors into a message or a JSON object, and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line and exit."""
        words = list(sys.argv[1:] if args is None else args)
        try:
            status = super().main(words, prog_name, complete_var, False, windows_expand_args, **extra)
        except BaseException as error:
            status = _report(error, as_json="--json" in words)
        sys.exit(status if isinstance(status, int) else 0)


def _report(error: BaseException, *, as_json: bool) -> int:
    """Print an error; returns its exit code. Raises what ends the process anyway, and everything in debug mode."""
    if isinstance(error, SystemExit):
        raise error
    if isinstance(error, KeyboardInterrupt | asyncio.CancelledError | typer.Abort):
        return INTERRUPTED
    if isinstance(error, TyperException):
        if as_json:
            emit(usage_object(error.format_message()))
        else:
            rich_utils.rich_format_error(cast(Any, error))  # the class that it wants is private
        return USAGE
    if os.environ.get("PROVERY_DEBUG") == "1" or not isinstance(error, Exception):
        raise error
    found = error_object(error)
    if as_json:
        emit(found)
    else:
        kind = "" if isinstance(error, ProveryError) else f"unexpected {found['error']['kind']}: "
        say(f"error: {kind}{found['error']['message']}", style="red", stderr=True)
        if not isinstance(error, ProveryError):
            say(found["error"]["action"], stderr=True)
    return exit_code(error)


app = typer.Typer(
    name="provery",
    cls=Commands,
    help="Zero-knowledge proving as durable Temporal workflows.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

_PLAIN: dict[str, Callable[..., None]] = {
    "up": local.up,
    "prove": prove.prove,
    "list": units.list_,
    "show": units.show,
    "watch": units.watch,
    "explain": explain.explain,
    "pause": orders.pause,
    "resume": orders.resume,
    "cancel": orders.cancel,
    "skip": orders.skip,
    "reprove": orders.reprove,
    "move": orders.move,
    "backfill": schedules.backfill_units,
    "doctor": local.doctor,
    "version": local.version,
}
for _name, _command in _PLAIN.items():
    app.command(_name)(_command)
for _name, _command in {"worker": local.worker, "bench": local.bench}.items():
    app.command(_name, context_settings=local.PASS_ON)(_command)
app.add_typer(circuits.app, name="circuits")
app.add_typer(contracts.app, name="contracts")
app.add_typer(demo.app, name="demo")
app.add_typer(hotshot.app, name="hotshot")
app.add_typer(schedules.app, name="schedule")
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(lanes.app, name="lane")
app.add_typer(storage.ledger, name="ledger")
app.add_typer(storage.artifacts, name="artifacts")
app.add_typer(zkml.app, name="zkml")
