"""Models of others under every prover, on a whole stack with a chain: what the tests of the matrix stand on.

Temporal, a worker for each queue and the API as separate processes, anvil, and the registry that `provery zkml deploy`
put there. Three verifiers judge each proof: ``POST /verify``, the prover's own program, the contract.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.results import RESULTS
from bench.stack import Stack, stack
from bench.zkml import INGRESS, MODELS, WORKERS
from provery.core.abi import keccak256
from provery.core.access import PROVE, READ, VERIFY
from provery.core.errors import Reverted
from provery.core.lanes import Call, Chain
from provery.core.models import ModelFiles, ModelVersion
from provery.local.anvil import MNEMONIC
from provery.provers.native_instance import MODULUS
from provery.stores.artifacts import open_store
from provery.systems.zkml.files import model_files
from provery.systems.zkml.onchain import abi
from provery.systems.zkml.onchain import calls as onchain
from tests.support.anvil import Anvil
from tests.support.registry import PROGRAM
from workers.queues import cores

RECORD = RESULTS / "zkml-models.json"
READY_S = 1_200.0
"""For a model to be added."""
PLACES = 5
"""Bytes of a proof that are changed, one at a time."""
_REFUSALS = (b'"invalid_proof"', b"RuntimeError: Failed to run verify: [halo2]")
"""What the two programs say of a proof that they do not accept; anything else is a fault of the test."""
_EZKL_VERIFY = "import ezkl, sys; sys.exit(0 if ezkl.verify(*sys.argv[1:5], False) is True else 1)"


@dataclass(frozen=True)
class Combination:
    """A model by a prover."""

    name: str
    """Under which it is added."""
    model: str
    """File of ``vectors/models``."""
    settings: Mapping[str, Any]
    refused: str = ""
    """What adding it is refused with; empty where it is added."""

    @property
    def sample(self) -> dict[str, Any]:
        """``inputs``: rows to ask."""
        found: dict[str, Any] = json.loads((MODELS / f"{self.model}.sample.json").read_text())
        return found


@dataclass
class World:
    """The stack, its chain, and what was measured."""

    stack: Stack
    http: httpx.AsyncClient
    anvil: Anvil
    chain: Chain
    registry: str
    folder: Path
    """``MODELS_DIR``."""
    scratch: Path
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Figures by combination."""
    answers: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Of each combination, in the order of its sample's inputs."""

    async def add(self, one: Combination) -> str:
        """Put a model into the folder and wait; why it was not added, or nothing."""
        began = time.monotonic()
        calibration = MODELS / f"{one.model}.calibration.json"
        if calibration.exists():
            shutil.copy(calibration, self.folder / f"{one.name}.calibration.json")
        (self.folder / f"{one.name}.json").write_text(json.dumps(one.settings))
        # The model itself comes last, and whole: the folder is looked at all the time.
        shutil.copy(MODELS / f"{one.model}.onnx", self.folder / f"{one.name}.part")
        (self.folder / f"{one.name}.part").rename(self.folder / f"{one.name}.onnx")
        reason = ""
        while time.monotonic() < began + READY_S:
            if (await self.http.get(f"/v1/models/{one.name}")).status_code == 200:
                self.rows[one.name] = {"added_s": round(time.monotonic() - began, 1)}
                return ""
            told = (await self.http.get("/health")).json().get("missing", {})
            reason = str(told.get(one.name, ""))
            if reason.startswith(("failed", "rejected", "parked", "not ", "a model")):
                for file in self.folder.glob(f"{one.name}.*"):
                    file.unlink()
                return reason
            await asyncio.sleep(0.1)
        raise TimeoutError(f"{one.name} was neither added nor refused: {reason}")

    async def version(self, name: str) -> tuple[ModelVersion, ModelFiles]:
        """A model as the ledger and the store have it."""
        version = await self.stack.ledger.models.get(name)
        assert version is not None
        store = open_store((self.stack.home / "artifacts").as_uri(), cache=self.scratch, env={})
        return version, await model_files(store, version)

    async def ask(self, name: str, inputs: Sequence[float]) -> dict[str, Any]:
        """``POST /prove``."""
        answer = await self.http.post("/prove", json={"model_id": name, "inputs": list(inputs)})
        assert answer.status_code == 200, answer.text[:500]
        found: dict[str, Any] = answer.json()
        return found

    async def attest(self, name: str, inputs: Sequence[float], how: str = "proof") -> dict[str, Any]:
        """Ask for a proof that goes on chain, whole or its hash; what is told of it when it has landed."""
        asked = {"model_id": name, "inputs": list(inputs), "attest": how}
        answer = await self.http.post("/v1/proofs", json=asked)
        assert answer.status_code == 202, answer.text[:500]
        deadline = time.monotonic() + 300
        while True:
            told: dict[str, Any] = (await self.http.get(f"/v1/proofs/{answer.json()['id']}?wait=30")).json()
            if told["status"] != "running" or time.monotonic() > deadline:
                assert told["status"] == "done", told
                return told

    async def says(self, proof: Mapping[str, Any], /, **changed: object) -> dict[str, Any]:
        """``POST /verify`` of a proof, something of it changed."""
        said = proof["metadata"]
        body = {name: said[name] for name in ("model_hash", "input_hash")}
        body |= {"proof": proof["proof"], "program_io": proof["program_io"], **changed}
        answer = await self.http.post("/verify", json=body)
        assert answer.status_code == 200, answer.text[:500]
        found: dict[str, Any] = answer.json()
        return found

    async def program(self, model: ModelFiles, proof: bytes, instance: Mapping[str, Any]) -> bool:
        """Whether ``ezkl.verify``, or the Go program, accepts a proof with these public values."""
        words = [int(word, 16) for word in instance["public"]]
        folder = self.scratch / "program"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if model.settings.prover == "ezkl":
            felts = [word.to_bytes(32, "little").hex() for word in words]
            document = dict.fromkeys(
                ("protocol", "hex_proof", "split", "pretty_public_inputs", "timestamp", "version")
            )
            (folder / "proof.json").write_text(
                json.dumps({**document, "instances": [felts], "proof": list(proof)})
            )
            files = [str(model.files[name]) for name in ("settings.json", "vk", "srs")]
            return await _accepts(sys.executable, "-c", _EZKL_VERIFY, str(folder / "proof.json"), *files)
        facts = model.facts
        shown = 1 if model.settings.visibility != "public" else int(facts["inputs"])
        names = [
            "model",
            *(f"input_{i}" for i in range(shown)),
            *(f"output_{i}" for i in range(int(facts["outputs"]))),
        ]
        public: dict[str, Any] = {"circuit": facts["circuit"], "circuit_id": facts["circuit_id"]}
        if facts["scheme"] != "groth16":
            public["scheme"] = facts["scheme"]
        values = dict(zip(names, map(hex, words), strict=True))
        public |= {"verifying_key": facts["verifying_key"], "public": dict(sorted(values.items()))}
        (folder / "public.json").write_text(json.dumps(public))
        (folder / "proof.bin").write_bytes(proof)
        return await _accepts(
            PROGRAM, "circuit", "verify", "--family", "zkml", "--graph", str(model.files["graph.json"]),
            "--scheme", facts["scheme"], "--circuit-id", facts["circuit_id"], "--vk", str(model.files["vk"]),
            "--proof", str(folder / "proof.bin"), "--public", str(folder / "public.json"),
        )  # fmt: skip

    async def contract(self, verifier: str, data: bytes) -> bool:
        """Whether the registry would record this call of the verifier."""
        call = onchain.attest_inference_call(self.registry, verifier, "0x" + data.hex())
        try:
            await self.chain.estimate(call)
        except Reverted as error:
            if "ProofRejected" not in str(error):
                raise
            return False
        return True

    async def recorded(self, verifier: str, data: bytes) -> bool:
        """Whether the registry has recorded it."""
        asked = abi.IS_INFERENCE_VERIFIED.call(verifier, keccak256(data))
        return abi.IS_INFERENCE_VERIFIED.read(await self.chain.read(self.registry, asked)) == (True,)

    async def gas(self, verifier: str, data: bytes) -> int:
        """Of a transaction that only verifies."""
        return await self.chain.estimate(Call(verifier, "0x" + data.hex()))


