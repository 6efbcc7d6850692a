"""``provery schedule …`` and ``provery backfill``: following streams."""

from __future__ import annotations

import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from provery.cli import equivalents
from provery.cli.options import JsonOption, PrintTemporal, ReasonOption, StreamArgument
from provery.cli.output import console, emit, jsonable, say, table
from provery.cli.session import Session, run
from provery.client import Schedules, ScheduleView, parse_stream, temporal_command, ui_base, ui_link
from provery.client.schedules import CATCHUP_WINDOW
from provery.core.controls import FOLLOW_STREAM, NEVER_AGAIN, Again, FollowInput
from provery.core.errors import InvalidInput
from provery.core.exits import UNIT_FAILED
from provery.core.queues import ORCHESTRATE, task_queue
from provery.registry import load

app = typer.Typer(help="Follow streams: look for due units again and again.", no_args_is_help=True)
_ORDINALS = re.compile(r"([0-9]{1,15})\.\.([0-9]{1,15})")
_SPAN = re.compile(r"(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s?)?")


@app.command("list")
def list_(json_: JsonOption = False, print_temporal: PrintTemporal = False) -> None:
    """List the schedules.

    JSON: {"schedules": [{"id", "stream", "paused", "note", "next_at", "last_at", "looks", "skipped", "ui"}]};
    "looks" and "skipped" are null in a list.
    """

    async def go(session: Session) -> None:
        views = await Schedules(await session.client(), session.env).list()
        if print_temporal:
            equivalents.show(
                temporal_command(session.env, "schedule", "list"), f"{ui_base(session.env)}/schedules"
            )
        if json_:
            emit({"schedules": [jsonable(v) for v in views]})
        else:
            _print(views)

    run(go)


@app.command()
def show(stream: StreamArgument, json_: JsonOption = False, print_temporal: PrintTemporal = False) -> None:
    """Show a stream's schedule.

    JSON: {"schedule": {as in `schedule list`}}
    """
    _act(stream, "describe", lambda s, system, name: _nothing(), "", json_, print_temporal)


