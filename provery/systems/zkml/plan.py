"""How a model is added and an inference proved: the stages, where they run, how long they may take. Pure."""

from __future__ import annotations

from provery.core.models import ModelSettings, ModelVersion
from provery.core.queues import CPU, CPU_LARGE, IO
from provery.core.types import Plan, Stage, StagePlan
from provery.systems.zkml.settings import ZkmlSettings

PROVE_GIVE_UP_S = 3_600.0
"""How long outages are ridden out for an inference: who asked has gone by then."""
HOURS_S = 21_600.0
LANE_S = 2_592_000.0
"""How long a call may wait to land: gas may cost too much for days."""
ADDING, ASKED = 4, 3
"""Priorities: a model that is added does not hold up what clients wait for."""


def proof_plan(
    settings: ZkmlSettings,
    version: ModelVersion,
    *,
    attest: str = "",
    priority: int = ASKED,
    fairness: str = "",
    weight: float = 1.0,
) -> Plan:
    """The plan of an inference: one dispatch for all of it, and the lane behind where it goes on chain.

    Args:
        settings: Of the stream.
        version: Of the model: its verifying key is pinned.
        attest: What goes on chain.
        priority: Among what waits for a worker.
        fairness: Whose request it is: who asks for much takes turns with the others.
        weight: Its share against theirs.
    """
    prover, key = version.settings.prover, version.facts.get("verifying_key", "")
    queue = settings.prove_queue
    stages = [
        StagePlan(Stage.WITNESS, queue, timeout_s=120, give_up_s=PROVE_GIVE_UP_S, brief=True),
        StagePlan(
            Stage.PROVE,
            queue,
            timeout_s=settings.prove_timeout_s,
            give_up_s=PROVE_GIVE_UP_S,
            attempts=settings.attempts,
            prover=prover,
            verifying_key=key,
            fallback_queue=CPU_LARGE if queue == CPU else "",
            memory_mb=settings.memory_mb,
            fused=True,
        ),
        StagePlan(
            Stage.VERIFY,
            queue,
            timeout_s=120,
            give_up_s=PROVE_GIVE_UP_S,
            prover=prover,
            verifying_key=key,
            brief=True,
            fused=True,
        ),
    ]
    if attest:
        stages.append(StagePlan(Stage.SUBMIT, IO, timeout_s=600, give_up_s=LANE_S, lane=True))
    return Plan(
        tuple(stages),
        express=True,
        express_queue=queue,
        priority=priority,
        fairness=fairness,
        fairness_weight=weight,
    )


def model_plan(settings: ZkmlSettings, model: ModelSettings, *, deploys: bool = False) -> Plan:
    """The plan of adding a model.

    Args:
        settings: Of the stream.
        model: How it is proved.
        deploys: Whether its verifier contract goes on chain.
    """
    large = CPU_LARGE if settings.prove_queue == CPU else ""

    def heavy(stage: Stage) -> StagePlan:
        return StagePlan(
            stage,
            settings.prove_queue,
            timeout_s=settings.setup_timeout_s,
            give_up_s=settings.setup_timeout_s * settings.attempts + HOURS_S,
            attempts=settings.attempts,
            prover=model.prover,
            fallback_queue=large,
        )

    stages = [
        StagePlan(Stage.FETCH, IO, timeout_s=300, give_up_s=HOURS_S),
        StagePlan(Stage.WITNESS, CPU, timeout_s=1_800, give_up_s=HOURS_S, fallback_queue=CPU_LARGE),
        heavy(Stage.PROVE),
        heavy(Stage.VERIFY),
    ]
    if deploys:
        stages.append(StagePlan(Stage.SUBMIT, IO, timeout_s=600, give_up_s=LANE_S, lane=True))
    return Plan(tuple(stages), priority=ADDING, fairness="models")
