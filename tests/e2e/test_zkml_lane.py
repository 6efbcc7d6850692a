"""Verifiers deployed and inferences attested through lanes, on a real Temporal server and a real chain."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from provery.core.abi import keccak256
from provery.core.lane_records import Phase, Submission, Wait
from provery.core.lanes import Chain, lane_id
from provery.core.types import UnitOutcome, UnitStatus, Work
from provery.systems.zkml.contracts import VERIFIER_CODE
from provery.systems.zkml.model import Answer
from provery.systems.zkml.onchain import abi
from provery.systems.zkml.onchain import calls as onchain
from provery.systems.zkml.onchain.lane import ANSWER
from tests.support.anvil import Anvil, address
from tests.support.attested import SENDER, attested_work, environment
from tests.support.engine import Engine, engine
from tests.support.registry import Proved, deploy_registry, land, prove

_chains = itertools.count(46_000)
pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def proved(tmp_path_factory: pytest.TempPathFactory) -> Proved:
    return await prove("plonk", tmp_path_factory.mktemp("keys"))


@dataclass
class Rig:
    """A registry on a chain, and an engine that submits to it."""

    anvil: Anvil
    engine: Engine
    chain: Chain
    """Another account than the lane's."""
    registry: str
    files: Path
    proved: Proved

    @property
    def verifier(self) -> str:
        return onchain.verifier_address(self.registry, self.proved.verifier)

    def model(self, key: str = "model-1") -> Work:
        return attested_work(key, self.files, {VERIFIER_CODE: self.proved.verifier}, kind="model")

    def inference(self, key: str, attest: str, call: bytes | None = None) -> Work:
        data = self.proved.call if call is None else call
        said = answer("0x" + data.hex(), self.verifier, self.hash(key))
        return attested_work(key, self.files, {ANSWER: said.write()}, kind="proof", attest=attest)

    def hash(self, key: str) -> str:
        return "0x" + keccak256(key.encode()).hex()

    async def submission(self, work: Work) -> Submission | None:
        unit = f"{work.unit.stream_id}/{work.unit.key}"
        return next(iter(await self.engine.environment.ledger.lanes.of_unit(unit)), None)

    async def until(self, work: Work, check: Callable[[Submission], object]) -> Submission:
        deadline = asyncio.get_running_loop().time() + 40
        while True:
            found = await self.submission(work)
            if found is not None and check(found):
                return found
            assert asyncio.get_running_loop().time() < deadline, f"did not happen in time: {found}"
            await asyncio.sleep(0.05)

    async def mined(self, what: Awaitable[UnitOutcome]) -> UnitOutcome:
        """Make blocks until a unit has ended."""
        task = asyncio.ensure_future(what)
        async with asyncio.timeout(60):
            while not task.done():
                await self.anvil.mine()
                await asyncio.sleep(0.2)
        return task.result()

    async def run(self, work: Work) -> UnitOutcome:
        return await self.mined(self.engine.run(work))

    async def verified(self, call: bytes) -> bool:
        data = abi.IS_INFERENCE_VERIFIED.call(self.verifier, keccak256(call))
        return abi.IS_INFERENCE_VERIFIED.read(await self.chain.read(self.registry, data)) == (True,)


@pytest_asyncio.fixture(loop_scope="session")
async def rig(server: WorkflowEnvironment, tmp_path: Path, proved: Proved) -> AsyncIterator[Rig]:
    chain_id, files = next(_chains), tmp_path / "files"
    async with Anvil(tmp_path / "anvil", chain_id=chain_id) as anvil:
        chain = await anvil.open(0, abi.ERRORS)
        registry = await deploy_registry(chain)
        settings: Any = environment(anvil.url, registry, files)
        async with engine(server, tmp_path / "home", **settings) as made:
            yield Rig(anvil, made, chain, registry, files, proved)
            lane = server.client.get_workflow_handle(lane_id(chain_id, address(SENDER)))
            await lane.terminate("the test is over")
        await chain.close()


def answer(calldata: str, verifier: str, proof_hash: str) -> Answer:
    """An answer with what a lane reads of it."""
    zero = "0x" + 64 * "0"
    return Answer(
        "m", "v", zero, zero, zero, "0x12", proof_hash, 1, "native", "plonk", "", (), (), (), (), "", "", "",
        calldata, verifier, 0, 0,
    )  # fmt: skip


