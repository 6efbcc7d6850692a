"""Markdown for people who look at a unit in the Temporal UI. What senders wrote shows as it is, and as nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.types import Plan, Unit, Work

NBSP = "\u00a0"
_ESCAPES = str.maketrans({c: "\\" + c for c in "\\`*_{}[]<>()#+|!~"})
"""Not a regular expression: inside the sandbox each substitution would go through its import hooks."""
SUMMARY_LIMIT = 200
"""Bytes that the server accepts as a static summary."""
LIMIT = 16_000
"""Bytes of details; the server accepts 20,000."""


def unit_summary(unit: Unit) -> str:
    """One line that names a unit."""
    return clip_bytes(one_line(unit.title or f"{unit.stream_id}/{unit.key}"), SUMMARY_LIMIT)


def unit_details(work: Work) -> str:
    """Markdown that explains a unit to somebody who sees it for the first time."""
    unit = work.unit
    lines = [
        f"### {unit.system} / {unit.stream} / {unit.key}",
        "",
        *([plain(unit.title), ""] if unit.title else []),
        f"A unit of the stream `{unit.stream_id}`"
        + (f", number {unit.ordinal} in its order" if unit.ordinal is not None else "")
        + f". Its inputs are fixed by the parameters with SHA-256 `{unit.params_sha256[:16]}…`.",
        "",
        _plan_table(work.plan),
        "",
        "Finished stages are recorded in the ledger under the digest of their inputs and are not computed again. "
        f"The whole story of this unit: `provery explain {unit.stream_id}/{unit.key}`.",
    ]
    return clip_bytes("\n".join(lines), LIMIT)


def batch_details(works: Sequence[Work]) -> str:
    """Markdown that lists a batch's units."""
    first = works[0]
    shown = works[:100]
    lines = [
        f"### {len(works)} units of {first.unit.stream_id}",
        "",
        "They share one workflow and one worker call; each keeps its own result and its own audit trail.",
        "",
        _plan_table(first.plan),
        "",
        "| unit | title |",
        "|---|---|",
        *(f"| `{w.unit.key}` | {plain(w.unit.title)} |" for w in shown),
        *([f"| … | {len(works) - len(shown)} more |"] if len(works) > len(shown) else []),
    ]
    return clip_bytes("\n".join(lines), LIMIT)


def _plan_table(plan: Plan) -> str:
    lines = [
        f"Express: all stages run back to back on `{plan.express_queue}`." if plan.express else "The plan:",
        "",
        row(["stage", "queue", "prover", "attempts", "one attempt", "gives up after", "falls back to"]),
        "|" + "---|" * 7,
    ]
    for stage in plan.stages:
        fallback = ", ".join(filter(None, [stage.fallback_queue, *stage.fallback_provers]))
        cells = [
            stage.stage.value,
            plain(stage.queue),
            plain(stage.prover) or "none",
            str(stage.attempts),
            span(stage.timeout_s),
            span(stage.give_up_s),
            plain(fallback) or "none",
        ]
        lines.append(row(cells))
    return "\n".join(lines)


def span(seconds: float) -> str:
    """A duration for people: ``90 s``, ``15 min``, ``24 h``."""
    if seconds < 120:
        return f"{seconds:g} s"
    if seconds < 7_200:
        return f"{seconds / 60:g} min"
    return f"{seconds / 3_600:.4g} h"


def clip_bytes(text: str, limit: int) -> str:
    """The longest prefix of at most ``limit`` bytes that is valid UTF-8."""
    data = text.encode(errors="replace")
    return text if len(data) <= limit else data[: limit - 3].decode(errors="ignore") + "…"


def one_line(text: str) -> str:
    """Text without line breaks and control characters."""
    printable = text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)
    return " ".join(printable.split())


def plain(text: str) -> str:
    """Text that markdown shows as it is, on one line: titles, reasons and notes carry what senders wrote."""
    return one_line(text)[:1_000].translate(_ESCAPES)


def code(text: str) -> str:
    """Text as code: nothing in it can end the code or the table cell around it."""
    return "`" + one_line(text)[:200].replace("`", "'").replace("|", "¦") + "`"


def row(cells: Sequence[str]) -> str:
    """One row of a markdown table. The Temporal UI leaves no gap between columns: each cell ends with its own."""
    return "| " + " | ".join(f"{cell}{NBSP}{NBSP}" for cell in cells) + " |"
