"""A light client whose verifier is of another key is found before anything is proved: real keys, on a real node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from provery.local import ROOT
from provery.provers.statement_native import NativeStatements
from provery.provers.tools import Tools
from provery.systems.hotshot import contracts, discovery, verifier
from provery.systems.hotshot.errors import VerifierMismatch
from provery.systems.hotshot.reading import LightClient
from tests.support.anvil import Anvil
from tests.support.hotshot_rig import ANY_PROOF, Rig, Stamp, network, put_light_client, rig, serving, setup_of
from tests.support.light_client import compile_now

pytestmark = pytest.mark.e2e
PROGRAM = str(Tools.find({}, ROOT / ".provery").native)
CIRCUITS = {"groth16": "self-test", "plonk": "self-test-plonk"}
"""Their keys are made in a second; their verifiers differ from the large circuits' in the number of inputs."""
CLIENTS = {"groth16": contracts.GROTH16, "plonk": contracts.PLONK}


class Keyed(Stamp):
    """Has real keys, of a small circuit, in a folder of its own; makes no proof."""

    def __init__(self, folder: Path, scheme: str) -> None:
        env = {"PROVERY_PROVER_BIN": PROGRAM, "PROVERY_STATEMENT_KEYS": str(folder / "keys")}
        self.native, self.circuit, self.asked = NativeStatements(env, folder, 1), CIRCUITS[scheme], 0

    async def verifying_key(self, circuit: str) -> str:
        return await self.native.verifying_key(self.circuit)

    async def verifier(self, circuit: str, key: str) -> str:
        self.asked += 1
        return await self.native.verifier(self.circuit, key)

    async def creation(self) -> bytes:
        """Creation code of the verifier of its key."""
        source = await self.verifier("", await self.verifying_key(""))
        found = [one for one in compile_now({"verifier.sol": source}).contracts.values() if one.creation]
        return max((one.creation for one in found), key=len)

    async def close(self) -> None:
        await self.native.close()


@pytest.fixture
async def anvil(tmp_path: Path) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path) as node:
        yield node


@pytest.mark.parametrize("scheme", list(CIRCUITS))
async def test_another_key_than_the_light_clients_is_told_at_discovery(
    tmp_path: Path, anvil: Anvil, scheme: str
) -> None:
    chain = network(seed=scheme)
    chain.advance(33)
    async with AsyncExitStack() as stack:
        ours, theirs = Keyed(tmp_path / "ours", scheme), Keyed(tmp_path / "theirs", scheme)
        stack.push_async_callback(ours.close)
        stack.push_async_callback(theirs.close)
        setup = setup_of(chain.validators.commitment(0))
        proxy = await put_light_client(anvil, setup, await ours.creation(), CLIENTS[scheme])
        server = await stack.enter_async_context(serving(chain))

        async def with_keys_of(prover: Stamp, home: str, client: str = proxy) -> Rig:
            return await stack.enter_async_context(
                rig(
                    tmp_path / home, anvil, client, server.relay_url, server.sequencer_url,
                    scheme=scheme, statements={"native": prover},
                )
            )  # fmt: skip

        good = await with_keys_of(ours, "good")
        asked = ours.asked
        assert [work.unit.key for work in await good.due()] == ["epoch-1", "epoch-2", "epoch-3", "state-33"]
        assert len(await good.due()) == 4
        assert ours.asked == asked + 1, "a key is compared once with a verifier"

        bad = await with_keys_of(theirs, "bad")
        key = await theirs.verifying_key("")
        contract: LightClient = await bad.system._streams.get("demo").contract()
        with pytest.raises(VerifierMismatch) as told:
            await bad.due()
        said = str(told.value)
        assert {await contract.verifier(), proxy.lower(), key} <= set(
            said.replace(",", "").replace(";", "").split()
        )
        assert "provery circuits use" in said
        assert "provery hotshot deploy" in said
        with pytest.raises(VerifierMismatch):  # asked for by hand
            await discovery.epoch_work(bad.system._streams.get("demo"), 1)

        # What refuses nothing has no key at all; and a prover that names no verifier may prove for any contract.
        loose = await put_light_client(anvil, setup, ANY_PROOF, CLIENTS[scheme])
        with pytest.raises(VerifierMismatch):
            await (await with_keys_of(ours, "loose", loose)).due()
        assert len(await (await with_keys_of(Stamp(), "any")).due()) == 4


@pytest.mark.parametrize("scheme", list(CIRCUITS))
async def test_every_coordinate_of_a_key_is_in_its_verifiers_code(tmp_path: Path, scheme: str) -> None:
    keyed = Keyed(tmp_path, scheme)
    try:
        source = await keyed.verifier("", await keyed.verifying_key(""))
        found = verifier.coordinates(source)
        # Groth16: alpha, three points of G2, and one for each input and one more; PLONK: eight commitments and the
        # SRS's second power in G2, of which the first is the same for every SRS.
        assert len(found) >= {"groth16": 2 + 12 + 4, "plonk": 16 + 4}[scheme]
        assert len(set(found)) == len(found)
        code = await keyed.creation()
        assert all(number in code for number in found)
    finally:
        await keyed.close()


async def test_a_light_client_need_not_name_a_verifier(anvil: Anvil) -> None:
    refuses, says_nothing = ("0x" + f"{n:040x}" for n in (0xE1, 0xE2))
    await anvil.put_code(refuses, "0x5f5ffd")  # PUSH0 PUSH0 REVERT
    await anvil.put_code(says_nothing, "0x00")  # STOP
    chain = await anvil.open(0)
    assert [await LightClient(chain, at).verifier() for at in (refuses, says_nothing)] == ["", ""]
    await chain.close()


def test_only_random_coordinates_count() -> None:
    source = f"""
      uint256 constant P = {2**253}; uint256 private constant G1_SRS_X = 1;
      uint256 private constant PROOF_L_COM_X = 0x20; uint256 constant ALPHA_X = {2**250 + 7};
      uint256 constant PUB_12_Y={hex(2**249 + 5)} ; uint256 constant BETA_NEG_X_1 = {2**247};
    """
    wanted = [2**250 + 7, 2**249 + 5, 2**247]
    assert [int.from_bytes(number, "big") for number in verifier.coordinates(source)] == wanted
    assert len(verifier.coordinates(source)[2]) == 31
