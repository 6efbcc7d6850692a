"""``provery audit``: the trail of requests, checked and exported."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated

import typer

from provery.cli.options import JsonOption
from provery.cli.output import emit, say
from provery.cli.session import Session, run
from provery.core.audit_chain import LONGEST_ROW, Chain, parts_of
from provery.core.errors import InvalidInput
from provery.core.exits import UNIT_FAILED
from provery.core.types import Json

app = typer.Typer(help="The hash-chained trail of requests.", no_args_is_help=True)
_LONGEST_LINE = LONGEST_ROW + 200


@app.command()
def verify(
    head: Annotated[str, typer.Option(help="A hash noted earlier, which must be in the trail.")] = "",
    file: Annotated[
        Path | None,
        typer.Option(help="An exported file, instead of the ledger.", exists=True, dir_okay=False),
    ] = None,
    json_: JsonOption = False,
) -> None:
    """Walk the trail and recompute every hash; exit code 3, and the first bad row, where one does not hold.

    Without `--head` a trail that somebody wrote anew from the first row to the last, or whose end was cut off together
    with its recorded head, passes: note the head elsewhere from time to time.

    JSON: {"rows": count that hold, "first", "last": numbers of rows, "head": "hash", "ok", "fault": null | {"seq",
    "line": in a file, "what"}}
    """
    if file is not None:
        chain, line = _walk_file(file, head)
    else:

        async def go(session: Session) -> Chain:
            return await session.ledger().audit_trail.walk(head)

        chain, line = run(go), None
    fault = chain.fault
    if json_:
        found: Json = None if fault is None else {"seq": fault.seq, "line": line, "what": fault.what}
        first = chain.seq - chain.count + 1
        numbers = {"rows": chain.count, "first": first, "last": chain.seq, "head": chain.head}
        emit({**numbers, "ok": fault is None, "fault": found})
    else:
        say(f"{chain.count} rows hold, to row {chain.seq}; head {chain.head}")
        if chain.seq > chain.count:
            say(f"rows 1 to {chain.seq - chain.count} are not in the file", stderr=True)
        if fault is not None:
            where = f"row {fault.seq}" if line is None else f"line {line}, row {fault.seq}"
            say(f"{where}: {fault.what}", style="red", stderr=True)
    if fault is not None:
        raise typer.Exit(UNIT_FAILED)


@app.command()
def export(
    after: Annotated[int, typer.Option(min=0, help="Only rows behind this one.")] = 0,
    out: Annotated[str, typer.Option("--out", "-o", help="File to write; standard output without.")] = "",
    json_: JsonOption = False,
) -> None:
    """Write rows as JSON lines, each with its hash and the one before: what `audit verify --file` reads.

    A file appears under its name once it is whole. With `--json` the summary is printed, so a file must be named.

    JSON: {"path", "rows", "last": number of the last row, "head": its hash, empty where there was no row}
    """
    if json_ and not out:
        raise InvalidInput("nowhere to write the rows to", expected="--out FILE where --json is given")

    async def go(session: Session, to: IO[str]) -> Chain:
        chain = Chain(whole=False)
        async for line in session.ledger().audit_trail.lines(after):
            to.write(line + "\n")
            text, previous, hash_ = parts_of(line)
            if chain.fault is None:
                chain.follow(None, text, previous, hash_)
        return chain

    if out:
        path, part = Path(out), Path(f"{out}.part")
        try:
            with part.open("w", encoding="ascii", newline="\n") as to:
                chain = run(lambda session: go(session, to))
                to.flush()
                os.fsync(to.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    else:
        chain = run(lambda session: go(session, sys.stdout))
        sys.stdout.flush()
    if json_:
        head = chain.head if chain.count else ""
        emit({"path": out, "rows": chain.count, "last": chain.seq or after, "head": head})
    elif chain.count:
        say(f"{chain.count} rows, to row {chain.seq}; head {chain.head}", stderr=True)
    else:
        say(f"no rows behind row {after}", stderr=True)
    if chain.fault is not None:
        say(f"row {chain.fault.seq}: {chain.fault.what}", style="red", stderr=True)
        raise typer.Exit(UNIT_FAILED)


def _walk_file(path: Path, head: str) -> tuple[Chain, int | None]:
    """Follow an exported file; also the number of the line that does not hold, if one does not."""
    chain = Chain(head, whole=False)
    number = 0
    for number, line in enumerate(_lines(path), 1):
        try:
            text, previous, hash_ = parts_of(line)
        except InvalidInput as error:
            chain.refuse(str(error))
            return chain, number
        if not chain.follow(None, text, previous, hash_):
            return chain, number
    return chain, None if chain.end() is None else number


def _lines(path: Path) -> Iterator[str]:
    """Lines without their ends; one that is longer than any row can be comes in pieces, and so fails as none."""
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        while line := file.readline(_LONGEST_LINE):
            yield line.removesuffix("\n")
