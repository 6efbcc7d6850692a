"""Records that cross boundaries: units, plans, artifacts, stage inputs and results.

Everything here is frozen, small and serialises to plain JSON, because it travels in workflow histories.
Sizes are bytes, times are seconds, digests are lower-case hex SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import takewhile

from typing_extensions import TypeAliasType

from provery.core.errors import InvalidInput

Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")
"""A JSON value."""

KEY_LIMIT = 200
"""Characters in a unit key. Temporal caps ids at 1,000 bytes; file names at 255."""
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@+-]{0,199}")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class Stage(StrEnum):
    """The six stages, in order."""

    FETCH = "fetch"
    WITNESS = "witness"
    PROVE = "prove"
    COMPRESS = "compress"
    VERIFY = "verify"
    SUBMIT = "submit"


STAGES: tuple[Stage, ...] = tuple(Stage)


class UnitStatus(StrEnum):
    """Where a unit stands in the ledger; the last four are terminal."""

    RUNNING = "running"
    PARKED = "parked"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether the unit has ended."""
        return self in (UnitStatus.DONE, UnitStatus.FAILED, UnitStatus.SKIPPED, UnitStatus.CANCELLED)


@dataclass(frozen=True)
class ArtifactRef:
    """Immutable bytes in the artifact store."""

    uri: str
    """Where they are: ``file:///…`` or ``s3://bucket/key``."""
    sha256: str
    size: int
    """Bytes."""
    name: str = ""
    """Role within its stage, such as ``witness.wtns``."""


@dataclass(frozen=True)
class Unit:
    """One thing to prove in a stream."""

    system: str
    stream: str
    key: str
    """Stable, unique in the stream, safe as a path segment. Nothing that moves is in it."""
    params: dict[str, Json] = field(default_factory=dict)
    """What the system needs to fetch the inputs; part of the memo key through its digest. Never a secret."""
    ordinal: int | None = None
    """Position where the stream is ordered."""
    title: str = ""
    """One line for people."""

    @property
    def stream_id(self) -> str:
        """``<system>/<stream>``."""
        return f"{self.system}/{self.stream}"

    @property
    def workflow_id(self) -> str:
        """The idempotency key: ``prove/<system>/<stream>/<key>``."""
        return f"prove/{self.system}/{self.stream}/{self.key}"

    @property
    def params_sha256(self) -> str:
        """Digest of the canonical JSON of ``params``."""
        return digest_json(self.params)


@dataclass(frozen=True)
class StagePlan:
    """How one stage of a unit runs."""

    stage: Stage
    queue: str
    """Queue name (``io cpu gpu cpu-large``), mapped to a task queue by the workers' queue table."""
    timeout_s: float = 3_600.0
    """Start-to-close of one attempt."""
    heartbeat_s: float = 10.0
    """A worker silent for this long is taken for dead."""
    give_up_s: float = 86_400.0
    """Schedule-to-close: how long transient failures are ridden out."""
    attempts: int = 3
    """How often a bounded error may happen in one run of the unit."""
    prover: str = ""
    """Prover name, where the stage uses one; part of the memo key."""
    verifying_key: str = ""
    """Digest of the verifying key, where the stage depends on one; part of the memo key."""
    fallback_queue: str = ""
    """Where the stage goes when this queue's workers run out of memory."""
    fallback_provers: tuple[str, ...] = ()
    """Provers to try, in order, when ``prover`` has used up its attempts."""
    generation: int = 0
    """Raised by an operator's re-prove; a new generation ignores earlier results."""
    memory_mb: int = 0
    """Memory cap of the prover child, MiB; 0 for the worker's default."""
    brief: bool = False
    """Takes milliseconds: not worth an entry in Temporal's search index, unless the unit stops there."""
    fused: bool = False
    """Shares the dispatch of the stage before it, while both are on one queue; each is still memoised."""
    lane: bool = False
    """Submit only: the call goes through the lane of its account, which sees that it lands exactly once."""


