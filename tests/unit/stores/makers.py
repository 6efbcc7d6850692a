"""Records for the ledger's tests; light to import, since child processes use it, too."""

from __future__ import annotations

import time
import uuid

from provery.core.ports import Attempt, AttemptEnd
from provery.core.types import ArtifactRef, Plan, Stage, StagePlan, StageResult, Unit

PLAN = Plan(
    stages=(
        StagePlan(Stage.FETCH, "io"),
        StagePlan(Stage.PROVE, "cpu", prover="native", fallback_provers=("snarkjs",)),
    ),
    fairness="tenant",
)


def unit(key: str = "u1", **params: str) -> Unit:
    return Unit("queue", "prove", key, dict(params), ordinal=7, title="a unit")


def attempt(
    of: Unit,
    memo: str = "m",
    *,
    stage: str = "prove",
    shard: int | None = None,
    run: str = "r1",
    activity: str = "1",
) -> Attempt:
    return Attempt(
        id=uuid.uuid4().hex, memo_key=memo, unit=of, stage=stage, shard=shard, number=1, workflow_id=of.workflow_id,
        run_id=run, queue="cpu", worker="w", host="h", started_at=time.time(), prover="native",
        activity_id=activity,
    )  # fmt: skip


def result(memo: str = "m", host: str = "h") -> StageResult:
    ref = ArtifactRef("file:///a", "ab" * 32, 800, "proof.json")
    return StageResult(
        Stage.PROVE, memo, (ref,), {"circuit": "x"}, shards=2, seconds=1.5, prover="native", host=host
    )


def end(of: Attempt, outcome: str = "done", kind: str = "", found: StageResult | None = None) -> AttemptEnd:
    return AttemptEnd(
        of.id, time.time(), outcome, error_kind=kind, error="why" if kind else "", exit_code=0, cpu_s=2.0,
        peak_rss=5 * 10**9, cost=0.25, result=found,
    )  # fmt: skip
