"""Resident children, with a real child that misbehaves on request."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    InvalidWitness,
    ProofRejected,
    ProverCrashed,
    ProverTimeout,
    ResourceExhausted,
)
from provery.core.ports import Usage
from provery.provers.circom import Device, PoolSettings, results
from provery.provers.process import Command, Limits
from provery.provers.resident import Reply, ResidentPool

CHILD = """
import json, os, sys, time
def say(message):
    sys.stdout.write(json.dumps(message) + "\\n"); sys.stdout.flush()
if os.environ.get("START") == "silent": time.sleep(60)
if os.environ.get("START") == "wrong": say({"hello": 1})
say({"ready": True})
calls = 0
for line in sys.stdin:
    request = json.loads(line); calls += 1; op = request["op"]; number = request["id"]
    if op == "die": sys.exit(3)
    if op == "killed": os.kill(os.getpid(), 9)
    if op == "oom": sys.stderr.write("fatal error: out of memory"); sys.stderr.flush(); sys.exit(2)
    if op == "hang": time.sleep(60)
    if op == "slow": time.sleep(0.3)
    if op == "garbage": sys.stdout.write("\\x00\\xff<html>" * 9 + "\\n"); sys.stdout.flush(); time.sleep(60)
    if op == "array": say([1])
    if op == "other": number = "stranger"
    if op == "endless":
        while True: sys.stdout.write("x" * 65536)
    if op == "close": os.close(1); time.sleep(60)
    if op == "grow": hold = bytearray(120 << 20); time.sleep(0.3)
    if op == "refuse":
        say({"id": number, "ok": False, "error": {"kind": request["kind"], "message": "no: postgres://u:hunter22@h/d"}})
        continue
    if op == "strange": say({"id": number, "ok": True, "result": "text"}); continue
    if op == "steps":
        for i in range(3): say({"id": number, "progress": {"step": "msm\\n" * 99, "done": i, "total": 3}})
        say({"id": number, "progress": {"step": 5, "done": "x", "total": float("inf")}})
        say({"id": number, "progress": "?"})
    say({"id": number, "ok": True, "result": {"pid": os.getpid(), "calls": calls,
         "env": os.environ.get("CUDA_VISIBLE_DEVICES"), "traceparent": request.get("traceparent"),
         "cpu_s": 0.5, "peak_rss_bytes": 7}})
