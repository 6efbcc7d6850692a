"""Signatures of the activities, for workflows to call by name; ``activities.stages`` implements them.

The bodies never run: a workflow names an activity by its signature, a worker registers the implementation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from temporalio import activity

from provery.core.types import StageInput, StagePlan, StageResult, Unit, UnitOutcome, UnitStatus, Work


@dataclass(frozen=True)
class Conclusion:
    """How a unit ended without its last stage: what ``conclude`` writes down."""

    unit: Unit
    status: UnitStatus
    reason: str = ""
    error_kind: str = ""
    stage: str = ""


@dataclass(frozen=True)
class FusedInput:
    """Stages of one unit, next to each other and on one queue, that run in one activity."""

    first: StageInput
    then: tuple[StagePlan, ...] = ()
    """Plans of the stages after ``first``, in order."""
    last: bool = False
    """Whether success of the last of them finishes the unit."""

    def after(self, done: Sequence[StageResult]) -> StageInput | None:
        """Input of the stage after ``done``; None when none is left, or when a witness split into shards."""
        if not done:
            return replace(self.first, last=self.last and not self.then)
        if len(done) > len(self.then) or done[-1].shards:
            return None
        facts = {name: value for result in done for name, value in result.facts.items()}
        return StageInput(
            unit=self.first.unit,
            plan=self.then[len(done) - 1],
            inputs=done[-1].outputs,
            facts=self.first.facts | facts,
            last=self.last and len(done) == len(self.then),
        )


@dataclass(frozen=True)
class FusedResult:
    """What fused stages returned, in order; also the second detail of the error that stopped them."""

    results: tuple[StageResult, ...]


@dataclass(frozen=True)
class ExpressInput:
    """Units whose stages run back to back in one activity."""

    works: tuple[Work, ...]


@dataclass(frozen=True)
class ExpressResult:
    """One outcome per unit, in the order of the input."""

    outcomes: tuple[UnitOutcome, ...]


@dataclass(frozen=True)
class DiscoverInput:
    """Which stream to look at, and when the look was due (seconds since the epoch)."""

    system: str
    stream: str
    settings: dict[str, str] = field(default_factory=dict)
    first: int | None = None
    """Backfill: the first ordinal wanted."""
    last: int | None = None
    """Backfill: the last ordinal wanted."""


@dataclass(frozen=True)
class DiscoverResult:
    """The units that are due."""

    works: tuple[Work, ...]
    """To be proved; each is claimed in the ledger for its own workflow."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Units that need nothing here, by workflow id: ``done``, or the workflow that is proving them."""


def _only_a_signature(name: str) -> RuntimeError:
    return RuntimeError(f"{name} is a signature; the worker registers its implementation")


@activity.defn(name="fetch")
async def fetch(given: StageInput) -> StageResult:
    """Bring every input into the store, checked against the source's own commitments."""
    raise _only_a_signature("fetch")


@activity.defn(name="witness")
async def witness(given: StageInput) -> StageResult:
    """Compute the witness from the inputs, as one piece or k shards."""
    raise _only_a_signature("witness")


@activity.defn(name="prove")
async def prove(given: StageInput) -> StageResult:
    """Prove one witness (shard) in one child process."""
    raise _only_a_signature("prove")


@activity.defn(name="compress")
async def compress(given: StageInput) -> StageResult:
    """Aggregate, recurse or wrap."""
    raise _only_a_signature("compress")


@activity.defn(name="verify")
async def verify(given: StageInput) -> StageResult:
    """Verify the final proof against the pinned verifying key."""
    raise _only_a_signature("verify")


@activity.defn(name="submit")
async def submit(given: StageInput) -> StageResult:
    """Give the proof to its destination exactly once."""
    raise _only_a_signature("submit")


@activity.defn(name="fused")
async def fused(given: FusedInput) -> FusedResult:
    """Run stages that are next to each other, back to back."""
    raise _only_a_signature("fused")


@activity.defn(name="express")
async def express(given: ExpressInput) -> ExpressResult:
    """Run the stages of many units back to back."""
    raise _only_a_signature("express")


@activity.defn(name="conclude")
async def conclude(given: Conclusion) -> UnitStatus:
    """Write down, in the ledger and at the destination, a unit that ended without a proof; the status that stands."""
    raise _only_a_signature("conclude")


@activity.defn(name="discover")
async def discover(given: DiscoverInput) -> DiscoverResult:
    """List the units of a stream that are due."""
    raise _only_a_signature("discover")


STAGE_ACTIVITIES = {
    "fetch": fetch,
    "witness": witness,
    "prove": prove,
    "compress": compress,
    "verify": verify,
    "submit": submit,
}
"""Stage name → signature."""