@app.command()
def create(
    stream: StreamArgument,
    every: Annotated[
        str, typer.Option(help="Time between looks: 90s, 10m, 1h30m. Some systems have one by themselves.")
    ] = "",
    cron: Annotated[str, typer.Option(help="Cron expression in UTC, instead of --every.")] = "",
    parallel: Annotated[int, typer.Option(min=1, max=1_000, help="Units in progress at a time.")] = 8,
    jitter: Annotated[str, typer.Option(help="Random delay of each look.")] = "",
    paused: Annotated[bool, typer.Option("--paused", help="Create it paused.")] = False,
    note: Annotated[str, typer.Option(help="Why it is as it is.")] = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Follow a stream. Looks do not overlap, and those missed for more than ten minutes are dropped.

    JSON: as for `schedule show`.
    """
    system, name = parse_stream(stream)
    every = every or ("" if cron else usual(system, name))
    again = look_again(system, name)

    async def make(schedules: Schedules, system: str, name: str) -> None:
        await schedules.create(
            system,
            name,
            every=duration(every) if every else None,
            cron=cron,
            parallel=parallel,
            jitter=duration(jitter) if jitter else None,
            paused=paused,
            note=note,
            again=again,
        )

    spec: dict[str, object] = (
        {"interval": f"{duration(every).total_seconds():g}s"} if every else {"cron": cron}
    )
    flags: dict[str, object] = {
        **spec,
        "overlap_policy": "Skip",
        "catchup_window": f"{CATCHUP_WINDOW.total_seconds():g}s",
        "workflow_id": f"follow/{system}/{name}",
        "type": FOLLOW_STREAM,
        "task_queue": task_queue(ORCHESTRATE, os.environ),
        "input": jsonable(
            FollowInput(system, name, parallel=parallel, retries=again.retries, retry_s=again.wait_s)
        ),
    }
    _act(f"{system}/{name}", "create", make, "followed", json_, print_temporal, **flags)


@app.command()
def pause(
    stream: StreamArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Stop looking; running units go on.

    JSON: as for `schedule show`.
    """
    _act(stream, "toggle", lambda s, a, b: s.pause(a, b, reason), "paused", json_, print_temporal, pause=True)


@app.command()
def resume(
    stream: StreamArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Look again.

    JSON: as for `schedule show`.
    """
    _act(
        stream,
        "toggle",
        lambda s, a, b: s.resume(a, b, reason),
        "resumed",
        json_,
        print_temporal,
        unpause=True,
    )


@app.command()
def trigger(stream: StreamArgument, json_: JsonOption = False, print_temporal: PrintTemporal = False) -> None:
    """Look now.

    JSON: as for `schedule show`.
    """
    _act(stream, "trigger", lambda s, a, b: s.trigger(a, b), "triggered", json_, print_temporal)


@app.command()
def backfill(
    stream: StreamArgument,
    start: Annotated[datetime, typer.Option("--from", help="First moment, UTC.")],
    end: Annotated[datetime, typer.Option("--to", help="Last moment, UTC.")],
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Make the looks that a time range should have had. For ordinals, see `provery backfill`.

    JSON: as for `schedule show`.
    """
    first, last = start.replace(tzinfo=UTC), end.replace(tzinfo=UTC)
    _act(
        stream,
        "backfill",
        lambda s, a, b: s.backfill(a, b, first, last),
        "backfilled",
        json_,
        print_temporal,
        start_time=f"{first:%Y-%m-%dT%H:%M:%SZ}",
        end_time=f"{last:%Y-%m-%dT%H:%M:%SZ}",
        overlap_policy="BufferAll",
    )


@app.command()
def delete(stream: StreamArgument, json_: JsonOption = False, print_temporal: PrintTemporal = False) -> None:
    """Follow the stream no more; running units go on.

    JSON: {"deleted": "schedule id"}
    """
    system, name = parse_stream(stream)

    async def go(session: Session) -> None:
        await Schedules(await session.client(), session.env).delete(system, name)
        if print_temporal:
            equivalents.show(*equivalents.for_schedule(session.env, "delete", f"follow/{system}/{name}"))
        if json_:
            emit({"deleted": f"follow/{system}/{name}"})
        else:
            say(f"{system}/{name} is followed no more")

    run(go)


def backfill_units(
    stream: StreamArgument,
    first: Annotated[str, typer.Argument(help="First ordinal, or a range: 1600..1610.")],
    last: Annotated[str, typer.Argument(help="Last ordinal, included; none after a range.")] = "",
    parallel: Annotated[int, typer.Option(min=1, max=1_000, help="Units in progress at a time.")] = 8,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until every unit has ended.")] = False,
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Prove the units of a stream with these ordinals, both included; those done already are not done again.

    JSON: {"workflow_id", "run_id", "ui", "result": {unit's workflow id: "done|…"} | null}
    """
    system, name = parse_stream(stream)
    lowest, highest = ordinals(first, last)

    async def go(session: Session) -> dict[str, str] | None:
        client = await session.client()
        workflow_id, run_id = await Schedules(client, session.env).backfill_units(
            system, name, lowest, highest, parallel
        )
        if print_temporal:
            equivalents.show(*equivalents.for_history(session.env, workflow_id, run_id))
        link = ui_link(session.env, workflow_id, run_id)
        if not json_:
            say(f"started {workflow_id}  {link}")
        result: dict[str, str] | None = None
        if wait:
            result = await client.get_workflow_handle(workflow_id, run_id=run_id or None).result()
        if json_:
            emit({"workflow_id": workflow_id, "run_id": run_id, "ui": link, "result": result})
        elif result is not None:
            rows = [(unit.removeprefix("prove/"), end) for unit, end in result.items()]
            console().print(table("", ("unit", "status"), rows))
        return result

    result = run(go)
    if result and any(end.startswith("failed") for end in result.values()):
        raise typer.Exit(UNIT_FAILED)


def ordinals(first: str, last: str = "") -> tuple[int, int]:
    """Read ``1600 1610`` or ``1600..1610``.

    Raises:
        InvalidInput: it is neither.
    """
    match = _ORDINALS.fullmatch(f"{first}..{last}" if last else first)
    if match is None:
        raise InvalidInput(
            "not a range of ordinals", value=f"{first} {last}".strip(), expected="FIRST LAST or FIRST..LAST"
        )
    return int(match[1]), int(match[2])


def duration(text: str) -> timedelta:
    """Read ``90s``, ``10m``, ``1h30m``, ``2d`` or seconds.

    Raises:
        InvalidInput: it is none of these, or zero.
    """
    match = _SPAN.fullmatch(text.strip())
    days, hours, minutes, seconds = (int(g or 0) for g in match.groups()) if match else (0, 0, 0, 0)
    found = timedelta(
        days=min(days, 36_500),
        hours=min(hours, 10**6),
        minutes=min(minutes, 10**7),
        seconds=min(seconds, 10**9),
    )
    if not found:
        raise InvalidInput("not a duration", value=text, expected="such as 90s, 10m, 1h30m or 2d")
    return found


def usual(system: str, stream: str) -> str:
    """The time between looks that a system's own settings ask for; empty where it has none."""
    asked = getattr(load(system, os.environ), "look_every_s", None)
    return f"{round(asked(stream, os.environ))}s" if asked is not None else ""


def look_again(system: str, stream: str) -> Again:
    """How a system's own settings have a look repeated that failed; never where it does not say."""
    asked = getattr(load(system, os.environ), "look_again", None)
    return asked(stream, os.environ) if asked is not None else NEVER_AGAIN


async def _nothing() -> None:
    """For commands that only look."""


def _act(
    stream: str,
    verb: str,
    act: Callable[[Schedules, str, str], Awaitable[None]],
    done: str,
    json_: bool,
    print_temporal: bool,
    **flags: object,
) -> None:
    system, name = parse_stream(stream)

    async def go(session: Session) -> None:
        schedules = Schedules(await session.client(), session.env)
        await act(schedules, system, name)
        view = await schedules.show(system, name)
        if print_temporal:
            equivalents.show(*equivalents.for_schedule(session.env, verb, view.id, **flags))
        if json_:
            emit({"schedule": jsonable(view)})
            return
        if done:
            say(f"{system}/{name}: {done}")
        _print([view])

    run(go)


def _print(views: list[ScheduleView]) -> None:
    if not views:
        say("no schedules; `provery schedule create STREAM --every 10m` makes one")
        return
    columns = ("stream", "status", "next", "last", "looks", "skipped", "note")
    rows = [
        (v.stream, "paused" if v.paused else "running", v.next_at, v.last_at, v.looks, v.skipped, v.note)
        for v in views
    ]
    console().print(table("", columns, rows))
