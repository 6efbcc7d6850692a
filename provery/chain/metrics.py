"""What is asked of L1 nodes and how far they are, for Prometheus. Registered by the worker."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

REQUESTS = Counter(
    "provery_l1_requests",
    "Requests to JSON-RPC endpoints by what became of them.",
    ["chain", "endpoint", "outcome"],
    registry=None,
)
"""Outcomes: ``answered``, ``failed`` (no usable answer), ``behind`` (the node lags; its answer does not count)."""
HEAD = Gauge(
    "provery_l1_head", "Newest block by an endpoint's own word.", ["chain", "endpoint"], registry=None
)
BALANCE = Gauge("provery_l1_balance_wei", "Wei of a sending account.", ["chain", "sender"], registry=None)
SENT = Counter(
    "provery_l1_sent",
    "Raw transactions handed to nodes by what they answered.",
    ["chain", "sender", "answer"],
    registry=None,
)


def register(registry: CollectorRegistry) -> None:
    """Show these metrics in a worker's registry."""
    for metric in (REQUESTS, HEAD, BALANCE, SENT):
        registry.register(metric)
