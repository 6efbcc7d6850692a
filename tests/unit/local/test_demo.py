"""The demo: npm's bullmq adds real membership requests, a table shows them, the exit status tells how it went."""

import io
import json
import re
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from redis.asyncio import Redis
from rich.console import Console

from provery.core.errors import TransientError
from provery.core.exits import UNIT_FAILED
from provery.local.demo import PRODUCER, DemoOptions, membership, produce
from provery.local.process import free_port
from provery.local.servers import RedisServer
from provery.local.toolchain import find
from provery.systems.queue.model import Order
from provery.systems.queue.wire import parse

pytestmark = pytest.mark.e2e


def test_requests_are_what_the_queue_system_accepts_and_follow_from_the_seed() -> None:
    def make(seed: str) -> list[str]:
        command = [
            str(find("node")),
            str(PRODUCER),
            "--dry",
            "--jobs",
            "18",
            "--seed",
            seed,
            "--prefix",
            "job-",
        ]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=60
        ).stdout.splitlines()

    lines = make("7")
    assert lines == make("7")
    assert lines != make("8")
    orders = [parse(line.encode(), len(line)) for line in lines]
    assert all(isinstance(order, Order) for order in orders), orders
    requests = [json.loads(line)["request"] for line in lines]
    assert [r["pathIndices"] for r in requests[:3]] == [
        ["0", "0", "0", "0"],
        ["1", "0", "0", "0"],
        ["0", "1", "0", "0"],
    ]
    assert len({r["root"] for r in requests}) == 2, "eighteen members need two trees of sixteen"


async def test_jobs_arrive_in_redis(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as redis:
        ids = await produce(redis.url, "prove", 3, prefix="job-")
        assert ids == ["job-0", "job-1", "job-2"]
        client = Redis.from_url(redis.url, decode_responses=True)
        assert await client.llen("bull:prove:wait") == 3
        jobs = [await client.hgetall(f"bull:prove:{n}") for n in (1, 2, 3)]
        await client.aclose()
    assert sorted(json.loads(job["data"])["jobId"] for job in jobs) == ids
    assert {job["name"] for job in jobs} == {"prove"}


Rows = dict[str, dict[str, Any]]
PROOF = {"pi_a": ["12345678901234567890123456789", "2", "1"]}


def row(id: str, status: str, **more: object) -> dict[str, Any]:
    return {"id": id, "status": status, "request": {"user": "0xabc"}, "proof": None, "error": None, **more}


async def shown(
    monkeypatch: pytest.MonkeyPatch, looks: list[Rows], ids: list[str], timeout_s: float = 30.0
) -> tuple[int, str]:
    """Exit status and output of the demo over a listener that answers each look with the next rows."""

    async def added(*_: object, **__: object) -> list[str]:
        return ids

    async def look(_http: object, _url: str, _ids: list[str], rows: Rows) -> None:
        rows.update(looks.pop(0) if len(looks) > 1 else looks[0])

    monkeypatch.setattr("provery.local.demo.produce", added)
    monkeypatch.setattr("provery.local.demo._look", look)
    monkeypatch.setattr("provery.local.demo.LOOK_S", 0.01)
    stream = SimpleNamespace(id="queue/prove", stream="prove", ingress_port=1, env={})
    supervisor: Any = SimpleNamespace(
        topology=SimpleNamespace(streams=[stream]),
        env={"REDIS_URL": ""},
        temporal=SimpleNamespace(ui_url="http://ui"),
    )
    page = io.StringIO()
    options = DemoOptions(jobs=len(ids), timeout_s=timeout_s)
    status = await membership(options, Console(file=page, width=120))(supervisor)
    return status, page.getvalue()


async def test_the_table_ends_with_every_proof_and_the_status_is_0(monkeypatch: pytest.MonkeyPatch) -> None:
    done = {id: row(id, "done", proof=PROOF) for id in ("j0", "j1")}
    looks = [{}, {"j0": row("j0", "running")}, {"j0": done["j0"], "j1": row("j1", "queued")}, done]
    status, page = await shown(monkeypatch, looks, ["j0", "j1"])
    assert status == 0
    for id in done:
        assert re.search(rf"{id} .* done .* 0xabc .* pi_a 123456789012345678901234…", page), page
    assert "2 done · " in page
    assert "2 of 2 jobs proved, verified and written" in page
    assert "Temporal UI  http://ui" in page


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        (row("j1", "failed", error="InvalidWitness: no"), "InvalidWitness: no"),
        (row("j1", "running"), "no proof in time"),
        (row("j1", "done"), "no proof in time"),
        (None, "no proof in time"),
    ],
)
async def test_a_job_without_a_proof_makes_the_status_3_and_is_named(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, Any] | None, reason: str
) -> None:
    rows = {"j0": row("j0", "done", proof=PROOF)} | ({"j1": other} if other else {})
    status, page = await shown(monkeypatch, [rows], ["j0", "j1"], timeout_s=0.2)
    assert status == UNIT_FAILED
    assert "1 of 2 jobs proved, verified and written" in page
    assert f"  j1: {reason}" in page


async def test_a_producer_without_redis_fails_with_its_reason() -> None:
    with pytest.raises(TransientError, match=r"(?s)BullMQ producer ended.*ECONNREFUSED"):
        await produce(f"redis://127.0.0.1:{free_port()}", "prove", 1)
