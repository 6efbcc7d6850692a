"""The ezkl prover of models, with the real ezkl and the spending model."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    ProofRejected,
    ProverCrashed,
    ResourceExhausted,
    Retry,
)
from provery.core.models import CALLDATA, INSTANCE, PROOF, ModelFiles, Shown, Visibility
from provery.provers.ezkl.instance import instance_of, parse_instance
from provery.provers.formats import FIELD
from provery.provers.model_ezkl import FILES, EzklModels
from provery.provers.models import build_model_provers
from provery.provers.process import Limits, limits
from provery.provers.tools import ROOT
from tests.support.ezkl_models import (
    HOME,
    MODEL,
    Added,
    add,
    calibration,
    empty,
    inputs,
    model,
    prover,
    quantised,
    settings,
    silent,
)

ROW = calibration()[0]
SLOWER = settings(scale=12)
"""Takes most of a second to prove: long enough to be interrupted."""


@pytest.fixture(scope="module")
def added(tmp_path_factory: pytest.TempPathFactory) -> Added:
    return Added(tmp_path_factory.mktemp("models"))


def floats(row: list[float]) -> list[float]:
    session: Any = ReferenceEvaluator(onnx.load(MODEL))
    given = {session.input_names[0]: np.array([row], dtype=np.float32)}
    return [float(y) for y in session.run(None, given)[0].ravel()]


@pytest.mark.parametrize("visibility", list(Visibility))
async def test_a_model_is_added_and_its_inferences_are_proved(
    added: Added, tmp_path: Path, visibility: Visibility
) -> None:
    version = await added.get(settings(visibility))
    assert set(FILES) <= set(version.files)
    assert all(path.stat().st_size for path in version.files.values())
    facts = version.facts
    assert facts["insecure"] == "true"
    assert (facts["inputs"], facts["outputs"], facts["input_scale"]) == ("8", "3", "7")
    assert 0 < float(facts["calibration_error"]) < 0.01
    assert len(facts["verifying_key"]) == len(facts["circuit"]) == len(facts["srs"]) == 64
    steps: list[str] = []
    async with prover() as ezkl:
        proof = await ezkl.prove(
            version,
            inputs(tmp_path, quantised(ROW)),
            empty(tmp_path),
            lambda step, done, total: steps.append(step),
        )
        shown = await ezkl.verify(version, proof.files)
    assert steps == ["witness", "proof", "verification"]
    assert set(proof.files) == {PROOF, INSTANCE, CALLDATA}
    assert sorted(os.listdir(tmp_path / "out")) == sorted(proof.files)
    assert str(proof.files[PROOF].stat().st_size) == facts["proof_size"]
    assert proof.facts["verifying_key"] == facts["verifying_key"]
    assert proof.usage.cpu_s > 0.1
    assert int(proof.facts["peak_rss"]) == proof.usage.peak_rss > 2**24
    assert shown.inputs == (tuple(quantised(ROW)) if visibility is Visibility.PUBLIC else ())
    assert bool(shown.commitment) == (visibility is not Visibility.PUBLIC)
    assert [y / 2**shown.output_scale for y in shown.outputs] == pytest.approx(floats(ROW), abs=0.01)


async def test_a_hash_is_poseidon_of_the_inputs(added: Added, tmp_path: Path) -> None:
    told = await in_child(
        f"ezkl.poseidon_hash([ezkl.float_to_felt(q, 0, ezkl.PyInputType.F64) for q in {quantised(ROW)}])[0]"
    )
    shown = await shown_by(await added.get(settings(Visibility.HASHED)), tmp_path)
    assert shown.commitment == "0x" + bytes.fromhex(told)[::-1].hex()


async def test_a_commitment_hides_inputs_by_the_salt(added: Added, tmp_path: Path) -> None:
    version = await added.get(settings(Visibility.COMMITMENT))
    first, again, other = [
        await shown_by(version, tmp_path, salt)
        for salt in ("0x" + "5a" * 31, "0x" + "5a" * 31, "0x" + "a5" * 31)
    ]
    assert first == again
    assert first.outputs == other.outputs
    assert first.commitment != other.commitment
    # Whoever is told salt and inputs computes the same: sixteen limbs of 16 bits, then the inputs.
    message = [0x5A, *[0x5A5A] * 15, *quantised(ROW)]
    paths = ", ".join(repr(str(version.files[name])) for name in ("vk", "settings.json", "srs"))
    felts = f"[ezkl.float_to_felt(q, 0, ezkl.PyInputType.F64) for q in {message}]"
    made = await in_child(f"word(ezkl.kzg_commit({felts}, {paths})[0])", WORD)
    assert first.commitment == made


async def shown_by(version: ModelFiles, folder: Path, salt: str = "0x" + "5a" * 31) -> Shown:
    out = empty(folder, f"out{len(list(folder.iterdir()))}")
    async with prover() as ezkl:
        proof = await ezkl.prove(version, inputs(folder, quantised(ROW), salt), out, silent)
        return await ezkl.verify(version, proof.files)


WORD = """
def word(point):
    x, y = (int.from_bytes(bytes.fromhex(text), "little") for text in (point.x, point.y))
    return f"0x{x | (y & 1) << 254:064x}"
