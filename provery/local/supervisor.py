"""``provery up``: start a topology, keep it running, stop it in order.

Order of start: servers, then search attributes and schedules, then workers and listeners. Order of stop: listeners,
workers (which drain), servers. Whatever dies in between is started again, sooner the longer it had run. Every process
dies with the supervisor, however that ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from provery.client import Schedules, connect
from provery.core.controls import NEVER_AGAIN, Again
from provery.core.errors import ConfigurationError, ProveryError
from provery.core.exits import INTERRUPTED
from provery.core.queues import ORCHESTRATE, PREFIX_VARIABLE
from provery.local import ROOT, toolchain
from provery.local.anvil import AnvilServer
from provery.local.config import Stream, Topology, dotted
from provery.local.process import Process, answers, port_taken, unless_stopped
from provery.local.servers import LocalServer, PostgresServer, RedisServer, S3Server, TemporalServer
from provery.local.shipped import register_shipped
from provery.local.state import Lock, ProcessState, State, write_state
from provery.registry import load

BACKOFF_S = (0.2, 30.0)
"""Shortest and longest wait before a dead process is started again."""
STEADY_S = 60.0
"""A process that ran for this long starts again without delay."""
LOOK_S = 0.1
DRAIN_S = "10"
"""How long a worker of the development topology lets activities finish when it is told to stop."""


@dataclass(frozen=True)
class Event:
    """Something to show: ``starting ready died restarted stopping stopped``."""

    what: str
    process: str
    detail: str = ""


Listener = Callable[[Event], None]
Demo = Callable[["Supervisor"], Awaitable[int]]
"""Runs against the started topology; its result is the exit status of ``up`` with ``once``."""


class WorkerProcess(Process):
    """``python -m workers``: workers of one queue, or one stream's listener.

    Args:
        name: ``worker-<queue>-<n>`` or ``ingress-<system>-<stream>``; names the log.
        arguments: Command line after ``python -m workers``.
        port: Of /health, /ready and /metrics.
        env: Variables on top of the supervisor's own.
        home: Where logs go.
    """

    ready_s = 60.0
    poll_s = 0.1
    grace_s = float(DRAIN_S) + 20.0

    def __init__(
        self, name: str, arguments: Sequence[str], port: int, env: Mapping[str, str], home: Path
    ) -> None:
        super().__init__(log=home / "logs" / f"{name}.log")
        self.name = name
        self.port = port
        self._arguments = tuple(arguments)
        self._env = dict(env)

    def argv(self) -> Sequence[str]:
        """This Python."""
        return [sys.executable, "-m", "workers", *self._arguments, "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        """The supervisor's, with what leads to this topology."""
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        return {**os.environ, **self._env, "METRICS_PORT": str(self.port), "PYTHONPATH": path}

    async def ready(self) -> bool:
        """Whether /ready says so."""
        return await answers(
            "127.0.0.1", self.port, b"GET /ready HTTP/1.0\r\nHost: localhost\r\n\r\n", b" 200 "
        )


