"""A pool of resident children, one per slot, that answer JSON lines over stdio and keep their keys loaded.

Child to parent: ``{"ready": true, …}`` once; then per request any number of ``{"id", "progress": {step, done, total}}``
and one ``{"id", "ok": true, "result": {…}}`` or ``{"id", "ok": false, "error": {kind, message}}``. One request is in
flight per child, so cancelling it by killing the child harms nobody else.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic

from provery.core.errors import ConfigurationError, ProverCrashed, ProveryError, shorten
from provery.core.ports import Progress, Usage
from provery.core.types import Json
from provery.provers.failures import error_of_reply
from provery.provers.family import forget_peak
from provery.provers.process import Child, Command, Limits, limits, watched
from provery.provers.tracing import trace_child, traced

LINE_LIMIT = 64 * 2**20
"""Longest line accepted from a child, bytes: a batch of some ten thousand items."""


@dataclass(frozen=True)
class Reply:
    """A call's result and what it used."""

    result: Mapping[str, Json]
    usage: Usage


@dataclass
class _Slot:
    """A place for one child."""

    index: int
    child: Child | None = None
    calls: int = 0
    """Calls of the present child."""
    holds: set[str] = field(default_factory=set)
    """What the present child has loaded, as told by the callers."""


class ResidentPool:
    """Runs calls on resident children; each child starts at its first call and is replaced when it dies.

    Args:
        command: Program of a slot, by slot number.
        slots: Children at most; further calls wait.
        default: Limits of a call whose stage sets none.
        start_timeout_s: Time from start to the ready line.
        max_calls: A child is replaced after this many calls; 0 for never.
        max_rss: A child is replaced when it idles above this many bytes; 0 for never.
    """

    def __init__(
        self,
        command: Callable[[int], Command],
        *,
        slots: int = 1,
        default: Limits | None = None,
        start_timeout_s: float = 60.0,
        max_calls: int = 0,
        max_rss: int = 0,
    ) -> None:
        self._command = command
        self._default = default or Limits()
        self._start_timeout_s = start_timeout_s
        self._max_calls = max_calls
        self._max_rss = max_rss
        self._slots = [_Slot(index) for index in range(max(1, slots))]
        self._free = list(self._slots)
        self._turn = asyncio.Semaphore(len(self._slots))
        self._number = 0
        self._closed = False
        self.restarts = 0
        """Children started to replace another."""

    async def call(
        self, op: str, request: Mapping[str, Json], *, holds: str = "", progress: Progress | None = None
    ) -> Reply:
        """Run one request on a free child.

        Args:
            op: Operation.
            request: Its fields, apart from ``id`` and ``op``.
            holds: What the child keeps loaded after this call (a key's digest); a free child that has it is preferred.
            progress: Told what the child reports.

        Raises:
            ProveryError: what the child reported, or what its end means.
        """
        async with self._turn:
            if self._closed:
                raise ConfigurationError("the prover pool is closed")
            # The child that has the key loaded; else one that has loaded little, so that keys spread over the slots.
            slot = min(self._free, key=lambda s: (holds not in s.holds, len(s.holds), s.child is None))
            self._free.remove(slot)
            try:
                child = await self._child(slot)
                reply = await self._ask(child, op, request, progress)
                slot.calls += 1
                slot.holds.add(holds)
                if self._due(slot, child):
                    await child.stop()
                return reply
            finally:
                self._free.append(slot)

    async def warm(self) -> Mapping[str, Json]:
        """Start every child that is not running, and check each by a ping; returns the pool's state."""
        await asyncio.gather(*(self.call("ping", {}) for _ in range(len(self._free))))
        return self.state()

    async def ping(self) -> Mapping[str, Json]:
        """Check every idle child that runs; one that does not answer is killed and replaced at its next call."""
        idle = [slot for slot in self._free if slot.child is not None and slot.child.alive]
        for slot in idle:
            if self._turn.locked() or slot not in self._free or slot.child is None:
                continue  # busy by now, which is as good a sign of life
            async with self._turn:
                self._free.remove(slot)
                try:
                    await self._ask(slot.child, "ping", {}, None, Limits(timeout_s=5.0))
                except ProveryError:
                    slot.child = None
                finally:
                    self._free.append(slot)
        return self.state()

    def state(self) -> dict[str, Json]:
        """Slots, running children and restarts, for health pages."""
        alive = [s.child.pid for s in self._slots if s.child is not None and s.child.alive]
        return {"slots": len(self._slots), "busy": len(self._slots) - len(self._free), "pids": list(alive),
                "restarts": self.restarts}  # fmt: skip

    async def close(self) -> None:
        """End all children, the busy ones too."""
        self._closed = True
        await asyncio.gather(*(slot.child.stop() for slot in self._slots if slot.child is not None))

    def _due(self, slot: _Slot, child: Child) -> bool:
        if self._max_calls and slot.calls >= self._max_calls:
            return True
        return bool(self._max_rss) and child.family.rss() > self._max_rss

    async def _child(self, slot: _Slot) -> Child:
        if slot.child is not None and slot.child.alive:
            return slot.child
        if slot.child is not None:
            self.restarts += 1
            await slot.child.stop(grace=0)
        slot.calls, slot.holds, slot.child = 0, set(), None
        child = await Child.start(self._command(slot.index), line_limit=LINE_LIMIT)
        async with watched(child, Limits(timeout_s=self._start_timeout_s, memory=self._default.memory)):
            hello = await _message(child)
            if hello.get("ready") is not True:
                name = child.command.name
                raise ProverCrashed(f"{name} did not report for work", value=hello, expected="ready: true")
        slot.child = child
        if self._closed:
            await child.stop()
        return child

    async def _ask(
        self,
        child: Child,
        op: str,
        request: Mapping[str, Json],
        progress: Progress | None,
        allowed: Limits | None = None,
    ) -> Reply:
        self._number += 1
        number = str(self._number)
        begun, before = monotonic(), child.family.cpu_s
        trace = traced().get("TRACEPARENT")
        body = {"id": number, "op": op, **request} | ({"traceparent": trace} if trace else {})
        async with watched(child, allowed or self._limits()):
            child.family.peak_rss = 0
            child.stdin.write(json.dumps(body, allow_nan=False).encode() + b"\n")
            while True:
                message = await _message(child)
                if message.get("id") != number:
                    raise ProverCrashed(
                        f"{child.command.name} answered a request nobody made", value=message.get("id")
                    )
                if "progress" in message:
                    _report(progress, message["progress"])
                    continue
                break
        usage = self._usage(child, before, begun)
        trace_child(child, op, message.get("span"))
        result = message.get("result")
        if message.get("ok") is not True:
            raise error_of_reply(child.command.name, message.get("error"))
        if not isinstance(result, dict):
            raise ProverCrashed(f"{child.command.name} gave no result", value=result, expected="an object")
        return Reply(result, _told(usage, result))

    def _limits(self) -> Limits:
        stage = limits.get()
        return Limits(stage.timeout_s or self._default.timeout_s, stage.memory or self._default.memory)

    @staticmethod
    def _usage(child: Child, before: float, begun: float) -> Usage:
        if monotonic() - begun > 0.05:  # /proc counts in hundredths of a second: no use looking for less
            child.family.rss()
            forget_peak(child.pid)
        family = child.family
        return Usage(family.cpu_s - before, monotonic() - begun, family.peak_rss, pid=child.pid,
                     device=child.command.device)  # fmt: skip


