"""What an activity's failure says, in the words of the error tree."""

from __future__ import annotations

from temporalio.exceptions import ActivityError, ApplicationError


def kind_of(error: ActivityError) -> str:
    """Class name of the domain error, or of what Temporal put in its place, such as a time-out."""
    cause = error.cause
    return cause.type or "" if isinstance(cause, ApplicationError) else type(cause).__name__


def reason_of(error: ActivityError) -> str:
    """Its message, without the class name in front."""
    return str(getattr(error.cause, "message", None) or error.cause)
