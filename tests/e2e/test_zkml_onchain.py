"""The registry of inferences on a real node, with real verifiers and proofs of both of gnark's schemes."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from provery.chain.solidity import read_sources
from provery.core.abi import Function, keccak256
from provery.core.contracts import LARGEST_CREATION
from provery.core.errors import ConfigurationError, InvalidInput, Reverted
from provery.core.factory import address_of
from provery.core.lanes import Call, Chain, State
from provery.local.anvil import MNEMONIC
from provery.systems.zkml import contracts
from provery.systems.zkml.model import Answer
from provery.systems.zkml.onchain import abi
from provery.systems.zkml.onchain import calls as onchain
from tests.support.anvil import Anvil, address
from tests.support.registry import Proved, deploy_registry, land, logs, prove, signatures, solidity

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
GAS_LIMITS = {"plonk": 330_000, "groth16": 345_000}
"""Of a transaction that only verifies; the self-test's Groth16 circuit has a commitment, which costs a pairing more."""
SALT = (7).to_bytes(32)
HASH = "0x" + keccak256(b"a proof").hex()
LIAR = bytes.fromhex("60098060093d393df360015f5260205ff300")
"""Creation code of a verifier that answers true to anything."""


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path) as node:
        yield node


@pytest.fixture
async def chain(anvil: Anvil) -> AsyncIterator[Chain]:
    account = await anvil.open(0, abi.ERRORS)
    yield account
    await account.close()


@pytest.fixture
async def stranger(anvil: Anvil) -> AsyncIterator[Chain]:
    account = await anvil.open(1, abi.ERRORS)
    yield account
    await account.close()


@pytest.fixture
async def registry(chain: Chain) -> str:
    return await deploy_registry(chain)


