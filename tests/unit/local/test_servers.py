"""Real servers: they start, survive SIGKILL with their data, and end with their starter."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import boto3
import psycopg
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from redis.asyncio import Redis
from temporalio.client import Client

from provery.core.errors import ConfigurationError
from provery.local.process import Process, port_taken
from provery.local.servers import PostgresServer, RedisServer, S3Server, TemporalServer

pytestmark = pytest.mark.e2e


async def test_temporal_keeps_workflows_over_a_kill(tmp_path: Path) -> None:
    async with TemporalServer(tmp_path) as server:
        client = await server.client()
        await client.start_workflow("Nobody", id="kept", task_queue="none")
        before = server.pid
        await server.kill()
        assert not server.alive
        assert server.exit_code == -signal.SIGKILL
        await server.start()
        assert server.pid != before
        client = await Client.connect(server.address)
        described = await client.get_workflow_handle("kept").describe()
        assert described.workflow_type == "Nobody"
    assert not port_taken(server.host, server.port)


async def test_redis_keeps_what_it_acknowledged_over_a_kill(tmp_path: Path) -> None:
    async with RedisServer(tmp_path) as server:
        client = Redis.from_url(server.url)
        await client.set("key", "value")
        await client.aclose()
        await server.kill()
        await server.start()
        client = Redis.from_url(server.url)
        assert await client.get("key") == b"value"
        assert (await client.info())["maxmemory_policy"] == "noeviction"
        await client.aclose()


async def test_postgres_keeps_commits_over_a_kill(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute("create table t as select 1 as x")
            await server.kill()
        await server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select x from t").fetchone() == (1,)


async def test_postgres_starts_although_a_killed_one_waits_to_be_reaped(tmp_path: Path) -> None:
    async with PostgresServer(tmp_path) as server:
        user = None if server.uid == "-" else int(server.uid)
        dead = subprocess.Popen(["true"], user=user)  # noqa: ASYNC220 - ends at once, and is waited for last
        await server.kill()
        lock = server.data / "postmaster.pid"
        lock.write_text("\n".join([str(dead.pid), *lock.read_text().splitlines()[1:]]) + "\n")
        await server.start()
        with psycopg.connect(server.url) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    dead.wait()


async def test_s3_conditional_writes_survive_a_kill(tmp_path: Path) -> None:
    async with S3Server(tmp_path) as server:
        client = boto3.client(
            "s3",
            endpoint_url=server.url,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=server.region,
            config=Config(retries={"max_attempts": 1}),
        )
        await asyncio.to_thread(client.put_object, Bucket=server.bucket, Key="a", Body=b"1", IfNoneMatch="*")
        await server.kill()
        await server.start()
        with pytest.raises(ClientError, match="PreconditionFailed"):
            await asyncio.to_thread(
                client.put_object, Bucket=server.bucket, Key="a", Body=b"2", IfNoneMatch="*"
            )
        client.close()


async def test_a_taken_port_is_named(tmp_path: Path) -> None:
    async with RedisServer(tmp_path / "a") as first:
        with pytest.raises(ConfigurationError, match=f"port {first.port} .* is taken"):
            await RedisServer(tmp_path / "b", port=first.port).start()


async def test_a_process_that_ends_instead_of_starting_shows_its_log(tmp_path: Path) -> None:
    class Broken(Process):
        name = "broken"

        def argv(self) -> list[str]:
            return [sys.executable, "-c", "raise SystemExit('no such setting')"]

        async def ready(self) -> bool:
            return False

    with pytest.raises(ConfigurationError, match=r"(?s)broken ended with status 1.*no such setting"):
        await Broken(log=tmp_path / "log").start()


async def test_a_stubborn_process_is_killed_after_its_grace(tmp_path: Path) -> None:
    class Stubborn(Process):
        name = "stubborn"
        grace_s = 0.3

        def argv(self) -> list[str]:
            return [
                sys.executable,
                "-c",
                "import signal, time; signal.signal(15, 1); print('up', flush=True); time.sleep(60)",
            ]

        async def ready(self) -> bool:
            return "up" in self.log_tail()

    process = Stubborn(log=tmp_path / "log")
    await process.start()
    await process.stop()
    assert process.exit_code == -signal.SIGKILL


@pytest.mark.parametrize("kind", ["RedisServer", "PostgresServer"])
def test_a_server_dies_with_its_starter(tmp_path: Path, kind: str) -> None:
    program = f"""
        import asyncio, os, signal
        from pathlib import Path
        from provery.local.servers import {kind}
        async def main():
            server = {kind}(Path({str(tmp_path)!r}))
            await server.start()
            print(server.pid, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        asyncio.run(main())
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == -signal.SIGKILL, result.stderr
    assert gone(int(result.stdout)), "the server outlived its starter"


def gone(pid: int) -> bool:
    import time

    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            os.kill(pid, 0)
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                time.sleep(0.05)
                continue
        return True
    return False
