"""What the engine counts, on one Prometheus registry. Labels are bounded: system, stream, stage, error kind."""

from __future__ import annotations

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from provery.core.errors import ProveryError
from provery.core.types import Stage, Unit

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
"""Seconds: from a memo hit to an hour of proving."""


class StageMetrics:
    """Stage counters and times."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["system", "stream", "stage"]
        self._seconds = Histogram(
            "provery_stage_seconds",
            "Wall time of computed stages.",
            labels,
            registry=registry,
            buckets=BUCKETS,
        )
        self._computed = Counter("provery_stages_computed", "Stages computed.", labels, registry=registry)
        self._reused = Counter(
            "provery_stages_reused", "Stages found in the ledger.", labels, registry=registry
        )
        self._failed = Counter(
            "provery_stages_failed", "Stage failures.", [*labels, "kind"], registry=registry
        )

    def reused(self, unit: Unit, stage: Stage, count: int) -> None:
        """``count`` results of a stage were found."""
        self._reused.labels(unit.system, unit.stream, stage.value).inc(count)

    def computed(
        self, unit: Unit, stage: Stage, seconds: float, count: int, errors: Sequence[ProveryError]
    ) -> None:
        """``count`` units of one stage took ``seconds`` together; ``errors`` of them failed."""
        labels = (unit.system, unit.stream, stage.value)
        self._seconds.labels(*labels).observe(seconds / max(count, 1))
        self._computed.labels(*labels).inc(count - len(errors))
        for error in errors:
            self._failed.labels(*labels, error.kind).inc()
