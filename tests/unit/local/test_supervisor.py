"""``provery up``: start, revive, stop; one at a time; nothing left behind."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from provery.core.errors import ConfigurationError
from provery.core.exits import INTERRUPTED
from provery.local.config import Queue, Schedule, Stream, Topology, load_topology
from provery.local.process import free_port
from provery.local.state import local_environment, read_state
from provery.local.supervisor import Event, Supervisor, stream_settings, up
from provery.systems.beacon.settings import BeaconSettings

pytestmark = pytest.mark.e2e


def topology(home: Path, **changes: object) -> Topology:
    """The shipped one on free ports, without workers."""
    shipped = load_topology()
    server = shipped.server.model_copy(update={"port": free_port(), "ui_port": free_port()})
    redis = shipped.redis.model_copy(update={"port": free_port()})
    update = {
        "home": str(home),
        "server": server,
        "redis": redis,
        "queues": {"orchestrate": Queue(workers=0)},
        "streams": (),
    }
    return shipped.model_copy(update=update | changes)


async def until(condition, timeout_s: float = 20.0) -> None:  # type: ignore[no-untyped-def] # any callable
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


def test_streams_of_one_system_keep_their_settings_apart() -> None:
    one = Stream(
        system="beacon", stream="mainnet", settings={"RPC_URL": "a", "PROVERY_BEACON_PROVERS": "native"}
    )
    two = Stream(system="beacon", stream="my-net", settings={"RPC_URL": "b", "CHAIN": "devnet"})
    jobs = Stream(system="queue", stream="prove", settings={"QUEUE_NAME": "prove", "LOG_LEVEL": "debug"})
    alone = stream_settings((jobs, one))
    assert alone == {**jobs.env, **one.env}, "one of each: its names as they are"
    settings = stream_settings((jobs, one, two))
    assert settings["QUEUE_NAME"] == "prove"
    found = [BeaconSettings.load(name, settings, Path("/home")) for name in ("mainnet", "my-net")]
    assert [s.rpc_url for s in found] == [("a",), ("b",)]
    assert [s.chain for s in found] == ["mainnet", "devnet"]
    with pytest.raises(ConfigurationError, match="no such stream"):
        BeaconSettings.load("third", settings, Path("/home"))


async def test_once_stopped_before_the_demo_ends_is_no_success(tmp_path: Path) -> None:
    async def demo(_: Supervisor) -> int:
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.sleep(60)
        return 0

    assert await up(topology(tmp_path), demo=demo, once=True) == INTERRUPTED


async def test_a_killed_server_is_started_again_and_everything_ends(tmp_path: Path) -> None:
    events: list[Event] = []
    pids: list[int] = []

    async def demo(supervisor: Supervisor) -> int:
        assert supervisor.redis is not None
        state = read_state(tmp_path)
        assert state is not None
        assert state.supervisor == os.getpid()
        assert local_environment(tmp_path)["REDIS_URL"] == supervisor.redis.url
        pids.append(supervisor.redis.pid or 0)
        os.kill(pids[0], signal.SIGKILL)
        await until(lambda: Event("restarted", "redis") in events)
        await until(lambda: supervisor.processes[1].alive)
        pids.extend(p.pid or 0 for p in supervisor.processes)
        return 5

    assert await up(topology(tmp_path), demo=demo, once=True, listener=events.append) == 5

    died = [e for e in events if e.what == "died"]
    assert [e.process for e in died] == ["redis"]
    assert "SIGKILL" in died[0].detail
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
    assert read_state(tmp_path) is None
    assert local_environment(tmp_path) == {}


async def test_schedules_become_those_of_the_file(tmp_path: Path) -> None:
    from provery.client import Schedules, connect

    stream = Stream(system="queue", stream="prove")
    seen: list[tuple[str, bool, str]] = []

    async def look(supervisor: Supervisor) -> int:
        schedules = Schedules(await connect(supervisor.env), supervisor.env)
        for view in await schedules.list():
            system, _, name = view.stream.partition("/")
            described = await schedules.show(system, name)
            seen.append((described.stream, described.paused, described.note))
            await schedules.pause(system, name, "the node is being moved")
        return 0

    hourly = Schedule(stream="queue/prove", interval=timedelta(hours=1))
    for schedules in ((hourly,), (hourly.model_copy(update={"interval": timedelta(hours=2)}),), ()):
        changed = topology(tmp_path, streams=(stream,), schedules=schedules)
        await up(changed, demo=look, once=True)
    assert seen == [
        ("queue/prove", False, "from temporal-dev.yaml"),
        ("queue/prove", True, "the node is being moved"),
    ]


async def test_a_taken_port_is_named_with_its_key(tmp_path: Path) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        redis = load_topology().redis.model_copy(update={"port": port})
        with pytest.raises(ConfigurationError, match=rf"port {port} \(redis.port\) is taken"):
            await up(topology(tmp_path, redis=redis))


async def test_a_second_supervisor_of_a_home_is_refused(tmp_path: Path) -> None:
    async def demo(_: Supervisor) -> int:
        with pytest.raises(ConfigurationError, match=rf"already runs.*{os.getpid()}"):
            await up(topology(tmp_path))
        return 0

    await up(topology(tmp_path), demo=demo, once=True)


SCRIPT = """
import asyncio, sys
from pathlib import Path
from tests.unit.local.test_supervisor import topology
from provery.local.supervisor import up
async def demo(supervisor):
    print("ready", *(p.pid for p in supervisor.processes), flush=True)
    return 0
asyncio.run(up(topology(Path(sys.argv[1])), demo=demo))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_nothing_outlives_the_supervisor(tmp_path: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(  # noqa: ASYNC220 - outlives no await
        [sys.executable, "-c", SCRIPT, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        pids = [int(pid) for pid in process.stdout.readline().split()[1:]]
        assert len(pids) == 2
        process.send_signal(number)
        status = await asyncio.to_thread(process.wait, 30)
    assert status == (0 if number == signal.SIGTERM else -number)
    await until(lambda: not any(runs(pid) for pid in pids))


def runs(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False
