"""Starting workflows, or attaching to the running ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from provery.core.controls import (
    PROVE_BATCH,
    PROVE_UNIT,
    BatchInput,
    BatchOutcome,
    ProveInput,
)
from provery.core.details import batch_details, unit_details, unit_summary
from provery.core.queues import ORCHESTRATE, task_queue
from provery.core.types import UnitOutcome, Work
from provery.core.visibility import batch_attributes, priority, search_attributes

_RPC_TIMEOUT = timedelta(seconds=10)


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
        static_summary=unit_summary(unit),
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
