"""What people see of a unit: progress for the query, markdown for the Temporal UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provery.core.controls import StageProgress, UnitProgress
from provery.core.types import ArtifactRef, Plan, Stage, StageResult, Unit, UnitStatus

MARKS = {
    "done": "✅",
    "reused": "♻️",
    "running": "⏳",
    "waiting": "·",
    "paused": "⏸",
    "parked": "🅿️",
    "failed": "❌",
    "skipped": "⏭",
    "cancelled": "⏹",
}

NBSP = "\u00a0"
_ESCAPES = str.maketrans({c: "\\" + c for c in "\\`*_{}[]<>#|!~"})
"""Not a regular expression: inside the sandbox each substitution would go through its import hooks."""


def stage_rows(
    plan: Plan, results: Mapping[Stage, StageResult], at: Stage | None, status: str, shards: tuple[int, int]
) -> tuple[StageProgress, ...]:
    """One row per stage of the plan.

    Args:
        plan: The unit's plan as it stands.
        results: Finished stages.
        at: The stage at hand.
        status: What the stage at hand is doing.
        shards: Done and total shards of the stage at hand.
    """
    rows = []
    for stage in plan.stages:
        row = StageProgress(stage.stage.value, "waiting", queue=stage.queue, prover=stage.prover)
        if (result := results.get(stage.stage)) is not None:
            row = StageProgress(
                stage.stage.value,
                "reused" if result.reused else "done",
                queue=stage.queue,
                prover=stage.prover,
                shards=result.shards,
                shards_done=result.shards,
                seconds=result.seconds,
                host=result.host,
                outputs=result.outputs,
            )
        elif stage.stage is at:
            row = StageProgress(
                stage.stage.value,
                status,
                queue=stage.queue,
                prover=stage.prover,
                shards=shards[1],
                shards_done=shards[0],
            )
        rows.append(row)
    return tuple(rows)


def markdown(progress: UnitProgress) -> str:
    """The unit's current details: state, stage table with links to artifacts, facts and notes."""
    unit = progress.unit
    lines = [
        f"**{plain(unit.title or unit.key)}** — {progress.status}"
        + (f": {plain(progress.reason)}" if progress.reason else ""),
        "",
    ]
    sharded = any(row.shards for row in progress.stages)
    headings = ["stage", "state", "where", "prover", *(["shards"] if sharded else []), "seconds", "artifacts"]
    lines += [_row(headings), "|" + "---|" * len(headings)]
    for row in progress.stages:
        cells = [
            row.stage,
            f"{MARKS.get(row.status, '')} {row.status}",
            f"{row.queue} {plain(row.host)}".strip(),
            plain(row.prover),
            *([f"{row.shards_done}/{row.shards}" if row.shards else ""] if sharded else []),
            f"{row.seconds:.3f}" if row.seconds else "",
        ]
        lines.append(_row([cell.replace(" ", NBSP) for cell in cells] + [links(row.outputs)]))
    if progress.facts:
        lines += ["", *(f"- {plain(name)}: {code(value)}" for name, value in sorted(progress.facts.items()))]
    if progress.notes:
        lines += ["", "Notes:", "", *(f"- {plain(note)}" for note in progress.notes)]
    return "\n".join(lines)


def links(refs: Sequence[ArtifactRef], most: int = 4) -> str:
    """Artifacts as markdown links with size and the digest's start; a line break may only come between two."""
    shown = [
        f"[{plain(ref.name or 'artifact')}](<{ref.uri}>){NBSP}{ref.size}{NBSP}B{NBSP}{code(ref.sha256[:8])}"
        for ref in refs[:most]
    ]
    return ", ".join(shown) + (f" and {len(refs) - most} more" if len(refs) > most else "")


def plain(text: str) -> str:
    """Text that markdown shows as it is, on one line: titles, reasons and notes carry what senders wrote."""
    return " ".join(text.split())[:1_000].translate(_ESCAPES)


def code(text: str) -> str:
    """Text as code: nothing in it can end the code or the table cell around it."""
    return "`" + " ".join(text.split())[:200].replace("`", "'").replace("|", "¦") + "`"


def _row(cells: Sequence[str]) -> str:
    """One table row. The Temporal UI draws tables without a gap between columns: each cell ends with its own."""
    return "| " + " | ".join(f"{cell}{NBSP}{NBSP}" for cell in cells) + " |"


def static_details(unit: Unit, plan: Plan) -> str:
    """What a unit is, for the UI's fixed details."""
    lines = [
        f"System `{unit.system}`, stream `{unit.stream}`, unit `{unit.key}`"
        + (f", ordinal {unit.ordinal}" if unit.ordinal is not None else ""),
        "",
        "| stage | queue | prover | verifying key | attempts | time-out |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {s.stage} | {s.queue} | {s.prover} | {s.verifying_key[:12]} | {s.attempts} | {s.timeout_s:.0f} s |"
        for s in plan.stages
    ]
    return "\n".join(lines)


def is_terminal(status: str) -> bool:
    """Whether a progress status is an end."""
    return status in {s.value for s in UnitStatus if s.terminal}
