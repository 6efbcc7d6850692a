"""The documented routes: shapes, what real clients send, waiting, failing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provery.systems.zkml import hashes
from tests.support.zkml_served import INPUTS, MODEL, Served, prove_body, served, version_of_spending

DOCUMENT_INPUT_HASH = "0x225f2461ee0b5d5672f9f52744bd77558bcb0b6538c3ae6213bf5327942a984a"


@pytest.fixture
async def at(tmp_path: Path) -> AsyncIterator[Served]:
    async with served(tmp_path) as found:
        yield found


async def test_a_proof_has_the_documented_shape(at: Served) -> None:
    async with at.client() as http:
        before = time.time() * 1000
        answer = await http.post("/prove", json=prove_body(program_io=None, unknown={"a": 1}))
        assert answer.status_code == 200
        said = answer.json()
        assert set(said) >= {"success", "proof", "inference", "generation_time_ms"}
        proof, metadata, inference = said["proof"], said["proof"]["metadata"], said["inference"]
        assert set(proof) >= {"proof", "proof_hash", "metadata", "tag", "timestamp"}
        assert set(metadata) >= {
            "model_hash", "input_hash", "output_hash", "proof_size", "generation_time", "prover_version"
        }  # fmt: skip
        assert (said["success"], proof["tag"]) == (True, "spending")
        assert before - 1 <= proof["timestamp"] <= time.time() * 1000
        assert metadata["input_hash"] == DOCUMENT_INPUT_HASH
        assert hashes.proof_hash(bytes.fromhex(proof["proof"][2:])) == proof["proof_hash"]
        assert inference["decision"] == ("approve" if inference["raw_output"][0] > 0.5 else "reject")
        assert inference["output"] == inference["raw_output"][0]
        assert inference["confidence"] == inference["raw_output"][1]
        untagged = (await http.post("/prove", json={"model_id": MODEL, "inputs": INPUTS})).json()
        assert untagged["proof"]["tag"] == "inference"
        assert untagged["proof"]["proof"] == proof["proof"]
    assert len(at.engine.started) == 1


async def test_nested_inputs_are_the_same_request(at: Served) -> None:
    async with at.client() as http:
        flat = (await http.post("/prove", json=prove_body())).json()
        nested = (await http.post("/prove", json=prove_body() | {"inputs": [INPUTS]})).json()
        assert (nested["id"], nested["cached"]) == (flat["id"], True)


async def test_health_and_models_have_the_documented_shape(at: Served) -> None:
    async with at.client() as http:
        await http.post("/prove", json=prove_body())
        said = (await http.get("/health")).json()
        assert said["status"] == "healthy"
        assert said["proofs_generated"] == 1
        assert said["average_proof_time_ms"] == 210
        assert {"version", "prover", "uptime_seconds"} <= set(said)
        [model] = (await http.get("/models")).json()["models"]
        assert model["id"] == MODEL
        assert model["name"] == "Spending Model"
        assert (model["input_shape"], model["output_shape"]) == ([1, 8], [1, 3])
        assert isinstance(model["version"], str)


async def test_health_tells_what_is_prepared_and_spares_the_kubelet(at: Served) -> None:
    at.missing["other"] = "running prove"
    async with at.client() as http:
        starting = await http.get("/health")
        assert starting.status_code == 503
        assert (starting.json()["status"], starting.json()["missing"]) == (
            "starting",
            {"other": "running prove"},
        )
        probe = await http.get("/health", headers={"user-agent": "kube-probe/1.33"})
        assert (probe.status_code, probe.json()["status"]) == (200, "starting")
        refused = await http.post("/prove", json=prove_body() | {"model_id": "other"})
        assert (refused.status_code, refused.json()["code"]) == (503, "model_preparing")
        assert refused.headers["retry-after"] == "10"
    at.missing.clear()
    at.missing[MODEL] = "noted before it was on the list"
    async with at.client() as http:
        assert (await http.get("/health")).status_code == 200


async def test_a_wait_that_is_too_long_ends_with_the_documented_words_and_the_proof_goes_on(
    tmp_path: Path,
) -> None:
    async with served(tmp_path, timeout_ms=100) as at, at.client() as http:
        at.engine.hold = asyncio.Event()
        late = await http.post("/prove", json=prove_body())
        assert late.status_code == 504
        said = late.json()
        assert said["error"] == "Proof generation exceeded timeout (100ms)"
        assert (said["success"], said["code"]) == (False, "proof_timeout")
        assert late.headers["location"] == said["poll"] == f"/v1/proofs/{said['id']}"
        at.engine.hold.set()
        polled = (await http.get(said["poll"], params={"wait": "5"})).json()
        assert polled["status"] == "done"
        assert (await http.post("/prove", json=prove_body())).json()["cached"] is True
    assert len(at.engine.started) == 1


async def test_timeouts_by_model_and_by_request(tmp_path: Path) -> None:
    async with served(tmp_path, timeout_ms=60_000, model_timeouts=f"{MODEL}=80") as at, at.client() as http:
        at.engine.hold = asyncio.Event()
        by_model = (await http.post("/prove", json=prove_body())).json()
        assert by_model["error"] == "Proof generation exceeded timeout (80ms)"
        shorter = await http.post("/prove", json=prove_body(timeout_ms=30))
        by_request = shorter.json()
        assert by_request["error"] == "Proof generation exceeded timeout (30ms)"
        assert (shorter.status_code, by_request["code"]) == (408, "wait_over")
        assert shorter.headers["location"] == by_request["poll"] == f"/v1/proofs/{by_request['id']}"
        longer = await http.post("/prove", json=prove_body(timeout_ms=50_000))
        assert (longer.status_code, longer.json()["error"]) == (
            504,
            "Proof generation exceeded timeout (80ms)",
        )


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("InvalidInput", 422, "unprovable"),
        ("ResourceExhausted", 503, "out_of_memory"),
        ("ProverCrashed", 500, "proof_failed"),
    ],
)
async def test_failures_are_told_apart_and_tried_again(at: Served, kind: str, status: int, code: str) -> None:
    at.engine.fail = (kind, "why")
    async with at.client() as http:
        failed = await http.post("/prove", json=prove_body())
        assert (failed.status_code, failed.json()["code"]) == (status, code)
        told = (await http.get(f"/v1/proofs/{failed.json()['id']}")).json()
        assert (told["status"], told["code"]) == ("failed", code)
        at.engine.fail = None
        assert (await http.post("/prove", json=prove_body())).status_code == 200
    assert len(at.engine.started) == 2
    assert at.figure("arc_prover_proofs_total", status="success") == 1
    assert at.figure("arc_prover_proofs_total", status="error") == 1


async def test_an_engine_that_is_away_is_told_as_such_and_costs_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, anonymous_per_minute=1) as at, at.client() as http:
        at.engine.away = True
        away = await http.post("/prove", json=prove_body())
        assert (away.status_code, away.json()["code"], away.headers["retry-after"]) == (
            503,
            "unavailable",
            "1",
        )
        at.engine.away = False
        assert (await http.post("/prove", json=prove_body())).status_code == 200


async def test_many_clients_of_one_request_prove_once(at: Served) -> None:
    at.engine.seconds = 0.1
    async with at.client() as http:
        answers = await asyncio.gather(*(http.post("/prove", json=prove_body()) for _ in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.json()["proof"]["proof"] for answer in answers}) == 1
    assert len(at.engine.started) == 1


async def test_another_replica_answers_from_the_ledger(at: Served, tmp_path: Path) -> None:
    async with at.client() as http:
        first = (await http.post("/prove", json=prove_body())).json()
    (tmp_path / "b").mkdir()
    async with served(tmp_path / "b", at.ledger) as other, other.client() as http:
        other.engine.states, other.engine.started = at.engine.states, list(at.engine.started)
        other.engine.versions, other.engine.works = at.engine.versions, at.engine.works
        again = (await http.post("/prove", json=prove_body())).json()
        assert (again["cached"], again["proof"]["proof"]) == (True, first["proof"]["proof"])
        assert other.figure("provery_zkml_cache_total", source="ledger") == 1
        assert len(other.engine.started) == 1


async def test_changed_and_retired_models_are_not_served_from_the_cache(
    at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provery.systems.zkml.http.models_seen.FRESH_S", 0.0)
    async with at.client() as http:
        first = (await http.post("/prove", json=prove_body())).json()
        await at.ledger.models.add(version_of_spending(tolerance=0.5))
        second = (await http.post("/prove", json=prove_body())).json()
        assert second["cached"] is False
        assert second["id"] != first["id"]
        await at.ledger.models.retire(MODEL)
        gone = await http.post("/prove", json=prove_body())
        assert (gone.status_code, gone.json()["error"]) == (404, f"Model not found: {MODEL}")
        old = first["proof"]
        checked = await http.post(
            "/verify", json={"proof": old["proof"], "model_hash": old["metadata"]["model_hash"]}
        )
        assert checked.json()["valid"] is True


async def test_a_proof_of_the_oldest_of_many_versions_still_verifies(
    at: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provery.systems.zkml.http.models_seen.FRESH_S", 0.0)
    async with at.client() as http:
        proof = (await http.post("/prove", json=prove_body())).json()["proof"]
        for number in range(12):
            await at.ledger.models.add(version_of_spending(tolerance=1.0 + number))
        asked = {"proof": proof["proof"], "model_hash": proof["metadata"]["model_hash"]}
        at.engine.verified = 0
        assert (await http.post("/verify", json=asked)).json()["valid"] is True
        assert at.engine.verified == 1, "its public values name its key"


async def test_every_asked_proof_is_in_the_audit_trail(at: Served) -> None:
    async with at.client() as http:
        said = (await http.post("/prove", json=prove_body())).json()
        await http.post("/prove", json=prove_body())
        await http.post("/prove", json=prove_body() | {"model_id": "nope"})
        await http.post("/verify", json={"proof": said["proof"]["proof"], "model_id": MODEL})
    rows = [row.entry async for row in at.ledger.access.audit.rows()]
    assert [(row.action, row.outcome) for row in rows] == [
        ("prove", "ok"), ("prove", "cached"), ("prove", "refused"), ("verify", "ok")
    ]  # fmt: skip
    assert rows[0].who == "ip:127.0.0.1"
    assert rows[0].digests["request"] == said["id"]
    assert rows[0].digests["proof_hash"] == said["proof"]["proof_hash"]
    assert rows[0].latency_ms > 0
    assert rows[2].detail["code"] == "model_not_found"
    assert (await at.ledger.access.audit.check())[1] is None
