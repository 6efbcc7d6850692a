"""The exported verifier contracts of a model on a chain: they take its call data, and nothing that was changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from provery.chain.solidity import Solidity
from provery.core.errors import Reverted
from provery.core.lanes import Call, Policy
from provery.core.models import CALLDATA, ModelSettings
from provery.core.sending import send
from provery.local.toolchain import evm_modules, find
from provery.provers.model_native import CONTRACT
from tests.e2e.test_model_native import SCHEMES, compiled, proved, prover
from tests.support.anvil import Anvil

MOST = 330_000
"""Gas of a whole transaction that verifies a proof with 12 public values."""
CONTRACTS = {"plonk": "PlonkVerifier", "groth16": "Verifier"}


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_the_contract_verifies(tmp_path: Path, scheme: str) -> None:
    async with prover(tmp_path / "home") as native:
        model = await compiled(native, tmp_path / "model", ModelSettings(scheme=scheme))
        files = await proved(native, model, tmp_path)
    source = model.files[CONTRACT].read_text(encoding="utf-8")
    build = await Solidity(find("node"), evm_modules()).compile({"verifier.sol": source})
    data = files[CALLDATA].read_bytes()
    async with Anvil(tmp_path / "anvil") as anvil:
        contract = await anvil.deploy("0x" + build.contracts[CONTRACTS[scheme]].creation.hex())
        chain = await anvil.open(0)
        try:

            async def accepts(body: bytes) -> bool:
                try:
                    answer = await chain.read(contract, "0x" + body.hex())
                except Reverted:
                    return False
                # PLONK's answers by a boolean, Groth16's by reverting
                return scheme == "groth16" or int.from_bytes(answer) == 1

            assert await accepts(data)
            for at in range(4 + 31, len(data), 32 * 3):
                changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
                if any(data[at // 32 * 32 + 4 : at]) or at > 200:
                    assert not await accepts(changed), at
            receipt = await send(
                chain, Call(contract, "0x" + data.hex(), method="verify"), Policy(), lambda _: None
            )
        finally:
            await chain.close()
    print(f"{scheme}: {receipt.gas_used} gas")
    assert receipt.gas_used <= MOST
    assert len(data) < 2_000