@dataclass(frozen=True)
class Plan:
    """The stages of a unit: plain data, made at discovery, frozen in the workflow's input."""

    stages: tuple[StagePlan, ...]
    express: bool = False
    """Run all stages back to back in one activity; each is still memoised."""
    express_queue: str = "cpu"
    parallel: int = 32
    """Shards of one stage in flight at a time."""
    park: bool = False
    """When a stage gives up: wait for an operator (True) or fail the unit (False)."""
    priority: int = 3
    """Temporal priority key, 1 (first) to 5."""
    fairness: str = ""
    """Fairness key, at most 64 bytes; empty for the stream."""
    fairness_weight: float = 1.0
    """Share of this key against other keys, 0.001 to 1000."""

    def of(self, stage: Stage) -> StagePlan | None:
        """The plan of one stage, or None where the stage is absent."""
        return next((s for s in self.stages if s.stage is stage), None)

    def fused_after(self, stage: Stage) -> tuple[StagePlan, ...]:
        """Plans of the stages that share the dispatch of ``stage``, in order."""
        at = next((i for i, s in enumerate(self.stages) if s.stage is stage), len(self.stages))
        queue = self.stages[at].queue if at < len(self.stages) else ""
        return tuple(takewhile(lambda s: s.fused and s.queue == queue and not s.lane, self.stages[at + 1 :]))

    def from_stage(self, stage: Stage, generation: int) -> Plan:
        """This plan with every stage from ``stage`` on in a new generation."""
        first = STAGES.index(stage)
        return replace(
            self,
            stages=tuple(
                replace(s, generation=generation) if STAGES.index(s.stage) >= first else s
                for s in self.stages
            ),
        )

    def to_queue(self, stage: Stage, queue: str) -> Plan:
        """This plan with one stage moved to another queue."""
        return replace(
            self, stages=tuple(replace(s, queue=queue) if s.stage is stage else s for s in self.stages)
        )


@dataclass(frozen=True)
class Work:
    """A unit and how to prove it: the input of everything that starts a workflow."""

    unit: Unit
    plan: Plan


@dataclass(frozen=True)
class StageInput:
    """What a stage activity is given."""

    unit: Unit
    plan: StagePlan
    inputs: tuple[ArtifactRef, ...] = ()
    """Outputs of the stage before; empty for fetch and for a gathered fan-out."""
    facts: dict[str, str] = field(default_factory=dict)
    """Small named results of the stages before (public inputs' digest, circuit version)."""
    shard: int | None = None
    """Which of ``shards`` this is, where the stage is fanned out."""
    shards: int = 0
    gather: int = 0
    """Take the inputs from this many ledger results of the fanned-out stage ``gather_stage``."""
    gather_stage: Stage = Stage.PROVE
    gather_generation: int = 0
    last: bool = False
    """Whether success of this stage finishes the unit."""


@dataclass(frozen=True)
class StageResult:
    """What a stage activity returns, and what the ledger remembers of it."""

    stage: Stage
    memo_key: str
    outputs: tuple[ArtifactRef, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    """Merged into the facts of the stages after; a few hundred bytes at most."""
    shards: int = 0
    """After witness: how many shards prove has to run; 0 for one piece."""
    reused: bool = False
    """Whether an earlier run had computed it."""
    seconds: float = 0.0
    """Wall time of the work, 0 when reused."""
    prover: str = ""
    host: str = ""
    attempt: str = field(default="", compare=False)
    """Id of the attempt that computed it: tells a result from one of the same work that was recorded later."""


@dataclass(frozen=True)
class UnitOutcome:
    """How a unit ended: the result of its workflow."""

    unit: str
    """Workflow id of the unit."""
    status: UnitStatus
    reason: str = ""
    error_kind: str = ""
    stage: str = ""
    """Where it failed or was stopped."""
    outputs: tuple[ArtifactRef, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)


def check_key(key: str) -> str:
    """Return ``key`` if it may name a unit.

    Raises:
        InvalidInput: if it is empty, too long, or holds anything but letters, digits and ``._:@+-``.
    """
    if not _KEY.fullmatch(key) or ".." in key:
        raise InvalidInput(
            "not a usable unit key",
            value=key,
            expected=f"1 to {KEY_LIMIT} letters, digits or ._:@+-, starting with a letter or digit, without '..'",
            action="choose another id",
        )
    return key


def check_name(name: str, what: str = "name") -> str:
    """Return ``name`` if it may name a stream, circuit or queue.

    Raises:
        InvalidInput: if it is not lower-case letters, digits, ``_`` and ``-``, up to 63.
    """
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f"not a usable {what}",
            value=name,
            expected="1 to 63 of a-z 0-9 _ -, starting with a-z 0-9",
            action="choose another name",
        )
    return name


def canonical_json(value: object) -> bytes:
    """JSON with sorted keys, no spaces and ASCII only, so that equal values give equal bytes."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


def digest_json(value: object) -> str:
    """SHA-256 of ``canonical_json(value)``."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def memo_key(unit: Unit, plan: StagePlan, input_digests: tuple[str, ...], shard: int | None = None) -> str:
    """Name of a stage's result: the same work always has the same name.

    Args:
        unit: Whose stage it is; ``params`` counts through its digest.
        plan: Stage, prover, verifying key and generation count; queue and times do not.
        input_digests: SHA-256 of each input artifact, in order.
        shard: Index within a fanned-out stage.
    """
    return digest_json(
        [
            "provery/1",
            unit.system,
            unit.stream,
            unit.key,
            unit.params_sha256,
            plan.stage.value,
            list(input_digests),
            plan.prover,
            plan.verifying_key,
            plan.generation,
            shard,
        ]
    )
