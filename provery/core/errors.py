"""The one error tree.

    ProveryError
    ├── TransientError            a dependency failed; retried for as long as the stage may take
    │   ├── StoreUnavailable        artifact store did not answer
    │   ├── LedgerUnavailable       ledger database did not answer
    │   ├── SourceUnavailable       where inputs come from did not answer
    │   ├── SinkUnavailable         where results go did not answer
    │   ├── ProverUnavailable       a proving service did not answer
    │   ├── OutOfTurn               another unit has to go first
    │   └── HandedBack              a draining worker returned the stage unfinished
    ├── ArtifactError             an input artifact is unusable; the stage that made it runs again
    │   ├── ArtifactMissing         a recorded artifact is gone
    │   ├── ArtifactCorrupt         bytes do not match their digest; quarantined
    │   └── ShardsMissing           a fan-out's results are not all in the ledger
    ├── ProverCrashed             the prover child died or misbehaved; retried a bounded number of times
    │   └── ProverTimeout           no result within the stage's time
    ├── ResourceExhausted         out of memory or device memory; retried on the stage's fallback queue
    │   └── SpendingCapReached      out of the money that may be spent
    ├── InvalidInput              the request can never be proved; never retried
    │   ├── InvalidWitness          inputs do not satisfy the circuit
    │   ├── UnknownCircuit          no circuit of that name is registered
    │   └── InvalidKey              proving or verifying key is damaged, foreign or refused
    ├── ProofRejected             the final proof does not verify; kept aside, never submitted
    ├── Reverted                  a contract refuses a call; names its custom error
    ├── Superseded                somebody else got there first; not a failure
    └── ConfigurationError        the operator must change something

Retryability is the class attribute ``retry``; it becomes an ApplicationError in ``activities.errors`` and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

MESSAGE_LIMIT = 4_000
"""Characters kept of a message; the Temporal server truncates an activity failure in mutable state at 4 KiB."""


class Retry(StrEnum):
    """What happens after an error of a class."""

    FOREVER = "forever"
    """Again, with back-off, until the stage's schedule-to-close time is over; does not count as an attempt."""
    BOUNDED = "bounded"
    """Again, at most ``StagePlan.attempts`` times in one run of the unit."""
    ELSEWHERE = "elsewhere"
    """Not here: on ``StagePlan.fallback_queue``, if the plan names one."""
    UPSTREAM = "upstream"
    """Not by itself: the stage that made the input runs again first."""
    NEVER = "never"
    """The stage ends."""


class ProveryError(Exception):
    """Base of every error that Provery raises on purpose.

    Args:
        message: What happened.
        value: The offending value; shortened, never a secret.
        expected: What was expected instead.
        action: What the reader should do.
    """

    retry: ClassVar[Retry] = Retry.NEVER

    def __init__(self, message: str, *, value: object = None, expected: str = "", action: str = "") -> None:
        self.value = None if value is None else shorten(str(value))
        self.expected = expected
        self.action = action
        parts = [message]
        if self.value is not None:
            parts.append(f"got {self.value}")
        if expected:
            parts.append(f"expected {expected}")
        if action:
            parts.append(action)
        super().__init__(clip("; ".join(parts)))

    @property
    def kind(self) -> str:
        """Class name: the ``type`` of the ApplicationError and the ``error_kind`` in the ledger."""
        return type(self).__name__


class TransientError(ProveryError):
    """A dependency failed; the same call may succeed later."""

    retry = Retry.FOREVER


class StoreUnavailable(TransientError):
    """The artifact store did not answer."""


class LedgerUnavailable(TransientError):
    """The ledger database did not answer."""


class SourceUnavailable(TransientError):
    """The place that inputs come from did not answer."""


class SinkUnavailable(TransientError):
    """The place that results go to did not answer."""


class ProverUnavailable(TransientError):
    """A proving service did not answer, or not clearly enough to go on."""


class OutOfTurn(TransientError):
    """Another unit has to go first, and is under way."""


class HandedBack(TransientError):
    """A draining worker gave the stage back; another worker takes it."""


class ArtifactError(ProveryError):
    """An input artifact is unusable; computing it again mends it."""

    retry = Retry.UPSTREAM


class ArtifactMissing(ArtifactError):
    """An artifact that the ledger names is not in the store."""


class ArtifactCorrupt(ArtifactError):
    """An artifact's bytes do not match its digest or size."""


class ShardsMissing(ArtifactError):
    """Results of a fan-out that should all be in the ledger are not."""


class ProverCrashed(ProveryError):
    """The prover child exited unexpectedly or broke its protocol."""

    retry = Retry.BOUNDED


class ProverTimeout(ProverCrashed):
    """The prover gave no result within the stage's time."""


class ResourceExhausted(ProveryError):
    """Memory or device memory ran out."""

    retry = Retry.ELSEWHERE


class SpendingCapReached(ResourceExhausted):
    """A paid proof would cost more than may be spent; nothing was ordered."""


class InvalidInput(ProveryError):
    """The request can never be proved as it stands."""


class InvalidWitness(InvalidInput):
    """The inputs do not satisfy the circuit."""


class UnknownCircuit(InvalidInput):
    """No circuit of that name or version is registered."""


class InvalidKey(InvalidInput):
    """A proving or verifying key is damaged, belongs to another circuit, or is refused by policy."""


class ProofRejected(ProveryError):
    """A finished proof does not verify against the pinned verifying key."""


class Reverted(ProveryError):
    """A contract refuses a call; the message names its custom error where it is known."""


class Superseded(ProveryError):
    """The destination already has this unit's result from elsewhere."""


class ConfigurationError(ProveryError):
    """The operator must change a setting, a file or an installation."""


def clip(text: str, limit: int = MESSAGE_LIMIT) -> str:
    """Bound a message's length, keeping both ends: the start says what, the end often says why."""
    if len(text) <= limit:
        return text
    half = (limit - 20) // 2
    return f"{text[:half]} … {len(text) - 2 * half} more … {text[-half:]}"


def shorten(text: str, limit: int = 120) -> str:
    """Make a hostile value safe to print: escaped, quoted, bounded."""
    quoted = text[: limit * 2].encode("unicode_escape").decode("ascii")
    return f"'{quoted[:limit]}' ({len(text)} characters)" if len(text) > limit else f"'{quoted}'"


def error_classes() -> dict[str, type[ProveryError]]:
    """Every class of the tree by name."""
    found: dict[str, type[ProveryError]] = {}
    pending: list[type[ProveryError]] = [ProveryError]
    while pending:
        cls = pending.pop()
        found[cls.__name__] = cls
        pending.extend(cls.__subclasses__())
    return found
