"""Ports: what the engine asks of stores, ledgers, provers and systems. Implementations are injected by the workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from provery.core.errors import ProveryError
from provery.core.types import (
    ArtifactRef,
    Json,
    Plan,
    StageInput,
    StageResult,
    Unit,
    UnitOutcome,
    UnitStatus,
    Work,
)

if TYPE_CHECKING:  # these are described in terms of this module
    from provery.core.access import Access
    from provery.core.contracts import CompileContracts
    from provery.core.lanes import OpenChain
    from provery.core.models import ModelProver, ModelRegistry

Progress = Callable[[str, float, float], None]
"""``progress(step, done, total)``: goes into the heartbeat, and so to the UI. Cheap; any thread may call it."""


class ArtifactStore(Protocol):
    """Content-addressed, put-if-absent, digest-checked on read."""

    url: str

    async def put_bytes(self, data: bytes, *, name: str = "") -> ArtifactRef:
        """Store bytes; storing the same bytes twice is one artifact."""
        ...

    async def put_file(self, path: Path, *, name: str = "", move: bool = False) -> ArtifactRef:
        """Store a file by streaming it. ``move`` allows the store to take the file itself."""
        ...

    async def put_files(self, files: Sequence[tuple[Path, str]], *, move: bool = False) -> list[ArtifactRef]:
        """Store many small files, in order, in one go."""
        ...

    async def read(self, ref: ArtifactRef, *, limit: int = 64 * 2**20) -> bytes:
        """Bytes of an artifact up to ``limit``.

        Raises:
            ArtifactMissing: it is not there.
            ArtifactCorrupt: its bytes do not match; they are moved to quarantine.
        """
        ...

    async def local(self, ref: ArtifactRef) -> Path:
        """A read-only local file with the artifact's checked bytes, in the store itself or a local cache."""
        ...

    async def exists(self, refs: Sequence[ArtifactRef]) -> list[bool]:
        """Whether each is present with its size, without reading it."""
        ...

    async def quarantine(self, ref: ArtifactRef, reason: str) -> ArtifactRef:
        """Keep a rejected artifact aside with the reason; returns where."""
        ...

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A private directory on the store's file system where possible, removed at the end."""
        ...

    async def close(self) -> None:
        """Release connections and threads."""
        ...


@dataclass(frozen=True)
class Attempt:
    """One execution of one stage: who computed what, where, when, at what cost."""

    id: str
    memo_key: str
    unit: Unit
    stage: str
    shard: int | None
    number: int
    """Temporal's attempt number, from 1."""
    workflow_id: str
    run_id: str
    queue: str
    worker: str
    """Worker identity."""
    host: str
    started_at: float
    """Seconds since the epoch."""
    prover: str = ""
    device: str = ""
    generation: int = 0
    activity_id: str = ""
    """Temporal's id of the dispatch: its retries share it; a new prover, queue or resume has another."""


@dataclass(frozen=True)
class AttemptEnd:
    """How an attempt ended."""

    id: str
    ended_at: float
    outcome: str
    """``done``, ``failed``, ``cancelled`` or ``handed_back``."""
    error_kind: str = ""
    error: str = ""
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float = 0.0
    peak_rss: int = 0
    """Bytes."""
    cost: float = 0.0
    """In the unit of the configured rates; CPU-seconds by their rate plus device-seconds by theirs."""
    result: StageResult | None = None


@dataclass(frozen=True)
class UnitRow:
    """A unit as the ledger knows it."""

    unit: Unit
    status: UnitStatus
    workflow_id: str
    """Workflow that owns it: its own, or its batch's."""
    run_id: str = ""
    reason: str = ""
    error_kind: str = ""
    stage: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0
    generation: int = 0
    plan: Plan | None = None


@dataclass(frozen=True)
class Budget:
    """What one stream may spend at one destination."""

    limit: float
    """In the destination's unit of money."""
    window_s: float
    """Over the last this many seconds."""


