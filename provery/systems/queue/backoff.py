"""When BullMQ tries a failed job again. Pure: the job's own options decide."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping

from provery.core.types import Json
from provery.systems.queue.model import Ending, Job, Kind

LONGEST_MS = 30 * 24 * 3_600_000
"""An exponential delay stops growing here; an unbounded one would overflow the delayed set's scores."""


def number(value: Json, default: float = 0.0) -> float:
    """A finite number from an option that anybody may have written."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return default
    try:
        return float(value) if math.isfinite(value) else default
    except OverflowError:
        return default


def keep(option: Json) -> dict[str, float]:
    """``removeOnComplete`` / ``removeOnFail`` as counts: 0 removes the job, -1 keeps every job."""
    if isinstance(option, Mapping):
        return {k: number(option[k]) for k in ("count", "age", "limit") if k in option}
    if isinstance(option, bool) or option is None or isinstance(option, str):
        return {"count": 0 if option else -1}
    return {"count": number(option, -1)}


def delay_ms(option: Json, attempt: int) -> int:
    """Milliseconds before attempt ``attempt + 1``, by the job's ``backoff`` option.

    Args:
        option: A number of milliseconds, or ``{type: fixed|exponential, delay, jitter}``. A custom type is a function
            in the Node worker that nobody can call from here; its ``delay`` counts as fixed.
        attempt: The attempt that has just failed, from 1.
    """
    if isinstance(option, Mapping):
        delay, jitter = number(option.get("delay")), min(max(number(option.get("jitter")), 0.0), 1.0)
        if option.get("type") == "exponential":
            delay = min(delay * 2.0 ** min(attempt - 1, 64), LONGEST_MS)
        if jitter:
            delay = delay * (1 - jitter) + random.random() * delay * jitter  # noqa: S311 -- spreads retries, hides nothing
    else:
        delay = number(option)
    return max(0, min(round(delay), LONGEST_MS))


def failure(job: Job, reason: str, trace: str, *, retryable: bool) -> Ending:
    """How a failed job ends: tried again while its ``attempts`` last, if trying again can help at all."""
    traces = (*job.stacktrace, trace)
    limit = job.opts.get("stackTraceLimit")
    if limit is not None:
        count = int(number(limit))
        traces = traces[-count:] if count > 0 else ()
    if not retryable or job.attempts_made + 1 >= number(job.opts.get("attempts")):
        return Ending(job, Kind.FAILED, reason, traces)
    pause = delay_ms(job.opts.get("backoff"), job.attempts_made + 1)
    return Ending(job, Kind.DELAYED if pause else Kind.RETRIED, reason, traces, pause)
