"""Our BullMQ client against npm's: what one side writes, the other reads, key by key."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from provery.core.types import Json
from provery.systems import queue
from provery.systems.queue.backoff import failure
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.model import Ending, Job, Kind, Verdict
from tests.support.queue import Peer, peer, shared_redis, until

VECTORS = Path(queue.__file__).parent / "vectors" / "bullmq-5.69.1_redis_key_dumps.json"
DONE = '{"ok":true}'


@dataclass
class Sides:
    name: str
    ours: BullQueue
    theirs: Peer
    redis: Redis

    def key(self, name: str) -> str:
        return f"bull:{self.name}:{name}"

    async def other(self, **more: Any) -> BullQueue:
        return BullQueue(shared_redis().url, self.name, **more)


@pytest_asyncio.fixture
async def sides() -> AsyncIterator[Sides]:
    url, name = shared_redis().url, f"w{uuid.uuid4().hex[:12]}"
    ours, redis = BullQueue(url, name, stalled_interval_ms=100), Redis.from_url(url, decode_responses=True)
    async with peer(url, name) as theirs:
        yield Sides(name, ours, theirs, redis)
    await ours.close()
    await redis.aclose()


def complete(job: Job) -> Ending:
    return Ending(job, Kind.COMPLETED, DONE)


async def dump(redis: Redis, name: str) -> dict[str, Any]:
    """Every key of the queue in the form of the recorded vectors."""
    found = {}
    for key in [key async for key in redis.scan_iter(f"bull:{name}:*")]:
        kind = await redis.type(key)
        value: Any
        if kind == "hash":
            value = await redis.hgetall(key)
        elif kind == "list":
            value = await redis.lrange(key, 0, -1)
        elif kind == "zset":
            value = await redis.zrange(key, 0, -1)
        elif kind == "stream":
            entries: Any = await redis.xrange(key)
            value = [[part for pair in fields.items() for part in pair] for _, fields in entries]
        else:
            value = await redis.get(key)
        found[key.replace(f"bull:{name}:", "bull:prove:")] = {
            "type": kind,
            "value": value,
            "pttl": await redis.pttl(key),
        }
    return found


def comparable(keys: dict[str, Any]) -> dict[str, Any]:
    """A dump without what is free to differ: times, tokens, traces, wake-up markers, the stalled check's own clock."""
    kept: dict[str, Any] = {}
    for name, entry in keys.items():
        value = entry["value"]
        if name.endswith((":marker", ":stalled-check", ":stalled")):
            continue
        if entry["type"] == "hash":
            moving = ("timestamp", "processedOn", "finishedOn", "data", "stacktrace")
            value = {f: "…" if f in moving else v for f, v in value.items()}
        elif entry["type"] == "zset":
            value = value[::2] if len(value) > 1 else value
        elif name.endswith(":lock"):
            value = "token"
        kept[name] = (entry["type"], value)
    return kept


async def test_the_four_recorded_states_key_by_key(sides: Sides) -> None:
    recorded = [comparable(state["keys"]) for state in json.loads(VECTORS.read_text())]

    await sides.theirs.add("11111111-2222-4333-8444-555555555555")
    assert comparable(await dump(sides.redis, sides.name)) == recorded[0]

    (job,) = (await sides.ours.take(1)).jobs
    active = await dump(sides.redis, sides.name)
    assert comparable(active) == recorded[1]
    assert active["bull:prove:1:lock"]["value"] == job.token
    assert 29_000 < active["bull:prove:1:lock"]["pttl"] <= 30_000

    await sides.ours.settle([complete(job)])
    assert comparable(await dump(sides.redis, sides.name)) == recorded[2]

    await sides.theirs.add("11111111-2222-4333-8444-555555555555-fail")
    (job,) = (await sides.ours.take(1)).jobs
    await sides.ours.settle([failure(job, "boom", "Error: boom\n    at …", retryable=True)])
    assert comparable(await dump(sides.redis, sides.name)) == recorded[3]


