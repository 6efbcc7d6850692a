"""The HTTP API on a real Redis and database: what upstream's clients send and read."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from provery.api.app import create_app
from provery.core.serving import Serving
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.model import RowStatus
from provery.systems.queue.routes import routes
from tests.support.queue import REQUEST, Bench, bench, peer, shared_postgres, shared_redis, until


def client(parts: Bench, jobs: BullQueue | None = None) -> httpx.AsyncClient:
    app = create_app([routes(jobs or parts.jobs, parts.table)], serving=Serving(max_body=100_000))
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://provery")


@pytest_asyncio.fixture(params=["sqlite", "postgres"])
async def parts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bench]:
    url = f"sqlite:///{tmp_path}/queue.db" if request.param == "sqlite" else shared_postgres().url
    async with bench(shared_redis().url, url) as made:
        yield made


async def test_asked_proved_and_read(parts: Bench) -> None:
    async with client(parts) as http:
        asked = await http.post("/proofs", json=REQUEST)
        assert (asked.status_code, asked.json()["status"]) == (202, "queued")
        id = asked.json()["id"]
        assert str(uuid.UUID(id)) == id
        seen = (await http.get(f"/proofs/{id}")).json()
        assert list(seen) == [
            "id",
            "status",
            "request",
            "publicInputs",
            "proof",
            "error",
            "createdAt",
            "updatedAt",
        ]
        assert (seen["status"], seen["request"], seen["proof"]) == ("queued", REQUEST, None)
        parts.start()

        async def done() -> bool:
            return bool((await http.get(f"/proofs/{id}")).json()["status"] == "done")

        await until(done)
        assert (await http.get(f"/proofs/{id}")).json()["proof"] == {"pi_a": ["1"]}
        assert (await http.get("/proofs?limit=1")).json()[0]["id"] == id
        assert len((await http.get("/proofs?limit=100000")).json()) <= 100


async def test_a_node_worker_can_take_what_is_asked(parts: Bench) -> None:
    async with client(parts) as http, peer(shared_redis().url, parts.settings.queue_name) as npm:
        id = (await http.post("/proofs", json=REQUEST)).json()["id"]
        await npm("worker")

        async def worked() -> bool:
            return bool((await npm("worked"))["jobs"] == [id])

        await until(worked)


async def test_refusals_have_upstreams_shapes(parts: Bench) -> None:
    async with client(parts) as http:
        missing = await http.post("/proofs", json={"root": "1"})
        assert missing.status_code == 400
        assert missing.json() == {"error": "bad_request", "message": "root, user, epoch, leaf are required"}
        for body, said in (
            (REQUEST | {"root": "-1"}, "request.root is negative"),
            (REQUEST | {"id": "../x"}, "not a usable unit key"),
            (REQUEST | {"id": 5}, "id is not text"),
            ([1], "are required"),
            ("x", "are required"),
            (None, "are required"),
        ):
            refused = await http.post("/proofs", json=body)
            assert (refused.status_code, refused.json()["error"]) == (400, "bad_request")
            assert said in refused.json()["message"]
        assert (await http.post("/proofs", content=b"{")).json()["error"] == "bad_request"
        assert (await http.post("/proofs", content=b"")).status_code == 400
        for unknown in ("nothing", "a%00b", "x" * 10_000, "..%2f..%2fetc"):
            none = await http.get(f"/proofs/{unknown}")
            assert (none.status_code, none.json()) == (404, {"error": "not_found"})
        assert (await http.get("/proofs?limit=x")).status_code == 400
        assert (await http.get("/nowhere")).json() == {"error": "not_found"}
        large = await http.post("/proofs", json=REQUEST | {"note": "x" * 200_000})
        assert (large.status_code, large.json()["error"]) == (413, "too_large")
        assert (await http.get("/health")).json() == {"ok": True}


async def test_asking_twice_with_an_id_is_asking_once(parts: Bench) -> None:
    async with client(parts) as http:
        id = str(uuid.uuid4())
        answers = await asyncio.gather(*(http.post("/proofs", json=REQUEST | {"id": id}) for _ in range(5)))
        assert {a.status_code for a in answers} == {202}
        assert (await parts.jobs.counts())["wait"] == 1
        other = await http.post("/proofs", json=REQUEST | {"id": id, "epoch": 2})
        assert (other.status_code, other.json()["error"]) == (409, "conflict")
        await parts.table.fail({id: ("no", None)})
        corrected = await http.post("/proofs", json=REQUEST | {"id": id, "epoch": 2})
        assert corrected.status_code == 202
        seen = (await http.get(f"/proofs/{id}")).json()
        assert (seen["status"], seen["error"], seen["request"]["epoch"]) == ("queued", None, 2)
        assert (await parts.jobs.counts())["wait"] == 2


async def test_a_crash_between_row_and_redis_loses_no_request(parts: Bench) -> None:
    nowhere = BullQueue("redis://127.0.0.1:1", parts.settings.queue_name)
    async with client(parts, nowhere) as http:
        asked = await http.post("/proofs", json=REQUEST)
        assert asked.status_code == 202
    parts.start()

    async def done() -> bool:
        row = await parts.table.get(asked.json()["id"])
        return row is not None and row.status is RowStatus.DONE

    await until(done)
    await nowhere.close()


async def test_sixty_readers_a_second_cost_one_lookup_each(parts: Bench) -> None:
    async with client(parts) as http:
        id = (await http.post("/proofs", json=REQUEST)).json()["id"]
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*(http.get(f"/proofs/{id}") for _ in range(120)))
        assert {a.status_code for a in answers} == {200}
