"""Figures of the API: the upstream service's documented names, and ours."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0, 30.0, 60.0, 300.0)
"""2, 4 and 10 are the documented ones; the native prover needs smaller ones to be seen at all."""
SUCCESS, ERROR = "success", "error"
FROM_MEMORY, FROM_DISK, FROM_LEDGER, MISS = "memory", "disk", "ledger", "miss"
REFUSALS = ("queue_full", "rate_limited", "busy", "draining")


class HttpMetrics:
    """Every series exists from the start, at zero.

    Args:
        registry: Where they are registered; one per process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._proofs = Counter(
            "arc_prover_proofs",
            "Proofs that ended, of those this replica started",
            ("status",),
            registry=registry,
        )
        self._duration = Histogram(
            "arc_prover_proof_duration_seconds", "Time that provers took", buckets=BUCKETS, registry=registry
        )
        self._active = Gauge(
            "arc_prover_active_proofs", "Proofs that are made now, in all", registry=registry
        )
        self._depth = Gauge(
            "arc_prover_queue_depth", "Proofs that wait to be made, in all", registry=registry
        )
        self._requests = Counter(
            "provery_zkml_requests", "Requests by route and status", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "provery_zkml_request_seconds",
            "Time to answer",
            ("route",),
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.02, *BUCKETS),
            registry=registry,
        )
        self._cache = Counter("provery_zkml_cache", "Where answers came from", ("source",), registry=registry)
        self._cache_bytes = Gauge("provery_zkml_cache_bytes", "Bytes of the cache folder", registry=registry)
        self._corrupt = Counter(
            "provery_zkml_cache_corrupt", "Damaged files found in the cache, and dropped", registry=registry
        )
        self._refused = Counter(
            "provery_zkml_refused", "Requests refused before work", ("code",), registry=registry
        )
        self._webhooks = Counter(
            "provery_zkml_webhooks", "Webhook calls by outcome", ("outcome",), registry=registry
        )
        self.proofs = 0
        self.seconds = 0.0
        for status in (SUCCESS, ERROR):
            self._proofs.labels(status)
        for source in (FROM_MEMORY, FROM_DISK, FROM_LEDGER, MISS):
            self._cache.labels(source)
        for code in REFUSALS:
            self._refused.labels(code)
        for outcome in ("delivered", "retried", "given_up"):
            self._webhooks.labels(outcome)

    def proved(self, seconds: float) -> None:
        """A proof was made."""
        self._proofs.labels(SUCCESS).inc()
        self._duration.observe(seconds)
        self.proofs += 1
        self.seconds += seconds

    def failed(self) -> None:
        """A proof was not made."""
        self._proofs.labels(ERROR).inc()

    def load(self, active: int, waiting: int) -> None:
        """The units under way were counted."""
        self._active.set(active)
        self._depth.set(waiting)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def looked_up(self, source: str) -> None:
        """An answer was looked up."""
        self._cache.labels(source).inc()

    def cache_size(self, size: int) -> None:
        """Bytes of the folder."""
        self._cache_bytes.set(size)

    def corrupt(self) -> None:
        """A damaged file was dropped."""
        self._corrupt.inc()

    def refused(self, code: str) -> None:
        """A request was refused before work."""
        if code in REFUSALS:
            self._refused.labels(code).inc()

    def webhook(self, outcome: str) -> None:
        """A webhook was called."""
        self._webhooks.labels(outcome).inc()
