"""What an activity's failure says, in the words of the error tree."""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from temporalio.converter import value_to_type

    from provery.core.stages import FusedResult
    from provery.core.types import StageResult


def kind_of(error: ActivityError) -> str:
    """Class name of the domain error, or of what Temporal put in its place, such as a time-out."""
    cause = error.cause
    return cause.type or "" if isinstance(cause, ApplicationError) else type(cause).__name__


def reason_of(error: ActivityError) -> str:
    """Its message, without the class name in front."""
    return str(getattr(error.cause, "message", None) or error.cause)


def done_before(error: ActivityError) -> tuple[StageResult, ...]:
    """Results of the fused stages that the activity finished before the one it failed at."""
    details = error.cause.details if isinstance(error.cause, ApplicationError) else ()
    if len(details) < 2:
        return ()
    done: FusedResult = value_to_type(FusedResult, details[1])
    return done.results
