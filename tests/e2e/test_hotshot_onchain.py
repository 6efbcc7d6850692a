"""Real proofs of a small network's states, landed on a light client that the command line deployed."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from eth_abi.abi import encode

from provery.core.errors import Reverted
from provery.core.factory import FACTORY, address_of
from provery.core.lanes import Call, Chain
from provery.core.sending import send
from provery.local import ROOT
from provery.local.anvil import MNEMONIC
from provery.provers.statement_native import NativeStatements
from provery.provers.tools import Tools
from provery.systems.hotshot import abi, contracts
from provery.systems.hotshot.deploying import Setup
from provery.systems.hotshot.model import LightClientState, StakeTableState
from provery.systems.hotshot.network.chain import Chain as Network
from provery.systems.hotshot.network.validators import Changes, Validators
from provery.systems.hotshot.tagged import format_stake_state
from provery.systems.hotshot.verifier import coordinates
from tests.support.anvil import Anvil
from tests.support.hotshot_proofs import CHECKS, Proved, check_call, circuit, prove, verify_gas
from tests.support.light_client import POLICY

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
PROGRAM = str(Tools.find({}, ROOT / ".provery").native)
CAPACITY, VALIDATORS, LENGTH = 10, 5, 10
SEED = "on chain"
GAS_LIMITS = {"groth16": 290_000, "plonk": 315_000}
"""Of a transaction that only verifies."""


def network() -> Network:
    """A network whose stake table changes every epoch."""
    return Network(
        Validators(SEED, VALIDATORS, CAPACITY, Changes.MEMBERS), blocks_per_epoch=LENGTH, participation=100
    )


@asynccontextmanager
async def served() -> AsyncIterator[str]:
    """The same network over HTTP: the sequencer's URL."""
    options = {"seed": SEED, "validators": VALIDATORS, "capacity": CAPACITY, "epoch-height": LENGTH}
    argv = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.systems.hotshot.network", *argv, "--stake-changes", Changes.MEMBERS,
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert child.stdout is not None
        yield str(json.loads(await child.stdout.readline())["sequencer_url"])
    finally:
        child.terminate()
        await child.wait()