async def test_our_add_is_theirs_key_by_key(sides: Sides) -> None:
    data: dict[str, Json] = {"jobId": "a", "request": {"root": "1", "text": "ünï"}}
    await sides.theirs("add", data=data)
    theirs = await dump(sides.redis, sides.name)
    await sides.redis.flushdb()
    await sides.ours.add(data)
    ours = await dump(sides.redis, sides.name)
    for found in (theirs, ours):
        found["bull:prove:1"]["value"].pop("timestamp")
    assert ours == theirs


async def test_a_node_worker_takes_what_we_add_and_sees_how_we_end(sides: Sides) -> None:
    failing = await sides.theirs.add("x", removeOnComplete=False)
    (job,) = (await sides.ours.take(1)).jobs
    await sides.ours.settle([failure(job, "no", "Error: no", retryable=False)])
    seen = await sides.theirs("job", id=failing)
    assert (seen["state"], json.loads(seen["job"]["failedReason"]), seen["attemptsMade"]) == (
        "failed",
        "no",
        1,
    )
    assert json.loads(seen["job"]["stacktrace"]) == ["Error: no"]
    await sides.theirs("retry", id=failing)
    (job,) = (await sides.ours.take(1)).jobs
    assert (job.id, job.attempts_started) == (failing, 2)
    await sides.ours.settle([complete(job)])
    seen = await sides.theirs("job", id=failing)
    assert (seen["state"], json.loads(seen["job"]["returnvalue"])) == ("completed", {"ok": True})
    await sides.theirs("worker")
    await sides.ours.add({"jobId": "for node", "request": {}})
    await until(lambda: _worked(sides, ["for node"]))


async def _worked(sides: Sides, ids: list[str]) -> bool:
    return bool((await sides.theirs("worked"))["jobs"] == ids)


async def test_both_kinds_of_worker_share_one_queue_and_lose_nothing(sides: Sides) -> None:
    await sides.theirs("worker", concurrency=3, delay=2)
    ids = [f"j{n}" for n in range(300)]
    adding = asyncio.create_task(sides.theirs("addMany", jobs=[{"data": {"jobId": id}} for id in ids]))
    mine: list[str] = []
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        taken = await sides.ours.take(5)
        mine += [json.loads(job.data or b"{}")["jobId"] for job in taken.jobs]
        assert {v for v in (await sides.ours.settle([complete(j) for j in taken.jobs]))[0]} <= {
            Verdict.APPLIED
        }
        if adding.done() and not taken.jobs and (await sides.ours.counts())["active"] == 0:
            break
        await asyncio.sleep(0.002)
    theirs = (await sides.theirs("worked"))["jobs"]
    assert sorted(mine + theirs) == sorted(ids)
    assert mine
    assert theirs
    assert set((await sides.ours.counts()).values()) == {0}


async def test_order_priority_and_delay_are_theirs(sides: Sides) -> None:
    for id, opts in (("late", {"delay": 250}), ("low", {"priority": 9}), ("high", {"priority": 1}), ("first", {}),
                     ("second", {}), ("lifo", {"lifo": True})):  # fmt: skip
        await sides.theirs.add(id, **opts)
    taken = await sides.ours.take(10)
    assert _ids(taken.jobs) == ["lifo", "first", "second", "high", "low"]
    assert abs(taken.next_ms - time.time() * 1000) < 400
    due = await sides.ours.wait(taken.next_ms)
    while due:
        due = await sides.ours.wait(due)
    await until(lambda: _takes(sides, ["late"]))


async def _takes(sides: Sides, ids: list[str]) -> bool:
    return _ids((await sides.ours.take(10)).jobs) == ids


def _ids(jobs: tuple[Job, ...]) -> list[str]:
    return [json.loads(job.data or b"{}")["jobId"] for job in jobs]


async def test_waiting_ends_as_soon_as_a_producer_adds(sides: Sides) -> None:
    await sides.ours.take(1)
    started = time.monotonic()
    waiting = asyncio.create_task(sides.ours.wait())
    await asyncio.sleep(0.1)
    await sides.theirs.add("a")
    assert await waiting == 0
    assert time.monotonic() - started < 4.0, "not at the end of its time"