def record(rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what was measured, with the commit and the machine."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    stamp = f"commit {commit}, {cores()} cores, {platform.machine()}"
    RECORD.write_text(json.dumps({"taken_on": stamp, "models": rows}, indent=1) + "\n")


async def _accepts(*words: str) -> bool:
    child = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await child.communicate()
    if child.returncode and not any(mark in out for mark in _REFUSALS):
        raise AssertionError(out.decode()[-2_000:])
    return child.returncode == 0


def flips(proof: bytes) -> list[bytes]:
    """A proof with one byte changed, at places all over it: the first and the last among them."""
    last = len(proof) - 1
    places = sorted({last * step // (PLACES - 1) for step in range(PLACES)})
    return [proof[:place] + bytes([proof[place] ^ 1]) + proof[place + 1 :] for place in places]


def moved(instance: Mapping[str, Any], place: int) -> dict[str, Any]:
    """Public values with one of them one more, in ``public`` and in what is read of it."""
    words = [int(word, 16) for word in instance["public"]]
    words[place] = (words[place] + 1) % MODULUS
    said = {**instance, "public": [f"0x{word:064x}" for word in words]}
    first_output = len(words) - len(instance["outputs"])
    if place >= first_output:
        outputs = list(instance["outputs"])
        outputs[place - first_output] += 1
        said["outputs"] = outputs
    elif instance["inputs"]:
        inputs = list(instance["inputs"])
        inputs[place - (first_output - len(inputs))] += 1
        said["inputs"] = inputs
    else:
        said["commitment"] = said["public"][place]
    return said


@asynccontextmanager
async def world(home: Path, workers: Sequence[Sequence[str]] = WORKERS, **more: str) -> AsyncIterator[World]:
    """Everything started, with no model yet.

    Args:
        home: Directory for everything.
        workers: Arguments of each worker.
        more: Environment of the workers.
    """
    folder, scratch = home / "models", home / "scratch"
    for one in (folder, scratch):
        one.mkdir(parents=True)
    async with Anvil(home / "anvil") as anvil:
        env = {
            "PROVERY_ZKML_CHAIN_RPC": anvil.url,
            "PROVERY_ZKML_ETH_MNEMONIC": MNEMONIC,
            "PROVERY_ZKML_CONFIRMATIONS": "1",
            "PROVERY_ZKML_WATCH_S": "5",
        }
        env["PROVERY_ZKML_REGISTRY"] = await _deployed(home, env)
        chain = await anvil.open(1, abi.ERRORS)
        settings: dict[str, Any] = {
            "MODELS_DIR": str(folder),
            "PROVERY_ZKML_LOOK_S": "0.5",
            "PROOF_TIMEOUT_MS": "300000",
            **env,
            **more,
        }
        async with stack(home, workers, **settings) as made:
            scopes = (PROVE, VERIFY, READ)
            _, secret = await made.ledger.access.keys.add("matrix", scopes, per_minute=1e6)
            url = f"http://127.0.0.1:{made.ports[' '.join(INGRESS)]}"
            headers = {"authorization": f"Bearer {secret}"}
            async with httpx.AsyncClient(
                base_url=url, timeout=330.0, headers=headers, trust_env=False
            ) as http:
                yield World(made, http, anvil, chain, env["PROVERY_ZKML_REGISTRY"], folder, scratch)
        await chain.close()


async def _deployed(home: Path, env: Mapping[str, str]) -> str:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", "zkml", "deploy", "--json",
        env={**os.environ, "PROVERY_HOME": str(home), **env}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    assert child.returncode == 0, out.decode()
    return str(json.loads(out)["registry"])