"""


async def in_child(expression: str, more: str = "") -> str:
    """What ezkl itself says, in a process of its own."""
    program = (
        f"import ezkl, os, sys\n{more}\nsys.stdout.write({expression})\nsys.stdout.flush()\nos._exit(0)\n"
    )
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, err = await child.communicate()
    assert child.returncode == 0, err.decode()
    return out.decode()


async def test_changed_proofs_are_rejected(added: Added, tmp_path: Path) -> None:
    version = await added.get()
    async with prover() as ezkl:
        proof = await ezkl.prove(version, inputs(tmp_path, quantised(ROW)), empty(tmp_path), silent)
        good = proof.files[PROOF].read_bytes()
        for at in range(0, len(good), 61):
            proof.files[PROOF].write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            with pytest.raises(ProofRejected):
                await ezkl.verify(version, proof.files)
        for other in (good[:-1], good + b"\0", good + bytes(32), b"", bytes(len(good))):
            proof.files[PROOF].write_bytes(other)
            with pytest.raises(ProofRejected):
                await ezkl.verify(version, proof.files)
        with pytest.raises(ProofRejected, match="incomplete"):
            await ezkl.verify(version, {PROOF: proof.files[PROOF]})
        proof.files[PROOF].write_bytes(good)
        await ezkl.verify(version, proof.files)


@pytest.mark.parametrize("visibility", list(Visibility))
async def test_each_public_value_changed_alone_is_rejected(
    added: Added, tmp_path: Path, visibility: Visibility
) -> None:
    version = await added.get(settings(visibility))
    facts = version.facts
    async with prover() as ezkl:
        proof = await ezkl.prove(version, inputs(tmp_path, quantised(ROW)), empty(tmp_path), silent)
        raw, path = proof.files[PROOF].read_bytes(), proof.files[INSTANCE]
        told = parse_instance(path.read_bytes(), visibility, raw, 8, 3)
        identity = (facts["circuit"], facts["verifying_key"], int(facts["output_scale"]))
        for at in range(len(told.public)):
            for change in (1, -1, 2**64):
                public = list(told.public)
                public[at] = (public[at] + change) % FIELD
                # Its form is right and agrees with itself: the proof alone gives it away.
                path.write_bytes(instance_of(visibility, tuple(public), raw, 8, identity).encode())
                with pytest.raises(ProofRejected, match="does not verify"):
                    await ezkl.verify(version, proof.files)
        for name, value in (("circuit", "0" * 64), ("verifying_key", "0" * 64), ("scale", 8)):
            path.write_bytes(replace(told, **{name: value}).encode())  # type: ignore[arg-type]
            with pytest.raises(ProofRejected, match="of another"):
                await ezkl.verify(version, proof.files)
        path.write_bytes(told.encode())
        await ezkl.verify(version, proof.files)


async def test_a_proof_of_another_model_is_rejected(added: Added, tmp_path: Path) -> None:
    ours = await added.get()
    changed = onnx.load(MODEL)
    weights = next(t for t in changed.graph.initializer if len(t.dims) == 2)
    values = onnx.numpy_helper.to_array(weights).copy()
    values[0][0] += 0.5
    weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    onnx.save(changed, tmp_path / "other.onnx")
    async with prover() as ezkl:
        folder = empty(tmp_path, "other")
        other = await add(ezkl, folder, model(folder, path=tmp_path / "other.onnx"))
        assert other.facts["proof_size"] == ours.facts["proof_size"]
        proof = await ezkl.prove(other, inputs(tmp_path, quantised(ROW)), empty(tmp_path), silent)
        await ezkl.verify(other, proof.files)
        with pytest.raises(ProofRejected, match="of another circuit"):
            await ezkl.verify(ours, proof.files)
        told = parse_instance(
            proof.files[INSTANCE].read_bytes(), Visibility.PUBLIC, proof.files[PROOF].read_bytes(), 8, 3
        )
        claims = replace(told, circuit=ours.facts["circuit"], verifying_key=ours.facts["verifying_key"])
        proof.files[INSTANCE].write_bytes(claims.encode())
        with pytest.raises(ProofRejected, match="does not verify"):
            await ezkl.verify(ours, proof.files)


async def test_a_key_or_srs_that_is_not_the_pinned_one_is_refused(added: Added, tmp_path: Path) -> None:
    version = await added.get()
    async with prover() as ezkl:
        proof = await ezkl.prove(version, inputs(tmp_path, quantised(ROW)), empty(tmp_path), silent)
        for name, what in (("vk", "verifying key"), ("srs", "SRS")):
            other = tmp_path / name
            data = version.files[name].read_bytes()
            other.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            with pytest.raises(InvalidKey, match=f"the {what} is not the pinned one"):
                await ezkl.verify(replace(version, files={**version.files, name: other}), proof.files)


async def test_inputs_that_can_never_be_proved_are_refused(added: Added, tmp_path: Path) -> None:
    version, hidden = await added.get(), await added.get(settings(Visibility.COMMITMENT))
    async with prover() as ezkl:

        async def refused(given: ModelFiles, path: Path, words: str) -> None:
            with pytest.raises(InvalidInput, match=words) as error:
                await ezkl.prove(given, path, out, silent)
            assert error.value.retry is Retry.NEVER

        out = empty(tmp_path)
        await refused(version, inputs(tmp_path, [1] * 7), "7 inputs were given, the model takes 8")
        await refused(version, inputs(tmp_path, [1] * 9), "9 inputs were given, the model takes 8")
        await refused(version, inputs(tmp_path, [1.5] * 8), "whole numbers")
        await refused(version, inputs(tmp_path, [2**25 + 1] * 8), "more bits")
        await refused(hidden, inputs(tmp_path, [1] * 8, salt=""), "salt of 31 bytes")
        # Large inputs: what ezkl says of them, a number inside the model, is told to nobody.
        await refused(version, inputs(tmp_path, [2**60] * 8), "outside the range")
        assert os.listdir(out) == []
        await ezkl.prove(version, inputs(tmp_path, quantised(ROW)), out, silent)


async def at_work(ezkl: EzklModels) -> int:
    """The child of a proof under way."""
    for _ in range(1_000):
        pids = ezkl.state()["pids"]
        if isinstance(pids, list) and pids and isinstance(pids[0], int):
            return pids[0]
        await asyncio.sleep(0.01)
    raise AssertionError("no child was started")


async def test_a_killed_child_is_replaced(added: Added, tmp_path: Path) -> None:
    version = await added.get(SLOWER)
    row = inputs(tmp_path, quantised(ROW, 12))
    steps: list[str] = []
    async with prover() as ezkl:
        work = asyncio.create_task(
            ezkl.prove(version, row, empty(tmp_path), lambda step, done, total: steps.append(step))
        )
        while "proof" not in steps:
            assert not work.done()
            await asyncio.sleep(0.01)
        os.kill(await at_work(ezkl), signal.SIGKILL)
        with pytest.raises((ProverCrashed, ResourceExhausted)) as error:
            await work
        assert error.value.retry in (Retry.BOUNDED, Retry.ELSEWHERE)
        await ezkl.prove(version, row, empty(tmp_path, "again"), silent)


async def test_cancelling_ends_the_child_within_two_seconds(added: Added, tmp_path: Path) -> None:
    version = await added.get(SLOWER)
    row = inputs(tmp_path, quantised(ROW, 12))
    steps: list[str] = []
    async with prover() as ezkl:
        work = asyncio.create_task(
            ezkl.prove(version, row, empty(tmp_path), lambda step, done, total: steps.append(step))
        )
        while "proof" not in steps:
            assert not work.done()
            await asyncio.sleep(0.01)
        pid = await at_work(ezkl)
        begun = time.monotonic()
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert time.monotonic() - begun < 2
        assert not Path(f"/proc/{pid}").exists()
        await ezkl.prove(version, row, empty(tmp_path, "again"), silent)


async def test_a_child_above_its_memory_is_a_matter_of_another_queue(added: Added, tmp_path: Path) -> None:
    version = await added.get(SLOWER)
    async with prover() as ezkl:
        limits.set(Limits(memory=50 << 20))
        with pytest.raises(ResourceExhausted, match="at most 50 MiB") as error:
            await ezkl.prove(version, inputs(tmp_path, quantised(ROW, 12)), empty(tmp_path), silent)
        assert error.value.retry is Retry.ELSEWHERE


WORKER = """
import asyncio, sys
from pathlib import Path
from tests.support.ezkl_models import model, prover
async def main():
    async with prover(Path(sys.argv[1])) as ezkl:
        given = model(Path(sys.argv[1]))
        def tell(step, done, total):
            sys.stdout.write(f"{ezkl.state()['compiling'][0]}\\n"); sys.stdout.flush()
        await ezkl.compile(given, Path(sys.argv[1]), tell)
