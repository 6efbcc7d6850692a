"""Models that nobody here wrote, by every prover: added, proved, judged by three verifiers, attested on a chain.

The spending model and scikit-learn's iris classifier run always; the rest takes minutes: `make test-zkml`, which also
records what it measured in ``bench/results/zkml-models.json``.
"""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bench.zkml import INPUTS, MODELS, cpu_s
from provery.core.types import Unit
from provery.systems.zkml import hashes
from tests.support.zkml_documented import DOCUMENT, ask_all
from tests.support.zkml_matrix import Combination, World, flips, moved, record, world

ALL = os.environ.get("PROVERY_TEST_ZKML") == "1"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.e2e,
    pytest.mark.slow,
    pytest.mark.timeout(1_800 if ALL else 300),
]
GAS_LIMITS = {"plonk": 400_000, "groth16": 500_000, "halo2": 1_500_000}
"""Of a transaction that only verifies, by scheme; public inputs cost some thousands each."""


def shipped(model: str) -> dict[str, Any]:
    """The settings beside a model."""
    found: dict[str, Any] = json.loads((MODELS / f"{model}.json").read_text())
    return found


SMALL = (
    Combination("spending-model", "spending-model", {}),
    Combination("spending-groth16", "spending-model", {"scheme": "groth16"}),
    Combination("spending-ezkl", "spending-model", {"prover": "ezkl", "scale": 7}),
    Combination("iris-classifier", "iris-classifier", {}),
)
LARGE = (
    Combination("iris-groth16", "iris-classifier", {"scheme": "groth16"}),
    Combination("cancer-classifier", "cancer-classifier", shipped("cancer-classifier")),
    Combination("cancer-groth16", "cancer-classifier", {**shipped("cancer-classifier"), "scheme": "groth16"}),
    Combination("diabetes-regressor", "diabetes-regressor", shipped("diabetes-regressor")),
    Combination("diabetes-groth16", "diabetes-regressor", {**shipped("diabetes-regressor"), "scheme": "groth16"}),
    Combination("mnist-conv", "mnist-conv", shipped("mnist-conv")),
    Combination(
        "mnist-public", "mnist-conv", {**shipped("mnist-conv"), "visibility": "public"},
        refused="the verifier is too large for a contract",
    ),
    Combination("iris-ezkl", "iris-classifier", {"prover": "ezkl", "scale": 9, "tolerance": 0.02}),
    Combination("cancer-ezkl", "cancer-classifier", {"prover": "ezkl", "scale": 10, "tolerance": 0.1}),
    Combination("diabetes-ezkl", "diabetes-regressor", {"prover": "ezkl", "scale": 7, "tolerance": 40}),
)  # fmt: skip
RUN = (*SMALL, *LARGE) if ALL else SMALL


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def made(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with world(tmp_path_factory.mktemp("zkml")) as started:
        yield started
        if ALL:
            record(started.rows)


@pytest.mark.parametrize("one", RUN, ids=lambda one: one.name)
async def test_a_model_is_added_proved_attested_and_its_proofs_are_judged_alike(
    made: World, one: Combination
) -> None:
    refused = await made.add(one)
    if one.refused or refused:
        made.rows[one.name] = {"model": one.model, "settings": dict(one.settings), "refused": refused}
        assert one.refused, f"refused, and should not be: {refused}"
        assert one.refused in refused
        return
    version, model = await made.version(one.name)
    # ezkl takes a minute of a core for what the native prover does in a second.
    first, *rest = one.sample["inputs"][: 2 if one.settings.get("prover") == "ezkl" else 4]
    done = await made.attest(one.name, first)
    told = done["result"]
    answers = [told | {"id": done["id"]}, *[await made.ask(one.name, inputs) for inputs in rest]]
    made.answers[one.name] = answers

    # The right one, by all three.
    proof, receipt = told["proof"], told["attestation"]
    data, instance = bytes.fromhex(proof["calldata"][2:]), json.loads(bytes.fromhex(proof["program_io"][2:]))
    raw, verifier = bytes.fromhex(proof["proof"][2:]), proof["metadata"]["verifier"]
    assert verifier == version.facts["verifier"]
    assert (await made.says(proof, expected_output=told["inference"]["raw_output"]))["valid"] is True
    assert await made.program(model, raw, instance)
    assert await made.recorded(verifier, data)
    assert int(receipt["gas_used"]) > 21_000
    mined = await made.anvil.call("eth_getTransactionReceipt", receipt["transaction"])
    assert (int(mined["status"], 16), int(mined["gasUsed"], 16)) == (1, int(receipt["gas_used"]))
    assert (
        hashes.model_hash((made.folder / f"{one.name}.onnx").read_bytes()) == proof["metadata"]["model_hash"]
    )
    assert hashes.input_hash(first) == proof["metadata"]["input_hash"]

    # Changed ones, by none.
    at = data.index(raw)
    for changed in flips(raw):
        said = await made.says(proof, proof="0x" + changed.hex())
        assert (said["valid"], said["code"]) == (False, "proof_rejected")
        assert not await made.program(model, changed, instance)
        assert not await made.contract(verifier, data[:at] + changed + data[at + len(raw) :])
    count = len(instance["public"])
    first_input = 0 if one.settings.get("prover") == "ezkl" else 1
    for place in {first_input, count - 1}:  # an input, or what stands for them; an output
        other = moved(instance, place)
        said = await made.says(
            proof, program_io="0x" + json.dumps(other, separators=(",", ":"), sort_keys=True).encode().hex()
        )
        assert (said["valid"], said["code"]) == (False, "proof_rejected")
        assert not await made.program(model, raw, other)
        words, changed_words = (
            b"".join(bytes.fromhex(word[2:]) for word in said["public"]) for said in (instance, other)
        )
        assert data.count(words) == 1
        assert not await made.contract(verifier, data.replace(words, changed_words))
    outputs = told["inference"]["raw_output"]
    said = await made.says(proof, expected_output=[*outputs[:-1], outputs[-1] + 0.25])
    assert (said["valid"], said["code"]) == (False, "output_mismatch")
    said = await made.says(proof, input_hash="0x" + "12" * 32)
    assert (said["valid"], said["code"]) == (False, "input_hash_mismatch")

    gas = await made.gas(verifier, data)
    spent = [await cpu_s(made.stack, answer) for answer in answers]
    assert gas < GAS_LIMITS[proof["metadata"]["scheme"]] + 2_000 * count
    made.rows[one.name] |= {
        "model": one.model,
        "settings": dict(one.settings),
        "scheme": proof["metadata"]["scheme"],
        "size": version.facts.get("constraints") or f"2^{version.facts['logrows']} rows",
        "public_values": count,
        "setup_s": float(version.facts["compile_s"]),
        "cpu_s": round(min(spent[1:] or spent), 3),
        "peak_rss_mb": round(int(version.facts["peak_rss"]) / 1e6),
        "calibration_error": float(version.facts["calibration_error"]),
        "proof_bytes": len(raw),
        "calldata_bytes": len(data),
        "verify_gas": gas,
        "attest_gas": int(receipt["gas_used"]),
        "accepted_by": ["/verify", "program", "contract"],
        "changed_refused": len(flips(raw)) + 2,
    }
    print(json.dumps({one.name: made.rows[one.name]}))


async def test_what_goes_on_chain_changes_no_proof(made: World) -> None:
    """Proofs are randomised, so that one that is made again is another."""
    name = "spending-model"
    attested = made.answers[name][0]
    inputs = [0.3, 0.6, 0.1, 0.2, 0.4, 0.7, 0.9, 0.25]
    plain = await made.ask(name, inputs)
    hashed = (await made.attest(name, inputs, "hash"))["result"]
    whole = (await made.attest(name, inputs))["result"]
    assert [one["proof"]["proof"] for one in (hashed, whole)] == [plain["proof"]["proof"]] * 2
    transactions = {one["attestation"]["transaction"] for one in (hashed, whole)}
    assert len(transactions) == 2
    again = await made.ask(name, [*inputs[:-1], 0.5])
    assert again["proof"]["proof"] != plain["proof"]["proof"]
    [one] = [one for one in RUN if one.name == name]
    late = await made.ask(
        name, one.sample["inputs"][0]
    )  # attested by the first test, and asked for in no other way
    assert late["proof"]["proof"] == attested["proof"]["proof"]


async def test_one_file_may_have_two_names(made: World) -> None:
    again = Combination("spending-again", "spending-model", {})
    assert await made.add(again) == ""
    made.rows.pop(again.name)
    both = [(await made.version(name))[0] for name in ("spending-model", again.name)]
    assert both[0].version == both[1].version
    answer = await made.ask(again.name, again.sample["inputs"][1])
    first = made.answers["spending-model"][1]
    assert answer["id"] != first["id"], "an answer names its model"
    said, other = (one["proof"]["metadata"] for one in (answer, first))
    assert [said[name] for name in ("model_hash", "input_hash", "output_hash")] == [
        other[name] for name in ("model_hash", "input_hash", "output_hash")
    ]


def decided(answer: dict[str, Any]) -> object:
    """The class of a classifier; of a regressor the number itself."""
    raw = answer["inference"]["raw_output"]
    return raw.index(max(raw)) if len(raw) > 1 else pytest.approx(raw[0], abs=40.0)


@pytest.mark.parametrize("model", sorted({one.model for one in RUN}))
async def test_provers_decide_alike(made: World, model: str) -> None:
    names = [one.name for one in RUN if one.model == model and not one.refused]
    first, *others = (made.answers[name] for name in names)
    for other in others:
        for one, two in zip(first, other, strict=False):
            assert decided(one) == decided(two)
            assert one["inference"]["decision"] == two["inference"]["decision"]
            hash_of = [answer["proof"]["metadata"]["input_hash"] for answer in (one, two)]
            assert hash_of[0] == hash_of[1]


async def test_the_documents_requests_word_for_word(made: World) -> None:
    async def send(method: str, path: str, headers: dict[str, str], body: str) -> Any:
        answer = await made.http.request(method, path, content=body or None, headers=headers)
        assert answer.status_code == 200, answer.text[:500]
        return answer.json()

    proved = await ask_all(send)
    said = proved["proof"]["metadata"]
    assert said["model_hash"] == "0x4fdca7df4abaa8048786080d8edf633dd921894813249ab94c421d2c3bf9fd99"
    assert said["input_hash"] == "0x225f2461ee0b5d5672f9f52744bd77558bcb0b6538c3ae6213bf5327942a984a"
    assert proved["proof"]["tag"] == "spending"
    raw = bytes.fromhex(proved["proof"]["proof"][2:])
    assert (len(raw), hashes.proof_hash(raw)) == (said["proof_size"], proved["proof"]["proof_hash"])
    assert said["output_hash"] == hashes.output_hash(proved["inference"]["raw_output"])
    metrics = (await made.http.get("/metrics")).text.splitlines()
    assert set(DOCUMENT["metrics"]) <= {line.rpartition(" ")[0] for line in metrics}


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl here")
@pytest.mark.parametrize("command", [*DOCUMENT["curl"], "docs/zkml.md", "docs/zkml-api.md"])
async def test_documented_curl_commands(made: World, command: str) -> None:
    if command.endswith(".md"):
        commands = documented(Path(__file__).parents[2] / command)
        assert len(commands) >= 2
    else:
        commands = [command]
    port = made.http.base_url.port
    for one in commands:
        assert "localhost:3001" in one
        words = shlex.split(one.replace("localhost:3001", f"127.0.0.1:{port}"))
        child = await asyncio.create_subprocess_exec(*words, stdout=-1, stderr=-3)
        out, _ = await asyncio.wait_for(child.communicate(), 60)
        assert child.returncode == 0
        said = json.loads(out)
        if "/prove" in one:
            assert said["proof"]["metadata"]["input_hash"] == hashes.input_hash(INPUTS)
            assert said["success"] is True
        else:
            assert said["status"] == "healthy"


def documented(page: Path) -> list[str]:
    """The commands of a page that ask for health and for proofs, continuation lines joined."""
    lines = page.read_text().replace("\\\n", " ").splitlines()
    commands = [line.strip() for line in lines if line.strip().startswith("curl ")]
    return [one for one in commands if "/health" in one or "/prove" in one]


async def test_nothing_was_proved_twice(made: World) -> None:
    for name, answers in made.answers.items():
        for answer in answers:
            audit = await made.stack.ledger.audit(Unit("zkml", "default", f"proof-{answer['id']}"))
            proofs = [one for one in audit["attempts"] if one["stage"] == "prove"]  # type: ignore[union-attr, call-overload, index]
            assert len(proofs) == 1, name
