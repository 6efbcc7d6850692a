"""Real servers on this machine, each an async context manager that can be killed and started again.

    async with TemporalServer(tmp_path) as temporal, RedisServer(tmp_path) as redis:
        client = await temporal.client()
        await redis.kill()       # SIGKILL
        await redis.start()      # same port, same data

Ports are chosen when none is given and stay the same for the object's life. Every server dies with this process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx
import psycopg
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from provery.core.errors import ConfigurationError
from provery.local.config import Server as TemporalSettings
from provery.local.config import load_topology
from provery.local.process import POLL_S, Process, answers, free_port, port_taken
from provery.local.toolchain import find

UNPRIVILEGED = 65_534
"""``nobody``: whom Postgres runs as where we are root."""


class LocalServer(Process):
    """A server with a port and a data directory.

    Args:
        home: Data goes to ``home/<name>``, the log to ``home/logs/<name>.log``.
        port: Port to listen on; 0 chooses a free one.
        host: Address to listen on.
    """

    def __init__(self, home: Path, *, port: int = 0, host: str = "127.0.0.1") -> None:
        super().__init__(log=home / "logs" / f"{self.name}.log")
        self.home = home
        self.data = home / self.name
        self.host = host
        self.port = port or free_port(host)

    @property
    def address(self) -> str:
        """``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """How clients name it."""
        raise NotImplementedError

    async def prepare(self) -> None:
        """Make the data directory.

        Raises:
            ConfigurationError: something else listens on the port; it would answer in this server's place.
        """
        if port_taken(self.host, self.port):
            raise ConfigurationError(
                f"port {self.port} of {self.host}, where {self.name} is to listen, is taken",
                action="stop what listens there, or choose another port",
            )
        self.data.mkdir(parents=True, exist_ok=True)


class TemporalServer(LocalServer):
    """Temporal's development server on a file, with the settings of temporal-dev.yaml.

    Args:
        home: See ``LocalServer``.
        settings: Section ``server`` of a topology; by default that of temporal-dev.yaml. Its ports are not used.
        port: gRPC port; 0 chooses one.
        ui_port: Port of the web UI; 0 chooses one, None runs without.
        in_memory: Keep nothing on disk.
    """

    name = "temporal"

    def __init__(
        self,
        home: Path,
        settings: TemporalSettings | None = None,
        *,
        port: int = 0,
        ui_port: int | None = None,
        host: str = "127.0.0.1",
        in_memory: bool = False,
    ) -> None:
        super().__init__(home, port=port, host=host)
        self.settings = settings or load_topology().server
        self.ui_port = free_port(host) if ui_port == 0 else ui_port
        self.http_port = free_port(host)
        self.in_memory = in_memory

    def argv(self) -> Sequence[str]:
        """``temporal server start-dev`` with every setting spelt out."""
        settings = self.settings
        arguments = [
            str(find("temporal")),
            "server",
            "start-dev",
            "--ip",
            self.host,
            "--port",
            str(self.port),
        ]
        arguments += ["--http-port", str(self.http_port), "--namespace", settings.namespace]
        arguments += ["--log-level", settings.log_level, "--ui-disable-news-fetch"]
        arguments += (
            ["--headless"] if self.ui_port is None else ["--ui-ip", self.host, "--ui-port", str(self.ui_port)]
        )
        if not self.in_memory:
            arguments += ["--db-filename", str(self.data / settings.db_file)]
            for pragma, value in settings.sqlite_pragmas.items():
                arguments += ["--sqlite-pragma", f"{pragma}={value}"]
        for key, value in settings.dynamic_config.items():
            arguments += ["--dynamic-config-value", f"{key}={json.dumps(value)}"]
        for key, kind in settings.search_attributes.items():
            arguments += ["--search-attribute", f"{key}={kind}"]
        return arguments

    @property
    def url(self) -> str:
        """``host:port``: Temporal addresses have no scheme."""
        return self.address

    @property
    def ui_url(self) -> str:
        """Address of the web UI, empty without one."""
        return f"http://{self.host}:{self.ui_port}" if self.ui_port else ""

    @property
    def env(self) -> dict[str, str]:
        """What a worker or client needs to find it."""
        return {"TEMPORAL_ADDRESS": self.address, "TEMPORAL_NAMESPACE": self.settings.namespace}

    async def client(self) -> Client:
        """A new client of its namespace, bound to the running event loop."""
        return await Client.connect(self.address, namespace=self.settings.namespace)

    async def ready(self) -> bool:
        """Whether the namespace is there."""
        if not await answers(self.host, self.port):
            return False
        try:
            client = await self.client()
            request = DescribeNamespaceRequest(namespace=self.settings.namespace)
            await client.workflow_service.describe_namespace(request)
        except Exception:  # the client raises RuntimeError or RPCError, by how far the server has come
            return False
        return True


