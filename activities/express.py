"""Express: all stages of many small units back to back in one activity, each stage still memoised.

Dispatch is paid once per batch instead of once per stage and unit. A crash resumes as always: the next attempt finds
the finished stages in the ledger and goes on behind them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from activities.memo import Memo, Where
from provery.core.errors import HandedBack, ProveryError, Retry, Superseded
from provery.core.ports import Progress
from provery.core.types import STAGES, StageInput, StageResult, UnitOutcome, UnitStatus, Work

MENDS = 3
"""How often a unit may go back a stage because an artifact was gone or corrupt."""


@dataclass
class _Run:
    """One unit on its way."""

    work: Work
    results: list[StageResult] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    mends: int = 0
    failures: int = 0
    error: ProveryError | None = None
    elsewhere: bool = False
    """Whether the unit needs its staged plan, because a stage wants a larger queue or another prover."""

    @property
    def given(self) -> StageInput | None:
        """Input of the unit's next stage; None when it has ended."""
        stages = self.work.plan.stages
        if self.error is not None or len(self.results) == len(stages):
            return None
        at = len(self.results)
        if stages[at].lane:
            # A lane tells a workflow how it ended; the unit's own has to take over here.
            self.error, self.elsewhere = HandedBack("goes on through a lane"), True
            return None
        return StageInput(
            unit=self.work.unit,
            plan=stages[at],
            inputs=self.results[-1].outputs if self.results else (),
            facts=dict(self.facts),
            last=at == len(stages) - 1,
        )

    def advance(self, result: StageResult) -> None:
        self.failures = 0
        self.results.append(result)
        self.facts.update(result.facts)

    def fail(self, error: ProveryError) -> None:
        """Go back, try again or end, as the error's class says. Transient errors leave by raising."""
        at = self.work.plan.stages[len(self.results)]
        if error.retry is Retry.UPSTREAM and self.results and self.mends < MENDS:
            self.mends += 1
            self.results.pop()
        elif error.retry is Retry.ELSEWHERE and at.fallback_queue:
            self.error, self.elsewhere = error, True
        elif error.retry is Retry.BOUNDED and self.failures + 1 < at.attempts:
            self.failures += 1
        elif error.retry in (Retry.BOUNDED, Retry.ELSEWHERE) and at.fallback_provers:
            self.error, self.elsewhere = error, True
        else:
            self.error = error


async def run_express(
    memo: Memo, works: Sequence[Work], where: Where, progress: Progress
) -> list[UnitOutcome]:
    """Prove units of one system, stage by stage, all units of a stage together.

    An outcome with status ``running`` means that the unit wants its staged plan: a larger queue or another prover.

    Raises:
        ProveryError: a transient one, when a store or database is away; the activity is retried and resumes.
    """
    runs = [_Run(work) for work in works]
    while True:
        waiting = [(run, given) for run in runs if (given := run.given) is not None]
        if not waiting:
            break
        # The units furthest behind go first, so that all reach the later stages together again after one had to mend.
        stage = min((given.plan.stage for _, given in waiting), key=STAGES.index)
        group = [(run, given) for run, given in waiting if given.plan.stage is stage]
        # After a crash the suspects run alone: a unit that kills its prover must not take its neighbours along again.
        group = [pair for pair in group if pair[0].failures == 0] or group[:1]
        progress(stage.value, STAGES.index(stage), len(STAGES))
        results = await memo.run([given for _, given in group], where, progress)
        transient: ProveryError | None = None
        for (run, _), result in zip(group, results, strict=True):
            if isinstance(result, StageResult):
                run.advance(result)
            elif result.retry is Retry.FOREVER:
                transient = result
            else:
                run.fail(result)
        if transient is not None:
            raise transient
    return [await _outcome(memo, run) for run in runs]


async def _outcome(memo: Memo, run: _Run) -> UnitOutcome:
    unit = run.work.unit
    if run.elsewhere:
        return UnitOutcome(
            unit.workflow_id, UnitStatus.RUNNING, str(run.error), getattr(run.error, "kind", "")
        )
    if run.error is None:
        outputs = run.results[-1].outputs if run.results else ()
        return UnitOutcome(unit.workflow_id, UnitStatus.DONE, outputs=outputs, facts=run.facts)
    failed = run.work.plan.stages[len(run.results)].stage.value
    reason, kind = str(run.error), run.error.kind
    status = UnitStatus.SKIPPED if isinstance(run.error, Superseded) else UnitStatus.FAILED
    stands = await memo.ledger.conclude(unit, status, reason=reason, error_kind=kind, stage=failed)
    if stands is status:
        await memo.system(unit.system).conclude(unit, status, reason, kind)
    return UnitOutcome(
        unit.workflow_id, stands, reason=reason, error_kind=kind, stage=failed, facts=run.facts
    )