async def test_a_paused_queue_gives_nothing_and_a_stalled_job_of_it_survives_resume(sides: Sides) -> None:
    """What the Python port loses: it puts the job into ``wait``, and npm's resume renames ``paused`` over that."""
    await sides.theirs.add("taken before")
    other = await sides.other(lock_ms=500)
    assert len((await other.take(1)).jobs) == 1
    await sides.theirs("pause")
    await sides.theirs.add("added while paused")
    assert (await sides.ours.take(5)).jobs == ()
    await asyncio.sleep(0.6)
    await until(lambda: sides.ours.requeue_stalled())
    assert (await sides.ours.take(5)).jobs == ()
    await sides.theirs("resume")
    assert _ids((await sides.ours.take(5)).jobs) == ["taken before", "added while paused"]
    await other.close()


async def test_rate_limits_and_global_concurrency_hold(sides: Sides) -> None:
    await sides.theirs("limit", max=2, duration=400)
    for n in range(4):
        await sides.theirs.add(str(n))
    taken = await sides.ours.take(4)
    assert len(taken.jobs) == 2
    again = await sides.ours.take(4)
    assert again.jobs == ()
    assert 0 < again.pause_ms <= 400
    await asyncio.sleep(again.pause_ms / 1000 + 0.01)
    await sides.theirs("concurrency", max=3)
    assert len((await sides.ours.take(4)).jobs) == 1


async def test_attempts_and_backoff_are_the_jobs_own(sides: Sides) -> None:
    id = await sides.theirs.add(
        "a", attempts=3, backoff={"type": "exponential", "delay": 60}, stackTraceLimit=1
    )
    for attempt, state in ((1, "delayed"), (2, "delayed"), (3, "failed")):
        await until(lambda: _take_one(sides, f"boom {attempt}"))  # noqa: B023 -- awaited at once
        seen = await sides.theirs("job", id=id)
        assert (seen["state"], seen["attemptsMade"]) == (state, attempt)
        assert json.loads(seen["job"]["stacktrace"]) == [f"trace boom {attempt}"]
    at_once = await sides.theirs.add("b", attempts=2)
    await until(lambda: _take_one(sides, "x"))
    assert (await sides.theirs("job", id=at_once))["state"] == "waiting"


async def _take_one(sides: Sides, reason: str) -> bool:
    taken = await sides.ours.take(1)
    for job in taken.jobs:
        await sides.ours.settle([failure(job, reason, f"trace {reason}", retryable=True)])
    return bool(taken.jobs)


async def test_kept_jobs_are_bounded_as_asked(sides: Sides) -> None:
    for n in range(5):
        await sides.theirs.add(str(n), removeOnComplete={"count": 2})
    taken = await sides.ours.take(5)
    await sides.ours.settle([complete(job) for job in taken.jobs])
    assert (await sides.ours.counts())["completed"] == 2
    assert len([k async for k in sides.redis.scan_iter(f"bull:{sides.name}:[0-9]*")]) == 2
    await sides.theirs.add("gone", removeOnFail=True)
    (job,) = (await sides.ours.take(1)).jobs
    await sides.ours.settle([failure(job, "no", "", retryable=False)])
    assert (await sides.ours.counts())["failed"] == 0


async def test_stalled_jobs_come_back_however_often_and_locks_are_told_apart(sides: Sides) -> None:
    await sides.theirs.add("a")
    past: list[Job] = []
    for stalls in range(4):  # a Node worker gives a job up at the second
        holder = await sides.other(lock_ms=500)
        (job,) = (await holder.take(1)).jobs
        assert (job.stalls, job.deferred) == (stalls, "")
        past.append(job)
        await sides.redis.delete(sides.key(f"{job.id}:lock"))
        await until(lambda: sides.ours.requeue_stalled())
        await holder.close()
    assert len({job.token for job in past}) == 4
    (held,) = (await sides.ours.take(1)).jobs
    assert await sides.ours.extend([held, past[-1]]) == {held.id}  # ours twice, once with a token of the past
    stale = complete(past[-1])
    assert (await sides.ours.settle([stale]))[0] == [Verdict.LOST]
    assert (await sides.ours.settle([complete(held), complete(held)]))[0] == [Verdict.APPLIED, Verdict.GONE]


