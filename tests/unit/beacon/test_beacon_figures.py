"""Figures and alarms: every series is there from the start, whole in its file, and true."""

from __future__ import annotations

import json
import logging
import math
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from provery.core.types import UnitStatus
from provery.systems.beacon.chains import MAINNET
from provery.systems.beacon.ingress import BeaconIngress
from provery.systems.beacon.risk import assess, next_boundary
from provery.systems.beacon.settings import BeaconSettings
from provery.systems.beacon.status import Record, Status
from provery.systems.beacon.store import PeriodStore
from provery.systems.beacon.streams import Stream
from tests.support.beacon_bench import bench
from tests.support.beacon_chain import ChainNode, environment, nodes
from tests.support.statements import Signer

UPSTREAM = {
    "prover_daemon_last_check_timestamp_seconds", "prover_daemon_last_run_timestamp_seconds",
    "prover_daemon_last_run_duration_seconds", "prover_daemon_last_run_status", "prover_daemon_current_period",
    "prover_daemon_file_size_bytes",
}  # fmt: skip
PERIOD_S = 8192 * 12


def series(text: str) -> dict[str, set[tuple[str, ...]]]:
    """Names and labels."""
    found: dict[str, set[tuple[str, ...]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found.setdefault(sample.name, set()).add(
                tuple(v for k, v in sample.labels.items() if k != "period")
            )
    return found


def values(text: str) -> dict[str, float]:
    return {s.name: s.value for family in text_string_to_metric_families(text) for s in family.samples}


async def test_every_series_is_there_from_the_start_and_stays(tmp_path: Path) -> None:
    node, prover = ChainNode(6), Signer()
    with nodes(node) as url:
        async with bench(tmp_path, environment(url, tmp_path), {"native": prover}) as it:
            textfile = tmp_path / "metrics/proof.prom"
            before = series(it.stream.collector.text())
            assert set(before) >= UPSTREAM
            await it.look()
            after = textfile.read_text()
            assert series(after) == before
            assert values(after)["prover_daemon_current_period"] == 6
            assert values(after)["prover_daemon_last_run_status"] == 0
            ran = values(after)["prover_daemon_last_run_timestamp_seconds"]
            assert ran > 1e9
            await it.look()
            again = textfile.read_text()
            assert series(again) == before, "a look that finds nothing drops nothing"
            assert values(again)["prover_daemon_last_run_timestamp_seconds"] == ran
            assert values(again)["provery_beacon_periods_due"] == 0
            size = (tmp_path / "store/6/native_proof.bin").stat().st_size
            assert f'chain="devnet",file="native_proof.bin",period="6"}} {size}.0' in again
            assert 'chain="devnet",file="zk_proof_g16.bin",period="6"} -1.0' in again
            assert "# HELP prover_daemon_last_check_timestamp_seconds" in again
    assert [p.name for p in (tmp_path / "metrics").iterdir()] == ["proof.prom"]


async def test_a_textfile_is_never_seen_half_written(tmp_path: Path) -> None:
    settings = BeaconSettings.load("mainnet", {"PROMETHEUS_FILE": str(tmp_path / "p.prom")}, tmp_path)
    stream = Stream(settings, {})
    await stream.show()
    stop, bad = threading.Event(), []

    def watch() -> None:
        while not stop.is_set():
            text = (tmp_path / "p.prom").read_text()
            if not text.endswith("\n") or "provery_beacon_failed_checks_total" not in text:
                bad.append(text)

    watcher = threading.Thread(target=watch)
    watcher.start()
    for _ in range(50):
        await stream.show()
    stop.set()
    watcher.join()
    assert not bad


async def test_metrics_that_cannot_be_written_fail_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    node = ChainNode(6)
    with nodes(node) as url:
        env = environment(url, tmp_path, PROMETHEUS_FILE=str(tmp_path / "file/x.prom"))
        async with bench(tmp_path, env, {"native": Signer()}) as it:
            assert await it.look() == {"6": UnitStatus.DONE}
    assert "cannot be written" in caplog.text


def test_processes_share_one_record(tmp_path: Path) -> None:
    store = PeriodStore(tmp_path)
    first, second = Status(store), Status(store)
    threads = [
        threading.Thread(target=lambda s=status: [s.count(published=1) for _ in range(40)])
        for status in (first, second, first, second)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert first.read().published == 160
    assert math.isnan(first.read().last_run_status)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"published": {}}', '{"unknown": 1}'])
def test_a_damaged_record_starts_anew(tmp_path: Path, text: str) -> None:
    status = Status(PeriodStore(tmp_path))
    status.count(published=3)
    (tmp_path / ".provery/status.json").write_text(text)
    status.read()
    assert status.count(failed=1).failed == 1
    assert json.loads((tmp_path / ".provery/status.json").read_text())["failed"] == 1


# ---------------------------------------------------------------- alarms


def test_the_next_boundary() -> None:
    begins = MAINNET.genesis_time + 1602 * PERIOD_S
    assert next_boundary(MAINNET, begins - 1) == (1602, 1)
    assert next_boundary(MAINNET, begins) == (1603, PERIOD_S)


@pytest.mark.parametrize(
    ("left", "proved", "at_risk"),
    [(700, False, False), (599, False, True), (599, True, False), (1, False, True)],
)
def test_a_period_is_at_risk_when_time_runs_out(left: float, proved: bool, at_risk: bool) -> None:
    moment = MAINNET.genesis_time + 1602 * PERIOD_S - left
    risk = assess(MAINNET, moment, 600, proved=proved)
    assert (risk.period, risk.at_risk) == (1602, at_risk)


async def test_a_risk_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    env = {"PROMETHEUS_FILE": str(tmp_path / "p.prom"), "OUTPUT_DIR": str(tmp_path / "store")}
    stream = Stream(BeaconSettings.load("mainnet", env, tmp_path), {})
    begins = MAINNET.genesis_time + 1602 * PERIOD_S
    monkeypatch.setattr("provery.systems.beacon.streams.time.time", lambda: begins - 300.0)
    with caplog.at_level(logging.ERROR):
        await stream.show()
        await stream.show()
    assert caplog.text.count("period 1602 begins in 300 s without its proof") == 1, (
        "once in a while is enough"
    )
    assert values((tmp_path / "p.prom").read_text())["provery_beacon_period_at_risk"] == 1
    (tmp_path / "store/1602").mkdir(parents=True)
    (tmp_path / "store/1602/zk_proof_g16.bin").write_bytes(b"proof")
    await stream.show()
    assert values((tmp_path / "p.prom").read_text())["provery_beacon_period_at_risk"] == 0
    stream.status.change(lambda record: Record(invalid=(1602,)))
    await stream.show()
    assert values((tmp_path / "p.prom").read_text())["provery_beacon_period_at_risk"] == 1


async def test_the_same_figures_are_on_the_page(tmp_path: Path) -> None:
    env = {"PROMETHEUS_FILE": str(tmp_path / "p.prom"), "OUTPUT_DIR": str(tmp_path / "store")}
    stream = Stream(BeaconSettings.load("mainnet", env, tmp_path), {})
    registry = CollectorRegistry()
    ingress = BeaconIngress(stream, registry)
    assert {m.name for m in registry.collect()} >= {name.removesuffix("_total") for name in UPSTREAM}
    assert await ingress.waiting() == ""
    await ingress.stop()
    await ingress.run()
    await ingress.close()
