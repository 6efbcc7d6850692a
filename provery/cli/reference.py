"""The text of docs/cli.md, made from the commands themselves: ``python -m provery.cli.reference > docs/cli.md``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

import typer

from provery.cli.failures import EXIT_CODES
from provery.cli.main import app

_INTRO = """# `provery`: the command line

Made from the program by `python -m provery.cli.reference > docs/cli.md`; a test keeps it so.

A unit is named `<system>/<stream>/<key>`, a stream `<system>/<stream>`. Commands read their settings from the
environment; where it names no server, a running `provery up` of the same `PROVERY_HOME` is used. Shell completion,
unit names included: `provery --install-completion`.

With `--json` a command prints one JSON document on standard output (those that watch or run print one line for each
change), also for an error: `{"error": {"kind", "message", "value", "expected", "action"}}`, where `kind` is a class of
`provery/core/errors.py`, `NotFound`, or `UsageError`. An *artifact* is `{"uri", "sha256", "size", "name"}`. Times are
ISO 8601 in UTC unless said otherwise. Fields are only ever added. Secrets are shown as `***`.

With `--print-temporal` a command also prints, on standard error, the `temporal` command that does the same and the
link to the Temporal UI.
"""


def text() -> str:
    """The whole page."""
    parts = [_INTRO, "## Exit codes\n\n| code | meaning |\n|---|---|"]
    parts += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    parts.append("\n## Commands\n")
    for path, command in sorted(_commands(typer.main.get_command(app), "provery")):
        parts += _command(path, command)
    return "\n".join(parts).rstrip() + "\n"


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        yield path, command
        return
    for name, sub in subcommands.items():
        yield from _commands(sub, f"{path} {name}")


def _command(path: str, command: Any) -> list[str]:
    prose, _, shape = inspect.cleandoc(command.callback.__doc__ or "").partition("\n\nJSON: ")
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = " ".join([path, *(_metavar(p) for p in arguments), *(["[OPTIONS]"] if options else [])])
    if command.context_settings.get("ignore_unknown_options"):
        usage += " ..."
    lines = [f"### `{path}`\n", f"    {usage}\n", prose + "\n"]
    if arguments or options:
        lines.append("| argument or option | meaning | default |\n|---|---|---|")
        lines += [f"| `{_metavar(p)}` | {_cell(p.help)} | |" for p in arguments]
        lines += [f"| {_flags(p)} | {_cell(p.help)} | {_default(p)} |" for p in options]
        lines.append("")
    if shape:
        lines.append(f"JSON: {_code(' '.join(shape.split()))}\n")
    return lines


def _metavar(param: Any) -> str:
    shown = str(param.metavar or param.name.upper())
    return shown if param.required or shown.startswith("[") else f"[{shown}]"


def _flags(param: Any) -> str:
    return ", ".join(f"`{flag}`" for flag in [*param.opts, *param.secondary_opts])


def _default(param: Any) -> str:
    if param.required:
        return "required"
    value = param.default
    if value in (None, "", False) or value == () or value == [] or callable(value):
        return ""
    return f"`{'yes' if value is True else value}`"


def _cell(value: str | None) -> str:
    return " ".join((value or "").split()).replace("|", "\\|").replace("<", "&lt;")


def _code(shape: str) -> str:
    """The shape as code, the words around it as words."""
    start, end = shape.find("{"), shape.rfind("}")
    if start < 0:
        return shape
    inner = shape[start : end + 1].replace("`", "")
    return f"{shape[:start]}`{inner}`{shape[end + 1 :]}"


if __name__ == "__main__":
    sys.stdout.write(text())
