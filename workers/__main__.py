"""``python -m workers --queue cpu``: run workers until SIGTERM, then drain."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from temporalio.client import Client
from temporalio.service import RPCError

from provery.client.ending import ended
from provery.core.errors import ConfigurationError, ProveryError
from provery.core.queues import GPU, QUEUES
from provery.core.redact import redactor
from provery.local.process import unless_stopped
from workers import devices, ingress, logs
from workers.health import HealthServer
from workers.queues import QueueSpec, spec
from workers.run import run_workers
from workers.runtime import Environment, build
from workers.waiting import Waiting

log = logging.getLogger("provery.worker")
CHECK_S = 2.0
"""Seconds that a part has to answer /ready."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m workers", description=__doc__)
    parser.add_argument(
        "--queue", default="", metavar="NAME[,NAME]", help=f"queues to work on: {', '.join(QUEUES)}"
    )
    parser.add_argument("--slots", type=int, help="activities at a time, per queue (default: by queue)")
    parser.add_argument(
        "--ingress", default="", metavar="SYSTEM/STREAM", help="also feed a stream from its source"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address of /health, /ready and /metrics")
    parser.add_argument(
        "--port", type=int, help="port of /health, /ready and /metrics (METRICS_PORT; 0: any)"
    )
    return parser.parse_args(argv)


async def main(options: argparse.Namespace) -> None:
    """Serve /health, wait for what is away, build, work, drain."""
    env = os.environ
    gpus = devices.found()
    names = [name for name in options.queue.split(",") if name]
    if not names and not options.ingress:
        raise ConfigurationError(
            "nothing to do", expected="--queue or --ingress", action="name a queue to work on"
        )
    specs = [spec(name, gpus=len(gpus), slots=options.slots, env=env) for name in names]
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    role = ",".join(names) or f"ingress {options.ingress}"
    proving = sum(s.slots for s in specs if s.name not in ("io", "orchestrate"))
    port = options.port if options.port is not None else ingress.port(options.ingress, env)
    async with AsyncExitStack() as held:
        leased: list[devices.Gpu] = []
        if GPU in names and gpus:
            slots = sum(s.slots for s in specs if s.name == GPU)
            leased = await held.enter_async_context(devices.Leases(gpus).per_slot(slots))
        state = State()
        health = HealthServer(state.ready)
        await health.start(options.host, port)
        held.push_async_callback(health.close)
        building = asyncio.create_task(build(env, role, max(proving, 1), leased, state.waiting))
        if not await unless_stopped(building, stop):
            log.info("stopped while waiting", extra={"waiting": state.waiting.reasons})
            return
        environment = building.result()
        held.push_async_callback(environment.close)
        feed = await ingress.build(environment, options.ingress) if options.ingress else None
        routers, serving = (feed.routers, feed.serving) if feed else ([], None)
        health.attach(environment.metrics, environment.sdk_metrics, routers, serving)
        state.environment, state.feed = environment, feed
        # Before the environment is closed: requests in flight need it.
        held.push_async_callback(health.close)
        await work(environment, feed, specs, stop, health)


@dataclass
class State:
    """What /ready tells."""

    waiting: Waiting = field(default_factory=Waiting)
    environment: Environment | None = None
    feed: ingress.Feed | None = None

    async def ready(self) -> dict[str, str]:
        """What is not there, and why."""
        if self.environment is None:
            return dict(self.waiting.reasons) or {"worker": "starts"}
        asked = {"temporal": temporal(self.environment.client)}
        if self.feed is not None:
            asked["ingress"] = self.feed.waiting()
        reasons = await asyncio.gather(*(answer(check) for check in asked.values()))
        return {name: reason for name, reason in zip(asked, reasons, strict=True) if reason}


async def temporal(client: Client) -> str:
    """Why Temporal cannot be used; empty when it can."""
    try:
        serves = await client.service_client.check_health()
    except RPCError as error:
        return f"{error.status.name}: {error.message}"
    return "" if serves else "does not serve"


async def answer(check: Awaitable[str]) -> str:
    """What a check says; a probe must not wait longer than whoever probes."""
    try:
        async with asyncio.timeout(CHECK_S):
            return await check
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"


async def work(
    environment: Environment,
    feed: ingress.Feed | None,
    specs: list[QueueSpec],
    stop: asyncio.Event,
    health: HealthServer,
) -> None:
    """Do what was asked for until ``stop``."""
    started = time.monotonic()
    log.info(
        "ready",
        extra={
            "queues": {s.name: s.slots for s in specs},
            "port": health.port,
            "identity": environment.identity,
        },
    )
    try:
        jobs = [run_workers(environment, specs, stop)] if specs else []
        if feed is not None:
            jobs.append(serve(feed, health, stop))
        await asyncio.gather(*jobs)
    finally:
        log.info("stopped", extra={"seconds": round(time.monotonic() - started, 1)})


async def serve(feed: ingress.Feed, health: HealthServer, stop: asyncio.Event) -> None:
    """Feed a stream until ``stop``; who has sent a request by then gets an answer, others go elsewhere."""
    left = asyncio.Event()

    async def leave() -> None:
        await stop.wait()
        if feed.routers:
            await health.drain()
        left.set()

    leaving = asyncio.create_task(leave())
    try:
        await feed.run(left)
    finally:
        leaving.cancel()


def run() -> int:
    """Exit status: 0 after a drain, 6 when a dependency failed it, 7 when a setting is wrong."""
    try:
        redactor.learn(os.environ)
        logs.configure(os.environ)
        asyncio.run(main(arguments()))
    except ConfigurationError as error:
        log.error("%s", error)
        return 7
    except ProveryError as error:
        log.error("%s", error)
        return 6
    return 0


if __name__ == "__main__":
    ended(run)