asyncio.run(main())
"""


async def test_a_killed_worker_takes_its_child_along(tmp_path: Path) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(tmp_path), cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    pid = int(await worker.stdout.readline())
    assert Path(f"/proc/{pid}").exists()
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    begun = time.monotonic()
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() - begun < 2
        await asyncio.sleep(0.02)


async def test_the_child_gets_no_secret_and_no_network(
    added: Added, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROVERY_LEDGER_URL", "postgres://u:hunter22@db/provery")
    version = await added.get()
    async with prover() as ezkl:
        await ezkl.prove(version, inputs(tmp_path, quantised(ROW)), empty(tmp_path), silent)
        environment = Path(f"/proc/{await at_work(ezkl)}/environ").read_bytes()
    assert b"hunter22" not in environment
    assert b"HTTPS_PROXY=http://127.0.0.1:9" in environment


async def test_production_takes_an_srs_that_the_operator_names(added: Added, tmp_path: Path) -> None:
    insecure = await added.get()
    row, rows = inputs(tmp_path, quantised(ROW)), insecure.facts["logrows"]
    made = HOME / "ezkl" / f"insecure-{rows}.srs"
    async with prover(tmp_path, PROVERY_ENV="production") as ezkl:
        with pytest.raises(InvalidKey, match="PROVERY_ZKML_EZKL_SRS"):
            await add(ezkl, empty(tmp_path, "none"), model(tmp_path))
        for refused in (
            ezkl.prove(insecure, row, empty(tmp_path), silent),
            ezkl.verify(insecure, {}),
        ):
            with pytest.raises(InvalidKey, match="development SRS, which production refuses"):
                await refused
    async with prover(tmp_path, PROVERY_ENV="production", PROVERY_ZKML_EZKL_SRS=str(HOME / "ezkl")) as ezkl:
        with pytest.raises(InvalidKey, match="found logrows none"):
            await add(ezkl, empty(tmp_path, "development"), model(tmp_path))
    # What a ceremony gives has this form; that this one's secret was here does not show.
    ceremony = empty(tmp_path, "ceremony")
    shutil.copy(made, ceremony / f"kzg{rows}.srs")
    (ceremony / "README").write_text("not an SRS")
    async with prover(tmp_path, PROVERY_ENV="production", PROVERY_ZKML_EZKL_SRS=str(ceremony)) as ezkl:
        secure = await add(ezkl, empty(tmp_path, "secure"), model(tmp_path))
        assert secure.facts["insecure"] == "false"
        assert secure.facts["srs"] == insecure.facts["srs"]
        proof = await ezkl.prove(secure, row, empty(tmp_path, "proof"), silent)
        await ezkl.verify(secure, proof.files)
    assert not list((tmp_path / "ezkl").glob("insecure-*"))
    async with prover(HOME, PROVERY_ENV="production", PROVERY_ALLOW_INSECURE_KEYS="1") as ezkl:
        proof = await ezkl.prove(insecure, row, empty(tmp_path, "allowed"), silent)
        assert proof.facts["insecure"] == "true"
        await ezkl.verify(insecure, proof.files)


async def test_two_installations_at_once_make_one_srs(tmp_path: Path) -> None:
    async with prover(tmp_path) as one, prover(tmp_path) as two:
        first, second = await asyncio.gather(
            *(
                add(ezkl, folder := empty(tmp_path, name), model(folder))
                for ezkl, name in ((one, "a"), (two, "b"))
            )
        )
    assert first.facts["srs"] == second.facts["srs"]
    assert first.facts["circuit"] == second.facts["circuit"]
    assert first.facts["verifying_key"] == second.facts["verifying_key"]
    assert len(list((tmp_path / "ezkl").glob("insecure-*.srs"))) == 1


async def test_models_that_ezkl_cannot_prove_are_refused_by_operator(tmp_path: Path) -> None:
    helper = onnx.helper
    shape = [1, 8]
    values = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Mish", ["x"], ["y"])], "mish", values[:1], values[1:])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8),
        tmp_path / "m.onnx",
    )
    async with prover() as ezkl:
        assert ezkl.refuses(["MatMul", "Relu", "Mish", "Det"]) == "Mish"
        assert ezkl.refuses(["MatMul", "ai.onnx.ml.LabelEncoder"]) == "ai.onnx.ml.LabelEncoder"
        assert ezkl.refuses(["MatMul", "Relu", "ai.onnx.ml.Scaler"]) == ""
        with pytest.raises(InvalidInput, match="cannot prove the operator Mish"):
            await add(ezkl, empty(tmp_path), model(tmp_path, path=tmp_path / "m.onnx"))
        (tmp_path / "text.onnx").write_text("no model")
        with pytest.raises(InvalidInput, match="not an ONNX model"):
            await add(ezkl, empty(tmp_path, "text"), model(tmp_path, path=tmp_path / "text.onnx"))
        with pytest.raises(InvalidInput, match="has 5 numbers, the model takes 8"):
            await add(ezkl, empty(tmp_path, "rows"), model(tmp_path, inputs=5))
        with pytest.raises(InvalidInput, match="more than the tolerance of 1e-09"):
            await add(ezkl, empty(tmp_path, "exact"), model(tmp_path, settings(tolerance=1e-9)))


async def test_it_is_among_the_provers_of_models(tmp_path: Path) -> None:
    assert list(build_model_provers({}, tmp_path, 1)) == ["native", "ezkl"]


async def test_without_the_extra_the_prover_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ezkl", None)
    assert not EzklModels.installed()
    assert list(build_model_provers({}, tmp_path, 1)) == ["native"]
    async with prover(tmp_path) as ezkl:
        with pytest.raises(ConfigurationError, match=r"install the extra provery\[ezkl\]"):
            await ezkl.compile(model(tmp_path), tmp_path, silent)


async def test_a_child_without_ezkl_says_what_to_install() -> None:
    program = "import sys; sys.modules['ezkl'] = None; from provery.provers.ezkl.child import main; main()"
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        program,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate()
    assert (child.returncode, out) == (78, b"")
    told = json.loads(err.splitlines()[-1])["error"]
    assert told["kind"] == "configuration"
    assert "provery[ezkl]" in told["message"]


REFUSALS = """
import json, logging, os, sys, tempfile, warnings
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)
import ezkl, onnx
from onnx.backend.test.case.node import collect_testcases
from provery.provers.ezkl.operators import REFUSED
found, out = {}, os.dup(1)
os.dup2(2, 1)
with tempfile.TemporaryDirectory() as folder:
    for case in collect_testcases(None):
        nodes = case.model.graph.node
        if len(nodes) != 1 or nodes[0].op_type not in REFUSED or found.get(nodes[0].op_type) == "read":
            continue
        path = os.path.join(folder, "model.onnx")
        onnx.save(case.model, path)
        try:
            ezkl.gen_settings(path, os.path.join(folder, "settings.json"), ezkl.PyRunArgs())
            found[nodes[0].op_type] = "read"
        except BaseException:
            found[nodes[0].op_type] = "refused"
os.write(out, json.dumps({"found": found, "listed": sorted(REFUSED)}).encode())
os._exit(0)
"""


async def test_operators_that_are_refused_unseen_are_refused_by_ezkl() -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        REFUSALS,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    told = json.loads((await child.communicate())[0])
    assert {name for name, outcome in told["found"].items() if outcome == "read"} == set()
    assert sorted(told["found"]) == told["listed"]
