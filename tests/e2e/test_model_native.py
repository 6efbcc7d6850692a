"""Inferences proved by the native program: compiled, proved, verified, and what must not verify."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from provery.core.errors import InvalidInput, InvalidKey, ProofRejected
from provery.core.models import (
    CALLDATA,
    INSTANCE,
    PROOF,
    Compiled,
    ModelFiles,
    ModelProver,
    ModelSettings,
    Visibility,
)
from provery.provers.model_native import GRAPH, VK, NativeModels
from provery.provers.models import build_model_provers
from provery.provers.native_instance import MODULUS
from provery.provers.tools import ROOT, Tools

PROGRAM = str(Tools.find(os.environ, ROOT / ".provery").native)
GRAPHS = ROOT / "provery" / "systems" / "zkml" / "vectors" / "graph"
SPENDING = GRAPHS / "spending.json"
VECTOR = json.loads((GRAPHS / "vectors.json").read_bytes())["spending"][0]
SALT = "0x" + "5a" * 31
SCHEMES = ("plonk", "groth16")


def silent(step: str, done: float, total: float) -> None:
    """Show nothing."""


@asynccontextmanager
async def prover(home: Path, **env: str) -> AsyncIterator[NativeModels]:
    made = NativeModels({"PROVERY_PROVER_BIN": PROGRAM, **env}, home, 1)
    try:
        yield made
    finally:
        await made.close()


def graph_of(folder: Path, visibility: Visibility = Visibility.PUBLIC, change: int = 0) -> Path:
    """The spending model's graph, with another visibility or a changed weight."""
    graph = json.loads(SPENDING.read_bytes())
    graph["visibility"] = str(visibility)
    graph["nodes"][0]["weights"][0] += change
    path = folder / GRAPH
    path.write_text(json.dumps(graph, sort_keys=True, separators=(",", ":")))
    return path


async def compiled(native: ModelProver, folder: Path, settings: ModelSettings, change: int = 0) -> ModelFiles:
    folder.mkdir()
    given = ModelFiles(settings, {GRAPH: graph_of(folder, settings.visibility, change)})
    made: Compiled = await native.compile(given, folder, silent)
    return ModelFiles(settings, {**given.files, **made.files}, made.facts)


def inputs_of(folder: Path, salt: str = "", **changed: object) -> Path:
    path = folder / "inputs.json"
    body = {"values": [n / 4096 for n in VECTOR["inputs"]], "quantised": VECTOR["inputs"], "salt": salt}
    path.write_text(json.dumps({**body, **changed}))
    return path


