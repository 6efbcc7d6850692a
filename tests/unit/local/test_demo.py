"""The demo's producer: npm's bullmq adds real membership requests."""

import json
import subprocess
from pathlib import Path

import pytest
from redis.asyncio import Redis

from provery.core.errors import TransientError
from provery.local.demo import PRODUCER, produce
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


async def test_a_producer_without_redis_fails_with_its_reason() -> None:
    with pytest.raises(TransientError, match=r"(?s)BullMQ producer ended.*ECONNREFUSED"):
        await produce(f"redis://127.0.0.1:{free_port()}", "prove", 1)
