"""The ingress on a real Redis and real databases, fed by npm's client; only the engine behind it is a stand-in."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from provery.core.errors import ProverCrashed, SourceUnavailable
from provery.core.types import UnitOutcome, Work
from provery.local.servers import RedisServer
from provery.systems.queue.model import RowStatus
from tests.support.queue import (
    REQUEST,
    Bench,
    Peer,
    bench,
    failed,
    peer,
    shared_postgres,
    shared_redis,
    until,
)

DONE, FAILED, RUNNING = RowStatus.DONE, RowStatus.FAILED, RowStatus.RUNNING


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def made(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Bench, Peer]]:
    url = f"sqlite:///{tmp_path}/queue.db" if request.param == "sqlite" else shared_postgres().url
    async with (
        bench(shared_redis().url, url) as parts,
        peer(shared_redis().url, parts.settings.queue_name) as npm,
    ):
        yield parts, npm


@pytest_asyncio.fixture
async def lite(tmp_path: Path) -> AsyncIterator[tuple[Bench, Peer]]:
    url = f"sqlite:///{tmp_path}/queue.db"
    async with (
        bench(shared_redis().url, url) as parts,
        peer(shared_redis().url, parts.settings.queue_name) as npm,
    ):
        yield parts, npm


def name() -> str:
    return str(uuid.uuid4())


def stands(parts: Bench, id: str, status: RowStatus) -> Any:
    async def check() -> bool:
        row = await parts.table.get(id)
        return row is not None and row.status is status

    return until(check)


async def ended(parts: Bench) -> None:
    async def check() -> bool:
        try:
            counts = await parts.jobs.counts()
        except SourceUnavailable:  # a connection of before a restart
            return False
        return counts["wait"] + counts["active"] + counts["delayed"] == 0

    await until(check, 30)


async def test_a_hundred_jobs_are_each_proved_once_and_leave_redis(made: tuple[Bench, Peer]) -> None:
    parts, npm = made
    ids = [name() for _ in range(100)]
    parts.start()
    await npm("addMany", jobs=[{"data": {"jobId": id, "request": REQUEST}} for id in ids])
    await ended(parts)
    assert sorted(parts.starter.proved) == sorted(ids)
    row = await parts.table.get(ids[0])
    assert row is not None
    assert (row.status, row.request, row.proof) == (DONE, REQUEST, {"pi_a": ["1"]})
    # A job is counted once it has left Redis.
    await until(lambda: parts.value("jobs_processed_total", result="done") == 100)
    assert parts.value("prover_worker_jobs_processed_total", result="done") == 100
    assert parts.value("prover_worker_job_duration_seconds_count") == 100
    assert max(len(call) for call in parts.starter.calls) > 1, "jobs that wait together are batched"


async def test_poison_fails_with_a_clear_error_and_spares_its_neighbours(made: tuple[Bench, Peer]) -> None:
    parts, npm = made
    prime = "21888242871839275222246405745257275088548364400416034343698204186575808495617"
    poison: dict[str, Any] = {
        "jobId is missing": {"request": REQUEST},
        "not a usable unit key": {"jobId": "../../etc/passwd", "request": REQUEST},
        "(10000 characters)": {"jobId": "x" * 10_000, "request": REQUEST},
        "control": {"jobId": "a\u0000b\n", "request": REQUEST},
        "request.root is not below the field modulus": {
            "jobId": name(),
            "request": REQUEST | {"root": prime},
        },
        "request.epoch is negative": {"jobId": name(), "request": REQUEST | {"epoch": -1}},
        "request.nonce is missing": {
            "jobId": name(),
            "request": {k: v for k, v in REQUEST.items() if k != "nonce"},
        },
        "no such circuit": {"jobId": name(), "request": {"circuit": "unheard-of", "inputs": {"a": 1}}},
        "request.pathElements is not a path": {"jobId": name(), "request": REQUEST | {"pathElements": ["1"]}},
        "cannot be stored": {"jobId": name(), "request": REQUEST | {"note": "nul \u0000"}},
        "request is not an object": {"jobId": name(), "request": "DROP TABLE zkp_jobs"},
        "too large": {"jobId": name(), "request": REQUEST | {"note": "x" * 2_000_000}},
        "job content is not an object": [1, 2],
    }
    good = [name() for _ in poison]
    jobs = [part for data, id in zip(poison.values(), good, strict=True)
            for part in ({"data": data}, {"data": {"jobId": id, "request": REQUEST}})]  # fmt: skip
    added = (await npm("addMany", jobs=jobs))["ids"]
    parts.start()
    await ended(parts)
    assert sorted(parts.starter.proved) == sorted(good)
    for (said, data), id in zip(poison.items(), added[::2], strict=True):
        seen = await npm("job", id=id)
        reason = json.loads(seen["job"]["failedReason"])
        assert seen["state"] == "failed"
        assert seen["attemptsMade"] == 1
        assert ("not a usable" if said == "control" else said) in reason
        if isinstance(data, dict) and len(data.get("jobId", "")) == 36 and said != "too large":
            row = await parts.table.get(data["jobId"])
            assert row is not None
            assert (row.status, row.error) == (FAILED, reason)
    await until(lambda: parts.value("job_failures_total") == len(poison))


async def test_a_corrected_job_proves_under_its_old_id_and_done_never_goes_back(
    made: tuple[Bench, Peer],
) -> None:
    parts, npm = made
    parts.start()
    id = name()
    await npm.add(id, REQUEST | {"root": "-5"})
    await stands(parts, id, FAILED)
    await npm.add(id)
    await stands(parts, id, DONE)
    row = await parts.table.get(id)
    assert row is not None
    assert (row.request, row.error) == (REQUEST, None)

    again = await npm.add(id, removeOnComplete=False)
    other = await npm.add(id, REQUEST | {"epoch": 2})
    broken = await npm.add(id, REQUEST | {"epoch": "x"})
    await ended(parts)
    assert (await npm("job", id=again))["state"] == "completed"
    for each, said in (
        (other, "is done for another request"),
        (broken, "request.epoch is not a field element"),
    ):
        seen = await npm("job", id=each)
        assert seen["state"] == "failed"
        assert said in seen["job"]["failedReason"]
    assert await parts.table.get(id) == row
    assert parts.starter.proved == [id], "delivered again, not proved again"


async def test_failures_are_retried_as_the_job_asks_but_never_when_pointless(
    lite: tuple[Bench, Peer],
) -> None:
    parts, npm = lite
    tries: dict[str, int] = {}

    def decide(work: Work) -> UnitOutcome | None:
        key = work.unit.key
        tries[key] = tries.get(key, 0) + 1
        if key == "hopeless":
            return failed(work, "witness violates constraint 7", "InvalidWitness")
        return failed(work, "child died", "ProverCrashed") if tries[key] < 3 else None

    parts.starter.decide = decide
    parts.start()
    flaky = await npm.add("flaky", attempts=5, backoff=30, removeOnComplete=False)
    hopeless = await npm.add("hopeless", attempts=5, backoff=10)
    once = await npm.add("once")
    await stands(parts, "flaky", DONE)
    await ended(parts)
    assert tries == {"flaky": 3, "hopeless": 1, "once": 1}
    assert (await npm("job", id=flaky))["state"] == "completed"
    for id, said in ((hopeless, "violates"), (once, "child died")):
        seen = await npm("job", id=id)
        assert (seen["state"], seen["attemptsMade"]) == ("failed", 1)
        assert said in seen["job"]["failedReason"]
        assert "at stage prove" in json.dumps(seen["job"]["stacktrace"])
    row = await parts.table.get("hopeless")
    assert row is not None
    assert (row.status, row.error) == (FAILED, "witness violates constraint 7")


async def test_a_crash_between_any_two_steps_loses_nothing(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    async with (
        bench(shared_redis().url, url, lock_ms=600) as parts,
        peer(shared_redis().url, parts.settings.queue_name) as npm,
    ):
        parts.starter.gate.clear()  # units run for as long as the test wants
        ids = [name() for _ in range(8)]
        for id in ids:
            await npm.add(id)
        parts.start()
        await until(lambda: sum(map(len, parts.starter.calls)) == 8)
        for id in ids:
            await stands(parts, id, RUNNING)
        await parts.crash()
        parts.start()
        await until(lambda: sum(map(len, parts.starter.calls)) == 16, 20)
        parts.starter.gate.set()
        await ended(parts)
        assert sorted(parts.starter.proved) == sorted(ids), "proved once each"
        assert parts.value("queue_jobs_stalled_total") >= 8


async def test_locks_are_held_while_a_unit_runs_longer_than_they_last(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    async with (
        bench(shared_redis().url, url, lock_ms=500) as parts,
        peer(shared_redis().url, parts.settings.queue_name) as npm,
    ):
        parts.starter.gate.clear()
        parts.start()
        await npm.add("long")
        await npm(
            "worker", stalledInterval=200, lockDuration=500
        )  # a Node worker that would take it if it stalled
        await until(lambda: parts.starter.calls == [["long"]])
        await asyncio.sleep(1.5)
        parts.starter.gate.set()
        await stands(parts, "long", DONE)
        await ended(parts)
        assert (await npm("worked"))["jobs"] == []
        assert parts.starter.calls == [["long"]]
        assert parts.value("queue_locks_lost_total") == 0


async def test_a_lost_lock_is_noticed_and_the_job_attaches_again(lite: tuple[Bench, Peer]) -> None:
    parts, npm = lite
    parts.starter.gate.clear()
    ingress = parts.start()
    id = await npm.add("a")
    await until(lambda: parts.starter.calls == [["a"]])
    await parts.jobs._redis.delete(parts.jobs.base + f"{id}:lock")
    await ingress._upkeep.extend()
    assert parts.value("queue_locks_lost_total") == 1
    await until(lambda: parts.starter.calls == [["a"], ["a"]])
    parts.starter.gate.set()
    await ended(parts)
    assert parts.starter.proved == ["a"]


async def test_the_engine_may_be_away_and_its_defects_hit_one_job_only(lite: tuple[Bench, Peer]) -> None:
    parts, npm = lite
    away = 3

    def decide(work: Work) -> UnitOutcome | Exception | None:
        nonlocal away
        if away:
            away -= 1
            return SourceUnavailable("Temporal did not answer")
        return RuntimeError("a defect") if work.unit.key == "b" else None

    parts.starter.decide = decide
    ids = [await npm.add(id) for id in ("a", "b", "c")]
    parts.start()
    await ended(parts)
    assert sorted(parts.starter.proved) == ["a", "c"]
    assert "a defect" in (await npm("job", id=ids[1]))["job"]["failedReason"]


async def test_a_whole_batchs_error_is_each_units_own(lite: tuple[Bench, Peer]) -> None:
    parts, npm = lite
    parts.starter.decide = lambda work: ProverCrashed("dead") if work.unit.key == "x" else None
    for id in ("x", "y", "z"):
        await npm.add(id)
    parts.start()
    await ended(parts)
    assert sorted(parts.starter.proved) == ["y", "z"]


async def test_stopping_ends_what_it_can_and_gives_back_the_rest(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/queue.db"
    async with (
        bench(shared_redis().url, url, grace_s=0.3) as parts,
        peer(shared_redis().url, parts.settings.queue_name) as npm,
    ):
        parts.starter.gate.clear()
        for id in ("a", "b"):
            await npm.add(id)
        parts.start()
        await until(lambda: sum(map(len, parts.starter.calls)) == 2)
        await parts.stop()
        counts = await parts.jobs.counts()
        assert (counts["wait"], counts["active"]) == (2, 0)
        parts.starter.gate.set()
        parts.start()
        await ended(parts)
        assert sorted(parts.starter.proved) == ["a", "b"]


async def test_redis_may_die_and_even_forget_everything(tmp_path: Path) -> None:
    for keeps in (True, False):
        home = tmp_path / str(keeps)
        async with (
            RedisServer(home, appendonly=keeps) as redis,
            bench(redis.url, f"sqlite:///{home}/queue.db", lock_ms=1_000) as parts,
        ):
            async with peer(redis.url, parts.settings.queue_name) as npm:
                parts.starter.gate.clear()
                parts.start()
                ids = [name() for _ in range(20)]
                for id in ids:
                    if keeps:
                        await npm.add(id)
                    else:  # accepted by the API: the table has it, whatever Redis says
                        await parts.table.enqueue(id, REQUEST, parts.jobs.name)
                        await parts.jobs.add({"jobId": id, "request": REQUEST})
                        await parts.table.delivered([id])
                await until(lambda: len(parts.starter.calls) >= 1)
            await redis.kill()
            await asyncio.sleep(0.3)
            await redis.start()
            parts.starter.gate.set()
            for id in ids:
                await stands(parts, id, DONE)
            await ended(parts)
            assert sorted(parts.starter.proved) == sorted(ids)


async def test_the_table_may_die(tmp_path: Path) -> None:
    postgres = shared_postgres()
    async with (
        bench(shared_redis().url, postgres.url) as parts,
        peer(shared_redis().url, parts.settings.queue_name) as npm,
    ):
        ids = [name() for _ in range(10)]
        for id in ids[:5]:
            await npm.add(id)
        parts.start()
        await stands(parts, ids[0], DONE)
        await postgres.kill()
        for id in ids[5:]:
            await npm.add(id)
        await asyncio.sleep(0.3)
        await postgres.start()
        for id in ids:
            await stands(parts, id, DONE)


async def test_two_ingresses_and_one_id_twice_at_once(lite: tuple[Bench, Peer]) -> None:
    parts, npm = lite
    parts.starter.gate.clear()
    twice = [await npm.add("same", removeOnComplete=False) for _ in range(2)]
    differs = await npm.add("same", REQUEST | {"epoch": 9})
    parts.start()
    parts.start()
    await until(lambda: len(parts.starter.calls) >= 1)
    await asyncio.sleep(0.1)
    parts.starter.gate.set()
    await ended(parts)
    assert parts.starter.proved == ["same"]
    assert [(await npm("job", id=id))["state"] for id in twice] == ["completed"] * 2
    assert "another request" in (await npm("job", id=differs))["job"]["failedReason"]


async def test_large_inputs_travel_beside_the_workflow(tmp_path: Path) -> None:
    from tests.support.queue import MANIFEST, Circuits

    circuits = Circuits(MANIFEST | {"name": "wide", "inputs": {"a": [2_000]}, "public": []})
    url = f"sqlite:///{tmp_path}/queue.db"
    async with (
        bench(shared_redis().url, url, circuits) as parts,
        peer(shared_redis().url, parts.settings.queue_name) as npm,
    ):
        seen: list[Work] = []

        def decide(work: Work) -> UnitOutcome:
            seen.append(work)
            return failed(work, "seen", "InvalidInput")

        parts.starter.decide = decide
        wrong = await npm.add("wrong", {"circuit": "wide", "inputs": {"a": [1, 2]}})
        await npm.add("wide", {"circuit": "wide", "inputs": {"a": [str(n) for n in range(2_000)]}})
        parts.start()
        await ended(parts)
        (work,) = seen
        assert "request" not in work.unit.params
        assert len(json.dumps(work.unit.params)) < 500
        assert "has 2 elements" in (await npm("job", id=wrong))["job"]["failedReason"]


async def test_a_steady_rate(lite: tuple[Bench, Peer]) -> None:
    parts, npm = lite
    await npm("addMany", jobs=[{"data": {"jobId": f"j{n}", "request": REQUEST}} for n in range(500)])
    started = time.monotonic()
    parts.start()
    await ended(parts)
    assert len(parts.starter.proved) == 500
    assert 500 / (time.monotonic() - started) > 50, "the loop itself must never be the bottleneck of proving"