class Supervisor:
    """The processes of one topology.

    Args:
        topology: What to run.
        listener: Told of everything that happens.
    """

    def __init__(self, topology: Topology, listener: Listener = lambda event: None) -> None:
        self.topology = topology
        self.home = topology.home_path
        self._tell = listener
        self._started_at = time.time()
        self.temporal = TemporalServer(
            self.home,
            topology.server,
            port=topology.server.port,
            ui_port=topology.server.ui_port,
            host=topology.server.ip,
        )
        self.redis = None if topology.redis.url else self._redis()
        self.postgres = self._postgres() if topology.ledger.engine == "postgres" else None
        self.s3 = (
            S3Server(self.home, port=topology.artifacts.s3_port)
            if topology.artifacts.engine == "s3"
            else None
        )
        self.l1 = self._anvil() if topology.l1.engine == "anvil" else None
        self.env = self._environment()
        self.workers = self._workers()
        self.listeners = self._ingresses()
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def _redis(self) -> RedisServer:
        return RedisServer(
            self.home, port=self.topology.redis.port, appendonly=self.topology.redis.appendonly
        )

    def _postgres(self) -> PostgresServer:
        return PostgresServer(self.home, port=self.topology.ledger.postgres_port)

    def _anvil(self) -> AnvilServer:
        l1 = self.topology.l1
        block_time_s = int(l1.block_time.total_seconds())
        return AnvilServer(self.home, port=l1.port, chain_id=l1.chain_id, block_time_s=block_time_s)

    @property
    def servers(self) -> list[LocalServer]:
        """What workers depend on."""
        return [s for s in (self.temporal, self.redis, self.postgres, self.s3, self.l1) if s is not None]

    @property
    def processes(self) -> list[Process]:
        """All of them, in the order of their start."""
        return [*self.servers, *self.workers, *self.listeners]

    def _environment(self) -> dict[str, str]:
        """Variables by which workers and commands find this installation."""
        topology, home = self.topology, self.home
        env = {
            **self.temporal.env,
            "TEMPORAL_UI_URL": self.temporal.ui_url,
            "PROVERY_HOME": str(home),
            PREFIX_VARIABLE: topology.task_queue_prefix,
            "PROVERY_DRAIN_S": os.environ.get("PROVERY_DRAIN_S") or DRAIN_S,
            "REDIS_URL": topology.redis.url or (self.redis.url if self.redis else ""),
            "PROVERY_LEDGER_URL": topology.ledger.url or f"sqlite:///{home / 'ledger.db'}",
            "PROVERY_ARTIFACTS_URL": topology.artifacts.url or (home / "artifacts").as_uri(),
        }
        if l1_url := self.l1.url if self.l1 is not None else topology.l1.url:
            env["PROVERY_L1_URL"] = l1_url
        if self.postgres is not None:
            env |= {"PROVERY_LEDGER_URL": self.postgres.url, "DATABASE_URL": self.postgres.url}
        if self.s3 is not None:
            env |= {"PROVERY_ARTIFACTS_URL": self.s3.artifacts_url, **self.s3.env}
        for variable, tool in (("PROVERY_NODE_BIN", "node"), ("PROVERY_PROVER_BIN", "provery-prover")):
            with contextlib.suppress(ConfigurationError):  # absent: the prover that needs it says so
                env[variable] = str(toolchain.find(tool))
        return env

    def _workers(self) -> list[WorkerProcess]:
        settings = stream_settings(self.topology.streams)
        port = self.topology.metrics_port
        workers = []
        for name, queue in self.topology.queues.items():
            for number in range(1, queue.workers + 1):
                arguments = ["--queue", name, "--slots", str(queue.slots)]
                env = {**settings, **self.env, "WORKER_CONCURRENCY": str(queue.slots)}
                workers.append(WorkerProcess(f"worker-{name}-{number}", arguments, port, env, self.home))
                port += 1
        return workers

    def _ingresses(self) -> list[WorkerProcess]:
        return [
            WorkerProcess(
                f"ingress-{stream.system}-{stream.stream}",
                ["--ingress", stream.id],
                stream.ingress_port,
                {**self.env, **stream.env},
                self.home,
            )
            for stream in self.topology.streams
            if stream.ingress_port is not None
        ]

    async def start(self) -> None:
        """Start everything and wait until it is ready.

        Raises:
            ConfigurationError: a port is taken, or a process ended instead of starting.
            TransientError: a process did not become ready in its time.
        """
        self._check_ports()
        await self._start_all(self.servers)
        await self._apply_schedules()
        await self._register_circuits()
        await self._start_all(self.workers)
        await self._start_all(self.listeners)

    def _check_ports(self) -> None:
        taken = [
            f"port {port} ({dotted(key)}) is taken"
            for key, port in self.topology.ports()
            if port_taken(self.topology.server.ip if key[0] == "server" else "127.0.0.1", port)
        ]
        if taken:
            raise ConfigurationError(
                "; ".join(taken), action="stop what listens there, or choose others in temporal-dev.yaml"
            )

    async def _start_all(self, processes: Sequence[Process]) -> None:
        async def one(process: Process) -> None:
            self._tell(Event("starting", process.name))
            began = time.monotonic()
            await process.start()
            self._tell(Event("ready", process.name, f"{time.monotonic() - began:.1f} s"))
            self._write()

        async with _first_error(), asyncio.TaskGroup() as group:
            for process in processes:
                group.create_task(one(process))

    async def _register_circuits(self) -> None:
        """Make the circuits that systems ship with provable, with development keys."""
        if not self.topology.streams or os.environ.get("PROVERY_ENV") == "production":
            return
        self._tell(Event("starting", "circuits", "compiled, with development keys, unless they are already"))
        began = time.monotonic()
        wanted = {stream.system for stream in self.topology.streams}
        versions = await register_shipped({**os.environ, **self.env}, wanted)
        listed = ", ".join(f"{name} {version[:12]}" for name, version in sorted(versions.items()))
        self._tell(Event("ready", "circuits", f"{time.monotonic() - began:.1f} s; {listed}"))

    async def _apply_schedules(self) -> None:
        """Make the namespace's schedules those of the topology."""
        client = await connect(self.env)
        schedules = Schedules(client, self.env)
        wanted = {schedule.stream for schedule in self.topology.schedules}
        for view in await schedules.list():
            system, _, stream = view.stream.partition("/")
            if view.stream not in wanted:
                await schedules.delete(system, stream)
        for schedule in self.topology.schedules:
            system, _, stream = schedule.stream.partition("/")
            await schedules.create(
                system,
                stream,
                every=schedule.interval if isinstance(schedule.interval, timedelta) else None,
                cron=schedule.cron,
                parallel=schedule.parallel,
                paused=schedule.paused,
                note="from temporal-dev.yaml",
                replace=True,
                again=self._again(schedule.stream),
            )

    def _again(self, stream: str) -> Again:
        """How the looks of a stream that fail are repeated: as its system's settings say."""
        system, _, name = stream.partition("/")
        env = {**os.environ, **stream_settings(self.topology.streams)}
        asked = getattr(load(system, env), "look_again", None)
        return asked(name, env) if asked is not None else NEVER_AGAIN

    async def watch(self, stop: asyncio.Event) -> None:
        """Start again whatever dies, until ``stop``."""
        while not stop.is_set():
            for process in self.processes:
                if not process.alive:
                    self._revive(process)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S)

    def _revive(self, process: Process) -> None:
        now = time.monotonic()
        due = self._due.get(process.name)
        if due is None:
            steady = time.time() - process.started_at > STEADY_S
            failures = self._failures[process.name] = (
                0 if steady else self._failures.get(process.name, -1) + 1
            )
            delay = min(BACKOFF_S[0] * 2**failures, BACKOFF_S[1])
            self._due[process.name] = now + delay
            how = (
                f"exit status {process.exit_code}"
                if (process.exit_code or 0) >= 0
                else _signal(process.exit_code)
            )
            self._tell(Event("died", process.name, f"{how}; again in {delay:.1f} s; {process.log}"))
            self._write()
        elif now >= due:
            del self._due[process.name]
            try:
                process.spawn()
            except (OSError, ProveryError) as error:
                self._tell(Event("died", process.name, str(error)))
            else:
                self._tell(Event("restarted", process.name))
            self._write()

    async def stop(self) -> None:
        """Stop listeners, then workers, then the orchestrating ones, then servers."""
        working = [w for w in self.workers if not w.name.startswith(f"worker-{ORCHESTRATE}-")]
        deciding = [w for w in self.workers if w not in working]
        for group in (self.listeners, working, deciding, self.servers):
            await asyncio.gather(*(self._stop_one(process) for process in group))
        self._write()

    async def _stop_one(self, process: Process) -> None:
        if process.alive:
            self._tell(Event("stopping", process.name))
            await process.stop()
            self._tell(Event("stopped", process.name))

    async def kill(self) -> None:
        """SIGKILL everything."""
        await asyncio.gather(*(process.kill() for process in self.processes))

    def state(self) -> State:
        """What runs, for the state file."""
        rows = tuple(
            ProcessState(p.name, p.pid, getattr(p, "port", None), max(p.restarts, 0), str(p.log))
            for p in self.processes
        )
        return State(os.getpid(), self._started_at, self.temporal.ui_url, self.env, rows)

    def _write(self) -> None:
        write_state(self.home, self.state())


