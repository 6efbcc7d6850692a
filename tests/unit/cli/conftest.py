"""One installation for all tests of the CLI: a real server with stand-in workflows, a ledger and a store on disk."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest
from typer.testing import CliRunner, Result

from provery.cli.main import app
from provery.core.ports import Attempt, AttemptEnd
from provery.core.types import Stage, StageResult, UnitStatus, Work
from provery.stores.artifacts import open_store
from provery.stores.ledger import SqlLedger, open_ledger
from tests.unit.cli.server import dev_server, stand_ins
from tests.unit.cli.standins import work

T = TypeVar("T")


@dataclass
class Cli:
    """Runs commands against the installation."""

    env: dict[str, str]
    home: Path

    def __call__(self, *args: str, stdin: str = "", **env: str) -> Result:
        return CliRunner().invoke(app, list(args), input=stdin, env={**self.env, **env})

    def json(self, *args: str, code: int = 0, **more: Any) -> Any:
        """The document that a command prints with ``--json``."""
        result = self(*args, "--json", **more)
        assert result.exit_code == code, result.output
        return json.loads(result.stdout)

    def ledger(self, use: Callable[[SqlLedger], Awaitable[T]]) -> T:
        """Use the ledger."""

        async def go() -> T:
            ledger = open_ledger(self.env["PROVERY_LEDGER_URL"])
            try:
                return await use(ledger)
            finally:
                await ledger.close()

        return asyncio.run(go())

    def proved(self, key: str = "") -> tuple[Work, bytes]:
        """A unit that the ledger knows as done, with one artifact, and that artifact's bytes."""
        one, proof = work(key or f"k{uuid.uuid4().hex[:10]}"), uuid.uuid4().bytes

        async def record(ledger: SqlLedger) -> None:
            store = open_store(self.env["PROVERY_ARTIFACTS_URL"], cache=self.home / "cache", env={})
            ref = await store.put_bytes(proof, name="proof.json")
            await ledger.claim([one])
            memo, attempt = uuid.uuid4().hex, uuid.uuid4().hex
            begun = Attempt(
                attempt,
                memo,
                one.unit,
                "submit",
                None,
                1,
                one.unit.workflow_id,
                "run",
                "cpu",
                "w@h",
                "h",
                10.0,
            )
            await ledger.begin([begun])
            result = StageResult(
                Stage.SUBMIT, memo, (ref,), {"row": "7"}, seconds=1.5, prover="native", host="h"
            )
            end = AttemptEnd(attempt, 12.0, "done", cpu_s=1.25, peak_rss=2**21, cost=0.5, result=result)
            await ledger.finish([end], [one.unit])
            await store.close()

        self.ledger(record)
        return one, proof

    def status(self, key: str) -> UnitStatus:
        """What the ledger says of a unit of ``queue/prove``."""
        row = self.ledger(lambda ledger: ledger.unit("queue", "prove", key))
        assert row is not None
        return row.status


@pytest.fixture(scope="session")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cli]:
    home = tmp_path_factory.mktemp("home")
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.getcwd(),
        "PROVERY_HOME": str(home),
        "PROVERY_LEDGER_URL": f"sqlite:///{home}/ledger.db",
        "PROVERY_ARTIFACTS_URL": (home / "artifacts").as_uri(),
        "PROVERY_TASK_QUEUE_PREFIX": f"x{uuid.uuid4().hex[:8]}-",
        "PROVERY_EXTRA_SYSTEMS": "fake=tests.unit.cli.fake_system,bare=json",
        "TERM": "dumb",
        "COLUMNS": "200",
    }
    started, stop, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()

    async def serve() -> None:
        async with dev_server() as server:
            env["TEMPORAL_ADDRESS"] = server.client.service_client.config.target_host
            async with stand_ins(server, env):
                started.set()
                await stop.wait()

    # Commands run event loops of their own in the main thread.
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(60), "the server did not start"
        yield Cli(env, home)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@pytest.fixture
def program() -> list[str]:
    """How a shell starts the command."""
    return [sys.executable, "-m", "provery.cli"]
