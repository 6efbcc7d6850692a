"""The zkml system over the real engine: models come and go, inferences are proved, and what breaks is said."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from provery import registry
from provery.client import Address, Provery
from provery.core.types import ArtifactRef, UnitStatus
from provery.systems.zkml.http.models_seen import FRESH_S
from provery.systems.zkml.model import Answer
from tests.support.zkml_engine import INPUTS, World, world

NO_CACHE = {"PROVERY_ZKML_CACHE_MB": "0", "PROVERY_ZKML_CACHE_MEMORY_MB": "0"}
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, pytest.mark.timeout(300)]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def at(server: WorkflowEnvironment, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(server, tmp_path_factory.mktemp("zkml") / "home", **NO_CACHE) as made:
        yield made


async def test_a_changed_file_is_a_new_version_and_changed_back_the_old_without_work(at: World) -> None:
    at.put("changing")
    first = await at.listed("changing")
    one = (await at.prove("changing")).json()
    assert one["proof"]["metadata"]["model_version"] == first.version
    at.put("changing", "another file")
    second = await at.listed("changing", other_than=first.version)
    await asyncio.sleep(FRESH_S)
    two = (await at.prove("changing")).json()
    assert two["proof"]["metadata"]["model_version"] == second.version
    assert two["proof"]["metadata"]["model_hash"] == second.model_hash != first.model_hash
    assert two["inference"]["raw_output"] == one["inference"]["raw_output"]
    added = await at.models_added()
    at.put("changing")
    assert (await at.listed("changing", other_than=second.version)) == first
    await asyncio.sleep(FRESH_S)
    again = (await at.prove("changing")).json()
    assert (again["cached"], again["id"]) == (True, one["id"])
    assert await at.models_added() == added
    # Proofs of every version verify for ever.
    for said in (one, two):
        claim = {"proof": said["proof"]["proof"], "model_hash": said["proof"]["metadata"]["model_hash"]}
        answer = await at.http.post("/verify", json=claim)
        assert answer.json()["valid"] is True, answer.text


async def test_a_version_that_was_replaced_meanwhile_proves_what_was_asked_of_it(at: World) -> None:
    at.put("replaced")
    first = await at.listed("replaced")
    module = registry.load("zkml", at.engine.env)
    request = {"model_id": "replaced", "inputs": [0.25, *INPUTS[1:]]}
    work = await module.work_for("default", request, at.engine.environment.deps)
    at.put("replaced", "newer")
    await at.listed("replaced", other_than=first.version)
    outcome = await at.engine.run(work)
    assert outcome.status is UnitStatus.DONE, outcome.reason
    assert (await answer_of(at, outcome.outputs)).version == first.version
    # Nobody has asked for it over HTTP: it is nobody's to see.
    assert (await at.http.get(f"/v1/proofs/{work.unit.key.removeprefix('proof-')}")).status_code == 404


async def test_two_names_of_one_file_are_two_models(at: World) -> None:
    at.put("twin-one")
    at.put("twin-two")
    one, two = await at.listed("twin-one"), await at.listed("twin-two")
    assert one.version == two.version
    for name in ("twin-one", "twin-two"):
        answer = await at.prove(name, [0.75, *INPUTS[1:]])
        assert answer.status_code == 200, answer.text
        assert answer.json()["proof"]["metadata"]["model_id"] == name


async def test_a_retired_model_stays_retired_while_its_file_lies_there(at: World) -> None:
    at.put("retiring")
    version = await at.listed("retiring")
    proof = (await at.prove("retiring")).json()["proof"]
    assert await at.registry.retire("retiring")
    await asyncio.sleep(2 * FRESH_S)  # some looks at the library
    assert await at.registry.get("retiring") is None
    assert (await at.prove("retiring")).status_code == 404
    assert (await at.http.get("/health")).status_code == 200
    claim = {"proof": proof["proof"], "model_hash": version.model_hash}
    assert (await at.http.post("/verify", json=claim)).json().get("error") is None


async def test_a_broken_model_keeps_no_other_from_being_served(at: World) -> None:
    at.put("sound")
    await at.listed("sound")
    (at.models / "broken.onnx").write_bytes(b"this is no model")
    (at.models / "odd.onnx").write_bytes((at.models / "sound.onnx").read_bytes())
    (at.models / "odd.json").write_text('{"scale": 99}')
    try:
        async with asyncio.timeout(60):
            while not {"broken", "odd"} <= set(missing := await lacks(at)):
                await asyncio.sleep(0.1)
            while "failed" not in missing["broken"]:
                await asyncio.sleep(0.1)
                missing = await lacks(at)
        assert "scale" in missing["odd"]
        assert "ONNX" in missing["broken"]
        assert (await at.prove("sound")).status_code == 200
        refused = await at.prove("broken")
        assert (refused.status_code, refused.json()["code"]) == (503, "model_preparing")
    finally:
        for name in ("broken.onnx", "odd.onnx", "odd.json"):
            (at.models / name).unlink()
    async with asyncio.timeout(10):
        while await lacks(at):
            await asyncio.sleep(0.1)


async def lacks(at: World) -> dict[str, str]:
    """Models that are not ready, and why."""
    found: dict[str, str] = (await at.http.get("/health")).json().get("missing", {})
    return found


@pytest.mark.parametrize("visibility", ["hashed", "commitment"])
async def test_inputs_that_are_not_shown(at: World, visibility: str) -> None:
    at.put(f"secret-{visibility}", settings=json.dumps({"visibility": visibility}))
    await at.listed(f"secret-{visibility}")
    answer = await at.prove(f"secret-{visibility}")
    assert answer.status_code == 200, answer.text
    said = answer.json()
    metadata = said["proof"]["metadata"]
    assert len(metadata["commitment"]) == 66
    assert bool(metadata["salt"]) == (visibility == "commitment")
    row = await at.engine.environment.ledger.unit("zkml", "default", f"proof-{said['id']}")
    assert row is not None
    assert "values" not in row.unit.params, "inputs that are nobody's business are in no workflow"
    claim = {
        "proof": said["proof"]["proof"],
        "model_hash": metadata["model_hash"],
        "input_hash": metadata["input_hash"],
    }
    assert (await at.http.post("/verify", json=claim)).json().get("error") is None
    other = {**claim, "input_hash": "0x" + "11" * 32}
    assert (await at.http.post("/verify", json=other)).json()["code"] == "input_hash_mismatch"


async def test_by_hand_and_over_http_it_is_one_unit(at: World) -> None:
    at.put("one-unit")
    await at.listed("one-unit")
    inputs = [0.125, *INPUTS[1:]]
    made = at.engine.environment
    module = registry.load("zkml", at.engine.env)
    work = await module.work_for("default", {"model_id": "one-unit", "inputs": inputs}, made.deps)
    outcome = (await Provery(at.engine.client, made.ledger, at.engine.env).run([work]))[0]
    assert outcome.status is UnitStatus.DONE, outcome.reason
    said = (await at.prove("one-unit", inputs)).json()
    assert (said["cached"], f"proof-{said['id']}") == (True, work.unit.key)
    assert await at.stages(work.unit.key) == ["witness", "prove", "verify"]
    assert said["proof"]["proof_hash"] == outcome.facts["proof_hash"]


async def test_an_answer_that_is_damaged_in_the_store_is_made_again(at: World) -> None:
    at.put("damaged-answer")
    await at.listed("damaged-answer")
    first = (await at.prove("damaged-answer")).json()
    key = f"proof-{first['id']}"
    ref = next(ref for ref in await outputs_of(at, key) if ref.name == "answer.json")
    damage(at, ref)
    again = await at.prove("damaged-answer")
    assert again.status_code == 200, again.text
    said = again.json()
    assert said["inference"] == first["inference"]
    assert said["proof"]["metadata"]["output_hash"] == first["proof"]["metadata"]["output_hash"]
    claim = {"proof": said["proof"]["proof"], "model_hash": said["proof"]["metadata"]["model_hash"]}
    assert (await at.http.post("/verify", json=claim)).json().get("error") is None


async def test_a_model_that_is_damaged_in_the_store_answers_nothing_wrong_and_is_mended(at: World) -> None:
    at.put("damaged-model", settings='{"scale": 11}')
    version = await at.listed("damaged-model")
    assert (await at.prove("damaged-model")).status_code == 200
    damage(at, version.files["graph.json"])
    damage(at, version.files["vk"])
    # Until it is mended an error, never another answer; and it is mended without anybody's doing.
    async with asyncio.timeout(90):
        number = 0
        while True:
            number += 1
            answer = await at.prove("damaged-model", [number / 64, *INPUTS[1:]])
            if answer.status_code == 200:
                break
            assert answer.json()["code"] in ("proof_failed", "unavailable", "proof_timeout"), answer.text
            await asyncio.sleep(0.5)
    assert answer.json()["proof"]["metadata"]["model_version"] == version.version


async def test_without_its_key_a_worker_says_what_to_do(server: WorkflowEnvironment, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    async with world(server, tmp_path / "home", PROVERY_STATEMENT_KEYS=str(keys)) as alone:
        alone.put("keyless")
        await alone.listed("keyless")
        keys.rename(tmp_path / "away")
        keys.mkdir()
        refused = await alone.prove("keyless", [0.3, *INPUTS[1:]])
        told = refused.json()
        assert (refused.status_code, told["code"]) == (500, "proof_failed"), refused.text
        unit = await alone.engine.environment.ledger.unit("zkml", "default", f"proof-{told['id']}")
        assert unit is not None
        assert unit.error_kind == "InvalidKey"
        assert "PROVERY_STATEMENT_KEYS" in unit.reason
        shutil.rmtree(keys)
        (tmp_path / "away").rename(keys)
        mended = await alone.prove("keyless", [0.3, *INPUTS[1:]])
        assert mended.status_code == 200, mended.text


def damage(at: World, ref: ArtifactRef) -> None:
    """Change a bit of an artifact's file."""
    path = at.store.root / ref.uri.removeprefix(at.store.url).lstrip("/")
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.unlink()
    path.write_bytes(bytes(body))


async def outputs_of(at: World, key: str) -> tuple[ArtifactRef, ...]:
    """What a unit has made in the end."""
    engine = Provery(at.engine.client, at.engine.environment.ledger, at.engine.env)
    return (await engine.wait(Address("zkml", "default", key))).outputs


async def answer_of(at: World, outputs: tuple[ArtifactRef, ...]) -> Answer:
    """The verified inference among a unit's outputs."""
    ref = next(ref for ref in outputs if ref.name == "answer.json")
    return Answer.read(await at.store.read(ref))
