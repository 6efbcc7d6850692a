"""Metrics of a beacon stream: the upstream daemon's names, and alarms. One collector serves the textfile and /metrics.

Every series is there from the first moment: what is missing cannot be alerted on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import nan
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from provery.core.errors import ProveryError
from provery.systems.beacon.risk import Risk
from provery.systems.beacon.status import Record, Status
from provery.systems.beacon.store import PeriodStore, write_atomically

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
        for name, text, value in (
            ("last_check_timestamp_seconds", "Timestamp of the last look for due periods", record.last_check),
            ("last_run_timestamp_seconds", "Timestamp of the end of the last proof run", record.last_run),
            ("last_run_duration_seconds", "Duration of the last proof run in seconds", record.last_run_s),
            ("last_run_status", "Status of the last proof run (0=success, 1=error)", record.last_run_status),
            ("current_period", "The target period being processed", float(record.current_period)),
        ):
            yield _gauge(f"prover_daemon_{name}", text, ["chain"], {(self._chain,): value})
        target = record.current_period
        sizes: dict[tuple[str, ...], float] = {}
        for period, names in ((target, NEXT_FILES), (target - 1, CURRENT_FILES)):
            found = self._sizes(period)
            for name in names:
                sizes[(self._chain, str(period), name)] = float(found.get(name, -1))
        text = "Size of period files in bytes (-1 if missing)"
        yield _gauge("prover_daemon_file_size_bytes", text, ["chain", "period", "file"], sizes)

    def _own(self, record: Record) -> Iterator[Metric]:
        risk, stream = self._risk(), (self._stream,)
        at_risk = risk is not None and risk.at_risk
        for name, text, value in (
            ("period_at_risk", "1 when the next period may begin without its proof", float(at_risk)),
            ("boundary_seconds", "Seconds until the next period begins", risk.left_s if risk else nan),
            (
                "expected_seconds",
                "Seconds that a period is expected to take",
                risk.expected_s if risk else nan,
            ),
            ("periods_due", "Periods without a valid proof at the last look", float(record.due)),
            ("stored_invalid", "Periods whose stored proof did not hold", float(len(record.invalid))),
        ):
            yield _gauge(f"provery_beacon_{name}", text, ["stream"], {stream: value})
        for name, text, count in (
            ("published", "Periods published", record.published),
            ("replaced", "Stored proofs found invalid", record.replaced),
            ("node_disagreements", "Contradictions between beacon nodes", record.disagreements),
            ("verification_failures", "Finished proofs that did not verify", record.rejected),
            ("failures", "Periods that ended without a proof", record.failed),
            ("failed_checks", "Looks that found no usable beacon node", record.failed_checks),
        ):
            family = CounterMetricFamily(f"provery_beacon_{name}", text, labels=["stream"])
            family.add_metric(stream, count)
            yield family

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


def _gauge(name: str, text: str, labels: list[str], values: dict[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for label_values, value in values.items():
        family.add_metric(label_values, value)
    return family