@pytest_asyncio.fixture(loop_scope="module", scope="module", params=["plonk", "groth16"])
async def proved(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Proved:
    return await prove(request.param, tmp_path_factory.mktemp("keys"))


async def read(chain: Chain, registry: str, function: Function, *values: object) -> object:
    (value,) = function.read(await chain.read(registry, function.call(*values)))
    return value


async def timestamp(anvil: Anvil) -> int:
    return int((await anvil.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)


async def test_the_committed_code_is_what_the_sources_give_and_python_knows_all_of_it() -> None:
    build = await solidity().compile(read_sources(contracts.FOLDER))
    committed = json.loads(contracts.COMPILED.read_text())
    made = build.contracts[contracts.REGISTRY]

    assert build.warnings == ()
    assert committed["compiler"] == build.compiler
    assert committed["contracts"][contracts.REGISTRY]["bytecode"] == "0x" + made.creation.hex()
    assert (
        committed["contracts"][contracts.REGISTRY]["abi"]
        == made.abi
        == contracts.interface(contracts.REGISTRY)
    )
    assert signatures(made.abi, "function") == {function.signature for function in abi.FUNCTIONS}
    assert signatures(made.abi, "error") == set(abi.ERRORS)
    events = {f"{e.name}({','.join(e.indexed + e.others)})" for e in abi.EVENTS}
    assert signatures(made.abi, "event") == events


async def test_a_verifier_is_put_where_it_was_said_once(
    anvil: Anvil, chain: Chain, stranger: Chain, registry: str, proved: Proved
) -> None:
    said = onchain.verifier_address(registry, proved.verifier)
    call = onchain.deploy_call(registry, proved.verifier)
    assert (await onchain.standing(chain, call)).state is State.READY
    first = await land(chain, call)
    assert abi.VERIFIER_DEPLOYED.read(*(await logs(anvil, first))[0]) == (
        said.lower(), bytes(32), keccak256(proved.verifier),
    )  # fmt: skip
    code = await chain.code(said)
    assert len(code) > 1_000

    stands = await onchain.standing(stranger, call)
    assert (stands.state, said in stands.reason) == (State.SUPERSEDED, True)
    again = await land(stranger, call)
    assert (await logs(anvil, again), again.succeeded) == ([], True)
    assert await chain.code(said) == code
    answer = await chain.read(registry, call.data)
    assert abi.DEPLOY.read(answer) == (said.lower(),)
    print(f"{proved.scheme}: {len(code)} bytes, deploy {first.gas_used} gas, again {again.gas_used} gas")

    other = onchain.deploy_call(registry, proved.verifier, SALT)
    there = onchain.verifier_address(registry, proved.verifier, SALT)
    assert there != said
    await land(chain, other)
    assert await chain.code(there) == code
    assert (
        await read(chain, registry, abi.VERIFIER_ADDRESS, SALT, keccak256(proved.verifier)) == there.lower()
    )


@pytest.mark.parametrize("code", ["5f5ffd", "5f5ff3", "fe"], ids=["reverts", "leaves nothing", "breaks"])
async def test_code_that_makes_no_contract_is_refused(chain: Chain, registry: str, code: str) -> None:
    with pytest.raises(Reverted, match="DeploymentFailed"):
        await land(chain, onchain.deploy_call(registry, bytes.fromhex(code)))


async def test_a_hash_is_claimed_once_and_keeps_who_came_first(
    anvil: Anvil, chain: Chain, stranger: Chain, registry: str
) -> None:
    proof = bytes.fromhex(HASH[2:])
    call = onchain.attest_call(registry, HASH)
    assert await read(chain, registry, abi.IS_PROOF_HASH_VALID, proof) is False
    assert await read(chain, registry, abi.PROOF_TIMESTAMP, proof) == 0
    assert await onchain.attestation(chain, call) is None
    first = await land(chain, call)
    at = await timestamp(anvil)
    assert abi.PROOF_ATTESTED.read(*(await logs(anvil, first))[0]) == (proof, chain.sender.lower(), at)

    await anvil.pass_time(100)
    again = await land(stranger, call)
    assert (await logs(anvil, again), again.succeeded) == ([], True)
    assert await read(chain, registry, abi.IS_PROOF_HASH_VALID, proof) is True
    assert await onchain.attestation(chain, call) == onchain.Attestation(chain.sender.lower(), at)
    assert (await onchain.standing(stranger, call)).state is State.READY
    assert await read(chain, registry, abi.IS_PROOF_HASH_VALID, keccak256(proof)) is False
    # A claim is no verified inference, under any verifier.
    assert await read(chain, registry, abi.IS_INFERENCE_VERIFIED, chain.sender, proof) is False
    print(f"attestProof {first.gas_used} gas, again {again.gas_used} gas")
    assert first.gas_used < 50_000


async def test_an_inference_is_attested_where_its_verifier_accepts_it(
    anvil: Anvil, chain: Chain, stranger: Chain, registry: str, proved: Proved
) -> None:
    verifier = onchain.verifier_address(registry, proved.verifier)
    name = keccak256(proved.call)
    assert abi.call_hash(proved.call) == "0x" + name.hex()
    call = onchain.attest_inference_call(registry, verifier, "0x" + proved.call.hex())
    early = await onchain.standing(chain, call)
    assert (early.state, verifier.lower() in early.reason) == (State.EARLY, True)
    with pytest.raises(Reverted, match="NoVerifier"):
        await land(chain, call)
    await land(chain, onchain.deploy_call(registry, proved.verifier))
    assert (await onchain.standing(chain, call)).state is State.READY
    alone = await chain.estimate(Call(verifier, "0x" + proved.call.hex()))
    first = await land(chain, call)
    at = await timestamp(anvil)
    (logged,) = await logs(anvil, first)
    assert abi.INFERENCE_ATTESTED.read(*logged) == (verifier.lower(), name, chain.sender.lower(), at)
    assert await read(chain, registry, abi.IS_INFERENCE_VERIFIED, verifier, name) is True

    await anvil.pass_time(100)
    again = await land(stranger, call)
    assert (await logs(anvil, again), again.succeeded) == ([], True)
    assert await onchain.attestation(chain, call) == onchain.Attestation(chain.sender.lower(), at)
    assert (await onchain.standing(chain, call)).state is State.READY
    # A verified inference is not a claim of its proof's or its call's hash.
    for claimed in (name, keccak256(proved.proof)):
        assert await read(chain, registry, abi.IS_PROOF_HASH_VALID, claimed) is False
    print(
        f"{proved.scheme}: verify {alone} gas, attestInference {first.gas_used} gas, again {again.gas_used} gas"
    )
    assert alone < GAS_LIMITS[proved.scheme]


async def test_what_is_changed_is_never_attested(chain: Chain, registry: str, proved: Proved) -> None:
    await land(chain, onchain.deploy_call(registry, proved.verifier))
    verifier = onchain.verifier_address(registry, proved.verifier)
    other = tuple(value + 1 for value in proved.public)
    wrong = [
        proved.data(proved.proof, other),
        proved.data(proved.proof, tuple(value + 2**256 - 2**254 for value in proved.public)),
        proved.data(proved.proof[:-1], proved.public),
        proved.data(b"", proved.public),
        proved.data(bytes(len(proved.proof)), proved.public),
        proved.call[:-1],
        proved.call[:4],
        b"\0\0\0\0",
    ]
    for place in range(0, len(proved.proof), 32):
        damaged = bytearray(proved.proof)
        damaged[min(place + 31, len(damaged) - 1)] ^= 1
        wrong.append(proved.data(bytes(damaged), proved.public))
    for data in wrong:
        call = onchain.attest_inference_call(registry, verifier, "0x" + data.hex())
        with pytest.raises(Reverted, match="ProofRejected"):
            await land(chain, call)
        assert await onchain.attestation(chain, call) is None
    right = onchain.attest_inference_call(registry, verifier, "0x" + proved.call.hex())
    await land(chain, right)


@pytest.mark.parametrize("proved", ["groth16"], indirect=True)
async def test_another_function_of_a_verifier_verifies_nothing(
    chain: Chain, registry: str, proved: Proved
) -> None:
    """gnark's Groth16 verifiers also pack proofs, unchecked: that call succeeds and must not count."""
    await land(chain, onchain.deploy_call(registry, proved.verifier))
    verifier = onchain.verifier_address(registry, proved.verifier)
    packs = Function("compressProof", ("bytes",)).call(proved.proof)
    assert await chain.read(verifier, packs)
    with pytest.raises(Reverted, match="ProofRejected"):
        await land(chain, onchain.attest_inference_call(registry, verifier, packs))


async def test_a_verifier_that_accepts_anything_vouches_for_itself_alone(
    chain: Chain, stranger: Chain, registry: str, proved: Proved
) -> None:
    forged = proved.data(bytes(len(proved.proof)), proved.public)
    honest = onchain.verifier_address(registry, proved.verifier)
    liar = onchain.verifier_address(registry, LIAR)
    await land(chain, onchain.deploy_call(registry, proved.verifier))
    await land(stranger, onchain.deploy_call(registry, LIAR))
    await land(stranger, onchain.attest_inference_call(registry, liar, "0x" + forged.hex()))

    assert await read(chain, registry, abi.IS_INFERENCE_VERIFIED, liar, keccak256(forged)) is True
    assert await read(chain, registry, abi.IS_INFERENCE_VERIFIED, honest, keccak256(forged)) is False
    for claimed in (keccak256(forged), keccak256(bytes(len(proved.proof)))):
        assert await read(chain, registry, abi.IS_PROOF_HASH_VALID, claimed) is False
    for nobody in (address(5), "0x" + "0" * 39 + "4", "0x" + 40 * "0"):
        with pytest.raises(Reverted, match="NoVerifier"):
            await land(stranger, onchain.attest_inference_call(registry, nobody, "0x" + forged.hex()))


async def test_what_is_no_registry_is_found_out(chain: Chain, registry: str) -> None:
    await onchain.check(chain, registry)
    nowhere = onchain.attest_call(address(5), HASH)
    with pytest.raises(ConfigurationError, match="provery zkml deploy"):
        await onchain.standing(chain, nowhere)
    with pytest.raises(ConfigurationError, match="verifierAddress"):
        await onchain.check(chain, "0x4e59b44847b379578588920cA78FbF26c0B4956C")
    with pytest.raises(InvalidInput, match="not a call of the registry"):
        await onchain.standing(chain, Call(registry, abi.PROOF_TIMESTAMP.call(bytes(32))))


def test_calls_that_cannot_be_are_refused() -> None:
    at = address(1)
    wrong: tuple[Callable[[], Call], ...] = (
        lambda: onchain.deploy_call(at, b""),
        lambda: onchain.deploy_call(at, bytes(LARGEST_CREATION + 1)),
        lambda: onchain.attest_call(at, "0x12"),
        lambda: onchain.attest_call("0x12", HASH),
        lambda: onchain.attest_inference_call(at, "", "0x12"),
        lambda: onchain.attest_inference_call(at, at, "0x"),
        lambda: onchain.attest_inference_call(at, at, "0x123"),
        lambda: onchain.attesting_call(at, "", answer()),
        lambda: onchain.attesting_call(at, "proof", answer(verifier="")),
    )
    for bad in wrong:
        with pytest.raises(InvalidInput):
            bad()
    assert onchain.attesting_call(at, "hash", answer()) == onchain.attest_call(at, HASH)
    assert onchain.attesting_call(at, "proof", answer()) == onchain.attest_inference_call(at, at, "0x12")
    assert address_of(b"x", SALT, at) == onchain.verifier_address(at, b"x", SALT)


def answer(verifier: str = address(1)) -> Answer:
    """An answer with what counts here."""
    return Answer(
        "m", "v", HASH, HASH, HASH, "0x12", HASH, 1, "native", "plonk", "", (), (), (), (), "", "", "",
        "0x12", verifier, 0, 0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("source", "match"),
    [
        ("contract A { function f() external {} }", "not one verifier"),
        (
            "contract A { function Verify(bytes calldata, uint256[] calldata) external returns (bool) {} }"
            "contract B { function verifyProof(bytes calldata, uint256[9] calldata) external {} }",
            "not one verifier.*A, B",
        ),
        ("contract {", "does not compile"),
    ],
)
async def test_only_a_source_with_one_verifier_is_deployed(tmp_path: Path, source: str, match: str) -> None:
    path = tmp_path / "verifier.sol"
    path.write_text("// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n" + source)
    with pytest.raises(InvalidInput, match=match):
        await contracts.compile_verifier(solidity().contracts, path)


async def test_a_process_without_a_compiler_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no Solidity compiler"):
        await contracts.compile_verifier(None, tmp_path / "verifier.sol")
    with pytest.raises(ConfigurationError, match="no verifier contract"):
        await contracts.compile_verifier(solidity().contracts, tmp_path / "verifier.sol")


async def provery(anvil: Anvil, home: Path, *words: str, code: int = 0, **env: str) -> dict[str, Any]:
    """`provery zkml deploy`, as an operator would."""
    settings = {
        "PROVERY_HOME": str(home),
        "PROVERY_ZKML_CHAIN_RPC": anvil.url,
        "PROVERY_ZKML_ETH_MNEMONIC": MNEMONIC,
        "PROVERY_ZKML_CONFIRMATIONS": "1",
        **env,
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", "zkml", "deploy", *words, "--json",
        env={**os.environ, **settings}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await child.communicate()
    assert child.returncode == code, (out + err).decode()
    assert MNEMONIC.encode() not in out + err
    found: dict[str, Any] = json.loads(out)
    return found


async def test_the_command_deploys_once_and_says_what_to_set(
    anvil: Anvil, chain: Chain, tmp_path: Path
) -> None:
    done = await provery(anvil, tmp_path)
    (one,) = done["contracts"]
    assert done["registry"] == address_of(contracts.creation_code(contracts.REGISTRY))
    assert done["setting"] == {"PROVERY_ZKML_REGISTRY": done["registry"]}
    assert (one["found"], done["deployer"], done["chain_id"]) == (False, chain.sender, chain.chain_id)
    assert 0 < done["gas"] < 700_000
    await onchain.check(chain, done["registry"])
    again = await provery(anvil, tmp_path, "--stream", "another")
    assert (again["registry"], again["contracts"][0]["found"], again["gas"]) == (done["registry"], True, 0)
    assert await anvil.count(chain.sender) == 1
    other = await provery(anvil, tmp_path, "--salt", "1", "--eth-account-index", "2")
    assert other["registry"] != done["registry"]
    assert other["deployer"] == address(2)
    print(f"registry: {done['gas']} gas")

    too_dear = await provery(anvil, tmp_path, "--salt", "2", "--max-gas-price", "0.0000001", code=7)
    assert "gas costs more than is allowed" in too_dear["error"]["message"]
    nobody = await provery(anvil, tmp_path, code=7, PROVERY_ZKML_ETH_MNEMONIC="")
    assert "PROVERY_ZKML_ETH_MNEMONIC" in nobody["error"]["message"]
    nowhere = await provery(anvil, tmp_path, code=7, PROVERY_ZKML_CHAIN_RPC="")
    assert "PROVERY_ZKML_CHAIN_RPC" in nowhere["error"]["message"]
