"""How stages are scheduled: one place that turns a plan into Temporal options."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from provery.core.queues import ORCHESTRATE
    from provery.core.types import check_name

RETRY = RetryPolicy(
    initial_interval=timedelta(milliseconds=500),
    backoff_coefficient=2.0,
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=0,
)
"""Temporal retries transient errors without end; the stage's schedule-to-close bounds them, and ``activities`` turns a
bounded error into a final one when the plan's attempts are used up."""

CONCLUDE_GIVE_UP = timedelta(days=30)
"""Writing down how a unit ended waits for its database as long as any operator needs."""


def task_queue(name: str) -> str:
    """Task queue of ``name`` in the installation that this workflow runs in.

    The prefix is the one of the workflow's own task queue: an environment variable read here would break replay.
    """
    return workflow.info().task_queue.removesuffix(ORCHESTRATE) + check_name(name, "queue name")
