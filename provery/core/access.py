"""Who may ask for proofs, how often, and what was asked: ports of an HTTP API that many replicas serve."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from provery.core.types import Json

PROVE, VERIFY, READ, ADMIN = "prove", "verify", "read", "admin"
SCOPES = (PROVE, VERIFY, READ, ADMIN)
"""Ask for proofs; verify; see proofs and models; everything, other keys' requests included."""


@dataclass(frozen=True)
class ApiKey:
    """A key, without its secret, of which only a hash is kept."""

    id: str
    """Public: names the key in logs, the audit trail and as a fairness key. 64 bytes at most."""
    name: str
    scopes: tuple[str, ...]
    weight: float = 1.0
    """Its share of the workers where several keys have work waiting."""
    per_minute: float = 0.0
    """Proofs that it may ask for in a minute; 0: the installation's default."""
    created_at: float = 0.0
    revoked_at: float | None = None


class ApiKeys(Protocol):
    """Keys of the API."""

    async def add(
        self, name: str, scopes: Sequence[str], *, weight: float = 1.0, per_minute: float = 0.0
    ) -> tuple[ApiKey, str]:
        """Make a key; its secret is returned this once and kept nowhere."""
        ...

    async def find(self, secret: str) -> ApiKey | None:
        """The key of a secret, revoked ones included; None for what is none.

        Takes constant time, and no query for malformed text.
        """
        ...

    async def revoke(self, key_id: str) -> bool:
        """From now on its requests are refused, within a second on every replica."""
        ...

    async def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        ...


@dataclass(frozen=True)
class Taken:
    """What a bucket answered."""

    allowed: bool
    remaining: float
    retry_after_s: float = 0.0
    """Until the same request would be allowed; 0 where it was."""


class Buckets(Protocol):
    """Token buckets, shared by all replicas."""

    async def take(self, bucket: str, *, per_minute: float, burst: float, cost: float = 1.0) -> Taken:
        """Take ``cost`` tokens, or none where there are too few. One transaction: two replicas never take one token."""
        ...

    async def give_back(self, bucket: str, cost: float = 1.0) -> None:
        """Return tokens of a request that turned out to need none."""
        ...


@dataclass(frozen=True)
class AuditEntry:
    """One request."""

    at: float
    """Seconds since 1970."""
    who: str
    """``key:<id>`` or ``ip:<address>``."""
    action: str
    """``prove``, ``verify``, ``cancel``, ``model.add``, …"""
    outcome: str
    """``ok``, ``cached``, ``refused``, ``failed``, …; for a refusal the error's code is in ``detail``."""
    latency_ms: float
    digests: Mapping[str, str] = field(default_factory=dict)
    """``request``, ``model_hash``, ``input_hash``, ``output_hash``, ``proof_hash``, as far as there are any."""
    detail: Mapping[str, Json] = field(default_factory=dict)
    """Small, and nothing secret."""


@dataclass(frozen=True)
class AuditRow:
    """An entry in the chain: ``hash`` is SHA-256 over the previous row's hash and this row's canonical JSON."""

    seq: int
    """From 1, without gaps."""
    entry: AuditEntry
    previous: str
    hash: str


@dataclass(frozen=True)
class AuditFault:
    """The first thing wrong with the chain."""

    seq: int
    what: str


class Audit(Protocol):
    """Append-only trail. Rows of concurrent requests share transactions."""

    async def append(self, entry: AuditEntry) -> AuditRow:
        """Record; returns once it is committed."""
        ...

    def rows(self, after: int = 0, limit: int | None = None) -> AsyncIterator[AuditRow]:
        """Rows in order."""
        ...

    async def check(self, expected_head: str = "") -> tuple[int, AuditFault | None]:
        """Walk the chain.

        Args:
            expected_head: A hash noted earlier, which must be in the chain: so a cut end is noticed too.

        Returns:
            How many rows hold, and the first fault.
        """
        ...


@dataclass(frozen=True)
class Delivery:
    """A webhook to be called."""

    id: str
    url: str
    body: str
    """JSON, as it is signed and sent."""
    attempts: int = 0
    due_at: float = 0.0


class Deliveries(Protocol):
    """Webhook calls that are owed: kept until they are made or given up."""

    async def owe(self, delivery: Delivery) -> bool:
        """Keep a call to make; the same id again changes nothing. Returns whether it was new."""
        ...

    async def lease(self, now: float, lease_s: float, limit: int = 16) -> list[Delivery]:
        """Take calls that are due; nobody else gets them until the lease ends."""
        ...

    async def done(self, delivery_id: str, outcome: str) -> None:
        """It was made or given up; ``outcome`` says which, and stays for the audit trail."""
        ...

    async def later(self, delivery_id: str, due_at: float, reason: str) -> None:
        """It failed: count the attempt, try again at ``due_at``."""
        ...


class Idempotency(Protocol):
    """What an ``Idempotency-Key`` was first used for."""

    async def remember(self, who: str, key: str, request: str, ttl_s: float = 86_400.0) -> str:
        """Note put-if-absent; returns the digest of the request that it was first used for within ``ttl_s``."""
        ...


@dataclass(frozen=True)
class Asked:
    """Somebody asked for a proof."""

    seq: int
    """Grows with every request that was new: the place in a list. 0 before it is kept."""
    proof: str
    """Digest of the request."""
    who: str
    """``key:<id>`` or ``ip:<address>``."""
    at: float
    """Seconds since 1970."""
    model: str
    version: str


@dataclass(frozen=True)
class Made:
    """A proof that was made: how a verifier that has only hashes finds what it is of."""

    proof: str
    """Digest of the request."""
    model_hash: str
    input_hash: str
    proof_hash: str


class Requests(Protocol):
    """Who asked for which proofs, shared by all replicas."""

    async def note(self, asked: Asked) -> bool:
        """Keep; the same proof asked for by the same again changes nothing. Returns whether it was new."""
        ...

    async def askers(self, proof: str) -> list[str]:
        """Who wants a proof, first to last."""
        ...

    async def withdraw(self, proof: str, who: str) -> bool:
        """Somebody wants it no more; returns whether they had wanted it. One transaction."""
        ...

    async def page(self, who: str = "", *, before: int = 0, limit: int = 50) -> list[Asked]:
        """Requests of one, or of all without ``who``, newest first; with ``before``, those of lower ``seq``."""
        ...

    async def made(self, made: Made) -> None:
        """Keep where a proof's hashes lead; again changes nothing."""
        ...

    async def find(self, *, proof_hash: str = "", model_hash: str = "", input_hash: str = "") -> list[str]:
        """Digests of at most 8 requests with all the hashes given, newest first; none where none is given."""
        ...


@dataclass(frozen=True)
class Access:
    """All of it, as workers inject it."""

    keys: ApiKeys
    buckets: Buckets
    audit: Audit
    deliveries: Deliveries
    idempotency: Idempotency
    requests: Requests