@dataclass
class Rig:
    """One scheme's keys, a node, and an account on it."""

    home: Path
    keys: Path
    scheme: str
    anvil: Anvil
    chain: Chain
    native: NativeStatements

    async def cli(self, *words: str, code: int = 0, **env: str) -> dict[str, Any]:
        """`provery hotshot deploy`, as an operator would."""
        settings = {
            "PROVERY_HOME": str(self.home),
            "PROVERY_PROVER_BIN": PROGRAM,
            "PROVERY_STATEMENT_KEYS": str(self.keys),
            "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
            "ESPRESSO_SEQUENCER_L1_PROVIDER": self.anvil.url,
            "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": str(CAPACITY),
            "PROVERY_HOTSHOT_SCHEME": self.scheme,
            "PROVERY_HOTSHOT_CONFIRMATIONS": "1",
            **env,
        }
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "provery.cli", "hotshot", "deploy", *words, "--json",
            env={**os.environ, **settings}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, err = await child.communicate()
        assert child.returncode == code, (out + err).decode()
        found: dict[str, Any] = json.loads(out)
        return found

    async def prove(self, height: int) -> Proved:
        """Prove a state of the network."""
        folder = self.home / "proofs"
        folder.mkdir(exist_ok=True)
        return await prove(self.native, network(), height, self.scheme, folder)

    async def submit(self, proxy: str, data: str) -> int:
        """Land a call; the gas that it used."""
        return (await send(self.chain, Call(proxy, data, method="submit"), POLICY, lambda _: None)).gas_used


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of both circuits, made once."""
    return tmp_path_factory.mktemp("keys")


@pytest.fixture(params=["groth16", "plonk"])
async def rig(request: pytest.FixtureRequest, tmp_path: Path, keys: Path) -> AsyncIterator[Rig]:
    env = {"PROVERY_PROVER_BIN": PROGRAM, "PROVERY_STATEMENT_KEYS": str(keys)}
    native = NativeStatements(env, tmp_path, 1)
    try:
        async with Anvil(tmp_path) as anvil:
            chain = await anvil.open(0, abi.ERRORS)
            try:
                yield Rig(tmp_path, keys, request.param, anvil, chain, native)
            finally:
                await chain.close()
    finally:
        await native.close()


@pytest.mark.timeout(900)
async def test_a_network_is_followed_from_deployment_over_two_epochs(rig: Rig) -> None:
    async with served() as sequencer:
        done = await rig.cli("--sequencer-url", sequencer)
        assert [c["name"] for c in done["contracts"]] == ["verifier", "implementation", "proxy"]
        assert not any(c["found"] for c in done["contracts"])
        assert all(c["gas"] > 20_000 and int(c["fee"]) > 0 for c in done["contracts"])
        assert done["circuit"] == circuit(CAPACITY, rig.scheme)
        assert (done["insecure"], done["upgraded"]) == (True, False)
        sent = await rig.anvil.count(rig.chain.sender)

        again = await rig.cli("--sequencer-url", sequencer)
        assert all(c["found"] and not c["gas"] for c in again["contracts"])
        assert again["proxy"] == done["proxy"]
        assert await rig.anvil.count(rig.chain.sender) == sent, "nothing is sent twice"
        assert (await rig.cli("--sequencer-url", sequencer, "--salt", "1"))["proxy"] != done["proxy"]

    proxy, verifier = done["proxy"], done["contracts"][0]["address"]
    numbers = coordinates(await rig.native.verifier(done["circuit"], done["verifying_key"]))
    code = await rig.chain.code(verifier)
    assert numbers
    assert all(number in code for number in numbers), "discovery knows the verifier by them"
    first, within, second = await rig.prove(5), await rig.prove(12), await rig.prove(15)
    assert second.voting == first.next_stake
    assert second.next_stake != second.voting, "the stake table changes"
    gas = await verify_gas(rig.chain, rig.scheme, verifier, first)
    landed = await rig.submit(proxy, first.call)
    assert gas < GAS_LIMITS[rig.scheme]
    with pytest.raises(Reverted, match="OutdatedState"):
        await rig.submit(proxy, first.call)
    await rig.submit(proxy, within.call)
    later = await rig.submit(proxy, second.call)
    print(f"{rig.scheme}: verify {gas} gas, submit {landed} and {later}, deploy {done['gas']}")
    held = abi.state_of(abi.FINALIZED_STATE.read(await rig.chain.read(proxy, abi.FINALIZED_STATE.call())))
    assert held == second.state
    voting = abi.VOTING_STAKE_TABLE.read(await rig.chain.read(proxy, abi.VOTING_STAKE_TABLE.call()))
    assert abi.stake_table_of(voting) == second.next_stake


@pytest.mark.timeout(900)
async def test_every_public_input_changed_alone_is_rejected_on_chain(rig: Rig) -> None:
    done = await rig.cli(*_genesis(network()))
    proxy, verifier = done["proxy"], done["contracts"][0]["address"]
    changing, proved = await rig.prove(15), await rig.prove(5)
    assert len(set(changing.inputs)) == 11, "views run ahead, and the tables differ in every column"
    assert await _holds(rig, verifier, changing.proof, changing.inputs)

    # The verifier, input by input: the next number, and the same one beyond the field.
    for place in range(11):
        for change in (1, abi.SCALAR_FIELD):
            inputs = list(changing.inputs)
            inputs[place] += change
            assert not await _holds(rig, verifier, changing.proof, tuple(inputs)), (
                f"input {place} by {change}"
            )
    for place in range(0, len(changing.proof), 32):
        damaged = bytearray(changing.proof)
        damaged[place + 31] ^= 1
        assert not await _holds(rig, verifier, bytes(damaged), changing.inputs), f"byte {place + 31}"
    for wrong in (b"", changing.proof[:-1], changing.proof + b"\0", bytes(len(changing.proof))):
        assert not await _holds(rig, verifier, wrong, changing.inputs)

    # The light client: what the sender chooses …
    state, table = proved.state, proved.next_stake
    sent = [
        (replace(state, view=state.view + 1), table),
        (replace(state, block_comm_root=state.block_comm_root ^ 1), table),
        *((state, replace(table, **{name: value + 1})) for name, value in vars(table).items()),
        (replace(state, height=15), table),
    ]
    for new_state, new_table in sent:
        with pytest.raises(Reverted, match=r"InvalidProof|MissingEpochRootUpdate"):
            await rig.submit(proxy, abi.submit_call(new_state, new_table, proved.proof))
    for wrong in (b"", proved.proof + b"\0", bytes(len(proved.proof))):
        with pytest.raises(Reverted, match="InvalidProof"):
            await rig.submit(proxy, abi.submit_call(state, table, wrong))
    # … and what the contract holds: light clients with another voting table in one column.
    for name, value in vars(proved.voting).items():
        other = await _another(rig, done, replace(proved.voting, **{name: value + 1}))
        with pytest.raises(Reverted, match="InvalidProof"):
            await rig.submit(other, proved.call)
    await rig.submit(await _another(rig, done, proved.voting), proved.call)
    await rig.submit(proxy, proved.call)


def _genesis(chain: Network) -> list[str]:
    """Options of a deployment that asks no sequencer."""
    table = format_stake_state(chain.validators.commitment(1))
    return [
        "--genesis-stake-table", table, "--blocks-per-epoch", str(LENGTH), "--epoch-start-block", "1",
    ]  # fmt: skip


async def _holds(rig: Rig, verifier: str, proof: bytes, inputs: tuple[int, ...]) -> bool:
    """Whether the generated verifier accepts: Groth16's reverts where it does not, PLONK's answers false."""
    try:
        answer = await rig.chain.read(verifier, check_call(rig.scheme, proof, inputs))
    except Reverted:
        return False
    return CHECKS[rig.scheme].read(answer) in ((), (True,))


async def _another(rig: Rig, done: dict[str, Any], voting: StakeTableState) -> str:
    """A light client of the same code with another voting table: only its proxy is new."""
    start = Setup(LightClientState(0, 0, 0), voting, LENGTH, 1, rig.chain.sender, retention_s=3_601)
    arguments = encode(["address", "bytes"], [done["implementation"], bytes.fromhex(start.call()[2:])])
    creation = contracts.creation_code(contracts.PROXY) + arguments
    await rig.submit(FACTORY, "0x" + (bytes(32) + creation).hex())
    return address_of(creation, bytes(32))
