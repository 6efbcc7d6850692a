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
}


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
        f"**{unit.title or unit.key}** — {progress.status}"
        + (f": {progress.reason}" if progress.reason else "")
    ]
    lines += [
        "",
        "| stage | state | where | prover | shards | seconds | artifacts |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in progress.stages:
        where = f"{row.queue} {row.host}".strip()
        shards = f"{row.shards_done}/{row.shards}" if row.shards else ""
        seconds = f"{row.seconds:.3f}" if row.seconds else ""
        state = f"{MARKS.get(row.status, '')} {row.status}"
        lines.append(
            f"| {row.stage} | {state} | {where} | {row.prover} | {shards} | {seconds} | {links(row.outputs)} |"
        )
    if progress.facts:
        lines += ["", *(f"- {name}: `{value}`" for name, value in sorted(progress.facts.items()))]
    if progress.notes:
        lines += ["", "Notes:", *(f"- {note}" for note in progress.notes)]
    return "\n".join(lines)


def links(refs: Sequence[ArtifactRef], most: int = 4) -> str:
    """Artifacts as markdown links with size and the digest's start."""
    shown = [f"[{ref.name or 'artifact'}]({ref.uri}) {ref.size} B `{ref.sha256[:12]}`" for ref in refs[:most]]
    return ", ".join(shown) + (f" and {len(refs) - most} more" if len(refs) > most else "")


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
