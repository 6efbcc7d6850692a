"""Traces reach into the children: they are told the context, and resident ones tell back when they worked."""

from __future__ import annotations

from opentelemetry import propagate, trace

from provery.core.types import Json
from provery.provers.child import Child


def traced() -> dict[str, str]:
    """The current trace context as environment variables, empty without one."""
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return {key.upper(): value for key, value in carrier.items() if key in ("traceparent", "tracestate")}


def trace_child(child: Child, op: str, span: Json) -> None:
    """Record a resident child's work as a span of the current trace.

    Args:
        child: Who worked.
        op: What it did.
        span: ``{"start_unix_ns", "end_unix_ns"}`` as the child reported it; anything else is ignored.
    """
    if not isinstance(span, dict):
        return
    start, end = span.get("start_unix_ns"), span.get("end_unix_ns")
    if isinstance(start, int) and isinstance(end, int) and 0 < start <= end:
        made = trace.get_tracer(__name__).start_span(f"{child.command.name}: {op}", start_time=start)
        made.set_attribute("process.pid", child.pid)
        made.end(end_time=end)
