"""Cases spread over rigs, and the report."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.faults import network, upped
from tests.faults.cases import LIMIT_S, NETWORK, REDELIVERED, UP, Case, Row
from tests.faults.rig import ROLES, Rig, rig
from tests.faults.running import run

RESULTS = Path(__file__).parents[2] / "bench" / "results" / "faults.json"
Told = Callable[[Case, Row], None]


@contextlib.asynccontextmanager
async def housed(**settings: str) -> AsyncIterator[Rig]:
    """A rig in a directory of its own, which stays where something went wrong."""
    home = _home()
    async with rig(home, **settings) as made:
        yield made
    if not made.keep:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


def _home() -> Path:
    home = Path(tempfile.mkdtemp(prefix="provery-faults-"))
    home.chmod(0o755)  # Postgres gives up root's rights and has to reach its data
    return home


async def run_all(
    cases: Sequence[Case],
    *,
    rigs: int,
    told: Told = lambda case, row: None,
    settings: Mapping[str, str] | None = None,
    limit_s: float = LIMIT_S,
) -> list[Row]:
    """Run cases on several rigs at once; rows in the order of the cases.

    A case that went wrong takes its rig with it, so that it spoils no other.

    Args:
        cases: What to run.
        rigs: How many rigs.
        told: Told of each row.
        settings: See :func:`tests.faults.rig.rig`.
        limit_s: Within how long work must go on after a fault.
    """
    waiting = list(cases)
    rows: dict[Case, Row] = {}

    async def work() -> None:
        while waiting:
            async with contextlib.AsyncExitStack() as stack:
                made = await stack.enter_async_context(housed(**(settings or {})))
                while waiting:
                    case = waiting.pop(0)
                    row = rows[case] = await attempt(made, case, limit_s)
                    told(case, row)
                    if row.problems:
                        made.keep = True
                        break

    await asyncio.gather(*(work() for _ in range(min(rigs, len(cases)))))
    return [rows[case] for case in cases]


async def attempt(made: Rig, case: Case, limit_s: float = LIMIT_S) -> Row:
    """Run a case; a defect of the harness is a row too, so that the other cases still run."""
    try:
        if case.fault == NETWORK:
            return await network.run(case)
        if case.fault == UP:
            home = _home()
            async with upped.rig(home, express=case.express) as up:
                row = await run(up, case, limit_s)
            if not row.problems:
                await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
            return row
        return await run(made, case, limit_s)
    except Exception as error:
        return Row(case.fault, case.boundary, 0, 1, 0, 0, -1.0, -1.0, (f"{type(error).__name__}: {error}",))


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The figures that count, over all rows."""
    totals = {
        name: sum(getattr(row, name) for row in rows)
        for name in ("recomputed", "lost", "duplicated", "orphans")
    }
    killed = [row for row in rows if row.fault != REDELIVERED]
    workers = [row for row in killed if row.fault in (*ROLES, "prover")]
    return {
        "cases": len(rows),
        "wrong": sum(1 for row in rows if row.problems),
        **totals,
        "recovered_s_max": max((row.recovered_s for row in killed), default=0.0),
        "worker_recovered_s_max": max((row.recovered_s for row in workers), default=0.0),
        "done_s_max": max((row.done_s for row in killed), default=0.0),
    }


def write(rows: Sequence[Row], extra: Mapping[str, Any], path: Path = RESULTS) -> None:
    """Write the table, one row a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ",\n".join("  " + json.dumps(row.as_dict()) for row in rows)
    head = json.dumps({**summary(rows), **extra}, indent=1).replace("\n", "\n ")
    path.write_text(f'{{\n "summary": {head},\n "rows": [\n{lines}\n ]\n}}\n')
