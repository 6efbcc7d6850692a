"""Tables of the ledger. Migrations create them; a test compares both, so a change here needs a migration.

JSON is kept as text: canonical, the same in both databases, and exact where a JSON column would reorder or refuse it.
Times are seconds since the epoch, sizes bytes. There are no foreign keys: a result must be recorded even where the
row it belongs to was lost with an older copy of the database.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, CheckConstraint, Double, Index, MetaData, Table, Text
from sqlmodel import Field, SQLModel

from provery.core.types import UnitStatus

_STATUSES = ", ".join(f"'{status.value}'" for status in UnitStatus)


class LedgerModel(SQLModel):
    """Base with a catalogue of its own, so that tables of systems in the same process are not mixed in."""

    metadata = MetaData()


class UnitRecord(LedgerModel, table=True):
    """One thing to prove, and where it stands."""

    __tablename__ = "units"
    __table_args__ = (
        CheckConstraint(f"status IN ({_STATUSES})", name="units_status"),
        Index("units_newest", "created_at"),
        Index("units_by_stream", "system", "stream", "created_at"),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    """``<system>/<stream>/<key>``."""
    system: str = Field(sa_type=Text)
    stream: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    params: str = Field(sa_type=Text)
    params_sha256: str = Field(sa_type=Text)
    """Tells a corrected unit from its predecessor under the same key."""
    ordinal: int | None = Field(default=None, sa_type=BigInteger)
    title: str = Field(sa_type=Text)
    status: str = Field(sa_type=Text)
    workflow_id: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    error_kind: str = Field(sa_type=Text)
    stage: str = Field(sa_type=Text)
    generation: int
    plan: str = Field(sa_type=Text)
    created_at: float = Field(sa_type=Double)
    updated_at: float = Field(sa_type=Double)


class AttemptRecord(LedgerModel, table=True):
    """One execution of one stage. ``ended_at`` is null while it runs, and stays so when its worker was killed."""

    __tablename__ = "attempts"
    __table_args__ = (
        Index("attempts_by_memo_key", "memo_key"),
        Index("attempts_by_unit", "unit_id", "started_at"),
    )

    id: str = Field(primary_key=True, sa_type=Text)
    memo_key: str = Field(sa_type=Text)
    unit_id: str = Field(sa_type=Text)
    params_sha256: str = Field(sa_type=Text)
    stage: str = Field(sa_type=Text)
    shard: int | None = None
    generation: int
    number: int
    workflow_id: str = Field(sa_type=Text)
    run_id: str = Field(sa_type=Text)
    activity_id: str = Field(sa_type=Text)
    queue: str = Field(sa_type=Text)
    worker: str = Field(sa_type=Text)
    host: str = Field(sa_type=Text)
    prover: str = Field(sa_type=Text)
    device: str = Field(sa_type=Text)
    started_at: float = Field(sa_type=Double)
    ended_at: float | None = Field(default=None, sa_type=Double)
    outcome: str = Field(default="", sa_type=Text)
    """Empty while open; ``done failed cancelled handed_back``, or ``lost`` when a successor found it open."""
    error_kind: str = Field(default="", sa_type=Text)
    error: str = Field(default="", sa_type=Text)
    exit_code: int | None = None
    signal: int | None = None
    cpu_s: float = Field(default=0.0, sa_type=Double)
    peak_rss: int = Field(default=0, sa_type=BigInteger)
    cost: float = Field(default=0.0, sa_type=Double)
    note: str = Field(default="", sa_type=Text)
    """Why its result was forgotten, if it was."""


class ResultRecord(LedgerModel, table=True):
    """What a stage produced, under the name of the work. The first one recorded stays."""

    __tablename__ = "stage_results"
    __table_args__ = (Index("stage_results_by_unit", "unit_id", "stage"),)

    memo_key: str = Field(primary_key=True, sa_type=Text)
    unit_id: str = Field(sa_type=Text)
    params_sha256: str = Field(sa_type=Text)
    stage: str = Field(sa_type=Text)
    shard: int | None = None
    generation: int
    attempt_id: str = Field(sa_type=Text)
    outputs: str = Field(sa_type=Text)
    """Artifact references; a result without its artifacts would be of no use."""
    facts: str = Field(sa_type=Text)
    shards: int
    seconds: float = Field(sa_type=Double)
    prover: str = Field(sa_type=Text)
    host: str = Field(sa_type=Text)
    recorded_at: float = Field(sa_type=Double)


class SubmissionRecord(LedgerModel, table=True):
    """An outward call: intent first, receipt later."""

    __tablename__ = "submissions"
    __table_args__ = (Index("submissions_by_unit", "unit_id"),)

    request_key: str = Field(primary_key=True, sa_type=Text)
    unit_id: str = Field(sa_type=Text)
    destination: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)
    intended_at: float = Field(sa_type=Double)
    receipt: str | None = Field(default=None, sa_type=Text)
    received_at: float | None = Field(default=None, sa_type=Double)
    cost: float = Field(default=0.0, sa_type=Double)


class EventRecord(LedgerModel, table=True):
    """A change of a unit's status or owner; what happened, in the past tense."""

    __tablename__ = "unit_events"
    __table_args__ = (Index("unit_events_by_unit", "unit_id", "id"),)

    id: int | None = Field(default=None, primary_key=True)
    unit_id: str = Field(sa_type=Text)
    at: float = Field(sa_type=Double)
    event: str = Field(sa_type=Text)
    detail: str = Field(sa_type=Text)


