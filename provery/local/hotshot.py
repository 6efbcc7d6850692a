"""A topology that runs one hotshot stream: what `provery hotshot run` starts, and the demo."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from provery.core.exits import INTERRUPTED
from provery.local.config import DEFAULT_FILE, Scalar, Schedule, Stream, Topology, load_topology
from provery.local.supervisor import Demo, Supervisor
from provery.local.toolchain import home
from provery.registry import load

SYSTEM = "hotshot"
PARALLEL = 32
"""Epochs of one look that are proved at a time, as far as workers have slots."""


def topology_of(file: Path | None, env: Mapping[str, str]) -> Topology:
    """The topology that both deploying and running take their home from, and so their keys.

    Args:
        file: The topology file; None for the shipped one.
        env: ``PROVERY_HOME`` counts before the file's ``home``.

    Raises:
        ConfigurationError: the file has mistakes, or is not there.
    """
    topology = load_topology(file or DEFAULT_FILE)
    return topology.model_copy(update={"home": str(home(env))}) if env.get("PROVERY_HOME") else topology


def only_hotshot(
    topology: Topology,
    stream: str,
    *,
    port: int | None = None,
    follow_s: float | None = None,
    settings: dict[str, Scalar] | None = None,
) -> Topology:
    """A topology with this stream and no other.

    Args:
        topology: Whose servers, queues and ports are used.
        stream: Name of the stream; its settings come from the environment.
        port: Of its HTTP API; None for none.
        follow_s: Seconds between looks; None to look only when asked.
        settings: Its variables, before those of the environment.
    """
    mine = Stream(system=SYSTEM, stream=stream, ingress_port=port, settings=settings or {})
    # Temporal's schedules have whole seconds.
    interval = None if follow_s is None else timedelta(seconds=max(1, round(follow_s)))
    follow = () if interval is None else (Schedule(stream=mine.id, interval=interval, parallel=PARALLEL),)
    return topology.model_copy(update={"streams": (mine,), "schedules": follow})


def one_shot(stream: str, retries: int | None) -> Demo:
    """Prove what is due once everything is ready; the exit status is that of ``provery prove``."""

    async def run(supervisor: Supervisor) -> int:
        more = [] if retries is None else ["--retries", str(retries)]
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "provery.cli", "prove", f"{SYSTEM}/{stream}", *more,
            env={**os.environ, **supervisor.env},
        )  # fmt: skip
        try:
            status = await child.wait()
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
        return status if status >= 0 else INTERRUPTED

    return run


def usual(stream: str) -> tuple[float, int | None]:
    """Seconds between looks, and the port of the HTTP API, as the environment has them."""
    module = load(SYSTEM, os.environ)
    return module.look_every_s(stream, os.environ), module.service_port(stream, os.environ)
