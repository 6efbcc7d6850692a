"""Metrics of a beacon stream: the upstream daemon's names, and alarms. One collector serves the textfile and /metrics.

Every series is there from the first moment: what is missing cannot be alerted on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import nan
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from provery.core.errors import ProveryError
from provery.systems.beacon.files import write_atomically
from provery.systems.beacon.risk import Risk
from provery.systems.beacon.status import Record, Status
from provery.systems.beacon.store import PeriodStore

NEXT_FILES = (
    "sync.ssz", "zk_proof.bin", "zk_vk_raw.bin", "zk_proof_g16.bin", "update.json", "native_proof.bin", "manifest.json",
)  # fmt: skip
"""Files of the period that is due next whose size is shown."""
CURRENT_FILES = ("blocks.ssz", "headers.ssz", "lcu.ssz", "lcb.ssz", "historical_root.json")
"""Files of the current period, written by other programs into the same store."""


class StreamCollector(Collector):
    """The figures of one stream, read when somebody asks.

    Args:
        stream: Its name, a label.
        chain: The chain's name, the label of the upstream daemon's series.
        store: The period store.
        status: The shared record.
        risk: Tells what is at risk now; None while the chain is not known.
    """

    def __init__(
        self,
        stream: str,
        chain: str,
        store: PeriodStore,
        status: Status,
        risk: Callable[[], Risk | None],
    ) -> None:
        self._stream, self._chain = stream, chain
        self._store, self._status, self._risk = store, status, risk

    def describe(self) -> Iterator[Metric]:
        """Nothing: the names are checked when they are collected."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """The figures as they are now."""
        record = self._status.read()
        yield from self._upstream(record)
        yield from self._own(record)

    def text(self) -> str:
        """The figures as a textfile."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry).decode()

    def _upstream(self, record: Record) -> Iterator[Metric]:
        """The series of the upstream daemon, under its names."""
        chain = {"chain": self._chain}
        yield gauge(
            "prover_daemon_last_check_timestamp_seconds",
            "Timestamp of the last look for due periods",
            [(chain, record.last_check)],
        )
        yield gauge(
            "prover_daemon_last_run_timestamp_seconds",
            "Timestamp of the end of the last proof run",
            [(chain, record.last_run)],
        )
        yield gauge(
            "prover_daemon_last_run_duration_seconds",
            "Duration of the last proof run in seconds",
            [(chain, record.last_run_s)],
        )
        yield gauge(
            "prover_daemon_last_run_status",
            "Status of the last proof run (0=success, 1=error)",
            [(chain, record.last_run_status)],
        )
        yield gauge(
            "prover_daemon_current_period",
            "The target period being processed",
            [(chain, record.current_period)],
        )
        sizes: list[tuple[dict[str, str], float]] = []
        for period, names in (
            (record.current_period, NEXT_FILES),
            (max(record.current_period - 1, 0), CURRENT_FILES),
        ):
            found = self._sizes(period)
            sizes += [({**chain, "period": str(period), "file": n}, found.get(n, -1)) for n in names]
        yield gauge("prover_daemon_file_size_bytes", "Size of period files in bytes (-1 if missing)", sizes)

    def _own(self, record: Record) -> Iterator[Metric]:
        risk, of = self._risk(), {"stream": self._stream}
        at_risk = risk is not None and risk.at_risk
        yield gauge(
            "provery_beacon_period_at_risk",
            "1 when the next period may begin without its proof",
            [(of, at_risk)],
        )
        yield gauge(
            "provery_beacon_boundary_seconds",
            "Seconds until the next period begins",
            [(of, risk.left_s if risk else nan)],
        )
        yield gauge(
            "provery_beacon_expected_seconds",
            "Seconds that a period is expected to take",
            [(of, risk.expected_s if risk else nan)],
        )
        yield gauge(
            "provery_beacon_periods_due",
            "Periods without a valid proof at the last look",
            [(of, record.due)],
        )
        yield gauge(
            "provery_beacon_stored_invalid",
            "Periods whose stored proof did not hold",
            [(of, len(record.invalid))],
        )
        yield counter("provery_beacon_published_total", "Periods published", of, record.published)
        yield counter("provery_beacon_replaced_total", "Stored proofs found invalid", of, record.replaced)
        yield counter(
            "provery_beacon_node_disagreements_total",
            "Contradictions between beacon nodes",
            of,
            record.disagreements,
        )
        yield counter(
            "provery_beacon_verification_failures_total",
            "Finished proofs that did not verify",
            of,
            record.rejected,
        )
        yield counter(
            "provery_beacon_failures_total", "Periods that ended without a proof", of, record.failed
        )
        yield counter(
            "provery_beacon_failed_checks_total",
            "Looks that found no usable beacon node",
            of,
            record.failed_checks,
        )

    def _sizes(self, period: int) -> dict[str, int]:
        try:
            return {entry.name: entry.size for entry in self._store.files(period)}
        except ProveryError:
            return {}


def write_textfile(path: Path, collector: StreamCollector) -> None:
    """Write the figures for node_exporter's textfile collector, whole or not at all.

    Raises:
        OSError: the directory cannot be written.
    """
    write_atomically(path, collector.text())


def gauge(name: str, text: str, values: Iterable[tuple[Mapping[str, str], float]]) -> Metric:
    """A gauge with its samples: labels and value of each."""
    family = Metric(name, text, "gauge")
    for labels, value in values:
        family.add_sample(name, dict(labels), float(value))
    return family


def counter(name: str, text: str, labels: Mapping[str, str], value: float) -> Metric:
    """A counter with its one sample."""
    family = Metric(name.removesuffix("_total"), text, "counter")
    family.add_sample(name, dict(labels), float(value))
    return family
