"""The one place where a domain error becomes an ApplicationError."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from temporalio.exceptions import ApplicationError

from provery.core.errors import HandedBack, ProveryError, Retry
from provery.core.redact import redact
from provery.core.stages import FusedResult
from provery.core.types import StageResult


def to_application_error(
    error: ProveryError, *, exhausted: bool = False, done: Sequence[StageResult] = ()
) -> ApplicationError:
    """Translate an error for Temporal.

    Args:
        error: What the stage raised.
        exhausted: Whether a bounded error has used up its attempts.
        done: Results of the stages that the same activity finished before.

    Returns:
        An error whose type is the class name, with value, expectation and action as details. Only transient errors and
        bounded ones with attempts left are retried by Temporal; the workflow decides about the others.
    """
    again = error.retry is Retry.FOREVER or (error.retry is Retry.BOUNDED and not exhausted)
    return ApplicationError(
        redact(str(error)),
        {"value": error.value and redact(error.value), "expected": error.expected, "action": error.action},
        *([FusedResult(tuple(done))] if done else []),
        type=error.kind,
        non_retryable=not again,
        next_retry_delay=timedelta(milliseconds=50) if isinstance(error, HandedBack) else None,
    )
