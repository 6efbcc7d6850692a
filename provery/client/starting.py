"""Starting workflows: ids, priority, and the text that explains a unit in the Temporal UI."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    Priority,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)

from provery.core.controls import (
    PROVE_BATCH,
    PROVE_UNIT,
    BatchInput,
    BatchOutcome,
    ProveInput,
)
from provery.core.queues import ORCHESTRATE, task_queue
from provery.core.types import Plan, UnitOutcome, Work
from provery.core.visibility import batch_attributes, search_attributes

_SUMMARY_LIMIT = 200
"""Bytes the server accepts as a static summary."""
_DETAILS_LIMIT = 16_000
"""Bytes; the server accepts 20,000."""
_RPC_TIMEOUT = timedelta(seconds=10)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>()#+|!~])")


async def start_unit(client: Client, env: Mapping[str, str], work: Work) -> WorkflowHandle[Any, UnitOutcome]:
    """Start a unit's workflow, or attach to the running one."""
    unit = work.unit
    return await client.start_workflow(
        PROVE_UNIT,
        ProveInput(work=work),
        id=unit.workflow_id,
        task_queue=task_queue(ORCHESTRATE, env),
        result_type=UnitOutcome,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=search_attributes(unit, work.plan),
        static_summary=clip_bytes(plain(unit.title or f"{unit.stream_id}/{unit.key}"), _SUMMARY_LIMIT),
        static_details=unit_details(work),
        priority=priority([work]),
        rpc_timeout=_RPC_TIMEOUT,
    )


async def start_batch(
    client: Client, env: Mapping[str, str], workflow_id: str, works: Sequence[Work]
) -> WorkflowHandle[Any, BatchOutcome]:
    """Start a batch's workflow, or attach to the running one."""
    first = works[0]
    return await client.start_workflow(
        PROVE_BATCH,
        BatchInput(works=tuple(works)),
        id=workflow_id,
        task_queue=task_queue(ORCHESTRATE, env),
        result_type=BatchOutcome,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=batch_attributes(first.unit, first.plan),
        static_summary=f"{len(works)} units of {first.unit.stream_id}",
        static_details=batch_details(works),
        priority=priority(works),
        rpc_timeout=_RPC_TIMEOUT,
    )


def priority(works: Sequence[Work]) -> Priority:
    """Priority of the most urgent unit; fairness between streams unless the plan names another key."""
    plan = works[0].plan
    return Priority(
        priority_key=min(max(min(w.plan.priority for w in works), 1), 5),
        fairness_key=clip_bytes(plan.fairness or works[0].unit.stream_id, 64),
    )


def unit_details(work: Work) -> str:
    """Markdown that explains a unit to somebody who sees it for the first time."""
    unit = work.unit
    lines = [
        f"### {unit.system} / {unit.stream} / {unit.key}",
        "",
        *([escape(unit.title), ""] if unit.title else []),
        f"A unit of the stream `{unit.stream_id}`"
        + (f", number {unit.ordinal} in its order" if unit.ordinal is not None else "")
        + f". Its inputs are fixed by the parameters with SHA-256 `{unit.params_sha256[:16]}…`.",
        "",
        _plan_table(work.plan),
        "",
        "Finished stages are recorded in the ledger under the digest of their inputs and are not computed again. "
        f"The whole story of this unit: `provery explain {unit.stream_id}/{unit.key}`.",
    ]
    return clip_bytes("\n".join(lines), _DETAILS_LIMIT)


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
        *(f"| `{w.unit.key}` | {escape(w.unit.title)} |" for w in shown),
        *([f"| … | {len(works) - len(shown)} more |"] if len(works) > len(shown) else []),
    ]
    return clip_bytes("\n".join(lines), _DETAILS_LIMIT)


def _plan_table(plan: Plan) -> str:
    lines = [
        f"Express: all stages run back to back on `{plan.express_queue}`." if plan.express else "The plan:",
        "",
        "| stage | queue | prover | attempts | one attempt | gives up after | falls back to |",
        "|---|---|---|---|---|---|---|",
    ]
    for stage in plan.stages:
        fallback = ", ".join(filter(None, [stage.fallback_queue, *stage.fallback_provers]))
        cells = [
            stage.stage.value,
            escape(stage.queue),
            escape(stage.prover) or "none",
            str(stage.attempts),
            span(stage.timeout_s),
            span(stage.give_up_s),
            escape(fallback) or "none",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def span(seconds: float) -> str:
    """A duration for people: ``90 s``, ``15 min``, ``24 h``."""
    if seconds < 120:
        return f"{seconds:g} s"
    if seconds < 7_200:
        return f"{seconds / 60:g} min"
    return f"{seconds / 3_600:.4g} h"


def plain(text: str) -> str:
    """One line without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def escape(text: str) -> str:
    """Text that markdown shows as it is: a title comes from outside and must not become a link or a table cell."""
    return _MARKDOWN.sub(r"\\\1", plain(text)[:500])


def clip_bytes(text: str, limit: int) -> str:
    """The longest prefix of at most ``limit`` bytes that is valid UTF-8."""
    data = text.encode(errors="replace")
    return text if len(data) <= limit else data[: limit - 3].decode(errors="ignore") + "…"
