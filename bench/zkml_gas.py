"""What it costs on chain to verify an inference: a transaction to the model's own verifier and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from provery.chain.solidity import Solidity
from provery.core.lanes import Call, Policy
from provery.core.models import CALLDATA, ModelFiles, ModelSettings
from provery.core.sending import send
from provery.local.toolchain import evm_modules, find
from provery.provers.models import build_model_provers
from provery.systems.zkml.proving import Inputs
from provery.systems.zkml.quantised.prepare import prepare
from provery.systems.zkml.quantised.spec import quantise_inputs
from tests.support.anvil import Anvil

VALUES = (0.05, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5)


async def verify_gas(home: Path, onnx: Path, scheme: str, prover: str = "native") -> int:
    """Gas of the whole transaction that verifies a proof.

    Args:
        home: Empty directory for keys, the verifier and the chain.
        onnx: The model.
        scheme: plonk or groth16, of the native prover.
        prover: native or ezkl.

    Raises:
        Reverted: the verifier rejects the proof.
    """
    settings = ModelSettings(prover=prover, scheme=scheme)
    into = {name: home / name for name in ("given", "compiled", "proved")}
    for folder in into.values():
        folder.mkdir(parents=True)
    data = onnx.read_bytes()
    made = prepare(data, settings, hashlib.sha256(data).hexdigest(), None, 1 << 28)
    files = {"model.onnx": data, "graph.json": made.graph, "calibration.json": made.rows}
    for name, body in files.items():
        (into["given"] / name).write_bytes(body)
    given = {name: into["given"] / name for name in files}
    provers = build_model_provers({}, home, 1)
    try:
        compiled = await provers[prover].compile(ModelFiles(settings, given), into["compiled"], _silent)
        model = ModelFiles(settings, {**given, **compiled.files}, compiled.facts)
        asked = into["given"] / "inputs.json"
        asked.write_bytes(Inputs(VALUES, quantise_inputs(VALUES, settings), "").write())
        proof = await provers[prover].prove(model, asked, into["proved"], _silent)
    finally:
        await asyncio.gather(*(one.close() for one in provers.values()))
    source = compiled.files["verifier.sol"].read_text(encoding="utf-8")
    build = await Solidity(find("node"), evm_modules()).compile({"verifier.sol": source})
    (code,) = [c.creation for c in build.contracts.values() if c.creation and len(c.creation) > 1_000]
    data_of = "0x" + proof.files[CALLDATA].read_bytes().hex()
    async with Anvil(home / "anvil") as anvil:
        verifier = await anvil.deploy("0x" + code.hex())
        chain = await anvil.open(0)
        try:
            await chain.read(verifier, data_of)
            call = Call(verifier, data_of, method="verify")
            return (await send(chain, call, Policy(), lambda _: None)).gas_used
        finally:
            await chain.close()


def _silent(step: str, done: float, total: float) -> None:
    """Nobody looks."""
