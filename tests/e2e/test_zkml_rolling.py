"""Two replicas of the zkml API behind a load balancer: restarted under load, and as one to their clients."""

from __future__ import annotations

import asyncio
import itertools
import random
import shutil
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from provery.core.access import PROVE, READ
from provery.core.types import UnitStatus
from provery.local.process import free_port
from provery.local.servers import PostgresServer
from provery.local.supervisor import WorkerProcess
from provery.stores.ledger import SqlLedger, open_ledger
from tests.support.engine import environ
from tests.support.zkml_engine import INPUTS, SPENDING, computed

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(600)]
CLIENTS = 8
MODEL = "spending-model"
_numbers = itertools.count(1)


@dataclass
class Replicas:
    """Two API servers, two provers' workers, and what they share."""

    ledger: SqlLedger
    api: tuple[WorkerProcess, WorkerProcess]
    cpu: tuple[WorkerProcess, WorkerProcess]
    http: httpx.AsyncClient
    key: str
    rotation: list[WorkerProcess] = field(default_factory=list)
    """Replicas that new connections may go to."""

    async def send(self, method: str, path: str, **what: Any) -> httpx.Response:
        """Send a request as a load balancer does: where a connection is refused, another replica is asked."""
        while True:
            replica = random.choice(self.rotation)
            try:
                return await self.to(replica, method, path, **what)
            except httpx.ConnectError:
                if replica in self.rotation:
                    self.rotation.remove(replica)

    async def to(self, replica: WorkerProcess, method: str, path: str, **what: Any) -> httpx.Response:
        """Send a request to one replica."""
        headers = {"authorization": f"Bearer {what.pop('key', self.key)}"}
        return await self.http.request(
            method, f"http://127.0.0.1:{replica.port}{path}", headers=headers, **what
        )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def replicas(
    server: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Replicas]:
    home = tmp_path_factory.mktemp("rolling")
    home.chmod(0o755)  # Postgres gives up root's rights and has to reach its data
    (home / "models").mkdir()
    shutil.copy(SPENDING, home / "models")
    async with AsyncExitStack() as held:
        postgres = await held.enter_async_context(PostgresServer(home, fsync=False))
        env = environ(
            server,
            home,
            PROVERY_LEDGER_URL=postgres.url,
            PROOF_TIMEOUT_MS="120000",
            PROVERY_DRAIN_S="5",
        )
        ledger = await asyncio.to_thread(open_ledger, postgres.url)
        held.push_async_callback(ledger.close)
        _, key = await ledger.access.keys.add("clients", [PROVE, READ], per_minute=60_000)

        def process(name: str, *arguments: str) -> WorkerProcess:
            mine = {**env, "CACHE_DIR": str(home / "cache" / name)}
            made = WorkerProcess(name, arguments, free_port(), mine, home)
            made.ready_s = 180.0  # five of them start side by side
            return made

        flow = process("flow", "--queue", "orchestrate,io")
        cpu = (
            process("cpu-0", "--queue", "cpu", "--slots", "2"),
            process("cpu-1", "--queue", "cpu", "--slots", "2"),
        )
        api = (process("api-0", "--ingress", "zkml/default"), process("api-1", "--ingress", "zkml/default"))
        for one in (flow, *cpu, *api):
            held.push_async_callback(one.stop)
        await asyncio.gather(*(one.start() for one in (flow, *cpu, *api)))
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=64)
        http = await held.enter_async_context(
            httpx.AsyncClient(timeout=180.0, limits=limits, trust_env=False)
        )
        made = Replicas(ledger, api, cpu, http, key, list(api))
        deadline = time.monotonic() + 180
        for replica in api:
            while (await made.to(replica, "GET", "/health")).status_code != 200:
                assert time.monotonic() < deadline, replica.log_tail()
                await asyncio.sleep(0.2)
        yield made


def fresh() -> list[float]:
    """Inputs that nobody has asked for."""
    return [next(_numbers) / 4096, *INPUTS[1:]]


