"""Tables of the ledger behind HTTP APIs: models, keys, buckets, the audit trail, webhook calls, idempotency keys.

The rules of :mod:`provery.stores.tables` hold here too.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Double, Index, Text
from sqlmodel import Field

from provery.stores.tables import LedgerModel


class ModelRecord(LedgerModel, table=True):
    """A model's name, and which of its versions requests are for."""

    __tablename__ = "models"

    model: str = Field(primary_key=True, sa_type=Text)
    version: str = Field(sa_type=Text)
    """Empty while it has no current one."""
    updated_at: float = Field(sa_type=Double)


class ModelVersionRecord(LedgerModel, table=True):
    """One version of a model: a file and how it is proved. Never changed, never removed."""

    __tablename__ = "model_versions"
    __table_args__ = (Index("model_versions_by_hash", "model_hash", "added_at"),)

    model: str = Field(primary_key=True, sa_type=Text)
    version: str = Field(primary_key=True, sa_type=Text)
    sha256: str = Field(sa_type=Text)
    model_hash: str = Field(sa_type=Text)
    settings: str = Field(sa_type=Text)
    input_shape: str = Field(sa_type=Text)
    output_shape: str = Field(sa_type=Text)
    files: str = Field(sa_type=Text)
    facts: str = Field(sa_type=Text)
    added_at: float = Field(sa_type=Double)


class ApiKeyRecord(LedgerModel, table=True):
    """A key of the API, by the hash of its secret."""

    __tablename__ = "api_keys"

    id: str = Field(primary_key=True, sa_type=Text)
    name: str = Field(sa_type=Text)
    secret_sha256: str = Field(sa_type=Text)
    scopes: str = Field(sa_type=Text)
    weight: float = Field(sa_type=Double)
    per_minute: float = Field(sa_type=Double)
    created_at: float = Field(sa_type=Double)
    revoked_at: float | None = Field(default=None, sa_type=Double)


class BucketRecord(LedgerModel, table=True):
    """A token bucket that is not full; one that is full needs no row."""

    __tablename__ = "buckets"
    __table_args__ = (Index("buckets_by_full_at", "full_at"),)

    name: str = Field(primary_key=True, sa_type=Text)
    tokens: float = Field(sa_type=Double)
    """What was in it at ``at``."""
    at: float = Field(sa_type=Double)
    burst: float = Field(sa_type=Double)
    full_at: float = Field(sa_type=Double)
    """From then on the row says no more than its absence would."""


class AuditRecord(LedgerModel, table=True):
    """A row of the audit trail. Triggers refuse changes and removals."""

    __tablename__ = "audit_trail"

    seq: int = Field(primary_key=True, sa_type=BigInteger, sa_column_kwargs={"autoincrement": False})
    entry: str = Field(sa_type=Text)
    """Canonical JSON, ``seq`` included: the bytes that are hashed."""
    previous: str = Field(sa_type=Text)
    hash: str = Field(sa_type=Text)


class AuditHeadRecord(LedgerModel, table=True):
    """Where the audit trail ends: one row, which everybody who appends locks."""

    __tablename__ = "audit_head"

    name: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    hash: str = Field(sa_type=Text)


class DeliveryRecord(LedgerModel, table=True):
    """A webhook call that is owed, or was."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("deliveries_due", "outcome", "due_at"),)

    id: str = Field(primary_key=True, sa_type=Text)
    url: str = Field(sa_type=Text)
    body: str = Field(sa_type=Text)
    attempts: int
    due_at: float = Field(sa_type=Double)
    leased_until: float = Field(sa_type=Double)
    reason: str = Field(sa_type=Text)
    """Why the last attempt failed."""
    outcome: str = Field(sa_type=Text)
    """Empty while it is owed."""
    owed_at: float = Field(sa_type=Double)
    ended_at: float | None = Field(default=None, sa_type=Double)


class IdempotencyRecord(LedgerModel, table=True):
    """What an idempotency key was first used for."""

    __tablename__ = "idempotency"
    __table_args__ = (Index("idempotency_by_expiry", "expires_at"),)

    who: str = Field(primary_key=True, sa_type=Text)
    key: str = Field(primary_key=True, sa_type=Text)
    request: str = Field(sa_type=Text)
    expires_at: float = Field(sa_type=Double)


class RequestRecord(LedgerModel, table=True):
    """Somebody asked for a proof, and has not withdrawn."""

    __tablename__ = "requests"
    __table_args__ = (Index("requests_by_who", "who", "seq"), Index("requests_by_seq", "seq"))

    proof: str = Field(primary_key=True, sa_type=Text)
    who: str = Field(primary_key=True, sa_type=Text)
    seq: int = Field(sa_type=BigInteger)
    at: float = Field(sa_type=Double)
    model: str = Field(sa_type=Text)
    version: str = Field(sa_type=Text)


class MadeRecord(LedgerModel, table=True):
    """Where the hashes of a proof lead. Never changed, never removed."""

    __tablename__ = "proofs_made"
    __table_args__ = (
        Index("proofs_made_by_proof", "proof_hash"),
        Index("proofs_made_by_inputs", "input_hash", "model_hash"),
    )

    proof: str = Field(primary_key=True, sa_type=Text)
    model_hash: str = Field(sa_type=Text)
    input_hash: str = Field(sa_type=Text)
    proof_hash: str = Field(sa_type=Text)
    at: float = Field(sa_type=Double)


_tables = LedgerModel.metadata.tables
MODELS = _tables["models"]
MODEL_VERSIONS = _tables["model_versions"]
API_KEYS = _tables["api_keys"]
BUCKETS = _tables["buckets"]
AUDIT_TRAIL = _tables["audit_trail"]
AUDIT_HEAD = _tables["audit_head"]
DELIVERIES = _tables["deliveries"]
IDEMPOTENCY = _tables["idempotency"]
REQUESTS = _tables["requests"]
PROOFS_MADE = _tables["proofs_made"]