async def _message(child: Child) -> dict[str, Json]:
    """The child's next line."""
    name = child.command.name
    try:
        line = await child.stdout.readline()
    except ValueError:
        raise ProverCrashed(f"{name} wrote a line of more than {LINE_LIMIT >> 20} MiB") from None
    if not line.endswith(b"\n"):
        await asyncio.wait([child.exited], timeout=1.0)
        raise ProverCrashed(f"{name} closed its output") if child.alive else child.failure()
    try:
        message = json.loads(line)
    except ValueError:
        message = None
    if not isinstance(message, dict):
        raise ProverCrashed(f"{name} broke the protocol", value=line[:200].decode("utf-8", "replace"),
                            expected="a JSON object per line")  # fmt: skip
    return message


def _report(progress: Progress | None, told: Json) -> None:
    if progress is None or not isinstance(told, dict):
        return
    done, total = (_number(told.get(key)) for key in ("done", "total"))
    progress(shorten(str(told.get("step", "")), 80).strip("'"), done or 0.0, total or 0.0)


def _told(usage: Usage, result: Mapping[str, Json]) -> Usage:
    """Prefer the child's own figures, which are finer than /proc's."""
    cpu, rss = _number(result.get("cpu_s")), _number(result.get("peak_rss_bytes"))
    return replace(usage, cpu_s=usage.cpu_s if cpu is None else cpu, peak_rss=usage.peak_rss or int(rss or 0))


def _number(value: Json) -> float | None:
    good = (
        isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value >= 0
    )
    return float(value) if good and isinstance(value, int | float) else None
