"""``provery up|worker|doctor|bench|version``: this machine and this checkout."""

from __future__ import annotations

import asyncio
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from provery import __version__
from provery.cli.options import JsonOption
from provery.cli.output import console, emit, emit_line, jsonable, say, table
from provery.cli.session import Session
from provery.core.errors import ConfigurationError
from provery.core.exits import CONFIGURATION
from provery.core.redact import redactor
from provery.local import ROOT

if TYPE_CHECKING:
    from provery.local.supervisor import Demo, Event

FileArgument = Annotated[
    Path | None, typer.Option("--file", "-f", help="Topology file; temporal-dev.yaml without.")
]
FAST_JOBS = 6
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def up(
    file: FileArgument = None,
    check: Annotated[bool, typer.Option("--check", help="Only check the topology file.")] = False,
    demo: Annotated[bool, typer.Option("--demo", help="Add demo jobs and show them being proved.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Stop when the demo is done.")] = False,
    fast: Annotated[bool, typer.Option("--fast", help="Fewer demo jobs, and no mainnet period.")] = False,
    json_: JsonOption = False,
) -> None:
    """Start everything on this machine: Temporal, Redis, workers, listeners. Ctrl-C stops it in order.

    JSON: with --check {"file", "problems": [{"file", "line", "key", "message"}], "ok"}; else one line for each event:
    {"event": "starting|ready|died|restarted|stopping|stopped", "process", "detail"}
    """
    from provery.local import config, supervisor

    path = file or config.DEFAULT_FILE
    if check:
        problems = config.check(path)
        if json_:
            emit({"file": str(path), "problems": jsonable(problems), "ok": not problems})
        else:
            for problem in problems:
                say(str(problem), style="red")
            if not problems:
                say(f"{path} is valid")
        raise typer.Exit(CONFIGURATION if problems else 0)
    redactor.learn(os.environ)
    topology = config.load_topology(path)
    if demo and not fast:
        from provery.local.period_demo import with_recorded

        topology = with_recorded(topology)

    def tell(event: Event) -> None:
        if json_:
            emit_line({"event": event.what, "process": event.process, "detail": event.detail})
        else:
            style = {"died": "red", "ready": "green"}.get(event.what, "dim")
            say(f"{event.what:>9}  {event.process}  {event.detail}".rstrip(), style=style)

    # With --json standard output belongs to the events.
    show = _demo(fast, stderr=json_) if demo else None
    status = asyncio.run(supervisor.up(topology, demo=show, once=once, listener=tell))
    raise typer.Exit(status)


def _demo(fast: bool, *, stderr: bool) -> Demo:
    from provery.local.demo import DemoOptions, membership
    from provery.local.period_demo import in_turn, period

    console = Console(stderr=stderr)
    if fast:
        return membership(DemoOptions(jobs=FAST_JOBS), console)
    return in_turn(membership(DemoOptions(), console), period(console))


def worker(context: typer.Context) -> None:
    """Run workers: everything after `worker` goes to `python -m workers` (`provery worker --help`).

    JSON: none; workers log.
    """
    session = Session(os.environ)
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    env = {**session.env, "PYTHONPATH": path}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "workers", *context.args], env)


def bench(context: typer.Context) -> None:
    """Run benchmarks: everything after `bench` goes to `python -m bench`.

    JSON: the benchmarks print their own, and write bench/results/latest.json.
    """
    if not (ROOT / "bench" / "__main__.py").is_file():
        raise ConfigurationError("the benchmarks are not here", value=ROOT, action="run from a checkout")
    done = subprocess.run([sys.executable, "-m", "bench", *context.args], cwd=ROOT, check=False)
    raise typer.Exit(done.returncode if done.returncode >= 0 else 128 - done.returncode)


def doctor(json_: JsonOption = False) -> None:
    """Check every dependency and say what to do; exit code 7 where something fails.

    JSON: {"checks": [{"name", "status": "ok|warn|fail", "found", "expected", "fix"}], "ok"}
    """
    from provery.local.doctor import run_doctor

    redactor.learn(os.environ)
    checks = asyncio.run(run_doctor())
    ok = all(c.status != "fail" for c in checks)
    if json_:
        emit({"checks": jsonable(checks), "ok": ok})
    else:
        rows = [(c.name, c.status, c.found) for c in checks]
        console().print(table("", ("check", "status", "found"), rows))
        for c in checks:
            if c.status != "ok":
                wanted = f"expected {c.expected}; " if c.expected else ""
                say(f"{c.name}: {wanted}{c.fix}", style="red" if c.status == "fail" else "yellow")
    if not ok:
        raise typer.Exit(CONFIGURATION)


def version(json_: JsonOption = False) -> None:
    """Print versions.

    JSON: {"provery", "python", "temporalio", "platform"}
    """
    found = {
        "provery": __version__,
        "python": platform.python_version(),
        "temporalio": metadata.version("temporalio"),
        "platform": platform.platform(),
    }
    if json_:
        emit(found)
    else:
        say(f"provery {found['provery']} (temporalio {found['temporalio']}, Python {found['python']})")


PASS_ON = _PASS_ON
"""Context settings of commands that hand their arguments on."""