async def proved(native: ModelProver, model: ModelFiles, folder: Path, salt: str = "") -> Mapping[str, Path]:
    into = folder / "proof"
    into.mkdir(exist_ok=True)
    return (await native.prove(model, inputs_of(folder, salt), into, silent)).files


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_an_inference(tmp_path: Path, scheme: str) -> None:
    async with prover(tmp_path / "home") as native:
        model = await compiled(native, tmp_path / "model", ModelSettings(scheme=scheme))
        facts = model.facts
        assert facts["insecure"] == "true"
        assert facts["circuit"] == f"zkml-{facts['graph_sha256'][:16]}-{scheme}"
        assert facts["verifying_key"] == hashlib.sha256(model.files[VK].read_bytes()).hexdigest()
        assert int(facts["constraints"]) < 2048 - 12
        files = await proved(native, model, tmp_path)
        assert set(files) == {PROOF, INSTANCE, CALLDATA}
        shown = await native.verify(model, files)
        assert list(shown.outputs) == VECTOR["outputs"]
        assert list(shown.inputs) == VECTOR["inputs"]
        assert (shown.commitment, shown.output_scale) == ("", 12)
        instance = json.loads(files[INSTANCE].read_bytes())
        assert [int(word, 16) for word in instance["public"][1:]] == [
            number % MODULUS for number in VECTOR["inputs"] + VECTOR["outputs"]
        ]
        words = b"".join(bytes.fromhex(word[2:]) for word in instance["public"])
        assert words in files[CALLDATA].read_bytes()
        assert files[PROOF].read_bytes() in files[CALLDATA].read_bytes()
    # with nothing but the model's files: no keys, no graph
    async with prover(tmp_path / "elsewhere") as other:
        bare = replace(model, files={VK: model.files[VK]})
        assert (await other.verify(bare, files)).outputs == shown.outputs
        with pytest.raises(InvalidInput, match=r"graph\.json"):
            await other.prove(bare, inputs_of(tmp_path), tmp_path / "proof", silent)
        with pytest.raises(InvalidKey):
            await other.prove(model, inputs_of(tmp_path), tmp_path / "proof", silent)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_what_is_changed_is_rejected(tmp_path: Path, scheme: str) -> None:
    async with prover(tmp_path / "home") as native:
        model = await compiled(native, tmp_path / "model", ModelSettings(scheme=scheme))
        files = await proved(native, model, tmp_path)
        body, changed = files[PROOF].read_bytes(), tmp_path / "changed"
        for at in range(0, len(body), 61):
            changed.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
            with pytest.raises(ProofRejected):
                await native.verify(model, {**files, PROOF: changed})
        for other in (b"", body[:-1], body + b"\0"):
            changed.write_bytes(other)
            with pytest.raises(ProofRejected):
                await native.verify(model, {**files, PROOF: changed})
        instance = json.loads(files[INSTANCE].read_bytes())
        shown = len(VECTOR["inputs"])

        def written(said: object) -> Path:
            changed.write_text(json.dumps(said, sort_keys=True, separators=(",", ":")))
            return changed

        for at in range(1, len(instance["public"])):
            said = json.loads(files[INSTANCE].read_bytes())
            value = (int(said["public"][at], 16) + 1) % MODULUS
            said["public"][at] = f"0x{value:064x}"
            name, place = ("inputs", at - 1) if at <= shown else ("outputs", at - 1 - shown)
            with pytest.raises(ProofRejected, match="contradict"):
                await native.verify(model, {**files, INSTANCE: written(said)})
            said[name][place] += 1  # consistent, and still another statement
            with pytest.raises(ProofRejected, match="hold"):
                await native.verify(model, {**files, INSTANCE: written(said)})
        for said in (
            {**instance, "outputs": [0, 0, 0]},
            {**instance, "model": instance["public"][1]},
            {**instance, "verifying_key": "0" * 64},
            {**instance, "circuit": "zkml"},
            {**instance, "scale": 11},
            {**instance, "extra": 1},
            {**instance, "public": instance["public"][:-1]},
            {**instance, "public": ["0x" + "f" * 64, *instance["public"][1:]]},
            {**instance, "public": [*instance["public"][:-1], 7]},
            [],
            7,
        ):
            with pytest.raises(ProofRejected):
                await native.verify(model, {**files, INSTANCE: written(said)})
        changed.write_bytes(b" " + files[INSTANCE].read_bytes())
        with pytest.raises(ProofRejected):
            await native.verify(model, {**files, INSTANCE: changed})
        with pytest.raises(ProofRejected, match="incomplete"):
            await native.verify(model, {PROOF: files[PROOF]})


async def test_a_proof_of_another_model(tmp_path: Path) -> None:
    async with prover(tmp_path / "home") as native:
        model = await compiled(native, tmp_path / "one", ModelSettings())
        other = await compiled(native, tmp_path / "two", ModelSettings(), change=1)
        assert model.facts["verifying_key"] != other.facts["verifying_key"]
        files = await proved(native, model, tmp_path)
        with pytest.raises(ProofRejected):
            await native.verify(other, files)
        # dressed up as one of the other model
        said = json.loads(files[INSTANCE].read_bytes())
        said |= {name: other.facts[name] for name in ("circuit", "verifying_key")}
        said["model"] = said["public"][0] = other.facts["graph_commitment"]
        dressed = tmp_path / "dressed.json"
        dressed.write_text(json.dumps(said, sort_keys=True, separators=(",", ":")))
        with pytest.raises(ProofRejected, match="hold"):
            await native.verify(other, {**files, INSTANCE: dressed})
        with pytest.raises(InvalidKey, match="not the model's"):
            await native.verify(replace(model, files=other.files), files)


@pytest.mark.parametrize("visibility", [Visibility.HASHED, Visibility.COMMITMENT])
async def test_hidden_inputs(tmp_path: Path, visibility: Visibility) -> None:
    async with prover(tmp_path / "home") as native:
        settings = ModelSettings(visibility=visibility)
        model = await compiled(native, tmp_path / "model", settings)
        salt = SALT if visibility is Visibility.COMMITMENT else ""
        files = await proved(native, model, tmp_path, salt)
        shown = await native.verify(model, files)
        assert shown.inputs == ()
        assert list(shown.outputs) == VECTOR["outputs"]
        assert len(shown.commitment) == 66
        again = await proved(native, model, tmp_path, "0x" + "5b" * 31 if salt else "")
        found = (await native.verify(model, again)).commitment
        assert (found == shown.commitment) is (visibility is Visibility.HASHED)
        with pytest.raises(InvalidInput, match="salt"):
            await proved(native, model, tmp_path, "" if salt else SALT)


