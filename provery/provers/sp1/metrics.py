"""What the prover network is asked for and may cost, for Prometheus. Registered by the worker."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REQUESTS = Counter(
    "provery_sp1_requests",
    "Requests to the prover network by what became of them.",
    ["mode", "outcome"],
    registry=None,
)
"""Outcomes: ``requested``, ``adopted``; then ``fulfilled``, ``late``, ``failed``, ``cancelled`` or ``overdue``; without
a request ``refused`` or ``too_dear``."""
SPENT = Counter(
    "provery_sp1_spent_prove",
    "What fulfilled requests cost at most, in PROVE.",
    ["system", "stream"],
    registry=None,
)
PENDING = Gauge("provery_sp1_pending", "Requests that this worker waits for.", ["mode"], registry=None)


def register(registry: CollectorRegistry) -> None:
    """Show these metrics in a worker's registry."""
    for metric in (REQUESTS, SPENT, PENDING):
        registry.register(metric)