def stream_settings(streams: Sequence[Stream]) -> dict[str, str]:
    """Settings of all streams, for workers that serve them all.

    A system's only stream has its variables as they are. Several of one system have them under
    ``PROVERY_<SYSTEM>_<STREAM>_<NAME>`` too, and their names in ``PROVERY_<SYSTEM>_STREAMS``; where a system knows only
    the plain names, its first stream wins.
    """
    settings: dict[str, str] = {}
    for stream in reversed(streams):
        settings |= stream.env
    for system in {stream.system for stream in streams}:
        mine = [stream for stream in streams if stream.system == system]
        if len(mine) < 2:
            continue
        prefix = f"PROVERY_{_variable(system)}_"
        settings[f"{prefix}STREAMS"] = ",".join(stream.stream for stream in mine)
        for stream in mine:
            for name, value in stream.env.items():
                settings[f"{prefix}{_variable(stream.stream)}_{name.removeprefix(prefix)}"] = value
    return settings


def _variable(name: str) -> str:
    return name.upper().replace("-", "_")


async def up(
    topology: Topology,
    *,
    demo: Demo | None = None,
    once: bool = False,
    listener: Listener = lambda event: None,
) -> int:
    """Run a topology until SIGTERM or Ctrl-C; a second signal kills at once.

    Args:
        topology: What to run.
        demo: Called when everything is ready.
        once: End when the demo does.
        listener: Told of everything that happens.

    Returns:
        With ``once`` the demo's exit status, or ``INTERRUPTED`` where it was stopped before, which nobody
        may take for success; else 0.

    Raises:
        ConfigurationError: it cannot start; the message says why.
        TransientError: a process did not become ready in its time.
    """
    supervisor = Supervisor(topology, listener)
    with Lock(supervisor.home):
        stop = asyncio.Event()
        async with _signals(stop, supervisor):
            try:
                started = asyncio.create_task(supervisor.start())
                if not await unless_stopped(started, stop):
                    return INTERRUPTED if once else 0
                return await _run(supervisor, stop, demo, once)
            finally:
                await supervisor.stop()


async def _run(supervisor: Supervisor, stop: asyncio.Event, demo: Demo | None, once: bool) -> int:
    watching = asyncio.create_task(supervisor.watch(stop))
    status = 0
    try:
        if demo is not None:
            showing = asyncio.ensure_future(demo(supervisor))
            ended = await unless_stopped(showing, stop)
            status = showing.result() if ended else INTERRUPTED
        if once:
            stop.set()
        await watching
    finally:
        watching.cancel()
    return status if once else 0


@contextlib.asynccontextmanager
async def _signals(stop: asyncio.Event, supervisor: Supervisor) -> AsyncIterator[None]:
    """Set ``stop`` at the first signal, kill everything at the second."""
    loop = asyncio.get_running_loop()

    def handle() -> None:
        if stop.is_set():
            for process in supervisor.processes:
                process.signal(signal.SIGKILL)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, handle)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@contextlib.asynccontextmanager
async def _first_error() -> AsyncIterator[None]:
    """Raise the first error of a task group as itself."""
    try:
        yield
    except* ProveryError as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise error from None


def _signal(code: int | None) -> str:
    try:
        return signal.Signals(-(code or 0)).name
    except ValueError:
        return f"exit status {code}"