class RedisServer(LocalServer):
    """Redis that evicts nothing and, unless told otherwise, keeps what it acknowledged when it is killed."""

    name = "redis"
    grace_s = 5.0

    def __init__(
        self, home: Path, *, port: int = 0, host: str = "127.0.0.1", appendonly: bool = True
    ) -> None:
        super().__init__(home, port=port, host=host)
        self.appendonly = appendonly

    def argv(self) -> Sequence[str]:
        """``redis-server`` without a configuration file."""
        # everysec: the write() comes before the reply, so only a power cut can lose the last second.
        aof = ["--appendonly", "yes" if self.appendonly else "no", "--appendfsync", "everysec"]
        where = ["--bind", self.host, "--port", str(self.port), "--dir", str(self.data)]
        return [str(find("redis-server")), *where, "--maxmemory-policy", "noeviction", "--save", "", *aof]

    @property
    def url(self) -> str:
        """``redis://host:port``."""
        return f"redis://{self.address}"

    async def ready(self) -> bool:
        """Whether it answers PING, which it does not while it loads."""
        return await answers(self.host, self.port, b"PING\r\n", b"+PONG")


class PostgresServer(LocalServer):
    """PostgreSQL with one database, for connections from this machine.

    Args:
        home: See ``LocalServer``.
        port: Port; 0 chooses one.
        database: Name of the database, and of its owner.
        fsync: False trades safety against a power cut for speed; a killed server loses nothing either way.
    """

    name = "postgres"

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        database: str = "provery",
        fsync: bool = True,
    ) -> None:
        super().__init__(home, port=port, host=host)
        self.database = database
        self.fsync = fsync
        self.uid = str(UNPRIVILEGED) if os.geteuid() == 0 else "-"

    def argv(self) -> Sequence[str]:
        """``postgres`` on TCP only: a socket path under a deep home would be too long."""
        settings = [f"listen_addresses={self.host}", f"port={self.port}", "unix_socket_directories="]
        settings += [
            f"fsync={'on' if self.fsync else 'off'}",
            "max_connections=200",
            "timezone=UTC",
            "log_timezone=UTC",
        ]
        return [str(find("postgres")), "-D", str(self.data), *(part for s in settings for part in ("-c", s))]

    @property
    def url(self) -> str:
        """``postgresql://owner@host:port/database``."""
        return f"postgresql://{self.database}@{self.address}/{self.database}"

    @property
    def sqlalchemy_url(self) -> str:
        """The same for SQLAlchemy with psycopg 3."""
        return self.url.replace("postgresql://", "postgresql+psycopg://", 1)

    async def prepare(self) -> None:
        """Create the cluster at the first start.

        Raises:
            ConfigurationError: if initdb fails, or we are root and cannot be anybody else.
        """
        await super().prepare()
        if (self.data / "PG_VERSION").exists():
            await self._forget_the_killed()
            return
        as_user: list[str] = []
        if self.uid != "-":
            if shutil.which("setpriv") is None:
                raise ConfigurationError(
                    "Postgres refuses to run as root, and setpriv is not there to change the user",
                    action="run as another user, or install util-linux",
                )
            os.chown(self.data, UNPRIVILEGED, UNPRIVILEGED)
            as_user = ["setpriv", f"--reuid={self.uid}", f"--regid={self.uid}", "--clear-groups"]
            as_user += ["--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--"]
        # --auth=trust: the server listens on the loopback address only, like the other development servers.
        options = ["-D", str(self.data), "-U", self.database, "--auth=trust", "--encoding=UTF8", "--locale=C"]
        options += [] if self.fsync else ["--no-sync"]
        initdb = await asyncio.create_subprocess_exec(
            *as_user, str(find("initdb")), *options,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await initdb.communicate()
        if initdb.returncode != 0:
            shutil.rmtree(self.data, ignore_errors=True)
            raise ConfigurationError(
                f"initdb ended with status {initdb.returncode}",
                action=output.decode("utf-8", "replace")[-1_000:],
            )

    async def _forget_the_killed(self) -> None:
        """Take a killed server's lock file away, once nothing of that server runs any more.

        Postgres refuses to start for as long as a process of that number exists, even one that only waits to be reaped,
        or a stranger's after a restart of the machine.
        """
        lock = self.data / "postmaster.pid"
        deadline = time.monotonic() + self.grace_s
        while lock.exists() and sys.platform == "linux":
            if not _works_in(self.data):
                lock.unlink(missing_ok=True)
            elif time.monotonic() > deadline:
                return  # a living server's; Postgres tells it better than we could
            else:
                await asyncio.sleep(POLL_S)

    async def ready(self) -> bool:
        """Whether it answers queries; makes the database at the first start."""
        if not await answers(self.host, self.port):
            return False
        admin = f"postgresql://{self.database}@{self.address}/postgres?connect_timeout=2"
        try:
            async with await psycopg.AsyncConnection.connect(admin, autocommit=True) as connection:
                found = await connection.execute(
                    "select 1 from pg_database where datname = %s", (self.database,)
                )
                if await found.fetchone() is None:
                    await connection.execute(psycopg.sql.SQL("create database {}").format(
                        psycopg.sql.Identifier(self.database)))  # fmt: skip
        except psycopg.Error:
            return False
        return True

    async def stop(self) -> None:
        """Fast shutdown: SIGINT rolls open transactions back; SIGTERM would wait for every client to leave."""
        self.signal(signal.SIGINT)
        if await self.wait(self.grace_s) is None:
            await self.kill()

    async def kill(self) -> None:
        """SIGKILL the postmaster and its backends, which are in sessions of their own, as a power cut would."""
        family = _children(self.pid) if self.pid else []
        await super().kill()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while any(_runs(pid) for pid in family):
            await asyncio.sleep(POLL_S)


class S3Server(LocalServer):
    """An S3 API over a directory (versitygw), with one bucket.

    Conditional writes, checksums and multipart uploads behave as on S3; ``env`` is what boto3 needs.
    """

    name = "s3"
    access_key = "provery"
    secret_key = "provery-local-only"  # noqa: S105 - protects a server on the loopback address, for this run
    region = "us-east-1"

    def __init__(
        self, home: Path, *, port: int = 0, host: str = "127.0.0.1", bucket: str = "provery"
    ) -> None:
        super().__init__(home, port=port, host=host)
        self.bucket = bucket

    def argv(self) -> Sequence[str]:
        """``versitygw`` on a plain directory, with metadata beside it."""
        serve = ["--port", self.address, "--region", self.region, "--health", "/health", "--quiet"]
        return [
            str(find("versitygw")),
            *serve,
            "posix",
            "--sidecar",
            str(self.data / "meta"),
            str(self.data / "buckets"),
        ]

    def environment(self) -> Mapping[str, str]:
        """The caller's, with the server's own credentials."""
        return {**os.environ, "ROOT_ACCESS_KEY": self.access_key, "ROOT_SECRET_KEY": self.secret_key}

    @property
    def url(self) -> str:
        """Endpoint."""
        return f"http://{self.address}"

    @property
    def artifacts_url(self) -> str:
        """For ``PROVERY_ARTIFACTS_URL``."""
        return f"s3://{self.bucket}/artifacts"

    @property
    def env(self) -> dict[str, str]:
        """Variables by which boto3 finds it."""
        return {
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    async def prepare(self) -> None:
        """Make the directories; a directory at the top is a bucket."""
        await super().prepare()
        for part in ("meta", f"buckets/{self.bucket}"):
            (self.data / part).mkdir(parents=True, exist_ok=True)

    async def ready(self) -> bool:
        """Whether its health page answers."""
        try:
            async with httpx.AsyncClient(trust_env=False, timeout=1.0) as http:
                return (await http.get(f"{self.url}/health")).status_code == 200
        except httpx.HTTPError:
            return False


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def _works_in(folder: Path) -> bool:
    """Whether a living process has this working directory, as a Postgres server and its backends have their data."""
    place = os.fspath(folder.resolve())
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and os.readlink(entry / "cwd") == place and _runs(int(entry.name)):
                return True
    return False


def _runs(pid: int) -> bool:
    """Whether a process is there and not merely waiting to be reaped, which whoever adopted it may do late."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in {"Z", "X"}
    except OSError:
        return False
