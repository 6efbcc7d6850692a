"""How a period is proved: the stages, where they run, and how long they may take. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from provery.core.proving import pin
from provery.core.queues import CPU, CPU_LARGE, IO
from provery.core.types import Plan, Stage, StagePlan
from provery.systems.beacon.settings import BeaconSettings

FETCH_GIVE_UP_S = 900.0
"""How long a unit waits for its beacon nodes. A look waits for its units and the next look finds the period due again,
so a patience of days would only keep newer periods from being found. Where a prover continues the proof of the period
before, waiting for that is part of it, and takes as long as proving does."""
HOURS_S, DAY_S = 21_600.0, 86_400.0
URGENT, LIVE, OLD = 2, 3, 4
"""Priorities: the period that is due next, others of a look, a backfill's."""


def plan_for(
    settings: BeaconSettings,
    keys: Mapping[str, str],
    *,
    compresses: bool,
    priority: int = LIVE,
    fairness: str = "",
) -> Plan:
    """The plan of a period.

    Args:
        settings: Of the stream.
        keys: Digest of the verifying key by prover, in the provers' order.
        compresses: Whether any of the provers has a compress step.
        priority: Among the units that wait for a worker.
        fairness: Names the backfill that the unit belongs to.
    """
    first, *others = settings.provers
    pinned, queue = pin(keys), settings.queue
    large = CPU_LARGE if queue == CPU else ""

    def heavy(stage: Stage, fallbacks: tuple[str, ...] = ()) -> StagePlan:
        return StagePlan(
            stage,
            queue,
            timeout_s=settings.timeout_s,
            give_up_s=max(settings.timeout_s * (settings.attempts + 1), HOURS_S),
            attempts=settings.attempts,
            prover=first,
            verifying_key=pinned,
            fallback_queue=large,
            fallback_provers=fallbacks,
            memory_mb=settings.memory_mb,
        )

    patience = DAY_S if settings.recursive else FETCH_GIVE_UP_S
    stages = [
        StagePlan(Stage.FETCH, IO, timeout_s=600, give_up_s=patience, brief=True),
        StagePlan(Stage.WITNESS, CPU, timeout_s=300, give_up_s=HOURS_S, brief=True),
        heavy(Stage.PROVE, tuple(others)),
        *([heavy(Stage.COMPRESS)] if compresses else []),
        StagePlan(Stage.VERIFY, CPU, timeout_s=600, give_up_s=HOURS_S, prover=first, verifying_key=pinned),
        StagePlan(Stage.SUBMIT, IO, timeout_s=600, give_up_s=DAY_S, brief=True),
    ]
    return Plan(tuple(stages), priority=priority, fairness=fairness)


def backfill_name(stream: str, first: int | None, last: int | None) -> str:
    """What a backfill's units have as their fairness key, 64 bytes at most: other work takes turns with it."""
    return f"{stream}/{first}-{last}"[-64:]


def first_of(fairness: str) -> int | None:
    """The first period of the backfill that a fairness key names; None where it names none."""
    first, dash, _ = fairness.rpartition("/")[2].partition("-")
    return int(first) if dash and first.isascii() and first.isdigit() else None
