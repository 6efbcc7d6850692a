"""OpenTelemetry: one trace from the client through workflow and activity into the child prover.

Nothing is exported unless the standard ``OTEL_EXPORTER_OTLP_ENDPOINT`` (or its traces form) is set.
"""

from __future__ import annotations

from collections.abc import Mapping

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from temporalio.client import Interceptor
from temporalio.contrib.opentelemetry import TracingInterceptor


def enabled(env: Mapping[str, str]) -> bool:
    """Whether spans have somewhere to go."""
    return bool(env.get("OTEL_EXPORTER_OTLP_ENDPOINT") or env.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


def start(env: Mapping[str, str], role: str) -> list[Interceptor]:
    """Install the tracer provider of this process; returns the client interceptors (empty when disabled)."""
    if not enabled(env):
        return []
    provider = TracerProvider(resource=Resource.create({"service.name": "provery", "provery.role": role}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return [TracingInterceptor(provider.get_tracer("provery"))]


def stop() -> None:
    """Flush what is waiting."""
    provider = trace.get_tracer_provider()
    if isinstance(provider, TracerProvider):
        provider.shutdown()
