"""A BullMQ queue as a Node worker sees it, spoken directly.

The Lua beside this file is ours and keeps the wire format of bullmq 5.69.1. The Python port on PyPI (3.4.4) was tried
first and is not used: its scripts belong to the next major version, which leaves the waiting jobs of a paused queue in
``wait``, while 5.69.1 renames ``paused`` over ``wait`` on resume, so a stalled or retried job of a paused queue would
vanish. It also reads and parses each job's content before anybody can look at its size, and sends all commands of a
queue over one connection, one job at a time. ``docs/queue.md`` has the measurements.
"""

from __future__ import annotations

import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from provery.core.errors import SourceUnavailable
from provery.core.types import Json
from provery.systems.queue.backoff import keep, number
from provery.systems.queue.model import Ending, Job, Kind, Taken, Verdict

ADD_OPTS = '{"removeOnComplete":true,"removeOnFail":false,"attempts":0}'
"""Options of an upstream job, byte for byte as npm's client stores them."""
BLOCK_S = 5.0
"""Longest single wait for the marker: BullMQ's drainDelay."""
_VERDICTS = {0: Verdict.APPLIED, -1: Verdict.GONE, -3: Verdict.GONE, -2: Verdict.LOST, -6: Verdict.LOST}
_STALLED = "job stalled more than allowable limit"


def _script(*parts: str, tail: str = "") -> str:
    folder = files(__package__) / "lua"
    return "\n".join([*((folder / f"{part}.lua").read_text("utf-8") for part in ("common", *parts)), tail])


@contextlib.contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Everything that can go wrong between here and Redis is one transient error."""
    try:
        yield
    except (RedisError, OSError, TimeoutError) as error:
        raise SourceUnavailable(
            f"Redis did not answer: {type(error).__name__}: {error}",
            value=url.rsplit("@", 1)[-1],  # after the credentials
            action="the ingress tries again; check REDIS_URL if this lasts",
        ) from error


class BullQueue:
    """One queue in Redis.

    Args:
        url: ``redis://`` or ``rediss://`` address.
        name: Queue name.
        prefix: First part of its keys.
        lock_ms: How long a job stays ours without being extended.
        max_job_bytes: Content above this is left in Redis.
        stalled_interval_ms: How often, over all workers, jobs of dead holders are looked for.
    """

    def __init__(
        self,
        url: str,
        name: str = "prove",
        *,
        prefix: str = "bull",
        lock_ms: int = 30_000,
        max_job_bytes: int = 2**20,
        stalled_interval_ms: int = 5_000,
    ) -> None:
        self.url = url
        self.name = name
        self.base = f"{prefix}:{name}:"
        self.holder = str(uuid.uuid4())
        self._lock_ms = lock_ms
        self._max_bytes = max_job_bytes
        self._stalled_ms = stalled_interval_ms
        self._tokens = 0
        # Bytes, not text: content that is not UTF-8 must spoil its own job only, not the reply it arrives in.
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=15, socket_connect_timeout=5, health_check_interval=15
        )
        self._blocking: Redis = Redis.from_url(url, socket_timeout=BLOCK_S + 10, socket_connect_timeout=5)
        self._take = self._redis.register_script(
            _script(
                "take",
                tail="return take(tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7]))",
            )
        )
        self._settle = self._redis.register_script(_script("take", "settle"))
        self._extend = self._redis.register_script(_script("extend"))
        self._stalled = self._redis.register_script(_script("stalled"))
        self._add = self._redis.register_script(_script("add"))

    async def take(self, limit: int) -> Taken:
        """Take up to ``limit`` jobs, locked for this holder."""
        first = self._reserve(limit)
        return self._taken(
            await self._call(self._take, limit, self.holder, first, self._lock_ms, self._max_bytes)
        )

    async def settle(self, endings: Sequence[Ending], take: int = 0) -> tuple[list[Verdict], Taken]:
        """End jobs and take up to ``take`` others in the same step."""
        first = self._reserve(take)
        work = json.dumps([self._wire(ending) for ending in endings]) if endings else "[]"
        codes, taken = await self._call(
            self._settle, work, take, self.holder, first, self._lock_ms, self._max_bytes
        )
        return [_VERDICTS.get(int(code), Verdict.BLOCKED) for code in codes], self._taken(taken)

    async def extend(self, jobs: Sequence[Job]) -> set[str]:
        """Extend the locks of ``jobs``; returns the ids of those that are no longer ours."""
        if not jobs:
            return set()
        pairs = [part for job in jobs for part in (job.id, job.token)]
        return {_text(id) for id in await self._call(self._extend, self._lock_ms, *pairs)}

    async def requeue_stalled(self) -> list[str]:
        """Queue the jobs of dead holders again; returns their ids."""
        return [_text(id) for id in await self._call(self._stalled, self._stalled_ms)]

    async def taken_unseen(self, held: Collection[str]) -> dict[str, str]:
        """Jobs that were taken for us by calls whose answer never came, as id → token.

        Args:
            held: Tokens of the jobs that this process knows it holds.
        """
        with _reaching(self.url):
            active = [_text(id) for id in await _answer(self._redis.lrange(self.base + "active", 0, -1))]
            tokens = (
                await _answer(self._redis.mget([f"{self.base}{id}:lock" for id in active])) if active else []
            )
        found = zip(active, (_text(token) for token in tokens), strict=True)
        return {id: token for id, token in found if token.startswith(self.holder) and token not in held}

    async def wait(self, until_ms: int = 0) -> int:
        """Sleep until a producer rings, a delayed job is due (``until_ms``), or a few seconds have passed.

        Returns 0 when it is time to look, else when the next delayed job is due, to be waited for again.
        """
        left = min(BLOCK_S, until_ms / 1000 - time.time()) if until_ms else BLOCK_S
        if left <= 0:
            return 0
        with _reaching(self.url):
            # Redis 6 rounds to its own tick, and a block of less than that would last for ever.
            rung = await _answer(self._blocking.bzpopmin([self.base + "marker"], timeout=max(left, 0.002)))
        # Member "0" says that a job waits; "1" carries the time at which a delayed one is due.
        due = int(float(rung[2])) if rung and rung[1] == b"1" else 0
        return due if due > time.time() * 1000 else 0

    async def add(self, data: Mapping[str, Json], *, name: str = "prove", opts: str = ADD_OPTS) -> str:
        """Add a job as the upstream API does; returns BullMQ's id."""
        body = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
        return _text(await self._call(self._add, name, body, opts))

    async def counts(self) -> dict[str, int]:
        """Jobs by state."""
        with _reaching(self.url):
            pipe = self._redis.pipeline(transaction=False)
            for state in ("wait", "paused", "active"):
                pipe.llen(self.base + state)
            for state in ("prioritized", "delayed", "completed", "failed"):
                pipe.zcard(self.base + state)
            numbers = await pipe.execute()
        return dict(
            zip(
                ("wait", "paused", "active", "prioritized", "delayed", "completed", "failed"),
                numbers,
                strict=True,
            )
        )

    async def contents(self) -> AsyncIterator[bytes]:
        """Content of every unfinished job, in chunks; what exceeds the size limit is skipped."""
        for state in (
            "delayed",
            "prioritized",
            "paused",
            "wait",
            "active",
        ):  # the way jobs go, so that none slips by
            with _reaching(self.url):
                listing = self._redis.lrange if state in ("active", "wait", "paused") else self._redis.zrange
                ids = await _answer(listing(self.base + state, 0, -1))
            for at in range(0, len(ids), 500):
                with _reaching(self.url):
                    keys = [self.base.encode() + id for id in ids[at : at + 500]]
                    sizes = await self._each(keys, "hstrlen")
                    small = [
                        key for key, size in zip(keys, sizes, strict=True) if 0 < size <= self._max_bytes
                    ]
                    contents = await self._each(small, "hget")
                for content in contents:
                    if content is not None:
                        yield content

    async def ping(self) -> None:
        """Raise :class:`SourceUnavailable` unless Redis answers."""
        with _reaching(self.url):
            await _answer(self._redis.ping())

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._redis, self._blocking):
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()

    async def _each(self, keys: Sequence[bytes], command: str) -> list[Any]:
        pipe = self._redis.pipeline(transaction=False)
        for key in keys:
            getattr(pipe, command)(key, "data")
        return list(await pipe.execute())

    async def _call(self, script: Any, *args: str | int) -> Any:
        now = int(time.time() * 1000)
        with _reaching(self.url):
            return await script(keys=[self.base + "meta"], args=[self.base, now, *args])

    def _reserve(self, count: int) -> int:
        first = self._tokens
        self._tokens += count
        return first

    def _wire(self, ending: Ending) -> dict[str, object]:
        job = ending.job
        option = "removeOnComplete" if ending.kind is Kind.COMPLETED else "removeOnFail"
        said: dict[str, object] = {
            "id": job.id,
            "token": job.token,
            "kind": ending.kind.value,
            "value": ending.value,
            "keep": keep(job.opts.get(option)),
            "attempts": number(job.opts.get("attempts")),
            "delay": ending.delay_ms,
            "lifo": job.opts.get("lifo") is True,
        }
        if ending.kind in (Kind.FAILED, Kind.RETRIED, Kind.DELAYED):
            said["stacktrace"] = json.dumps(list(ending.stacktrace))
        return said

    @staticmethod
    def _taken(raw: Any) -> Taken:
        jobs, pause, due = raw
        return Taken(tuple(_job(fields) for fields in jobs), int(pause), int(due))


