"""The queue table: what runs on each queue, and how much of it at a time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from provery.core.errors import ConfigurationError
from provery.core.queues import CPU, CPU_LARGE, GPU, IO, ORCHESTRATE, QUEUES


@dataclass(frozen=True)
class QueueSpec:
    """One queue's workers."""

    name: str
    workflows: bool
    """Whether workflow tasks run here."""
    activities: bool
    slots: int
    """Activities in progress at a time."""
    grace_s: float
    """How long a draining worker lets activities finish before it hands them back."""


def cores() -> int:
    """Cores this process may use; a container's share, not the machine's."""
    return len(os.sched_getaffinity(0))


def table(gpus: int) -> dict[str, QueueSpec]:
    """Defaults per queue.

    Proving fills the cores that it is given, so ``cpu`` takes one slot per core and ``cpu-large`` one in all;
    ``io`` mostly waits.
    """
    return {
        ORCHESTRATE: QueueSpec(ORCHESTRATE, True, False, 0, 5.0),
        IO: QueueSpec(IO, False, True, 64, 30.0),
        CPU: QueueSpec(CPU, False, True, cores(), 60.0),
        CPU_LARGE: QueueSpec(CPU_LARGE, False, True, 1, 60.0),
        GPU: QueueSpec(GPU, False, True, max(gpus, 1), 60.0),
    }


def spec(name: str, *, gpus: int, slots: int | None, env: Mapping[str, str]) -> QueueSpec:
    """One queue's spec with overrides from the command line and ``PROVERY_DRAIN_S``.

    Raises:
        ConfigurationError: unknown queue, or a number that is none.
    """
    known = table(gpus)
    if name not in known:
        raise ConfigurationError("no such queue", value=name, expected=f"one of {', '.join(QUEUES)}")
    base = known[name]
    grace = env.get("PROVERY_DRAIN_S", "")
    try:
        grace_s = float(grace) if grace else base.grace_s
    except ValueError:
        raise ConfigurationError("PROVERY_DRAIN_S is not a number", value=grace, expected="seconds") from None
    if slots is not None and not 0 < slots <= 10_000:
        raise ConfigurationError("slots are out of range", value=slots, expected="1 to 10000")
    return QueueSpec(base.name, base.workflows, base.activities, slots or base.slots, grace_s)
