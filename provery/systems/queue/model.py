"""Frozen records of the queue system. Times are milliseconds where Redis is concerned, sizes are bytes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from provery.core.errors import InvalidInput
from provery.core.types import Json, digest_json

MEMBERSHIP = "membership"
"""Name of the circuit that requests without ``circuit`` are for."""
DEPTH = 4
"""Levels of the membership tree."""


class RowStatus(StrEnum):
    """Status of a row of ``zkp_jobs``, in the only order it moves: forward."""

    QUEUED = "queued"
    RUNNING = "running"
    FAILED = "failed"
    DONE = "done"


@dataclass(frozen=True)
class Order:
    """A job's content once it has been checked."""

    id: str
    request: Mapping[str, Json]
    """As the sender wrote it: this is what the table keeps."""
    circuit: str
    inputs: Mapping[str, Json]
    """Circuit inputs as decimal strings, or nested lists of them."""
    public: Mapping[str, Json]
    """What the table shows as public inputs, as the sender wrote it; empty for circuits other than membership."""

    @property
    def digest(self) -> str:
        """Names the content: equal for requests that are equal as JSON."""
        return digest_json(dict(self.request))


@dataclass(frozen=True)
class Job:
    """A BullMQ job that this process holds the lock of."""

    id: str
    token: str
    """Value of the lock: ``<holder>:<n>``."""
    data: bytes | None
    """JSON as stored; None where it exceeds the limit and was left in Redis."""
    size: int
    """Bytes of ``data`` in Redis."""
    opts: Mapping[str, Json] = field(default_factory=dict)
    name: str = ""
    timestamp: int = 0
    """When it was added."""
    delay: int = 0
    priority: int = 0
    attempts_made: int = 0
    """Attempts that ended (``atm``)."""
    attempts_started: int = 1
    """Attempts that began (``ats``): more than one fresh attempt means a redelivery."""
    stalls: int = 0
    """How often its holder died (``stc``)."""
    deferred: str = ""
    """Why it must fail without running (``defa``): a child of its flow failed."""
    stacktrace: tuple[str, ...] = ()


@dataclass(frozen=True)
class Taken:
    """What one look at the queue gave."""

    jobs: tuple[Job, ...] = ()
    pause_ms: int = 0
    """The queue's rate limit ends in so many milliseconds; 0 when it is not limited."""
    next_ms: int = 0
    """When the next delayed job is due (milliseconds since the epoch); 0 when there is none."""


class Kind(StrEnum):
    """How this process lets go of a job."""

    COMPLETED = "completed"
    FAILED = "failed"
    RETRIED = "retried"
    DELAYED = "delayed"
    RELEASED = "released"


@dataclass(frozen=True)
class Ending:
    """One job and how it ends here."""

    job: Job
    kind: Kind
    value: str = ""
    """Return value as JSON, or the reason of the failure."""
    stacktrace: tuple[str, ...] = ()
    delay_ms: int = 0


class Verdict(StrEnum):
    """What Redis said to an ending."""

    APPLIED = "applied"
    LOST = "lost"
    """The lock was gone or somebody else's; whoever has the job now ends it."""
    GONE = "gone"
    """The job no longer exists or is not active: it was removed, or this ending had been applied before."""
    BLOCKED = "blocked"
    """A flow parent whose children are unfinished or failed."""


@dataclass(frozen=True)
class Row:
    """A row of ``zkp_jobs``."""

    id: str
    status: RowStatus
    request: Json
    public_inputs: Json = None
    proof: Json = None
    error: str | None = None
    created_at: str = ""
    """ISO 8601, UTC."""
    updated_at: str = ""


@dataclass(frozen=True)
class Admission:
    """How a row stood when its job was taken."""

    status: RowStatus
    same: bool
    """Whether the row's request equals the job's."""


@dataclass(frozen=True)
class Submission:
    """A verified proof on its way into the table."""

    id: str
    request: Json
    public_inputs: Json
    proof: Json


@dataclass(frozen=True)
class Refusal:
    """A job whose content can never be proved as it stands."""

    error: InvalidInput
    id: str = ""
    """Its job id, where it has one that the table may hold."""
    request: Json = None
    """What it asked for, as far as the table may hold it."""
