"""Verifiers of a real model, of both provers, on a real node: the document's example through the registry."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from provery.core.errors import Reverted
from provery.core.lanes import Call, Chain
from provery.core.models import CALLDATA, INSTANCE, PROOF, ModelFiles, ModelSettings
from provery.local import ROOT
from provery.provers.models import build_model_provers
from provery.systems.zkml import contracts
from provery.systems.zkml.onchain import abi
from provery.systems.zkml.onchain import calls as onchain
from provery.systems.zkml.proving import Inputs
from provery.systems.zkml.quantised.prepare import prepare
from provery.systems.zkml.quantised.spec import quantise_inputs
from tests.support.anvil import Anvil
from tests.support.registry import PROGRAM, deploy_registry, land, solidity

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]
MODEL = ROOT / "provery/systems/zkml/vectors/models/spending-model.onnx"
VALUES = (0.05, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5)
GAS_LIMITS = {"native plonk": 330_000, "native groth16": 330_000, "ezkl": 600_000}
"""Of a transaction that only verifies."""


@dataclass(frozen=True)
class Made:
    """A proved inference and its verifier."""

    name: str
    verifier: bytes
    call: bytes
    proof: bytes
    instance: dict[str, object]


async def make(name: str, home: Path) -> Made:
    """Add the model, prove the example, compile the verifier."""
    prover, _, scheme = name.partition(" ")
    settings = ModelSettings(prover=prover, scheme=scheme or "plonk", scale=12 if prover == "native" else 7)
    data = MODEL.read_bytes()
    ready = prepare(data, settings, hashlib.sha256(data).hexdigest(), None, 1 << 28)
    given = {"model.onnx": data, "graph.json": ready.graph, "calibration.json": ready.rows}
    inputs = Inputs(VALUES, quantise_inputs(VALUES, settings), "").write()
    for folder in ("given", "compiled", "proved"):
        (home / folder).mkdir()
    for file, body in {**given, "inputs.json": inputs}.items():
        (home / "given" / file).write_bytes(body)
    files = {file: home / "given" / file for file in given if given[file]}
    provers = build_model_provers({"PROVERY_PROVER_BIN": PROGRAM}, home, 1)
    try:
        compiled = await provers[prover].compile(ModelFiles(settings, files), home / "compiled", _silent)
        model = ModelFiles(settings, {**files, **compiled.files}, compiled.facts)
        made = await provers[prover].prove(model, home / "given/inputs.json", home / "proved", _silent)
    finally:
        await asyncio.gather(*(one.close() for one in provers.values()))
    return Made(
        name,
        await contracts.compile_verifier(solidity().contracts, compiled.files["verifier.sol"]),
        made.files[CALLDATA].read_bytes(),
        made.files[PROOF].read_bytes(),
        json.loads(made.files[INSTANCE].read_bytes()),
    )


def _silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=list(GAS_LIMITS))
async def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    return await make(request.param, tmp_path_factory.mktemp("model"))


@pytest.fixture
async def chain(tmp_path: Path) -> AsyncIterator[Chain]:
    async with Anvil(tmp_path) as anvil:
        account = await anvil.open(0, abi.ERRORS)
        yield account
        await account.close()


async def test_the_models_verifier_accepts_its_inference_and_nothing_else(chain: Chain, made: Made) -> None:
    registry = await deploy_registry(chain)
    verifier = onchain.verifier_address(registry, made.verifier)
    deployed = await land(chain, onchain.deploy_call(registry, made.verifier))
    wrong = [made.call[:-1], made.call[:4]]
    at = made.call.index(made.proof)
    # Every word of the proof, and of what follows: its public values. Padding is no part of either.
    for place in range(at, at + len(made.proof), 32):
        wrong.append(_flipped(made.call, min(place + 31, at + len(made.proof) - 1)))
    first = at + -(-len(made.proof) // 32) * 32
    for place in range(first, len(made.call), 32):
        wrong.append(_flipped(made.call, place + 31))
    for data in wrong:
        call = onchain.attest_inference_call(registry, verifier, "0x" + data.hex())
        with pytest.raises(Reverted, match="ProofRejected"):
            await chain.estimate(call)
    call = onchain.attest_inference_call(registry, verifier, "0x" + made.call.hex())
    assert await onchain.attestation(chain, call) is None
    alone = await land(chain, Call(verifier, "0x" + made.call.hex(), method="verify"))
    attested = await land(chain, call)
    assert await onchain.attestation(chain, call) is not None
    print(
        f"{made.name}: verify {alone.gas_used} gas, attestInference {attested.gas_used}, deploy {deployed.gas_used}; "
        f"proof {len(made.proof)} bytes, call data {len(made.call)}, code {len(await chain.code(verifier))}"
    )
    assert alone.gas_used < GAS_LIMITS[made.name]


def _flipped(data: bytes, place: int) -> bytes:
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
