"""``provery prove``: make units of requests and have them proved."""

from __future__ import annotations

import inspect
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from provery.chain import open_chain
from provery.cli import equivalents
from provery.cli.due import Look, repeated
from provery.cli.options import JsonOption, PrintTemporal, StreamArgument
from provery.cli.output import console, emit, outcome_object, say, table
from provery.cli.schedules import look_again
from provery.cli.session import Session, run
from provery.client import Provery, Started, parse_stream, ui_link
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.exits import UNIT_FAILED
from provery.core.ports import Deps
from provery.core.types import Json, UnitOutcome, UnitStatus, Work
from provery.registry import load

REQUEST_LIMIT = 64 * 2**20
"""Bytes of a request file."""
_SAFE_INTEGER = 2**53

RequestOption = Annotated[
    str, typer.Option("--request", "-r", help="JSON file with one request or an array of them; - for stdin.")
]
SetOption = Annotated[
    list[str], typer.Option("--set", "-s", metavar="NAME=VALUE", help="A field of the request; JSON or text.")
]


def prove(
    stream: StreamArgument,
    request: RequestOption = "",
    set_: SetOption = [],  # noqa: B006 - typer copies it
    retries: Annotated[
        int | None,
        typer.Option(min=0, help="Without a request: how often what failed is tried again."),
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for the outcome.")] = True,
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Prove what a request asks for; the same request again attaches or answers from the record.

    Without a request, a stream whose source says what is due has that proved, once, and failures tried again.

    JSON: {"units": [{"unit", "how": "started|attached|recorded", "workflow_id", "run_id", "ui", "outcome":
    {"unit", "status", "stage", "reason", "error_kind", "outputs": [artifact], "facts"} | null}]}
    """
    system, name = parse_stream(stream)
    find_due = None if request or set_ else getattr(load(system, os.environ), "due", None)
    requests = [] if find_due is not None else read_requests(request, set_)

    async def look(session: Session) -> Look:
        # Before the works: what they need, keys for one, may take minutes to make.
        engine = await session.engine()
        if find_due is None:
            works = await works_for(session, stream, requests)
        else:
            works = list(await find_due(name, deps_of(session)))
        started = await engine.start(works)
        if print_temporal:
            for work in works:
                equivalents.show(*equivalents.for_start(session.env, work))
        if not json_:
            _announce(session, started)
        return Look(started, await _outcomes(engine, works, started) if wait else [])

    async def go(session: Session) -> Look:
        if find_due is None:
            found = await look(session)
        else:
            again = look_again(system, name)
            again = again if retries is None else replace(again, retries=retries)
            found = await repeated(lambda: look(session), again)
        if json_:
            emit({"units": [_object(session, s, _of(found.outcomes, s)) for s in found.started]})
        elif found.outcomes:
            rows = [
                (o.unit.removeprefix("prove/"), o.status.value, o.stage, o.reason) for o in found.outcomes
            ]
            console().print(table("", ("unit", "status", "stage", "reason"), rows))
        elif not found.started:
            say("nothing is due")
        return found

    # Where nobody asked for a unit by name, one that somebody else has landed is as good as done.
    fine = {UnitStatus.DONE, UnitStatus.SKIPPED} if find_due is not None else {UnitStatus.DONE}
    if any(o.status not in fine for o in run(go).outcomes):
        raise typer.Exit(UNIT_FAILED)


async def _outcomes(engine: Provery, works: list[Work], started: list[Started]) -> list[UnitOutcome]:
    recorded = {s.unit: s.outcome for s in started if s.outcome is not None}
    open_ = [w for w in works if w.unit.workflow_id not in recorded]
    found = {o.unit: o for o in await engine.run(open_)}
    return [found.get(s.unit) or recorded[s.unit] for s in started]


def _of(outcomes: list[UnitOutcome], started: Started) -> UnitOutcome | None:
    return next((o for o in outcomes if o.unit == started.unit), started.outcome)


def _object(session: Session, started: Started, outcome: UnitOutcome | None) -> dict[str, Any]:
    return {
        "unit": started.unit.removeprefix("prove/"),
        "how": started.how,
        "workflow_id": started.workflow_id,
        "run_id": started.run_id,
        "ui": ui_link(session.env, started.workflow_id, started.run_id),
        "outcome": outcome_object(outcome) if outcome is not None else None,
    }


def _announce(session: Session, started: list[Started]) -> None:
    for one in started[:10]:
        say(
            f"{one.how} {one.unit.removeprefix('prove/')}  {ui_link(session.env, one.workflow_id, one.run_id)}"
        )
    if len(started) > 10:
        say(f"and {len(started) - 10} more")


def read_requests(source: str, fields: list[str]) -> list[dict[str, Json]]:
    """Requests from a file or from the command line.

    Raises:
        InvalidInput: there is none, it is not JSON, or it is not an object or an array of objects.
    """
    given: Json = {}
    if source:
        given = _parse(_read(source), source)
    elif not fields:
        raise InvalidInput("no request", action="give one with --request FILE or --set NAME=VALUE")
    many = given if isinstance(given, list) else [given]
    if not many or not all(isinstance(one, dict) for one in many):
        raise InvalidInput(
            "not a request",
            value=_kind(given),
            expected="a JSON object or an array of objects",
            action=f"correct {_named(source)}",
        )
    extra = dict(_field(text) for text in fields)
    return [{**one, **extra} for one in many if isinstance(one, dict)]


def _read(source: str) -> str:
    try:
        if source == "-":
            text = sys.stdin.read(REQUEST_LIMIT + 1)
        else:
            with Path(source).open(encoding="utf-8") as file:
                text = file.read(REQUEST_LIMIT + 1)
    except (OSError, UnicodeDecodeError) as err:
        reason = err.strerror if isinstance(err, OSError) else "not UTF-8"
        raise InvalidInput(
            f"the request cannot be read: {reason}",
            value=source,
            expected="a file of UTF-8 JSON, or - for stdin",
            action="name a file that exists and that you may read",
        ) from err
    if len(text) > REQUEST_LIMIT:
        raise InvalidInput(
            "the request is too large",
            value=source,
            expected=f"at most {REQUEST_LIMIT} characters",
            action="split it into several files",
        )
    return text


def _parse(text: str, source: str) -> Json:
    try:
        found: Json = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise InvalidInput(
            f"the request is not JSON: {err}",
            value=source,
            expected="a JSON object or an array of objects",
            action=f"correct {_named(source)}",
        ) from err
    return found


def _named(source: str) -> str:
    return "what stdin was given" if source == "-" else source


def _kind(given: Json) -> str:
    """What was given instead of requests."""
    if isinstance(given, list):
        return "an array with something else in it" if given else "an empty array"
    return json.dumps(given)[:100]


def _field(text: str) -> tuple[str, Json]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidInput(
            "not a field", value=text, expected="NAME=VALUE", action="write it as --set circuit=membership"
        )
    try:
        parsed: Json = json.loads(value)
    except ValueError:
        return name, value
    # Field elements are longer than a JSON number carries through other programs: they stay text.
    large = isinstance(parsed, int) and not isinstance(parsed, bool) and abs(parsed) >= _SAFE_INTEGER
    return name, value if large else parsed


def deps_of(session: Session) -> Deps:
    """What a system gets to make units with."""
    ledger = session.ledger()
    return Deps(
        artifacts=session.store(),
        ledger=ledger,
        catalog=ledger.catalog,
        circuits=session.circuits(),
        provers={},
        env=session.env,
        home=session.home,
        statements=session.statements(),
        open_chain=open_chain,
        registry=ledger.models,
    )


async def works_for(session: Session, stream: str, requests: list[dict[str, Json]]) -> list[Work]:
    """Let the stream's system make units of requests.

    Raises:
        ConfigurationError: the system takes no requests.
        InvalidInput: the system refuses one.
    """
    system, name = parse_stream(stream)
    module = load(system, session.env)
    make = getattr(module, "work_for", None)
    if make is None:
        raise ConfigurationError(
            "this system takes no requests; its units come from its source",
            value=system,
            action=f"`provery schedule create {stream} --every 10m` follows it",
        )
    deps = deps_of(session)
    works: list[Work] = []
    for one in requests:
        made = make(name, one, deps)
        works.append(await made if inspect.isawaitable(made) else made)
    return _distinct(works)


def _distinct(works: list[Work]) -> list[Work]:
    """Each unit once.

    Raises:
        InvalidInput: two different requests make the same unit.
    """
    units: dict[str, Work] = {}
    for work in works:
        first = units.setdefault(work.unit.workflow_id, work)
        if first.unit.params_sha256 != work.unit.params_sha256:
            raise InvalidInput(
                "two requests have the same id",
                value=work.unit.key,
                expected="one request under an id",
                action="give one of them another id",
            )
    return list(units.values())
