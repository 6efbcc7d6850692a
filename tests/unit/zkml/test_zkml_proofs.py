"""The asynchronous form: ids, polling, events, withdrawing, lists, idempotency; admission and figures."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from provery.core.access import ADMIN, PROVE
from provery.core.models import Visibility
from provery.systems.zkml.http import admission, events
from tests.support.zkml_served import MODEL, Served, prove_body, served, version_of_spending


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as found:
        yield found


async def test_asking_gives_an_id_that_is_the_digest(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        asked = await http.post("/v1/proofs", json=prove_body())
        said = asked.json()
        assert (asked.status_code, said["status"]) == (202, "running")
        assert asked.headers["location"] == f"/v1/proofs/{said['id']}"
        assert at.engine.started[0].unit.key == f"proof-{said['id']}"
        again = (await http.post("/v1/proofs", json=prove_body(tag="other"))).json()
        assert again["id"] == said["id"]
        running = (await http.get(f"/v1/proofs/{said['id']}")).json()
        assert (running["status"], running["stage"], running["step"]) == ("running", "prove", "rounds")
        assert running["progress"] == 0.5
        at.engine.hold.set()
        done = (await http.get(f"/v1/proofs/{said['id']}?wait=5")).json()
        assert (done["status"], done["success"], done["model_id"]) == ("done", True, MODEL)
        assert done["result"]["proof"]["metadata"]["model_id"] == MODEL
        assert done["result"]["inference"]["raw_output"]
        cached = await http.post("/v1/proofs", json=prove_body())
        assert (cached.status_code, cached.json()["status"]) == (202, "done")
    assert len(at.engine.started) == 1


async def test_a_long_poll_ends_with_the_proof_or_its_time(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body())).json()["id"]
        began = time.monotonic()
        assert (await http.get(f"/v1/proofs/{id}?wait=0.2")).json()["status"] == "running"
        assert 0.2 <= time.monotonic() - began < 3
        polling = asyncio.create_task(http.get(f"/v1/proofs/{id}?wait=30"))
        await asyncio.sleep(0.1)
        at.engine.hold.set()
        assert (await asyncio.wait_for(polling, 5)).json()["status"] == "done"


async def test_a_stopping_replica_ends_long_polls_and_takes_nothing_new(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body())).json()["id"]
        polling = asyncio.create_task(http.get(f"/v1/proofs/{id}?wait=30"))
        await asyncio.sleep(0.1)
        await at.api.stop()
        assert (await asyncio.wait_for(polling, 5)).json()["status"] == "running"
        new = await http.post("/v1/proofs", json=prove_body(0.3))
        assert (new.status_code, new.json()["code"]) == (503, "draining")
        assert (await http.post("/v1/proofs", json=prove_body())).status_code == 202  # it only attaches


async def test_a_replica_that_stops_says_where_what_it_waited_for_goes_on(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        waiting = asyncio.create_task(http.post("/prove", json=prove_body()))
        while not at.engine.started:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await at.api.stop()
        await at.api.close()
        answer = await asyncio.wait_for(waiting, 5)
    said = answer.json()
    assert (answer.status_code, said["code"], said["continues"]) == (503, "draining", True)
    assert answer.headers["location"] == said["poll"] == f"/v1/proofs/{said['id']}"


def parsed(text: str) -> list[tuple[str, int, Any]]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
        if "event" in fields:
            found.append((fields["event"], int(fields["id"]), json.loads(fields["data"])))
    return found


async def test_events_tell_stage_progress_and_end(at: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.02)
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body())).json()["id"]
        reading = asyncio.create_task(http.get(f"/v1/proofs/{id}/events", headers={"last-event-id": "41"}))
        await asyncio.sleep(0.2)
        at.engine.hold.set()
        answer = await asyncio.wait_for(reading, 5)
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = parsed(answer.text)
        assert [name for name, _, _ in told] == ["stage", "progress", "end"]
        assert [number for _, number, _ in told] == [42, 43, 44]
        assert told[0][2]["stage"] == "prove"
        assert told[1][2] == {"id": id, "stage": "prove", "step": "rounds", "progress": 0.5}
        assert told[2][2]["status"] == "done"
        late = parsed((await http.get(f"/v1/proofs/{id}/events", headers={"last-event-id": "x"})).text)
        assert [name for name, _, _ in late] == ["end"]


async def test_events_show_signs_of_life_and_are_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "LOOK_S", 0.02)
    async with served(tmp_path, heartbeat_s=0.05, stream_max_s=0.5, streams_max=1) as at, at.client() as http:
        at.engine.hold = asyncio.Event()
        id = (await http.post("/v1/proofs", json=prove_body())).json()["id"]
        reading = asyncio.create_task(http.get(f"/v1/proofs/{id}/events"))
        await asyncio.sleep(0.2)
        refused = await http.get(f"/v1/proofs/{id}/events")
        assert (refused.status_code, refused.json()["code"]) == (429, "busy")
        text = (await asyncio.wait_for(reading, 5)).text
        assert text.count(": still here") >= 3
        assert [name for name, _, _ in parsed(text)] == ["stage", "progress"]
        assert (await http.get(f"/v1/proofs/{id}/events")).status_code == 200  # the place is free again


async def test_failed_proofs_end_their_events(at: Served) -> None:
    at.engine.fail = ("ProverCrashed", "signal 9")
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body())).json()["id"]
        told = parsed((await http.get(f"/v1/proofs/{id}/events")).text)
        assert (told[-1][0], told[-1][2]["status"], told[-1][2]["code"]) == ("end", "failed", "proof_failed")


async def test_the_only_one_who_asked_cancels(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body())).json()["id"]
        ended = await http.delete(f"/v1/proofs/{id}")
        assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
        assert (await http.get(f"/v1/proofs/{id}")).status_code == 404
        again = (await http.post("/v1/proofs", json=prove_body())).json()
        assert (again["id"], again["status"]) == (id, "running")
        at.engine.hold.set()
        assert (await http.get(f"/v1/proofs/{id}?wait=5")).json()["status"] == "done"
        late = await http.delete(f"/v1/proofs/{id}")
        assert (late.status_code, late.json()["code"]) == (409, "already_ended")
    assert len(at.engine.started) == 2


async def test_withdrawing_takes_nothing_from_others(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    first, second = await at.key(PROVE), await at.key(PROVE)
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body(), headers=first)).json()["id"]
        await http.post("/v1/proofs", json=prove_body(), headers=second)
        withdrawn = await http.delete(f"/v1/proofs/{id}", headers=first)
        assert (withdrawn.status_code, withdrawn.json()["status"]) == (202, "running")
        assert (await http.get(f"/v1/proofs/{id}", headers=first)).status_code == 404
        assert (await http.get(f"/v1/proofs/{id}", headers=second)).json()["status"] == "running"
        assert (await http.delete(f"/v1/proofs/{id}", headers=first)).status_code == 404
        ended = await http.delete(f"/v1/proofs/{id}", headers=second)
        assert ended.json()["status"] == "cancelled"


async def test_an_admin_cancels_in_any_case(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        id = (await http.post("/v1/proofs", json=prove_body())).json()["id"]
        ended = await http.delete(f"/v1/proofs/{id}", headers=await at.key(ADMIN))
        assert (ended.status_code, ended.json()["status"]) == (200, "cancelled")
        told = (await http.get(f"/v1/proofs/{id}")).json()
        assert (told["status"], told["code"]) == ("cancelled", "cancelled")


async def test_lists_go_on_where_they_ended(at: Served) -> None:
    async with at.client() as http:
        ids = [(await http.post("/prove", json=prove_body(i / 8))).json()["id"] for i in range(5)]
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await http.get("/v1/proofs", params={"limit": 2, "cursor": cursor})).json()
            seen += [one["id"] for one in page["proofs"]]
            assert {one["status"] for one in page["proofs"]} <= {"done"}
            if page["cursor"] is None:
                break
            cursor = page["cursor"]
        assert seen == ids[::-1]


async def test_idempotency_keys_hold_one_request(at: Served) -> None:
    headers = {"idempotency-key": "order-1"}
    mine = await at.key(PROVE)
    async with at.client() as http:
        first = await http.post("/v1/proofs", json=prove_body(), headers=headers | mine)
        again = await http.post("/v1/proofs", json=prove_body(), headers=headers | mine)
        assert first.json()["id"] == again.json()["id"]
        other = await http.post("/v1/proofs", json=prove_body(0.7), headers=headers | mine)
        assert (other.status_code, other.json()["code"]) == (409, "conflict")
        elses = await http.post("/v1/proofs", json=prove_body(0.7), headers=headers)
        assert elses.status_code == 202  # keys are each caller's own
    assert len(at.engine.started) == 2


async def test_an_idempotency_key_outlives_a_change_of_the_model(
    at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provery.systems.zkml.http.models_seen.FRESH_S", 0.0)
    headers = {"idempotency-key": "order-1"}
    async with at.client() as http:
        first = (await http.post("/prove", json=prove_body(), headers=headers)).json()
        await at.ledger.models.add(version_of_spending(tolerance=0.5))
        again = (await http.post("/prove", json=prove_body(), headers=headers)).json()
        assert (again["id"], again["proof"]["proof"]) == (first["id"], first["proof"]["proof"])
        assert (await http.post("/prove", json=prove_body())).json()["id"] != first["id"]


async def test_a_full_queue_refuses_before_anything_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "FRESH_S", 0.0)
    async with served(tmp_path, queue_limit=4, caller_limit=4, concurrent=1) as at, at.client() as http:
        at.engine.hold = asyncio.Event()
        codes = [(await http.post("/v1/proofs", json=prove_body(i / 8))).status_code for i in range(4)]
        assert codes == [202] * 4
        refused = await http.post("/v1/proofs", json=prove_body(0.9))
        assert (refused.status_code, refused.json()["code"]) == (429, "queue_full")
        assert 1 <= int(refused.headers["retry-after"]) <= 120
        assert (
            await http.post("/v1/proofs", json=prove_body(0.0))
        ).status_code == 202  # attaching needs no place
        assert len(at.engine.started) == 4
        assert at.figure("arc_prover_active_proofs") == 1
        assert at.figure("arc_prover_queue_depth") == 3
        other = tmp_path / "b"
        other.mkdir()
        async with served(other, at.ledger, queue_limit=4) as replica, replica.client() as elsewhere:
            assert (await elsewhere.post("/v1/proofs", json=prove_body(0.9))).status_code == 429
        at.engine.hold.set()
        await asyncio.gather(*at.engine.tasks)
        while len(at.api.parts.proofs.flights):
            await asyncio.sleep(0.01)
        assert (await http.post("/v1/proofs", json=prove_body(0.9))).status_code == 202


async def test_bursts_never_exceed_the_queue(tmp_path: Path) -> None:
    async with served(tmp_path, queue_limit=5, caller_limit=5) as at, at.client() as http:
        at.engine.hold = asyncio.Event()
        asked = [http.post("/v1/proofs", json=prove_body(i / 64)) for i in range(30)]
        codes = [answer.status_code for answer in await asyncio.gather(*asked)]
        assert (codes.count(202), codes.count(429)) == (5, 25)
    assert len(at.engine.started) == 5


async def test_one_caller_leaves_room_for_others(tmp_path: Path) -> None:
    async with served(tmp_path, queue_limit=8) as at:
        at.engine.hold = asyncio.Event()
        async with at.client("192.0.2.1") as http:
            codes = [(await http.post("/v1/proofs", json=prove_body(i / 16))).status_code for i in range(8)]
            assert codes == [202] * 6 + [429] * 2
        async with at.client("192.0.2.2") as http:
            assert (await http.post("/v1/proofs", json=prove_body(5))).status_code == 202


async def test_retry_after_follows_the_measured_throughput(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "FRESH_S", 0.0)
    async with served(tmp_path, queue_limit=2, caller_limit=2) as at, at.client() as http:
        for i in range(12):
            await http.post("/prove", json=prove_body(i / 16))
        at.engine.hold = asyncio.Event()
        for i in range(2):
            await http.post("/v1/proofs", json=prove_body(5 + i))
        refused = await http.post("/v1/proofs", json=prove_body(9))
        # 12 in the last minute: one place every five seconds.
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")


async def test_figures_have_the_documented_names(at: Served) -> None:
    from prometheus_client import generate_latest

    async with at.client() as http:
        await http.post("/prove", json=prove_body())
        await http.post("/prove", json=prove_body())
        at.engine.fail = ("ProverCrashed", "")
        await http.post("/prove", json=prove_body(0.9))
    text = generate_latest(at.registry).decode()
    for line in (
        'arc_prover_proofs_total{status="success"} 1.0',
        'arc_prover_proofs_total{status="error"} 1.0',
        'arc_prover_proof_duration_seconds_bucket{le="2.0"} 1.0',
        'arc_prover_proof_duration_seconds_bucket{le="4.0"} 1.0',
        'arc_prover_proof_duration_seconds_bucket{le="10.0"} 1.0',
        "arc_prover_active_proofs 0.0",
        "arc_prover_queue_depth 0.0",
        'provery_zkml_requests_total{route="/prove",status="200"} 2.0',
        'provery_zkml_cache_total{source="memory"} 1.0',
    ):
        assert line in text.splitlines(), line


async def test_clients_that_go_take_nothing_with_them(at: Served) -> None:
    at.engine.hold = asyncio.Event()
    async with at.client() as http:
        going = asyncio.create_task(http.post("/prove", json=prove_body()))
        while not at.engine.started:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
    assert len(at.engine.started) == 1
    at.engine.hold.set()
    await asyncio.gather(*at.engine.tasks)
    async with at.client() as http:
        assert (await http.post("/prove", json=prove_body())).status_code == 200
    assert len(at.engine.started) == 1


async def test_the_openapi_document_describes_every_route(at: Served) -> None:
    async with at.client() as http:
        document = (await http.get("/openapi.json")).json()
    assert {"/health", "/models", "/prove", "/verify", "/v1/proofs", "/v1/proofs/{id}"} <= set(
        document["paths"]
    )
    body = document["paths"]["/prove"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert set(body["required"]) == {"model_id", "inputs"}
    assert "$ref" not in json.dumps(document["paths"]["/v1/proofs"]["post"]["requestBody"])
    assert set(document["components"]["securitySchemes"]) == {"HTTPBearer", "APIKeyHeader"}


async def test_commitments_are_each_callers_own(at: Served) -> None:
    version = version_of_spending("hidden", visibility=Visibility.COMMITMENT)
    await at.ledger.models.add(version)
    mine, other = await at.key(PROVE), await at.key(PROVE)
    body = prove_body() | {"model_id": "hidden"}
    async with at.client() as http:
        ids = [
            (await http.post("/v1/proofs", json=body, headers=who)).json()["id"]
            for who in (mine, other, mine)
        ]
        assert ids[0] == ids[2] != ids[1]
        assert (await http.get(f"/v1/proofs/{ids[0]}", headers=other)).status_code == 404
    assert len(at.engine.started) == 2
