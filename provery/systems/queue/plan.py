"""How a job is proved: the stages, where they run, and how long they may take. Pure."""

from __future__ import annotations

from provery.core.queues import CPU, CPU_LARGE, IO
from provery.core.types import Plan, Stage, StagePlan
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.spec import Shape


def plan_for(shape: Shape, settings: QueueSettings) -> Plan:
    """The plan of every job of one circuit version.

    There is no compress stage: a Groth16 proof is as small as it gets. The verifying key is pinned where a result
    depends on it, so a circuit that is registered anew never inherits results of the old one.
    """
    prover, key = settings.prover, shape.verifying_key
    fallbacks = tuple(name.strip() for name in settings.fallback_provers.split(",") if name.strip())
    small = 0 < shape.constraints <= settings.express_constraints
    large = CPU_LARGE if settings.prove_queue == CPU else settings.prove_queue
    return Plan(
        stages=(
            StagePlan(Stage.FETCH, IO, timeout_s=60, attempts=settings.attempts, brief=True),
            StagePlan(
                Stage.WITNESS,
                CPU,
                timeout_s=600,
                attempts=settings.attempts,
                prover=prover,
                fallback_queue=CPU_LARGE,
                brief=small,
            ),
            StagePlan(
                Stage.PROVE,
                settings.prove_queue,
                timeout_s=settings.timeout_s,
                attempts=settings.attempts,
                prover=prover,
                verifying_key=key,
                fallback_queue=large if large != settings.prove_queue else "",
                fallback_provers=fallbacks,
                brief=small,
                fused=small,
            ),
            StagePlan(
                Stage.VERIFY,
                CPU,
                timeout_s=120,
                attempts=settings.attempts,
                prover=prover,
                verifying_key=key,
                brief=True,
                fused=small,
            ),
            StagePlan(Stage.SUBMIT, IO, timeout_s=60, attempts=settings.attempts, brief=True),
        ),
        express=settings.express and small,
        express_queue=settings.prove_queue,
    )
