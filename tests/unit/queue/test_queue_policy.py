"""Retries, plans and settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from provery.core.errors import ConfigurationError
from provery.core.types import Stage
from provery.systems.queue.backoff import LONGEST_MS, delay_ms, failure, keep
from provery.systems.queue.metrics import QueueMetrics
from provery.systems.queue.model import Job, Kind
from provery.systems.queue.plan import plan_for
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.spec import Shape
from tests.support.queue import MANIFEST


@pytest.mark.parametrize(
    ("option", "attempt", "ms"),
    [
        (None, 1, 0),
        (250, 4, 250),
        ({"type": "fixed", "delay": 100}, 3, 100),
        ({"type": "exponential", "delay": 100}, 1, 100),
        ({"type": "exponential", "delay": 100}, 4, 800),
        ({"type": "exponential", "delay": 100}, 10**6, LONGEST_MS),
        ({"type": "mine", "delay": 70}, 2, 70),
        ({"type": "fixed", "delay": "soon"}, 1, 0),
        (-5, 1, 0),
        (10**400, 1, 0),
    ],
)
def test_backoff_is_the_jobs_own(option: Any, attempt: int, ms: int) -> None:
    assert delay_ms(option, attempt) == ms


def test_jitter_spreads_downwards() -> None:
    delays = {delay_ms({"type": "fixed", "delay": 1_000, "jitter": 0.5}, 1) for _ in range(50)}
    assert min(delays) >= 500
    assert max(delays) <= 1_000
    assert len(delays) > 5


@pytest.mark.parametrize(
    ("option", "counts"),
    [
        (True, {"count": 0}),
        (False, {"count": -1}),
        (None, {"count": -1}),
        (7, {"count": 7}),
        ({"age": 60, "count": 5}, {"count": 5, "age": 60}),
        ({"age": 60}, {"age": 60}),
    ],
)
def test_what_becomes_of_finished_jobs(option: Any, counts: dict[str, float]) -> None:
    assert keep(option) == counts


def job(made: int = 0, **opts: Any) -> Job:
    return Job("1", "t", b"{}", 2, opts, attempts_made=made, stacktrace=("first", "second"))


def test_only_what_may_help_is_tried_again() -> None:
    assert failure(job(), "r", "t", retryable=True).kind is Kind.FAILED
    assert failure(job(attempts=2), "r", "t", retryable=True).kind is Kind.RETRIED
    assert failure(job(1, attempts=2), "r", "t", retryable=True).kind is Kind.FAILED
    assert failure(job(attempts=9, backoff=5), "r", "t", retryable=False).kind is Kind.FAILED
    assert failure(job(attempts=9, backoff=5), "r", "t", retryable=True).delay_ms == 5
    assert failure(job(stackTraceLimit=2), "r", "third", retryable=False).stacktrace == ("second", "third")
    assert failure(job(stackTraceLimit=0), "r", "third", retryable=False).stacktrace == ()


def test_the_plan_pins_the_key_and_skips_compress() -> None:
    shape = Shape.of(MANIFEST)
    plan = plan_for(shape, QueueSettings())
    assert [s.stage for s in plan.stages] == [
        Stage.FETCH,
        Stage.WITNESS,
        Stage.PROVE,
        Stage.VERIFY,
        Stage.SUBMIT,
    ]
    prove, verify = plan.of(Stage.PROVE), plan.of(Stage.VERIFY)
    assert prove is not None
    assert verify is not None
    assert (prove.prover, prove.verifying_key, verify.verifying_key) == ("native", "b" * 64, "b" * 64)
    assert plan.express
    assert not plan_for(shape, QueueSettings(express=False)).express
    assert not plan_for(shape, QueueSettings(express_constraints=100)).express
    assert not plan_for(Shape.of({}), QueueSettings()).express, "of an unknown size"
    gpu = plan_for(shape, QueueSettings(prove_queue="gpu", fallback_provers="snarkjs, rapidsnark")).of(
        Stage.PROVE
    )
    assert gpu is not None
    assert (gpu.queue, gpu.fallback_queue, gpu.fallback_provers) == ("gpu", "", ("snarkjs", "rapidsnark"))


def test_settings_have_the_upstream_names_and_embedded_defaults(tmp_path: Path) -> None:
    plain = QueueSettings.load({}, tmp_path)
    assert plain.database_url == f"sqlite:///{tmp_path}/queue.db"
    assert (plain.redis_url, plain.queue_name, plain.worker_concurrency) == (
        "redis://127.0.0.1:6379",
        "prove",
        2,
    )
    assert (plain.log_level, plain.metrics_port, plain.batch_max, plain.lock_ms) == ("info", 9101, 64, 15_000)
    env = {
        "DATABASE_URL": "postgres://u@h/d",
        "REDIS_URL": "redis://r",
        "QUEUE_NAME": "q",
        "WORKER_CONCURRENCY": "7",
    }
    given = QueueSettings.load(
        env | {"PROVERY_QUEUE_BATCH_MAX": "3", "LOG_LEVEL": "", "UNRELATED": "x"}, tmp_path
    )
    assert (given.database_url, given.redis_url, given.queue_name) == ("postgres://u@h/d", "redis://r", "q")
    assert (given.worker_concurrency, given.batch_max, given.log_level) == (7, 3, "info")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WORKER_CONCURRENCY", "0"),
        ("QUEUE_NAME", "../x"),
        ("PROVERY_QUEUE_LOCK_MS", "soon"),
        ("METRICS_PORT", "99999"),
    ],
)
def test_wrong_settings_name_their_variable(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=name):
        QueueSettings.load({name: value}, tmp_path)


def test_every_series_exists_from_the_start() -> None:
    registry = CollectorRegistry()
    QueueMetrics(registry)
    page = generate_latest(registry).decode()
    for line in (
        'prover_worker_jobs_processed_total{result="done"} 0.0',
        'prover_worker_jobs_processed_total{result="failed"} 0.0',
        'prover_worker_job_duration_seconds_bucket{le="30.0"} 0.0',
        'jobs_processed_total{result="done"} 0.0',
        "job_failures_total 0.0",
        "queue_depth 0.0",
        "job_duration_seconds_count 0.0",
        "job_wait_seconds_count 0.0",
    ):
        assert line in page