async def test_bad_inputs(tmp_path: Path) -> None:
    async with prover(tmp_path / "home") as native:
        model = await compiled(native, tmp_path / "model", ModelSettings())
        into = tmp_path / "proof"
        into.mkdir()
        for wrong in (
            {"quantised": VECTOR["inputs"][:-1]},
            {"quantised": [1 << 24, *VECTOR["inputs"][1:]]},
            {"quantised": [-(1 << 24), *VECTOR["inputs"][1:]]},
            {"quantised": [0.5, *VECTOR["inputs"][1:]]},
            {"quantised": ["1", *VECTOR["inputs"][1:]]},
            {"unknown": 1},
        ):
            with pytest.raises(InvalidInput):
                await native.prove(model, inputs_of(tmp_path, **wrong), into, silent)
        assert not list(into.iterdir())
        limit = (1 << 24) - 1
        extreme = inputs_of(tmp_path, quantised=[limit, -limit] * 4)
        proof = await native.prove(model, extreme, into, silent)
        assert (await native.verify(model, proof.files)).inputs == (limit, -limit) * 4


async def test_bad_graphs_and_settings(tmp_path: Path) -> None:
    async with prover(tmp_path / "home") as native:
        folder = tmp_path / "model"
        folder.mkdir()
        graph = graph_of(folder)
        for settings in (
            ModelSettings(scale=11),
            ModelSettings(visibility=Visibility.HASHED),
            ModelSettings(scheme="stark"),
        ):
            with pytest.raises(InvalidInput):
                await native.compile(ModelFiles(settings, {GRAPH: graph}), folder, silent)
        said = json.loads(graph.read_bytes())
        said["nodes"][1]["op"] = "erf"
        graph.write_text(json.dumps(said))
        with pytest.raises(InvalidInput, match=r"node 1 \(erf\)"):
            await native.compile(ModelFiles(ModelSettings(), {GRAPH: graph}), folder, silent)
        graph.write_text("{")
        with pytest.raises(InvalidInput):
            await native.compile(ModelFiles(ModelSettings(), {GRAPH: graph}), folder, silent)


async def test_production_takes_no_development_keys(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with prover(home) as native:
        model = await compiled(native, tmp_path / "model", ModelSettings())
        files = await proved(native, model, tmp_path)
    async with prover(home, PROVERY_ENV="production") as strict:
        with pytest.raises(InvalidKey, match="srs import"):
            await strict.compile(model, tmp_path / "model", silent)
        with pytest.raises(InvalidKey, match="insecure"):
            await strict.prove(model, inputs_of(tmp_path), tmp_path / "proof", silent)
        with pytest.raises(InvalidKey, match="insecure"):
            await strict.verify(model, files)


def test_names_and_operators(tmp_path: Path) -> None:
    provers = build_model_provers({"PROVERY_PROVER_BIN": PROGRAM}, tmp_path, 1)
    native = provers["native"]
    assert native.name == "native"
    assert native.refuses(["MatMul", "Add", "Relu"]) == ""
    assert native.refuses(["MatMul", "LSTM", "Erf"]) == "LSTM"


async def test_a_key_that_is_not_here_is_derived_where_the_srs_is(tmp_path: Path) -> None:
    """A worker that has only the SRS makes a PLONK key by itself; a Groth16 key follows from nothing."""
    keys = tmp_path / "keys"
    models = {}
    async with prover(tmp_path / "home", PROVERY_STATEMENT_KEYS=str(keys)) as native:
        for scheme in SCHEMES:
            models[scheme] = await compiled(native, tmp_path / scheme, ModelSettings(scheme=scheme))
    for model in models.values():
        shutil.rmtree(keys / model.facts["circuit_id"])
    async with prover(tmp_path / "home", PROVERY_STATEMENT_KEYS=str(keys)) as native:
        files = await proved(native, models["plonk"], tmp_path)
        assert (await native.verify(models["plonk"], files)).outputs == tuple(VECTOR["outputs"])
        with pytest.raises(InvalidKey):
            await proved(native, models["groth16"], tmp_path)


async def test_a_key_is_not_derived_from_another_srs(tmp_path: Path) -> None:
    async with prover(tmp_path / "home", PROVERY_STATEMENT_KEYS=str(tmp_path / "one")) as native:
        model = await compiled(native, tmp_path / "model", ModelSettings())
    async with prover(tmp_path / "home", PROVERY_STATEMENT_KEYS=str(tmp_path / "two")) as native:
        await compiled(native, tmp_path / "other", ModelSettings(), change=1)  # an SRS of its own
        with pytest.raises(InvalidKey, match="PROVERY_STATEMENT_KEYS"):
            await proved(native, model, tmp_path)
