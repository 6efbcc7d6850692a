"""What a child's end means: exit status, standard error and protocol errors become classes of the error tree."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from provery.core.errors import (
    ArtifactCorrupt,
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    InvalidWitness,
    ProofRejected,
    ProverCrashed,
    ProverTimeout,
    ProveryError,
    ResourceExhausted,
    clip,
)
from provery.core.redact import redact
from provery.core.types import Json

STDERR_TAIL = 4_096
"""Bytes of standard error kept in an error."""

_OUT_OF_MEMORY = re.compile(
    r"out of memory|cannot allocate memory|\bENOMEM\b|bad_alloc|MemoryError|"
    r"memory allocation of \d+ bytes failed|CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|"
    r"Array buffer allocation failed|WebAssembly\.Memory\(\): could not allocate",
    re.IGNORECASE,
)
_BAD_WITNESS = re.compile(
    r"Assert Failed|Invalid witness|constraint #?\d+ (is )?not satisfied|witness does(n't| not) satisfy|"
    r"Not all inputs have been set|Not enough values for input signal|Too many values for input signal|"
    r"Signal .{0,80}not found",
    re.IGNORECASE,
)
_KINDS: dict[str, type[ProveryError]] = {
    "invalid_input": InvalidInput,
    "invalid_witness": InvalidWitness,
    "invalid_key": InvalidKey,
    "invalid_proof": ProofRejected,
    "corrupt_artifact": ArtifactCorrupt,
    "unsupported": InvalidInput,
    "resource": ResourceExhausted,
    "configuration": ConfigurationError,
}
"""Error kinds of the child protocol; every other kind is the child's own fault."""


@dataclass(frozen=True)
class Exit:
    """How a child ended; exactly one of ``code`` and ``signal``."""

    code: int | None = None
    signal: int | None = None
    cpu_s: float = 0.0
    max_rss: int = 0
    """Bytes."""

    def __str__(self) -> str:
        return f"signal {self.signal}" if self.signal is not None else f"exit status {self.code}"


def error_of_exit(name: str, end: Exit, stderr: str, *, oom_killed: bool = False) -> ProveryError:
    """The error for a child that ended on its own.

    Args:
        name: Program, for people.
        end: How it ended.
        stderr: Its last words; redacted here.
        oom_killed: Whether the kernel's out-of-memory killer was seen at work meanwhile. A SIGKILL without it came
            from somebody's hand, and the same work may well succeed here.
    """
    words = redact(clip(stderr.strip(), STDERR_TAIL))
    said = f"; it said: {words}" if words else ""
    reported = _reported(stderr)
    if reported is not None:
        return error_of_reply(name, reported)
    killed = end.signal == 9 or end.code == 137
    if (killed and oom_killed) or _OUT_OF_MEMORY.search(stderr):
        return ResourceExhausted(
            f"{name} ran out of memory ({end}){said}",
            action="use a queue with more memory, or lower the slots",
        )
    if end.signal is None and _BAD_WITNESS.search(stderr):
        return InvalidWitness(f"{name}: the inputs do not satisfy the circuit ({end}){said}")
    if end.code in (126, 127):
        return ConfigurationError(f"{name} cannot be started{said}", action="run `provery doctor`")
    return ProverCrashed(f"{name} ended with {end}{said}")


def _reported(stderr: str) -> object:
    """Our own programs end a failed run with one line ``{"error": {"kind": …, "message": …}}``."""
    try:
        last = json.loads(stderr.strip().rpartition("\n")[2])
    except (ValueError, RecursionError):
        return None
    return last.get("error") if isinstance(last, dict) else None


def timed_out(name: str, seconds: float) -> ProverTimeout:
    """The error for a child that was killed because its time was over."""
    return ProverTimeout(
        f"{name} gave no result in {seconds:g} s and was killed",
        action="raise the stage's timeout_s if it needs longer",
    )


def over_cap(name: str, rss: int, cap: int) -> ResourceExhausted:
    """The error for a child that was killed by its memory cap."""
    return ResourceExhausted(
        f"{name} used {rss >> 20} MiB and was killed",
        expected=f"at most {cap >> 20} MiB",
        action="raise memory_mb, or use a queue with more memory",
    )


def error_of_reply(name: str, error: object) -> ProveryError:
    """The error a child reported by its protocol, as ``{"kind": …, "message": …}``."""
    fields: Mapping[str, Json] = error if isinstance(error, dict) else {"message": str(error)}
    kind = str(fields.get("kind", "internal"))
    message = redact(clip(str(fields.get("message", "no message")), STDERR_TAIL))
    cls = _KINDS.get(kind)
    if cls is None:
        found = ResourceExhausted if _OUT_OF_MEMORY.search(message) else ProverCrashed
        return found(f"{name} failed ({kind}): {message}")
    return cls(f"{name}: {message}")
