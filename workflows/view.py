"""What people see of a unit: progress for the query, markdown for the Temporal UI."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from provery.core.controls import StageProgress, UnitProgress
from provery.core.details import NBSP, code, plain, row
from provery.core.types import ArtifactRef, Plan, Stage, StageResult, UnitOutcome, UnitStatus

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


def stage_rows(
    plan: Plan,
    results: Mapping[Stage, StageResult],
    at: Stage | None,
    status: str,
    shards: tuple[int, int],
    together: UnitOutcome | None = None,
) -> tuple[StageProgress, ...]:
    """One row per stage of the plan.

    Args:
        plan: The unit's plan as it stands.
        results: Finished stages.
        at: The stage at hand.
        status: What the stage at hand is doing.
        shards: Done and total shards of the stage at hand.
        together: How the stages ended that ran in one activity, which tells of them as a whole.
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
        elif together is not None and together.status is UnitStatus.DONE:
            last = stage is plan.stages[-1]
            row = replace(row, status="done", outputs=together.outputs if last else ())
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
    sharded = any(stage.shards for stage in progress.stages)
    headings = ["stage", "state", "where", "prover", *(["shards"] if sharded else []), "seconds", "artifacts"]
    lines += [row(headings), "|" + "---|" * len(headings)]
    for stage in progress.stages:
        cells = [
            stage.stage,
            f"{MARKS.get(stage.status, '')} {stage.status}",
            f"{stage.queue} {plain(stage.host)}".strip(),
            plain(stage.prover),
            *([f"{stage.shards_done}/{stage.shards}" if stage.shards else ""] if sharded else []),
            f"{stage.seconds:.3f}" if stage.seconds else "",
        ]
        lines.append(row([cell.replace(" ", NBSP) for cell in cells] + [links(stage.outputs)]))
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
