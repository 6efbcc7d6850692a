"""Workflows as Temporal's visibility store knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio.client import Client, WorkflowExecution
from temporalio.common import SearchAttributeKey

from provery.client.links import ui_link
from provery.core.controls import (
    PROVE_BATCH,
    PROVE_UNIT,
    SA_ORDINAL,
    SA_PROVER,
    SA_STAGE,
    SA_STREAM,
    SA_SYSTEM,
    SA_UNIT,
)
from provery.core.errors import InvalidInput
from provery.core.types import check_name

STATUSES = ("Running", "Completed", "Failed", "Canceled", "Terminated", "ContinuedAsNew", "TimedOut")


@dataclass(frozen=True)
class Run:
    """One run of a workflow of ours; times are ISO 8601, empty where not known."""

    workflow_id: str
    run_id: str
    type: str
    status: str
    """Temporal's: ``RUNNING COMPLETED FAILED CANCELED TERMINATED CONTINUED_AS_NEW TIMED_OUT``."""
    started_at: str
    closed_at: str
    system: str
    stream: str
    unit: str
    """Key; empty for a batch."""
    stage: str
    prover: str
    ordinal: int | None
    events: int
    """Length of its history."""
    ui: str


def run_of(seen: WorkflowExecution, env: Mapping[str, str]) -> Run:
    """A run in our words."""
    attributes = seen.typed_search_attributes

    def word(name: str) -> str:
        return attributes.get(SearchAttributeKey.for_keyword(name)) or ""

    return Run(
        workflow_id=seen.id,
        run_id=seen.run_id,
        type=seen.workflow_type,
        status=seen.status.name if seen.status is not None else "",
        started_at=_iso(seen.start_time),
        closed_at=_iso(seen.close_time),
        system=word(SA_SYSTEM),
        stream=word(SA_STREAM),
        unit=word(SA_UNIT),
        stage=word(SA_STAGE),
        prover=word(SA_PROVER),
        ordinal=attributes.get(SearchAttributeKey.for_int(SA_ORDINAL)),
        events=seen.history_length,
        ui=ui_link(env, seen.id, seen.run_id),
    )


def visibility_query(*, system: str = "", stream: str = "", status: str = "", query: str = "") -> str:
    """A list filter for units and batches.

    Raises:
        InvalidInput: if a name cannot be one, or the status is not one of Temporal's.
    """
    parts = [f"WorkflowType IN ('{PROVE_UNIT}', '{PROVE_BATCH}')"]
    if system:
        parts.append(f"{SA_SYSTEM} = '{check_name(system, 'system name')}'")
    if stream:
        parts.append(f"{SA_STREAM} = '{check_name(stream, 'stream name')}'")
    if status:
        known = {s.lower(): s for s in STATUSES}
        if status.lower() not in known:
            raise InvalidInput(
                "not a workflow status", value=status, expected=", ".join(s.lower() for s in STATUSES)
            )
        parts.append(f"ExecutionStatus = '{known[status.lower()]}'")
    if query:
        parts.append(f"({query})")
    return " AND ".join(parts)


async def list_runs(
    client: Client,
    env: Mapping[str, str],
    *,
    system: str = "",
    stream: str = "",
    status: str = "",
    query: str = "",
    limit: int = 50,
) -> list[Run]:
    """Runs that match, newest first."""
    text = visibility_query(system=system, stream=stream, status=status, query=query)
    return [
        run_of(seen, env)
        async for seen in client.list_workflows(text, limit=limit, page_size=min(limit, 1_000))
    ]


def _iso(when: datetime | None) -> str:
    return when.astimezone(UTC).isoformat(timespec="milliseconds") if when is not None else ""
