"""Orders to L1 lanes. A lane whose workflow has ended for want of work is started by its order."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import ApplicationError

from provery.client.connection import same_converter, translated
from provery.core.errors import InvalidInput, TransientError, error_classes
from provery.core.lane_controls import LaneInput
from provery.core.lane_records import LaneOrder
from provery.core.lanes import SUBMIT_LANE
from provery.core.queues import ORCHESTRATE, task_queue

PREFIX = "lane/"


def lane_name(text: str) -> str:
    """Workflow id of the lane that somebody means: ``CHAIN/SENDER``, or the whole id.

    Raises:
        InvalidInput: it is none.
    """
    chain_id, slash, sender = text.removeprefix(PREFIX).partition("/")
    if not (slash and chain_id.isdecimal() and sender.startswith("0x") and "/" not in sender):
        raise InvalidInput(
            "not a lane",
            value=text,
            expected="CHAIN/SENDER, such as 1/0x…",
            action="`provery lane list` shows what there is",
        )
    return f"{PREFIX}{int(chain_id)}/{sender.lower()}"


async def order_lane(
    client: Client, env: Mapping[str, str], order: LaneOrder, *, timeout: float = 15.0
) -> str:
    """Give an order; what became of it.

    Raises:
        InvalidInput: it does not fit the lane as it stands.
        TransientError: no worker took it; it may still be obeyed later.
    """
    _, chain_id, sender = order.lane.split("/")
    start: WithStartWorkflowOperation[Any, Any] = WithStartWorkflowOperation(
        SUBMIT_LANE,
        LaneInput(int(chain_id), sender),
        id=order.lane,
        task_queue=task_queue(ORCHESTRATE, env),
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
    )
    try:
        async with asyncio.timeout(timeout):
            with translated(f"asking the lane to {order.name}"):
                said: str = await same_converter(client).execute_update_with_start_workflow(
                    order.name, order, start_workflow_operation=start, result_type=str
                )
                return said
    except TimeoutError as err:
        raise TransientError(
            f"the lane did not take the order within {timeout:g} s",
            value=order.lane,
            action="it is obeyed once `orchestrate` and `io` workers run; `provery doctor` shows which workers do",
        ) from err
    except WorkflowUpdateFailedError as err:
        cause = err.cause
        kind = cause.type or "" if isinstance(cause, ApplicationError) else ""
        text = cause.message if isinstance(cause, ApplicationError) else str(cause)
        raise error_classes().get(kind, InvalidInput)(f"the lane refused to {order.name}: {text}") from err
