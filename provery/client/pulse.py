"""What a unit's workers do at this moment, as their last heartbeat said."""

from __future__ import annotations

from dataclasses import dataclass

from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import WorkflowExecutionDescription, WorkflowExecutionStatus

from provery.client.converter import DATA_CONVERTER
from provery.core.types import STAGES


@dataclass(frozen=True)
class Pulse:
    """One look."""

    stage: str
    """The stage that is worked on; empty while none is, or while several share a dispatch and none has spoken yet."""
    step: str
    """What the prover does, in its own words."""
    done: float
    """Of the step, 0 to 1."""


async def pulse_of(seen: WorkflowExecutionDescription) -> Pulse | None:
    """The pulse of a workflow that was described; None where it does not run."""
    if seen.status is not WorkflowExecutionStatus.RUNNING:
        return None
    pending = list(seen.raw_description.pending_activities)
    if not pending:
        return Pulse("", "", 0.0)
    newest = max(pending, key=lambda one: one.last_heartbeat_time.ToNanoseconds())
    said = await _said(newest)
    stages = [stage.value for stage in STAGES]
    kind = newest.activity_type.name
    step, done, total = str(said.get("step", "")), _number(said.get("done")), _number(said.get("total"))
    if step in stages and kind not in stages:
        return Pulse(step, "", 0.0)  # between two steps of its prover, a shared dispatch tells the stage
    stage = kind if kind in stages else ("prove" if step else "")
    return Pulse(stage, step, min(max(done / total, 0.0), 1.0) if total > 0 else 0.0)


async def _said(activity: PendingActivityInfo) -> dict[str, object]:
    payloads = list(activity.heartbeat_details.payloads)
    found = await DATA_CONVERTER.decode(payloads) if payloads else []
    return found[0] if found and isinstance(found[0], dict) else {}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
