"""``python -m workers --queue cpu``: run workers until SIGTERM, then drain."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
import time
from contextlib import AsyncExitStack

from provery.core.errors import ConfigurationError, ProveryError
from provery.core.queues import GPU, QUEUES
from provery.core.redact import redactor
from workers import devices, ingress, logs
from workers.health import HealthServer
from workers.queues import QueueSpec, spec
from workers.run import run_workers
from workers.runtime import Environment, build

log = logging.getLogger("provery.worker")


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
    """Build, serve, work, drain."""
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
    async with AsyncExitStack() as held:
        leased: list[devices.Gpu] = []
        if GPU in names and gpus:
            slots = sum(s.slots for s in specs if s.name == GPU)
            leased = await held.enter_async_context(devices.Leases(gpus).per_slot(slots))
        environment = await build(env, role, max(proving, 1), leased)
        held.push_async_callback(environment.close)
        await serve(environment, options, specs, stop)


async def serve(
    environment: Environment, options: argparse.Namespace, specs: list[QueueSpec], stop: asyncio.Event
) -> None:
    """Run what was asked for until ``stop``."""
    feed = await ingress.build(environment, options.ingress) if options.ingress else None
    started = time.monotonic()

    async def ready() -> dict[str, str]:
        waiting = {}
        if not await environment.client.service_client.check_health():
            waiting["temporal"] = "does not serve"
        if feed is not None and (reason := await feed.waiting()):
            waiting["ingress"] = reason
        return waiting

    port = options.port if options.port is not None else int(environment.env.get("METRICS_PORT") or 0)
    health = HealthServer(environment.metrics, environment.sdk_metrics, ready, feed.routers if feed else ())
    await health.start(options.host, port)
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
            jobs.append(feed.run(stop))
        await asyncio.gather(*jobs)
    finally:
        log.info("stopped", extra={"seconds": round(time.monotonic() - started, 1)})
        await health.close()


def run() -> int:
    """Exit status: 0 after a drain, 6 when a dependency is away, 7 when a setting is wrong."""
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
    sys.exit(run())