class Ledger(Protocol):
    """The database that outlives Temporal's retention. Every method is one transaction and safe to repeat."""

    async def claim(
        self, works: Sequence[Work], workflow_id: str = "", *, reopen: bool = True
    ) -> list[UnitRow]:
        """Insert units that are new, owned by ``workflow_id`` (empty: the unit's own id); return each row as it is.

        A row that is terminal and whose ``params`` differ, or that FAILED or was CANCELLED, is reopened (RUNNING,
        new owner) when ``reopen``; a DONE row with the same params is returned as it is.
        """
        ...

    async def adopt(self, unit: Unit, owner: str, new_owner: str) -> bool:
        """Compare-and-swap the owning workflow of a unit that is not terminal."""
        ...

    async def lookup(self, memo_keys: Sequence[str]) -> dict[str, StageResult]:
        """Results recorded under these names."""
        ...

    async def begin(self, attempts: Sequence[Attempt]) -> dict[str, StageResult]:
        """Look up each attempt's memo key; open those attempts that found nothing. Returns what was found."""
        ...

    async def finish(self, ends: Sequence[AttemptEnd], done: Sequence[Unit] = ()) -> dict[str, StageResult]:
        """Close attempts, record their results put-if-absent, mark units ``done``; the winning result per memo key."""
        ...

    async def forget(self, memo_key: str, *, attempt: str, reason: str) -> bool:
        """Drop a result whose artifacts are gone or corrupt, keeping a trace in its attempt; returns whether it stood.

        Only the result of ``attempt`` is dropped: another worker may have found the same loss and recorded anew.
        """
        ...

    async def bounded_failures(self, unit: Unit, stage: str, run_id: str, activity_id: str) -> int:
        """How many attempts at a stage failed with a bounded error in one dispatch."""
        ...

    async def results(self, unit: Unit, stage: str, generation: int) -> dict[int, StageResult]:
        """Results of a fanned-out stage by shard."""
        ...

    async def conclude(
        self,
        unit: Unit,
        status: UnitStatus,
        *,
        reason: str = "",
        error_kind: str = "",
        stage: str = "",
        generation: int | None = None,
    ) -> UnitStatus:
        """Set a unit's status; DONE never goes back. Returns the status that stands."""
        ...

    async def unit(self, system: str, stream: str, key: str) -> UnitRow | None:
        """One unit."""
        ...

    async def units(
        self,
        *,
        system: str = "",
        stream: str = "",
        status: str = "",
        limit: int = 50,
        before: float | None = None,
    ) -> list[UnitRow]:
        """Units, newest first."""
        ...

    async def audit(self, unit: Unit) -> dict[str, Json]:
        """Everything recorded of a unit: attempts, results, submissions, costs."""
        ...

    async def intend(
        self,
        unit: Unit,
        destination: str,
        request_key: str,
        detail: Mapping[str, Json],
        *,
        cost: float = 0.0,
        budget: Budget | None = None,
    ) -> dict[str, Json]:
        """Write an outward call's intent put-if-absent; returns the recorded intent with its receipt, if it has one.

        Args:
            unit: Whose call it is.
            destination: Whom it goes to.
            request_key: Deterministic name of the call.
            detail: Everything that a repetition needs.
            cost: What it may cost at most; counted until a receipt or an outcome says otherwise.
            budget: What the unit's stream may spend at the destination, this call included.

        Raises:
            SpendingCapReached: a new intent would exceed the budget; nothing was written.
        """
        ...

    async def receipt(self, request_key: str, receipt: Mapping[str, Json], *, cost: float = 0.0) -> None:
        """Record what an outward call returned."""
        ...

    async def settle(self, request_key: str, outcome: Mapping[str, Json], *, cost: float) -> None:
        """Record how an outward call ended and what it cost: added to its receipt, or in place of one."""
        ...


@dataclass(frozen=True)
class Usage:
    """What a child process used."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_rss: int = 0
    """Bytes."""
    exit_code: int | None = None
    signal: int | None = None
    pid: int | None = None
    device: str = ""


@dataclass(frozen=True)
class CircuitFiles:
    """Local files of one circuit version and their digests."""

    name: str
    version: str
    """SHA-256 over the digests of its files."""
    wasm: Path
    wasm_sha256: str
    zkey: Path
    zkey_sha256: str
    vkey: Path
    """snarkjs ``verification_key.json``."""
    vkey_sha256: str
    r1cs: Path | None = None


@dataclass(frozen=True)
class WitnessItem:
    """One witness to compute: circuit inputs as JSON to a ``.wtns`` file."""

    inputs: Mapping[str, Json]
    out: Path


@dataclass(frozen=True)
class ProveItem:
    """One proof to make: ``.wtns`` in, snarkjs ``proof.json`` and ``public.json`` out."""

    wtns: Path
    proof: Path
    public: Path


@dataclass(frozen=True)
class VerifyItem:
    """One proof to check."""

    proof: Path
    public: Path


@dataclass(frozen=True)
class ItemResult:
    """How one item of a call went; exactly one of ``error`` and success."""

    error: ProveryError | None = None
    usage: Usage = field(default_factory=Usage)
    detail: Mapping[str, Json] = field(default_factory=dict)


class CircomProver(Protocol):
    """Groth16 over circom circuits. A bad item never fails its neighbours; a dead child raises for the whole call.

    An implementation is a pool with one resident child per slot: concurrent calls each take a child and wait when all
    are taken. Cancelling the awaiting task kills the child it holds within two seconds.
    """

    name: str

    async def witness(
        self, circuit: CircuitFiles, items: Sequence[WitnessItem], progress: Progress
    ) -> list[ItemResult]:
        """Compute witnesses."""
        ...

    async def prove(
        self, circuit: CircuitFiles, items: Sequence[ProveItem], progress: Progress
    ) -> list[ItemResult]:
        """Make proofs."""
        ...

    async def verify(self, circuit: CircuitFiles, items: Sequence[VerifyItem]) -> list[ItemResult]:
        """Check proofs; an item with ``error=ProofRejected`` does not verify."""
        ...

    async def close(self) -> None:
        """End the child."""
        ...


@dataclass(frozen=True)
class Statement:
    """What a proof is to show, for any prover of the system: the native circuit's, a network's, a command's."""

    unit: Unit
    circuit: str
    """Name of the native circuit, such as ``beacon-step-mainnet-6``."""
    files: Mapping[str, Path]
    """Inputs by file name; a prover takes the ones it understands."""
    params: Mapping[str, str]
    """Small values by name, such as the period."""
    request_key: str
    """Deterministic name of this piece of work: an outward call is found again by it."""