async def test_a_proof_waits_for_its_verifier_and_both_land(rig: Rig) -> None:
    proof, model = rig.inference("proof-1", "proof"), rig.model()
    handle = await rig.engine.start(proof)
    waits = await rig.until(proof, lambda s: s.waits_for is Wait.EARLY)
    assert rig.verifier.lower() in waits.reason
    assert waits.transactions == ()
    deployed = await rig.run(model)
    assert deployed.status is UnitStatus.DONE, deployed.reason
    assert await rig.chain.code(rig.verifier)
    outcome = await rig.mined(handle.result())
    assert outcome.status is UnitStatus.DONE, outcome.reason
    assert await rig.verified(rig.proved.call)
    found = await rig.submission(proof)
    assert found is not None
    assert outcome.facts["transaction"] == found.transactions[0].hash
    assert [ref.name for ref in outcome.outputs] == [ANSWER], "the answer is the unit's result"
    held = await onchain.attestation(rig.chain, found.call)
    assert held is not None
    assert held.attester == address(SENDER).lower()
    assert await rig.anvil.count(address(SENDER)) == 2

    # The same unit again does nothing, and so does another of the same verifier: its code is there.
    again = await rig.engine.run(proof)
    assert (again.status, again.facts["transaction"]) == (UnitStatus.DONE, outcome.facts["transaction"])
    repeated = await rig.run(rig.model("model-again"))
    assert (repeated.status, rig.verifier in repeated.reason) == (UnitStatus.SKIPPED, True)
    assert await rig.anvil.count(address(SENDER)) == 2


@pytest.mark.parametrize("attest", ["hash", "proof"])
async def test_a_stranger_who_is_faster_takes_neither_answer_nor_receipt(rig: Rig, attest: str) -> None:
    await land(rig.chain, onchain.deploy_call(rig.registry, rig.proved.verifier))
    work = rig.inference("proof-b", attest)
    call = (
        onchain.attest_call(rig.registry, rig.hash("proof-b"))
        if attest == "hash"
        else onchain.attest_inference_call(rig.registry, rig.verifier, "0x" + rig.proved.call.hex())
    )
    theirs = await land(rig.chain, call)
    outcome = await rig.run(work)
    assert outcome.status is UnitStatus.DONE, outcome.reason
    assert [ref.name for ref in outcome.outputs] == [ANSWER]
    assert 0 < int(outcome.facts["gas_used"]) < theirs.gas_used
    held = await onchain.attestation(rig.chain, call)
    assert held is not None
    assert held.attester == rig.chain.sender.lower(), "the first counts"
    recorded = await rig.engine.run(work)
    assert [ref.name for ref in recorded.outputs] == [ANSWER]
    assert await rig.anvil.count(address(SENDER)) == 1


async def test_a_changed_proof_costs_nothing_and_is_not_attested(rig: Rig) -> None:
    await rig.run(rig.model())
    forged = rig.proved.data(rig.proved.proof, (0x24,))
    work = rig.inference("proof-forged", "proof", forged)
    with pytest.raises(WorkflowFailureError):
        await rig.run(work)
    refused = await rig.submission(work)
    assert refused is not None
    assert (refused.phase, refused.transactions) == (Phase.REVERTED, ())
    assert "ProofRejected" in refused.reason
    assert not await rig.verified(forged)
    assert await rig.anvil.count(address(SENDER)) == 1, "only the verifier's deployment was sent"


async def test_an_attestation_that_a_reorganisation_undoes_is_made_again(rig: Rig) -> None:
    work = rig.inference("proof-r", "hash")
    call = onchain.attest_call(rig.registry, rig.hash("proof-r"))
    handle = await rig.engine.start(work)
    landed = await rig.until(work, lambda s: s.phase is Phase.INCLUDED)
    await rig.anvil.automine(False)
    await rig.anvil.reorg(1)
    assert await onchain.attestation(rig.chain, call) is None
    outcome = await rig.mined(handle.result())
    assert outcome.status is UnitStatus.DONE, outcome.reason
    assert await onchain.attestation(rig.chain, call) is not None
    assert outcome.facts["transaction"] == landed.transactions[0].hash, "the same transaction, sent again"
    assert await rig.anvil.count(address(SENDER)) == 1
