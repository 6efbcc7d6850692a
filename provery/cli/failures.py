"""Errors as people and programs see them: a line or a JSON object, and an exit code. Never a traceback."""

from __future__ import annotations

from typing import Any

from provery.client import NotFound
from provery.core.errors import (
    ArtifactError,
    ConfigurationError,
    InvalidInput,
    ProveryError,
    ResourceExhausted,
    TransientError,
    UnknownCircuit,
)
from provery.core.exits import (
    CONFIGURATION,
    INTERRUPTED,
    INVALID_INPUT,
    NOT_FOUND,
    OK,
    UNAVAILABLE,
    UNEXPECTED,
    UNIT_FAILED,
    USAGE,
)
from provery.core.redact import redact

EXIT_CODES: dict[int, str] = {
    OK: "done as asked",
    UNEXPECTED: "an error that should not happen; please report it (`PROVERY_DEBUG=1` shows the traceback)",
    USAGE: "the command line is wrong",
    UNIT_FAILED: "a unit ended without a proof (failed, skipped or cancelled), or a check found something wrong",
    INVALID_INPUT: "the request can never succeed as it stands",
    NOT_FOUND: "no such unit, circuit, artifact, workflow or schedule",
    UNAVAILABLE: "Temporal, the ledger or the artifact store does not answer; the same command may succeed later",
    CONFIGURATION: "a setting, file or installation must be changed",
    INTERRUPTED: "interrupted; what was started goes on",
}
"""Exit code → meaning."""

_BY_CLASS: tuple[tuple[type[ProveryError], int], ...] = (
    (NotFound, NOT_FOUND),
    (UnknownCircuit, NOT_FOUND),
    (ArtifactError, NOT_FOUND),
    (ConfigurationError, CONFIGURATION),
    (TransientError, UNAVAILABLE),
    (ResourceExhausted, UNAVAILABLE),
    (InvalidInput, INVALID_INPUT),
)


def exit_code(error: BaseException) -> int:
    """The exit code of an error."""
    if isinstance(error, ProveryError):
        return next((code for kind, code in _BY_CLASS if isinstance(error, kind)), UNIT_FAILED)
    return UNEXPECTED


def error_object(error: BaseException) -> dict[str, Any]:
    """``{"error": {kind, message, value, expected, action}}``, without secrets."""
    known = isinstance(error, ProveryError)
    return {
        "error": {
            "kind": error.kind if isinstance(error, ProveryError) else type(error).__name__,
            "message": redact(error),
            "value": redact(error.value)
            if isinstance(error, ProveryError) and error.value is not None
            else None,
            "expected": redact(error.expected) if isinstance(error, ProveryError) else "",
            "action": redact(error.action) if isinstance(error, ProveryError) else "" if known else _REPORT,
        }
    }


_REPORT = "please report this; PROVERY_DEBUG=1 shows the traceback"


def usage_object(message: str) -> dict[str, Any]:
    """The error object of a wrong command line."""
    return {
        "error": {
            "kind": "UsageError",
            "message": redact(message),
            "value": None,
            "expected": "",
            "action": "see --help",
        }
    }
