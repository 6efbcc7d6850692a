"""Names and records that clients and workflows share: workflow types, updates, queries, search attributes."""

from __future__ import annotations

from dataclasses import dataclass, field

from provery.core.types import ArtifactRef, StageResult, Unit, UnitOutcome, Work

PROVE_UNIT = "ProveUnit"
"""Workflow type: one unit; id ``prove/<system>/<stream>/<key>``, input :class:`ProveInput`, result ``UnitOutcome``."""
PROVE_BATCH = "ProveBatch"
"""Workflow type: many small units; id ``prove-batch/<system>/<stream>/<digest>``, input :class:`BatchInput`."""
FOLLOW_STREAM = "FollowStream"
"""Workflow type: scheduled discovery and backfill; input :class:`FollowInput`."""

QUERY_PROGRESS = "progress"
"""Query: :class:`UnitProgress`."""
UPDATE_PAUSE = "pause"
"""Update, argument :class:`Order`: start no further stage; a running one goes on."""
UPDATE_RESUME = "resume"
"""Update, argument :class:`Order`: go on; also lets a parked unit try its stage again."""
UPDATE_CANCEL = "cancel"
"""Update, argument :class:`Order`: stop the running stage, kill its prover, end as ``cancelled``."""
UPDATE_SKIP = "skip"
"""Update, argument :class:`Order` with a reason: end as ``skipped``."""
UPDATE_REPROVE = "reprove"
"""Update, argument :class:`Order` with a stage: compute again from that stage, ignoring earlier results."""
UPDATE_MOVE = "move"
"""Update, argument :class:`Order` with a stage and a queue: run that stage on another queue."""

SA_SYSTEM = "ProverySystem"
SA_STREAM = "ProveryStream"
SA_UNIT = "ProveryUnit"
SA_STAGE = "ProveryStage"
SA_PROVER = "ProveryProver"
SA_ORDINAL = "ProveryOrdinal"


@dataclass(frozen=True)
class Order:
    """An operator's order."""

    reason: str = ""
    by: str = ""
    """Who gave it, for the audit trail."""
    stage: str = ""
    queue: str = ""


@dataclass(frozen=True)
class ProveState:
    """What a unit's workflow carries over continue-as-new."""

    results: tuple[StageResult, ...] = ()
    """Finished stages in order; a fanned-out stage counts when all its shards are done."""
    shards_done: str = ""
    """Finished shards of the stage at hand, as ranges: ``0-99,105``."""
    paused: bool = False
    pause_reason: str = ""
    notes: tuple[str, ...] = ()
    """Orders and events worth showing, oldest first, the last 20."""
    started_at: float = 0.0
    """Seconds since the epoch, of the first run."""


@dataclass(frozen=True)
class ProveInput:
    """Input of ``ProveUnit``."""

    work: Work
    state: ProveState | None = None


@dataclass(frozen=True)
class BatchInput:
    """Input of ``ProveBatch``: units of one stream, each with an express plan on one queue."""

    works: tuple[Work, ...]


@dataclass(frozen=True)
class BatchOutcome:
    """Result of ``ProveBatch``: one outcome per unit, in input order."""

    outcomes: tuple[UnitOutcome, ...]


@dataclass(frozen=True)
class Again:
    """How a look that failed is repeated before the schedule's next one."""

    retries: int = 0
    wait_s: float = 0.0
    """Seconds before each repetition."""


NEVER_AGAIN = Again()


@dataclass(frozen=True)
class FollowInput:
    """Input of ``FollowStream``."""

    system: str
    stream: str
    first: int | None = None
    """Backfill from this ordinal."""
    last: int | None = None
    """Backfill to this ordinal, inclusive."""
    parallel: int = 8
    """Units in progress at a time."""
    retries: int = 0
    """How often a look that failed, or that one of whose units failed, is repeated at once."""
    retry_s: float = 0.0
    """Seconds before each repetition."""


@dataclass(frozen=True)
class StageProgress:
    """One row of the stage table."""

    stage: str
    status: str
    """``waiting running paused parked done reused failed``."""
    queue: str = ""
    prover: str = ""
    shards: int = 0
    shards_done: int = 0
    seconds: float = 0.0
    host: str = ""
    outputs: tuple[ArtifactRef, ...] = ()


@dataclass(frozen=True)
class UnitProgress:
    """Answer to the ``progress`` query."""

    unit: Unit
    status: str
    """``running paused parked done failed skipped cancelled``."""
    stage: str
    stages: tuple[StageProgress, ...]
    reason: str = ""
    notes: tuple[str, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


def batch_id(system: str, stream: str, digest: str) -> str:
    """Workflow id of a batch."""
    return f"prove-batch/{system}/{stream}/{digest[:32]}"