async def test_replicas_and_workers_are_restarted_under_load_and_no_request_fails(replicas: Replicas) -> None:
    failed: list[str] = []
    ids: set[str] = set()
    over = asyncio.Event()
    asked = itertools.count()
    pairs: dict[int, Sequence[float]] = {}

    async def client(number: int) -> None:
        while not over.is_set():
            turn = next(asked)
            # Each request comes twice, mostly while the first is under way and often on the other replica.
            inputs = pairs.setdefault(turn // 2, fresh())
            body = {"model_id": MODEL, "inputs": list(inputs)}
            try:
                if number % 2:
                    answer = await replicas.send("POST", "/prove", json=body)
                    answer.raise_for_status()
                    ids.add(answer.json()["id"])
                    continue
                answer = await replicas.send("POST", "/v1/proofs", json=body)
                answer.raise_for_status()
                id, told = answer.json()["id"], answer.json()
                while told["status"] == "running":
                    answer = await replicas.send("GET", f"/v1/proofs/{id}", params={"wait": "2"})
                    answer.raise_for_status()
                    told = answer.json()
                assert told["status"] == "done", told
                ids.add(id)
            except (httpx.HTTPError, AssertionError) as error:
                said = error.response.text[:300] if isinstance(error, httpx.HTTPStatusError) else ""
                failed.append(f"{type(error).__name__}: {error} {said}")

    clients = [asyncio.create_task(client(number)) for number in range(CLIENTS)]
    try:
        await asyncio.sleep(2)
        for one in (*replicas.api, *replicas.cpu):
            await one.stop()
            await one.start()
            if one in replicas.api and one not in replicas.rotation:
                replicas.rotation.append(one)
            await asyncio.sleep(1)
    finally:
        over.set()
        await asyncio.gather(*clients)
    assert failed == []
    assert len(ids) > CLIENTS
    for id in ids:
        row = await replicas.ledger.unit("zkml", "default", f"proof-{id}")
        assert row is not None
        assert row.status is UnitStatus.DONE
        stages = await computed(replicas.ledger, f"proof-{id}")
        assert sorted(stages) == ["prove", "verify", "witness"], f"{id}: {stages}"


async def test_one_request_to_both_replicas_at_once_is_proved_once(replicas: Replicas) -> None:
    for _ in range(3):
        body = {"model_id": MODEL, "inputs": fresh()}
        answers = await asyncio.gather(
            *(replicas.to(one, "POST", "/prove", json=body) for one in (*replicas.api, *replicas.api))
        )
        assert [answer.status_code for answer in answers] == [200] * 4
        (id,) = {answer.json()["id"] for answer in answers}
        assert len({answer.json()["proof"]["proof_hash"] for answer in answers}) == 1
        assert sorted(await computed(replicas.ledger, f"proof-{id}")) == ["prove", "verify", "witness"]


async def test_a_revoked_key_is_refused_by_both_within_a_second(replicas: Replicas) -> None:
    key, secret = await replicas.ledger.access.keys.add("leaving", [READ])
    for one in replicas.api:
        assert (await replicas.to(one, "GET", "/models", key=secret)).status_code == 200
    assert await replicas.ledger.access.keys.revoke(key.id)
    await asyncio.sleep(1)
    for one in replicas.api:
        assert (await replicas.to(one, "GET", "/models", key=secret)).status_code == 401


async def test_replicas_share_a_callers_bucket(replicas: Replicas) -> None:
    _, secret = await replicas.ledger.access.keys.add("slow", [PROVE], per_minute=2)
    statuses = []
    for one in (*replicas.api, *replicas.api):
        body = {"model_id": MODEL, "inputs": fresh()}
        answer = await replicas.to(one, "POST", "/v1/proofs", json=body, key=secret)
        statuses.append(answer.status_code)
    assert statuses == [202, 202, 429, 429]


async def test_a_replica_that_starts_is_not_taken_for_one_without_the_path(tmp_path: Path) -> None:
    alone = WorkerProcess(
        "api-alone",
        ("--ingress", "zkml/default"),
        free_port(),
        {"PROVERY_HOME": str(tmp_path), "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"},
        tmp_path,
    )
    alone.spawn()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{alone.port}", trust_env=False) as http:
            async with asyncio.timeout(60):
                while not await listens(http):
                    await asyncio.sleep(0.1)
            answer = await http.post("/prove", json={})
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert (await http.get("/health")).status_code == 200
    finally:
        await alone.stop()


async def listens(http: httpx.AsyncClient) -> bool:
    """Whether a server takes connections."""
    try:
        return (await http.get("/health")).status_code == 200
    except httpx.ConnectError:
        return False