@dataclass(frozen=True)
class Proof:
    """What a prover made."""

    files: Mapping[str, Path]
    """Outputs by file name, in the directory that the prover was given."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Small values that later stages and the audit trail need: key ids, request ids, cost."""
    usage: Usage = field(default_factory=Usage)


class StatementProver(Protocol):
    """Proves statements that are given as files. Cancelling the awaiting task ends the work within two seconds.

    A prover without a compress step returns the final proof from ``prove`` and says so by ``compresses = False``:
    the plan then has no such stage.
    """

    name: str
    compresses: bool

    async def verifying_key(self, circuit: str) -> str:
        """Digest of the key that proofs of this circuit are checked against: pinned in the plan.

        Raises:
            InvalidKey: no usable key, and what to do to get one.
        """
        ...

    async def prove(self, statement: Statement, into: Path, progress: Progress) -> Proof:
        """Prove; files are written under ``into``."""
        ...

    async def compress(
        self, statement: Statement, proof: Mapping[str, Path], into: Path, progress: Progress
    ) -> Proof:
        """Aggregate or wrap what :meth:`prove` made."""
        ...

    async def verify(self, statement: Statement, proof: Mapping[str, Path]) -> Mapping[str, str]:
        """Check the final proof and what it says of the statement; returns facts.

        Raises:
            ProofRejected: it does not verify, or proves something else.
        """
        ...

    async def close(self) -> None:
        """End children, close connections."""
        ...


@runtime_checkable
class ExportsVerifier(Protocol):
    """A :class:`StatementProver` whose proofs contracts can check that are generated from its keys."""

    async def verifier(self, circuit: str, key: str) -> str:
        """Solidity source of the contract that checks proofs of a circuit.

        Args:
            circuit: Its name.
            key: Digest of the verifying key.

        Raises:
            InvalidKey: there is no such key here.
        """
        ...


@dataclass
class StageContext:
    """What a system's stage gets: its input, resolved artifacts, and the injected ports."""

    given: StageInput
    inputs: tuple[ArtifactRef, ...]
    """Resolved: after a fan-out these are all shards' outputs in order; within one, this shard's input."""
    artifacts: ArtifactStore
    ledger: Ledger
    progress: Progress
    memo_key: str
    request_key: str = ""
    """Deterministic name for outward calls."""
    prover: str = ""

    @property
    def unit(self) -> Unit:
        """The unit at hand."""
        return self.given.unit