async def _answer(reply: Any) -> Any:
    """Await a reply; redis-py types one signature for its blocking and its asyncio client."""
    return await reply


def _text(raw: bytes | str | None) -> str:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw or ""


def _int(raw: bytes | None) -> int:
    try:
        return int(float(raw)) if raw else 0
    except (ValueError, OverflowError):
        return 0


def _json(raw: bytes | None, default: Json) -> Json:
    try:
        value: Json = json.loads(raw) if raw else default
    except (ValueError, RecursionError):
        return default
    return value if isinstance(value, type(default)) else default


def _job(fields: Sequence[Any]) -> Job:
    """A job from take.lua's list. Fields that anybody may have written badly fall back to BullMQ's defaults."""
    id, token, size, data, name, opts, timestamp, delay, priority, made, started, stalls, deferred, trace = (
        fields
    )
    parsed, traces = _json(opts, {}), _json(trace, [])
    # A Node worker's stalled check may have condemned the job; its work goes on in a workflow, so it is not given up.
    reason = _text(deferred)
    return Job(
        id=_text(id),
        token=_text(token),
        data=data,
        size=int(size),
        opts=parsed if isinstance(parsed, dict) else {},
        name=_text(name),
        timestamp=_int(timestamp),
        delay=_int(delay),
        priority=_int(priority),
        attempts_made=_int(made),
        attempts_started=_int(started),
        stalls=_int(stalls),
        deferred="" if reason == _STALLED else reason,
        stacktrace=tuple(str(t) for t in traces) if isinstance(traces, list) else (),
    )
