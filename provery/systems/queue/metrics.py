"""Metrics of the queue: the upstream worker's exported names, the names its README promised, and queue waiting time."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

UPSTREAM_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30)
"""Kept as they are, for dashboards that sum them."""
FINE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 20, 30, 60, 300)
RESULTS = ("done", "failed")
STATES = ("wait", "paused", "active", "prioritized", "delayed", "completed", "failed")
_WAITING = ("wait", "paused", "prioritized", "delayed")


class QueueMetrics:
    """Every series exists from the start, at zero: a missing series is not the same as none.

    Args:
        registry: Where they are registered; one per process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, registry=registry)

        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, buckets=buckets, registry=registry)

        self._upstream_processed = counter("prover_worker_jobs_processed_total", "Jobs by result", "result")
        self._processed = counter("jobs_processed_total", "Jobs that ended, by result", "result")
        self._upstream_duration = histogram(
            "prover_worker_job_duration_seconds", "From taking a job to its end", UPSTREAM_BUCKETS
        )
        self._duration = histogram("job_duration_seconds", "From taking a job to its end", FINE_BUCKETS)
        self._failures = counter("job_failures_total", "Jobs that failed")
        self._wait = histogram("job_wait_seconds", "From adding a job to taking it", FINE_BUCKETS)
        self._depth = Gauge("queue_depth", "Jobs that wait to be taken", registry=registry)
        self._jobs = Gauge("queue_jobs", "Jobs by BullMQ state", ("state",), registry=registry)
        self._stalled = counter("queue_jobs_stalled_total", "Jobs queued again after their holder died")
        self._lost = counter("queue_locks_lost_total", "Jobs whose lock ran out while this process held them")
        self._batch = histogram("queue_batch_units", "Units per batch", (1, 2, 4, 8, 16, 32, 64, 128))
        self._held = Gauge("queue_jobs_held", "Jobs that this process holds", registry=registry)
        for result in RESULTS:
            self._upstream_processed.labels(result)
            self._processed.labels(result)
        self.states(dict.fromkeys(STATES, 0))

    def ended(self, *, done: bool, seconds: float) -> None:
        """A job ended. The upstream worker timed successes only; a slow failure is as interesting."""
        result = RESULTS[0] if done else RESULTS[1]
        self._upstream_processed.labels(result).inc()
        self._processed.labels(result).inc()
        self._upstream_duration.observe(seconds)
        self._duration.observe(seconds)
        if not done:
            self._failures.inc()

    def taken(self, waited_s: float) -> None:
        """A job was taken after waiting in the queue."""
        self._wait.observe(max(0.0, waited_s))

    def states(self, counts: Mapping[str, int]) -> None:
        """The queue was counted."""
        for state, number in counts.items():
            self._jobs.labels(state).set(number)
        self._depth.set(sum(counts.get(state, 0) for state in _WAITING))

    def stalled(self, number: int) -> None:
        """Jobs of dead holders were queued again."""
        self._stalled.inc(number)

    def lost(self, number: int) -> None:
        """Locks ran out."""
        self._lost.inc(number)

    def batch(self, units: int) -> None:
        """A batch was started."""
        self._batch.observe(units)

    def held(self, number: int) -> None:
        """How many jobs this process holds."""
        self._held.set(number)
