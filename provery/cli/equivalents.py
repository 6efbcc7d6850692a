"""What ``--print-temporal`` prints: the ``temporal`` command that does the same, and where to look."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from provery.cli.output import jsonable, say
from provery.client import Address, namespace, schedule_link, temporal_command, ui_base, ui_link
from provery.core.controls import PROVE_UNIT, QUERY_PROGRESS, Order, ProveInput
from provery.core.lane_controls import QUERY_LANE
from provery.core.lane_records import LaneOrder
from provery.core.lanes import SUBMIT_LANE
from provery.core.queues import ORCHESTRATE, task_queue
from provery.core.types import Work


def show(command: str, link: str) -> None:
    """Print both, on standard error: standard output belongs to the result."""
    sys.stdout.flush()
    say(f"temporal: {command}", style="dim", stderr=True)
    say(f"ui: {link}", style="dim", stderr=True)


def for_start(env: Mapping[str, str], work: Work) -> tuple[str, str]:
    """Starting a unit. The command lacks the ledger's claim, which `provery prove` makes first."""
    command = temporal_command(
        env,
        "workflow",
        "start",
        type=PROVE_UNIT,
        task_queue=task_queue(ORCHESTRATE, env),
        workflow_id=work.unit.workflow_id,
        id_conflict_policy="UseExisting",
        input=jsonable(ProveInput(work)),
    )
    return command, ui_link(env, work.unit.workflow_id)


def for_order(env: Mapping[str, str], unit: Address, name: str, order: Order) -> tuple[str, str]:
    """Giving an order."""
    command = temporal_command(
        env,
        "workflow",
        "update",
        "execute",
        workflow_id=unit.workflow_id,
        name=name,
        input=jsonable(order),
    )
    return command, ui_link(env, unit.workflow_id)


def for_lane_order(env: Mapping[str, str], order: LaneOrder) -> tuple[str, str]:
    """Giving an order to a lane that runs."""
    command = temporal_command(
        env, "workflow", "update", "execute", workflow_id=order.lane, name=order.name, input=jsonable(order)
    )
    return command, ui_link(env, order.lane)


def for_lane(env: Mapping[str, str], lane: str) -> tuple[str, str]:
    """Asking a lane how it stands."""
    return temporal_command(env, "workflow", "query", workflow_id=lane, type=QUERY_LANE), ui_link(env, lane)


def for_lanes(env: Mapping[str, str]) -> tuple[str, str]:
    """Listing the lanes that run."""
    return for_list(env, f"WorkflowType = '{SUBMIT_LANE}'", 50)


def for_progress(env: Mapping[str, str], unit: Address) -> tuple[str, str]:
    """Asking for progress."""
    command = temporal_command(env, "workflow", "query", workflow_id=unit.workflow_id, type=QUERY_PROGRESS)
    return command, ui_link(env, unit.workflow_id)


def for_history(env: Mapping[str, str], workflow_id: str, run_id: str) -> tuple[str, str]:
    """Reading a history."""
    flags: dict[str, Any] = {"run_id": run_id} if run_id else {}
    return (
        temporal_command(env, "workflow", "show", workflow_id=workflow_id, **flags),
        ui_link(env, workflow_id, run_id),
    )


def for_schedule(env: Mapping[str, str], verb: str, schedule_id: str, **flags: object) -> tuple[str, str]:
    """Doing something with a schedule."""
    command = temporal_command(env, "schedule", verb, schedule_id=schedule_id, **flags)
    return command, schedule_link(env, schedule_id)


def for_list(env: Mapping[str, str], query: str, limit: int) -> tuple[str, str]:
    """Listing workflows."""
    link = (
        f"{ui_base(env)}/namespaces/{quote(namespace(env), safe='')}/workflows?query={quote(query, safe='')}"
    )
    return temporal_command(env, "workflow", "list", query=query, limit=limit), link
