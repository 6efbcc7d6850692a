"""Queue names and their Temporal task queues."""

from __future__ import annotations

from collections.abc import Mapping

from provery.core.errors import ConfigurationError
from provery.core.types import check_name

ORCHESTRATE = "orchestrate"
"""Workflow tasks: no activity runs here."""
IO = "io"
"""Fetching, submitting, discovering: waits for others."""
CPU = "cpu"
"""Work that fills a core."""
CPU_LARGE = "cpu-large"
"""Work that needs much memory; where ``cpu`` falls back to."""
GPU = "gpu"
"""Work that fills a device."""
QUEUES: tuple[str, ...] = (ORCHESTRATE, IO, CPU, CPU_LARGE, GPU)

PREFIX_VARIABLE = "PROVERY_TASK_QUEUE_PREFIX"
DEFAULT_PREFIX = "provery-"


def task_queue(name: str, env: Mapping[str, str]) -> str:
    """The Temporal task queue of a queue.

    Installations that share a namespace keep apart by ``PROVERY_TASK_QUEUE_PREFIX``.

    Args:
        name: One of ``QUEUES``, or an extra queue of this installation.
        env: Process environment.

    Raises:
        ConfigurationError: if the prefix holds what a task queue name must not.
    """
    prefix = env.get(PREFIX_VARIABLE, DEFAULT_PREFIX)
    if len(prefix) > 100 or not prefix.isprintable() or any(c.isspace() for c in prefix):
        raise ConfigurationError(
            f"{PREFIX_VARIABLE} cannot start a task queue name",
            value=prefix,
            expected="at most 100 printable characters without spaces",
        )
    return prefix + check_name(name, "queue name")
