"""``python -m tests.faults``: kill every part at every stage boundary, and count what it cost."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time

from rich.console import Console
from rich.table import Column, Table

from tests.faults import network
from tests.faults.cases import CI_SETTINGS, Case, Row, matrix
from tests.faults.planted import planted
from tests.faults.suite import RESULTS, housed, run_all, summary, write
from workers.queues import cores


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--subset", choices=("ci", "full"), default="full")
    parser.add_argument("--victim", default="", help="only this fault, such as worker-cpu")
    parser.add_argument("--boundary", default="", help="only this boundary, such as mid-prove")
    parser.add_argument("--rigs", type=int, default=3, help="whole stacks that work side by side")
    return parser.parse_args()


def report(console: Console, rows: list[Row]) -> None:
    """A line for each fault: its boundaries, its counts, its longest times."""
    heads = ("fault", "cases", "recomputed", "lost", "duplicated", "orphans", "recovered s", "done s")
    table = Table(
        *(Column(head, no_wrap=True, justify="left" if head == "fault" else "right") for head in heads)
    )
    for fault in dict.fromkeys(row.fault for row in rows):
        some = [row for row in rows if row.fault == fault]
        sums = [
            sum(getattr(r, name) for r in some) for name in ("recomputed", "lost", "duplicated", "orphans")
        ]
        times = [f"{max(getattr(r, name) for r in some):.1f}" for name in ("recovered_s", "done_s")]
        table.add_row(fault, str(len(some)), *map(str, sums), *times)
    console.print(table)


def commit() -> str:
    """What the figures were taken on."""
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


async def main() -> int:
    """Exit status: 0 when nothing was lost, computed twice, delivered twice or left behind, and in time."""
    options, console, began = arguments(), Console(width=160), time.monotonic()
    cases = [
        case
        for case in matrix(options.subset)
        if options.victim in ("", case.fault) and options.boundary in ("", case.boundary)
    ]
    if not cases:
        console.print("no such case")
        return 2
    done = 0

    def told(case: Case, row: Row) -> None:
        nonlocal done
        done += 1
        state = "[green]ok[/]" if not row.problems else "[red]" + "; ".join(row.problems) + "[/]"
        figures = f"recovered {row.recovered_s:6.2f} s, done {row.done_s:6.2f} s"
        console.print(f"{done:3}/{len(cases)} {case!s:50} {figures} {state}", highlight=False)

    settings = CI_SETTINGS if options.subset == "ci" else {}
    async with housed(**settings) as rig:
        missed = await planted(rig)
    missed += await network.planted()
    console.print(f"planted violations that were not counted: {', '.join(missed) or 'none'}")
    rows = await run_all(cases, rigs=options.rigs, told=told, settings=settings)
    report(console, rows)
    figures = summary(rows)
    if not (options.victim or options.boundary) and options.subset == "full":
        extra = {
            "planted_missed": len(missed),
            "minutes": round((time.monotonic() - began) / 60, 1),
            "taken_on": f"commit {commit()}, {cores()} cores, {options.rigs} rigs",
        }
        write(rows, extra)
        console.print(f"written to {RESULTS}")
    console.print(figures)
    return int(bool(figures["wrong"] or missed))


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