@dataclass(frozen=True)
class StageOutput:
    """What a system's stage produced."""

    outputs: tuple[ArtifactRef, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    shards: bool = False
    """Witness only: each output is one shard for prove."""


class System(Protocol):
    """A kind of thing that needs proofs. Each stage takes contexts and returns one output or error per context.

    All contexts of one call belong to one stage; there is more than one only in an express batch. A raised
    :class:`ProveryError` stands for every context of the call.
    """

    name: str

    async def run_stage(
        self, stage: str, contexts: Sequence[StageContext]
    ) -> list[StageOutput | ProveryError]:
        """Run one stage for one or many units."""
        ...

    async def conclude(self, unit: Unit, status: UnitStatus, reason: str, error_kind: str) -> None:
        """Tell the destination that a unit ended without a proof. Safe to repeat."""
        ...

    async def discover(self, stream: str, first: int | None, last: int | None) -> list[Work]:
        """The units that are due; empty for systems fed by an ingress."""
        ...

    async def close(self) -> None:
        """Release connections and children."""
        ...


class CircuitCatalog(Protocol):
    """Registered circuits, shared by every worker through the ledger and the artifact store."""

    async def add(self, name: str, manifest: Mapping[str, Json]) -> str:
        """Register a version (idempotent); returns its version digest. The newest version is the default."""
        ...

    async def get(self, name: str, version: str = "") -> dict[str, Json] | None:
        """A version's manifest, the newest without ``version``."""
        ...

    def all(self) -> AsyncIterator[dict[str, Json]]:
        """Every version, newest first."""
        ...


class CircuitResolver(Protocol):
    """Registered circuits as checked local files."""

    async def manifest(self, name: str, version: str = "") -> Mapping[str, Json]:
        """A version's manifest, the newest without ``version``.

        Raises:
            UnknownCircuit: no such circuit or version.
        """
        ...

    async def resolve(self, name: str, version: str = "") -> CircuitFiles:
        """The files of a version, digests checked.

        Raises:
            UnknownCircuit: no such circuit or version.
            InvalidKey: a key is damaged, or a development key in production.
        """
        ...


@dataclass
class Deps:
    """What the workers inject into a system."""

    artifacts: ArtifactStore
    ledger: Ledger
    catalog: CircuitCatalog
    circuits: CircuitResolver
    provers: Mapping[str, CircomProver]
    """Provers by name; each starts its children at first use."""
    env: Mapping[str, str]
    """The process environment, read by the system's settings."""
    home: Path
    """Working directory of this installation, for caches."""
    statements: Mapping[str, StatementProver] = field(default_factory=dict)
    """Provers of statements by name, for systems whose inputs are files; each starts its children at first use."""
    open_chain: OpenChain | None = None
    """Opens accounts on L1 chains, for systems that submit through a lane."""
    compile_contracts: CompileContracts | None = None
    """Compiles Solidity, for systems whose contracts are generated; None where there is no compiler."""
    metrics: object | None = None
    """The process's Prometheus registry, where it shows figures; None where nobody looks."""
    models: Mapping[str, ModelProver] = field(default_factory=dict)
    """Provers of models by name; each starts its children at first use."""
    registry: ModelRegistry | None = None
    """Models that were added; None where the ledger keeps none."""
    access: Access | None = None
    """Keys, limits and the audit trail of HTTP APIs; None where the ledger keeps none."""


@dataclass(frozen=True)
class UnitState:
    """A unit as somebody who waits for it sees it."""

    status: UnitStatus
    stage: str = ""
    """The stage that is worked on, or at which it ended."""
    step: str = ""
    """What the prover does now, as far as it says."""
    done: float = 0.0
    """Of that step, 0 to 1."""
    outcome: UnitOutcome | None = None
    """Where it has ended."""


class Units(Protocol):
    """Starts single units and tells how they stand: for those who ask and look again later."""

    async def start(self, work: Work) -> UnitState:
        """Start a unit, or attach to it, and do not wait. One that is done and whose outputs are gone is made again.

        Raises:
            TransientError: the engine does not answer.
        """
        ...

    async def state(self, unit: Unit, *, wait_s: float = 0.0, live: bool = False) -> UnitState | None:
        """How a unit stands; None where nobody knows it.

        Args:
            unit: Whose; only its name counts.
            wait_s: Return as soon as it has ended, or after so long.
            live: Ask its workers how far they are; else the ledger is enough.
        """
        ...

    async def cancel(self, unit: Unit, reason: str) -> UnitState | None:
        """End a unit; one that has ended stays as it is."""
        ...


class Starter(Protocol):
    """Starts units, or attaches to them where they run already, and tells how they ended."""

    def run(self, works: Sequence[Work]) -> AsyncIterator[UnitOutcome]:
        """Yield one outcome per unit, in any order, each as soon as it is known.

        Units with express plans of one stream may be proved as one batch. A unit that had ended before yields its
        recorded outcome at once, without work.

        Raises:
            TransientError: the engine did not answer; the caller asks again for the units it has no outcome of.
        """
        ...


class Ingress(Protocol):
    """Feeds a stream from its source until stopped: what a system's ``ingress(...)`` returns."""

    routes: object | None
    """A FastAPI router to serve beside /health, /ready and /metrics; None for none."""

    async def run(self) -> None:
        """Serve until :meth:`stop`; sources and engine may come and go meanwhile."""
        ...

    async def stop(self) -> None:
        """Take nothing new; ``run`` returns once what is in flight has ended or was given back."""
        ...

    async def waiting(self) -> str:
        """Why it is not ready; empty when it is."""
        ...

    async def close(self) -> None:
        """Release connections."""
        ...