async def test_a_job_condemned_by_a_node_workers_stalled_check_is_not_given_up(sides: Sides) -> None:
    id = await sides.theirs.add("a")
    await sides.redis.hset(sides.key(id), "defa", "job stalled more than allowable limit")
    child = await sides.theirs.add("b")
    await sides.redis.hset(sides.key(child), "defa", "child bull:x:1 failed")
    taken = await sides.ours.take(2)
    assert [job.deferred for job in taken.jobs] == ["", "child bull:x:1 failed"]


async def test_released_jobs_are_next_in_line(sides: Sides) -> None:
    for id in ("a", "b"):
        await sides.theirs.add(id)
    await sides.theirs.add("p", priority=2)
    (job,) = (await sides.ours.take(1)).jobs
    assert (await sides.ours.settle([Ending(job, Kind.RELEASED)]))[0] == [Verdict.APPLIED]
    assert _ids((await sides.ours.take(5)).jobs) == ["a", "b", "p"]


@pytest.mark.parametrize(
    "option", ["failParentOnFailure", "ignoreDependencyOnFailure", "continueParentOnFailure"]
)
async def test_children_of_a_flow_tell_their_parent(sides: Sides, option: str) -> None:
    good = {"name": "prove", "data": {"jobId": "good"}, "opts": {"removeOnComplete": True}}
    bad = {"name": "prove", "data": {"jobId": "bad"}, "opts": {option: True}}
    tree = await sides.theirs(
        "flow", parent={"name": "prove", "data": {"jobId": "parent"}}, children=[good, bad]
    )
    taken = await sides.ours.take(5)
    assert sorted(_ids(taken.jobs)) == ["bad", "good"]
    endings = [
        complete(job) if b"good" in (job.data or b"") else failure(job, "no", "", retryable=False)
        for job in taken.jobs
    ]
    await sides.ours.settle(endings)
    (parent,) = (await sides.ours.take(5)).jobs
    assert parent.id == tree["id"]
    assert parent.deferred.startswith("child bull:") is (option == "failParentOnFailure")
    processed = await sides.redis.hgetall(sides.key(f"{parent.id}:processed"))
    assert list(processed.values()) == [DONE]


async def test_what_is_too_large_stays_in_redis(sides: Sides) -> None:
    await sides.redis.config_set("proto-max-bulk-len", 2**30)
    await sides.ours.add({"jobId": "big", "request": {"x": "y" * 100_000_000}})
    await sides.theirs.add("small")
    started = time.monotonic()
    big, small = (await sides.ours.take(2)).jobs
    assert time.monotonic() - started < 0.5
    assert big.data is None
    assert big.size > 100_000_000
    assert small.data is not None
    assert (await sides.ours.settle([failure(big, "large", "", retryable=False)]))[0] == [Verdict.APPLIED]
    await sides.theirs("remove", id=big.id)


async def test_a_job_removed_while_it_waited_is_passed_over(sides: Sides) -> None:
    id = await sides.theirs.add("a")
    await sides.redis.delete(sides.key(id))
    await sides.theirs.add("b")
    assert _ids((await sides.ours.take(5)).jobs) == ["b"]
    assert (await sides.ours.counts())["active"] == 1


async def test_jobs_taken_by_a_call_whose_answer_was_lost_are_found(sides: Sides) -> None:
    await sides.theirs.add("a")
    (job,) = (await sides.ours.take(1)).jobs
    assert await sides.ours.taken_unseen({job.token}) == {}
    assert await sides.ours.taken_unseen(set()) == {job.id: job.token}
