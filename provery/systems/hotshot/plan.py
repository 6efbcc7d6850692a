"""How a state is proved: the stages, where they run, and how long they may take. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from provery.core.proving import pin
from provery.core.queues import CPU, CPU_LARGE, IO
from provery.core.types import Plan, Stage, StagePlan
from provery.systems.hotshot.settings import HotShotSettings

FETCH_GIVE_UP_S = 900.0
"""How long a unit waits for its sources. A look waits for its units and the next look finds the unit due again."""
HOURS_S = 21_600.0
LANE_S = 2_592_000.0
"""How long a proof may wait to land: gas may cost too much for days, and a proof does not age."""
LIVE, OLD = 3, 4
"""Priorities: what a look finds, what a backfill names."""


def plan_for(
    settings: HotShotSettings,
    keys: Mapping[str, str],
    *,
    compresses: bool,
    priority: int = LIVE,
    fairness: str = "",
) -> Plan:
    """The plan of a unit.

    Args:
        settings: Of the stream.
        keys: Digest of the verifying key by prover, in the provers' order.
        compresses: Whether any of the provers has a compress step.
        priority: Among the units that wait for a worker.
        fairness: Names the backfill that the unit belongs to.
    """
    first, *others = settings.provers
    pinned = pin(keys)
    large = CPU_LARGE if settings.prove_queue == CPU else ""

    def heavy(stage: Stage, fallbacks: tuple[str, ...] = ()) -> StagePlan:
        return StagePlan(
            stage,
            settings.prove_queue,
            timeout_s=settings.timeout_s,
            give_up_s=max(settings.timeout_s * (settings.attempts + 1), HOURS_S),
            attempts=settings.attempts,
            prover=first,
            verifying_key=pinned,
            fallback_queue=large,
            fallback_provers=fallbacks,
            memory_mb=settings.memory_mb,
        )

    stages = [
        StagePlan(Stage.FETCH, IO, timeout_s=300, give_up_s=FETCH_GIVE_UP_S, brief=True),
        StagePlan(Stage.WITNESS, CPU, timeout_s=300, give_up_s=HOURS_S, brief=True),
        heavy(Stage.PROVE, tuple(others)),
        *([heavy(Stage.COMPRESS)] if compresses else []),
        StagePlan(Stage.VERIFY, CPU, timeout_s=600, give_up_s=HOURS_S, prover=first, verifying_key=pinned),
        StagePlan(Stage.SUBMIT, IO, timeout_s=600, give_up_s=LANE_S, lane=True),
    ]
    return Plan(tuple(stages), priority=priority, fairness=fairness)


def backfill_name(stream: str, first: int | None, last: int | None) -> str:
    """What a backfill's units have as their fairness key, 64 bytes at most: other work takes turns with it."""
    return f"{stream}/{first}-{last}"[-64:]