"""


def command(**env: str) -> Callable[[int], Command]:
    return lambda _: Command("the child", (sys.executable, "-I", "-S", "-c", CHILD), env)


@asynccontextmanager
async def pool(*, env: dict[str, str] | None = None, **settings: Any) -> AsyncIterator[ResidentPool]:
    made = ResidentPool(command(**(env or {})), **settings)
    try:
        yield made
    finally:
        await made.close()


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def test_a_child_stays_and_serves_call_after_call() -> None:
    async with pool() as made:
        replies = [await made.call("work", {}) for _ in range(3)]
        assert [reply.result["calls"] for reply in replies] == [1, 2, 3]
        assert len({reply.result["pid"] for reply in replies}) == 1
        assert replies[0].usage.cpu_s == 0.5  # the child's own figure
    assert gone(int(str(replies[0].result["pid"])))


async def test_concurrent_calls_take_a_child_each_and_then_wait() -> None:
    async with pool(slots=2) as made:
        replies = await asyncio.gather(*(made.call("slow", {}) for _ in range(4)))
        assert len({reply.result["pid"] for reply in replies}) == 2


async def test_a_call_goes_to_the_child_that_holds_its_key() -> None:
    async with pool(slots=2) as made:
        await asyncio.gather(made.call("slow", {}, holds="a"), made.call("slow", {}, holds="b"))
        pids = {
            key: [(await made.call("work", {}, holds=key)).result["pid"] for _ in range(3)] for key in "ab"
        }
        assert {len(set(found)) for found in pids.values()} == {1}
        assert pids["a"] != pids["b"]


@pytest.mark.parametrize(
    ("op", "error", "says"),
    [
        ("die", ProverCrashed, "exit status 3"),
        ("killed", ProverCrashed, "signal 9"),
        ("oom", ResourceExhausted, "out of memory"),
        ("garbage", ProverCrashed, "broke the protocol"),
        ("array", ProverCrashed, "broke the protocol"),
        ("other", ProverCrashed, "nobody made"),
        ("endless", ProverCrashed, "line of more than"),
        ("close", ProverCrashed, "closed its output"),
    ],
)
async def test_a_broken_child_is_replaced_and_its_neighbour_untouched(
    op: str, error: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provery.provers.resident.LINE_LIMIT", 2**20)
    async with pool(slots=2) as made:
        before = {r.result["pid"] for r in await asyncio.gather(*(made.call("slow", {}) for _ in range(2)))}
        with pytest.raises(error, match=says) as caught:
            await made.call(op, {})
        assert type(caught.value) is error
        assert len(str(caught.value)) < 4_200
        after = {r.result["pid"] for r in await asyncio.gather(*(made.call("slow", {}) for _ in range(2)))}
        assert len(before & after) == 1
        assert len(after) == 2
        assert made.restarts == 1


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("invalid_input", InvalidInput),
        ("invalid_witness", InvalidWitness),
        ("invalid_key", InvalidKey),
        ("resource", ResourceExhausted),
        ("invalid_proof", ProofRejected),
        ("internal", ProverCrashed),
        ("never heard of", ProverCrashed),
    ],
)
async def test_a_refusal_is_mapped_and_the_child_stays(kind: str, error: type[Exception]) -> None:
    async with pool() as made:
        with pytest.raises(error) as caught:
            await made.call("refuse", {"kind": kind})
        assert type(caught.value) is error
        assert "hunter22" not in str(caught.value)
        assert (await made.call("work", {})).result["calls"] == 2


async def test_a_result_that_is_no_object_is_a_crash() -> None:
    async with pool() as made:
        with pytest.raises(ProverCrashed, match="gave no result"):
            await made.call("strange", {})


async def test_cancelling_kills_that_child_only_and_within_two_seconds() -> None:
    async with pool(slots=2) as made:
        kept = (await made.call("work", {}, holds="a")).result["pid"]
        task = asyncio.create_task(made.call("hang", {}, holds="b"))
        await asyncio.sleep(0.3)
        pids = made.state()["pids"]
        assert isinstance(pids, list)
        (held,) = [pid for pid in pids if pid != kept]
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2
        assert gone(int(str(held)))
        assert (await made.call("work", {}, holds="a")).result["pid"] == kept


async def test_a_call_that_is_cancelled_while_it_waits_costs_nothing() -> None:
    async with pool() as made:
        busy = asyncio.create_task(made.call("slow", {}))
        await asyncio.sleep(0.1)
        waiting = asyncio.create_task(made.call("work", {}))
        await asyncio.sleep(0.05)
        waiting.cancel()
        assert (await busy).result["calls"] == 1
        assert (await made.call("work", {})).result["calls"] == 2


async def test_time_limit_and_memory_cap_of_a_call() -> None:
    async with pool(default=Limits(timeout_s=0.3)) as made:
        with pytest.raises(ProverTimeout):
            await made.call("hang", {})
    async with pool(default=Limits(memory=60 << 20)) as made:
        with pytest.raises(ResourceExhausted, match="at most 60 MiB"):
            await made.call("grow", {})
        assert (await made.call("work", {})).result["calls"] == 1


async def test_a_child_killed_while_idle_is_replaced_silently() -> None:
    async with pool() as made:
        pid = int(str((await made.call("work", {})).result["pid"]))
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert (await made.call("work", {})).result["calls"] == 1


async def test_recycled_after_calls_and_above_a_memory_ceiling() -> None:
    async with pool(max_calls=2) as made:
        assert [(await made.call("work", {})).result["calls"] for _ in range(4)] == [1, 2, 1, 2]
    async with pool(max_rss=60 << 20) as made:
        assert (await made.call("work", {})).result["calls"] == 1
        await made.call("grow", {})
        assert (await made.call("work", {})).result["calls"] == 1


async def test_ping_replaces_a_stopped_child() -> None:
    async with pool() as made:
        pid = int(str((await made.warm())["pids"][0]))  # type: ignore[index]
        assert (await made.ping())["pids"] == [pid]
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.1)
        assert (await made.ping())["pids"] == []
        assert (await made.call("work", {})).result["calls"] == 1


@pytest.mark.parametrize(("start", "error"), [("wrong", ProverCrashed), ("silent", ProverTimeout)])
async def test_a_child_that_does_not_report_for_work(start: str, error: type[Exception]) -> None:
    async with pool(env={"START": start}, start_timeout_s=0.5) as made:
        with pytest.raises(error):
            await made.call("work", {})


async def test_hostile_progress_is_cut_down() -> None:
    told: list[tuple[str, float, float]] = []
    async with pool() as made:
        await made.call("steps", {}, progress=lambda *step: told.append(step))
    assert [done for _, done, _ in told] == [0, 1, 2, 0]
    assert all(len(step) < 130 and "\n" not in step for step, _, _ in told)
    assert told[-1][2] == 0


async def test_the_trace_context_travels_with_the_request() -> None:
    tracer = TracerProvider().get_tracer("test")
    async with pool() as made:
        with tracer.start_as_current_span("stage") as span:
            context = (await made.call("work", {})).result["traceparent"]
        assert format(span.get_span_context().trace_id, "032x") in str(context)
        assert (await made.call("work", {})).result["traceparent"] is None


async def test_each_slot_has_its_device() -> None:
    devices = tuple(Device({"CUDA_VISIBLE_DEVICES": f"GPU-{i}"}, f"card {i}") for i in range(2))
    made = PoolSettings(slots=2, devices=devices).pool(lambda: command()(0))
    try:
        replies = await asyncio.gather(made.call("slow", {}), made.call("slow", {}))
        assert {r.result["env"] for r in replies} == {"GPU-0", "GPU-1"}
        assert {r.usage.device for r in replies} == {"card 0", "card 1"}
    finally:
        await made.close()


async def test_a_closed_pool_says_so() -> None:
    async with pool() as made:
        pass
    with pytest.raises(ConfigurationError, match="closed"):
        await made.call("work", {})


@pytest.mark.parametrize("items", [None, [], [{"ok": True}, {"ok": True}], ["x"], [None]])
def test_a_reply_must_answer_every_item(items: Any) -> None:
    with pytest.raises(ProverCrashed):
        results("the child", Reply({"items": items}, Usage()), 1)


def test_items_carry_their_own_result() -> None:
    reply = Reply(
        {"items": [{"ok": True, "cpu_s": 1.5, "sha": "x"},
                   {"ok": False, "error": {"kind": "invalid_input", "message": "m"}},
                   {"ok": True, "valid": False, "reason": "r\n"}, {"ok": 1}]},
        Usage(cpu_s=4.0, wall_s=2.0),
    )  # fmt: skip
    good, bad, rejected, odd = results("the child", reply, 4)
    assert (good.error, good.usage.cpu_s, good.usage.wall_s, good.detail) == (None, 1.5, 0.5, {"sha": "x"})
    assert type(bad.error) is InvalidInput
    assert type(rejected.error) is ProofRejected
    assert type(odd.error) is ProverCrashed
