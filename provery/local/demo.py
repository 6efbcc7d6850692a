"""``provery up --demo``: real membership jobs, from an npm BullMQ producer to verified proofs, in a live table."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from provery.core.errors import ConfigurationError, TransientError
from provery.core.exits import UNIT_FAILED
from provery.local import ROOT, toolchain
from provery.local.supervisor import Demo, Supervisor

PRODUCER = ROOT / "tools/npm/produce.mjs"
LOOK_S = 0.25
ROWS = 30
"""Jobs that the live table shows; all of them count."""


@dataclass(frozen=True)
class DemoOptions:
    """What the demo does."""

    jobs: int = 24
    timeout_s: float = 300.0
    """Seconds until jobs that have no proof count as a failure."""
    stream: str = "queue/prove"


def membership(options: DemoOptions, console: Console) -> Demo:
    """The demo for ``supervisor.up``: its status is 0 when every job was proved, verified and written.

    Args:
        options: How many jobs, where.
        console: Where the table goes.
    """

    async def run(supervisor: Supervisor) -> int:
        stream = next((s for s in supervisor.topology.streams if s.id == options.stream), None)
        if stream is None or stream.ingress_port is None:
            raise ConfigurationError(
                "the demo's stream has no listener",
                value=options.stream,
                expected="an entry under streams: in temporal-dev.yaml with an ingress_port",
            )
        began = time.monotonic()
        queue = stream.env.get("QUEUE_NAME", stream.stream)
        ids = await produce(supervisor.env["REDIS_URL"], queue, options.jobs)
        url = f"http://127.0.0.1:{stream.ingress_port}/proofs"
        rows = await _follow(url, ids, options, console, supervisor.temporal.ui_url, began)
        return _sum_up(rows, ids, console, supervisor, time.monotonic() - began)

    return run


async def produce(
    redis_url: str, queue: str, jobs: int, *, seed: int | None = None, prefix: str = ""
) -> list[str]:
    """Add membership jobs with npm's bullmq; returns their ids.

    Args:
        redis_url: Where the queue is.
        queue: Name of the queue.
        jobs: How many.
        seed: The same seed gives the same requests; by default they are new.
        prefix: Job ids are ``<prefix><n>``; random without.

    Raises:
        TransientError: the producer failed; the message has its output.
    """
    arguments = ["--redis", redis_url, "--queue", queue, "--jobs", str(jobs), "--prefix", prefix]
    arguments += ["--seed", str(time.time_ns() // 1_000_000 if seed is None else seed)]
    toolchain.node_modules()
    child = await asyncio.create_subprocess_exec(
        str(toolchain.find("node")), str(PRODUCER), *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, complaint = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode != 0:
        raise TransientError(
            f"the BullMQ producer ended with status {child.returncode}",
            action=complaint.decode("utf-8", "replace")[-1_000:],
        )
    return [json.loads(line)["jobId"] for line in output.splitlines()]


async def _follow(
    url: str, ids: list[str], options: DemoOptions, console: Console, ui_url: str, began: float
) -> dict[str, dict[str, Any]]:
    """Show the jobs until each is done or failed, or the time is over."""
    rows: dict[str, dict[str, Any]] = {}
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as http:
        with Live(console=console, refresh_per_second=8, transient=False) as live:
            while True:
                await _look(http, url, ids, rows)
                elapsed = time.monotonic() - began
                live.update(Group(_table(ids, rows), _line(ids, rows, ui_url, elapsed)))
                if all(_ended(rows.get(id)) for id in ids) or elapsed > options.timeout_s:
                    break
                await asyncio.sleep(LOOK_S)
    if not console.is_terminal:
        console.print()  # Live ends the last line on a terminal only
    return rows


async def _look(http: httpx.AsyncClient, url: str, ids: list[str], rows: dict[str, dict[str, Any]]) -> None:
    """Bring the rows up to date; a listener that is just starting again is asked later."""
    try:
        newest = (await http.get(url, params={"limit": 100})).json()
        found = {row["id"]: row for row in newest}
        for id in ids:
            if id in found:
                rows[id] = found[id]
            elif len(ids) > 100 and not _ended(rows.get(id)):  # pushed off the list by newer ones
                answer = await http.get(f"{url}/{quote(id, safe='')}")
                if answer.status_code == 200:
                    rows[id] = answer.json()
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return


def _ended(row: dict[str, Any] | None) -> bool:
    return row is not None and row["status"] in ("done", "failed")


_STYLE = {"queued": "dim", "running": "yellow", "done": "green", "failed": "red"}


def _table(ids: list[str], rows: dict[str, dict[str, Any]]) -> Table:
    table = Table(title="membership jobs", title_justify="left")
    for heading, width in (("job", 13), ("status", 7), ("user", 8), ("proof or error", 20)):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=width)
    for id in ids[:ROWS]:
        row = rows.get(id, {"status": "queued", "request": {}, "proof": None, "error": None})
        user = str((row["request"] or {}).get("user", ""))
        proof = row["proof"]
        detail = row["error"] or (f"pi_a {str(proof['pi_a'][0])[:24]}…" if proof else "")
        status = str(row["status"])
        table.add_row(Text(id), Text(status, style=_STYLE.get(status, "")), Text(user[:20]), Text(detail))
    return table


def _line(ids: list[str], rows: dict[str, dict[str, Any]], ui_url: str, elapsed: float) -> Text:
    counts = Counter(str(rows[id]["status"]) if id in rows else "queued" for id in ids)
    states = ", ".join(f"{counts[state]} {state}" for state in _STYLE if counts[state])
    more = f" ({len(ids) - ROWS} more not shown)" if len(ids) > ROWS else ""
    return Text(f"{states}{more} · {elapsed:.1f} s · Temporal UI {ui_url}")


def _sum_up(
    rows: dict[str, dict[str, Any]], ids: list[str], console: Console, supervisor: Supervisor, elapsed: float
) -> int:
    done = [id for id in ids if id in rows and rows[id]["status"] == "done" and rows[id]["proof"]]
    rate = f"{len(done) / elapsed:.1f}/s" if elapsed else ""
    console.print(f"{len(done)} of {len(ids)} jobs proved, verified and written in {elapsed:.1f} s ({rate})")
    console.print(f"Temporal UI  {supervisor.temporal.ui_url}")
    for id in [id for id in ids if id not in done][:5]:
        error = rows.get(id, {}).get("error") or "no proof in time"
        console.print(Text(f"  {id}: {error}", style="red"))
    return 0 if len(done) == len(ids) else UNIT_FAILED
