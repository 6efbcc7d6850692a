"""ezkl's verifier contract, compiled by the locked compiler and run by a real node."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from provery.chain.solidity import Solidity
from provery.core.errors import TransientError
from provery.core.models import CALLDATA, INSTANCE, PROOF, Visibility
from provery.local.toolchain import evm_modules, find
from provery.provers.ezkl.instance import calldata, parse_instance
from tests.support.anvil import Anvil, address
from tests.support.ezkl_models import Added, calibration, empty, inputs, prover, quantised, settings, silent

GAS = 5_000_000
"""Given to each call: an estimate is wrong where a check that fails ends a call early."""
LARGEST = 24_576
"""Bytes of code that a chain takes."""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("visibility", [Visibility.PUBLIC, Visibility.COMMITMENT])
async def test_the_contract_accepts_the_proof_and_nothing_else(
    tmp_path: Path, visibility: Visibility
) -> None:
    version = await Added(tmp_path).get(settings(visibility))
    row = quantised(calibration()[0])
    async with prover() as ezkl:
        proof = await ezkl.prove(version, inputs(tmp_path, row), empty(tmp_path), silent)
    call = proof.files[CALLDATA].read_bytes()
    raw = proof.files[PROOF].read_bytes()
    told = parse_instance(proof.files[INSTANCE].read_bytes(), visibility, raw, 8, 3)
    assert call == calldata(raw, told.public)
    source = version.files["verifier.sol"].read_text()
    build = await Solidity(find("node"), evm_modules()).compile({"verifier.sol": source})
    contract = build.contracts[version.facts["contract"]]
    assert contract.size <= LARGEST
    async with Anvil(tmp_path) as anvil:
        where = await anvil.deploy("0x" + contract.creation.hex())

        async def accepts(data: bytes) -> bool:
            order = {"from": address(0), "to": where, "data": "0x" + data.hex(), "gas": hex(GAS)}
            try:
                return int(await anvil.call("eth_call", order, "latest"), 16) == 1
            except TransientError as error:
                if "revert" not in str(error):
                    raise
                return False

        assert await accepts(call)
        for at in range(0, len(raw), 397):
            assert not await accepts(calldata(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :], told.public))
        for at in range(len(told.public)):
            public = list(told.public)
            public[at] ^= 1
            assert not await accepts(calldata(raw, tuple(public)))
        assert not await accepts(calldata(raw, (*told.public, 0)))
        assert not await accepts(calldata(raw + bytes(32), told.public))
        order = {"from": address(0), "to": where, "data": "0x" + call.hex(), "gas": hex(GAS)}
        sent = await anvil.call("eth_sendTransaction", order)
        while (receipt := await anvil.call("eth_getTransactionReceipt", sent)) is None:
            await asyncio.sleep(0.02)
        assert int(receipt["status"], 16) == 1
        gas = int(receipt["gasUsed"], 16)
        print(f"{visibility}: {gas} gas, {contract.size} bytes of code, {len(call)} bytes of call data")
        assert 400_000 < gas < 700_000