class CircuitRecord(LedgerModel, table=True):
    """One version of a registered circuit."""

    __tablename__ = "circuits"
    __table_args__ = (Index("circuits_newest", "name", "added_at"),)

    name: str = Field(primary_key=True, sa_type=Text)
    version: str = Field(primary_key=True, sa_type=Text)
    manifest: str = Field(sa_type=Text)
    added_at: float = Field(sa_type=Double)


class LaneRecord(LedgerModel, table=True):
    """An account on a chain that calls are submitted from."""

    __tablename__ = "lanes"

    id: str = Field(primary_key=True, sa_type=Text)
    """Workflow id: ``lane/<chain id>/<sender>``."""
    chain_id: int = Field(sa_type=BigInteger)
    sender: str = Field(sa_type=Text)
    holder: str = Field(default="", sa_type=Text)
    """Who may write to it: the newest attempt at driving it."""
    paused: bool = False
    reason: str = Field(default="", sa_type=Text)
    max_fee: str = Field(default="", sa_type=Text)
    """Wei as decimal digits, here and below: more than any integer column holds exactly in both databases."""
    updated_at: float = Field(sa_type=Double)


class LaneSubmissionRecord(LedgerModel, table=True):
    """A call in a lane: its intent, and where it stands."""

    __tablename__ = "lane_submissions"
    __table_args__ = (
        Index("lane_submissions_by_lane", "lane", "phase", "entered_at"),
        Index("lane_submissions_by_unit", "unit_id"),
        Index("lane_submissions_by_stream", "system", "stream"),
    )

    request_key: str = Field(primary_key=True, sa_type=Text)
    lane: str = Field(sa_type=Text)
    unit_id: str = Field(sa_type=Text)
    system: str = Field(sa_type=Text)
    stream: str = Field(sa_type=Text)
    key: str = Field(sa_type=Text)
    ordinal: int | None = Field(default=None, sa_type=BigInteger)
    call: str = Field(sa_type=Text)
    entered_by: str = Field(sa_type=Text)
    entered_at: float = Field(sa_type=Double)
    phase: str = Field(sa_type=Text)
    waits_for: str = Field(sa_type=Text)
    reason: str = Field(sa_type=Text)
    want: str = Field(default="", sa_type=Text)
    max_fee: str = Field(default="", sa_type=Text)
    nonce: int | None = Field(default=None, sa_type=BigInteger)
    tries: int = 0
    settled_at: float | None = Field(default=None, sa_type=Double)
    told: bool = False


class LaneTransactionRecord(LedgerModel, table=True):
    """A signed transaction: kept before it is sent."""

    __tablename__ = "lane_transactions"
    __table_args__ = (Index("lane_transactions_by_submission", "request_key", "signed_at"),)

    hash: str = Field(primary_key=True, sa_type=Text)
    request_key: str = Field(sa_type=Text)
    lane: str = Field(sa_type=Text)
    nonce: int = Field(sa_type=BigInteger)
    kind: str = Field(sa_type=Text)
    raw: str = Field(sa_type=Text)
    gas: int = Field(sa_type=BigInteger)
    max_fee: str = Field(sa_type=Text)
    max_priority_fee: str = Field(sa_type=Text)
    signed_at: float = Field(sa_type=Double)
    sent_at: float | None = Field(default=None, sa_type=Double)
    fate: str = Field(sa_type=Text)
    block: int | None = Field(default=None, sa_type=BigInteger)
    block_hash: str = Field(default="", sa_type=Text)
    gas_used: int | None = Field(default=None, sa_type=BigInteger)
    gas_price: str = Field(default="", sa_type=Text)


def _table(name: str) -> Table:
    return LedgerModel.metadata.tables[name]


UNITS = _table("units")
ATTEMPTS = _table("attempts")
RESULTS = _table("stage_results")
SUBMISSIONS = _table("submissions")
EVENTS = _table("unit_events")
CIRCUITS = _table("circuits")
LANES = _table("lanes")
LANE_SUBMISSIONS = _table("lane_submissions")
LANE_TRANSACTIONS = _table("lane_transactions")
