"""A HotShot network, an Ethereum node with a light client, and the hotshot system between them, in one process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from provery.chain import open_chain
from provery.core.errors import ProveryError
from provery.core.lanes import Chain, Contract, Policy, Receipt, State
from provery.core.ports import Deps, Progress, Proof, StageContext, StageOutput, Statement
from provery.core.sending import send
from provery.core.types import ArtifactRef, Stage, StageInput, Work
from provery.local.anvil import MNEMONIC
from provery.stores.artifacts import open_store
from provery.stores.files import FileStore
from provery.stores.ledger import SqlLedger, open_ledger
from provery.systems.hotshot import contracts
from provery.systems.hotshot.abi import ERRORS
from provery.systems.hotshot.deploying import Code, Setup, deploy
from provery.systems.hotshot.model import LightClientState, StakeTableState
from provery.systems.hotshot.network.chain import Chain as Network
from provery.systems.hotshot.network.server import NetworkServer
from provery.systems.hotshot.network.validators import Changes, Validators
from provery.systems.hotshot.system import HotShotSystem
from tests.support.anvil import Anvil, address
from tests.support.anvil import account as anvil_account

STREAM = "demo"
ANY_PROOF = bytes.fromhex("6000600053" + "60016000f3")
"""Creation code of a verifier that refuses no proof: what is tested with it are the rules around proofs."""
BEGINNING = LightClientState(0, 0, 0)
SUBMITTER = 7


class Stamp:
    """A prover whose proof is 256 zeros: for contracts that take any proof."""

    name, compresses = "native", False

    async def verifying_key(self, circuit: str) -> str:
        return "ab" * 32

    async def prove(self, statement: Statement, into: Path, progress: Progress) -> Proof:
        (into / "native_proof.bin").write_bytes(bytes(256))
        return Proof({"native_proof.bin": into / "native_proof.bin"}, {"verifying_key": "ab" * 32})

    async def compress(self, statement: Statement, proof: Any, into: Path, progress: Progress) -> Proof:
        raise AssertionError("there is no such stage")

    async def verify(self, statement: Statement, proof: Any) -> dict[str, str]:
        return {"verifying_key": "ab" * 32}

    async def close(self) -> None: ...


@dataclass
class Rig:
    """Everything that a stream needs, and the stages by hand."""

    system: HotShotSystem
    deps: Deps
    ledger: SqlLedger
    artifacts: FileStore
    anvil: Anvil
    proxy: str
    env: dict[str, str]
    outputs: dict[tuple[str, str], StageOutput] = field(default_factory=dict)

    async def due(self, first: int | None = None, last: int | None = None) -> list[Work]:
        return await self.system.discover(STREAM, first, last)

    def context(
        self, work: Work, stage: Stage, inputs: tuple[ArtifactRef, ...], facts: dict[str, str]
    ) -> StageContext:
        plan = work.plan.of(stage)
        assert plan is not None
        given = StageInput(work.unit, plan, inputs, facts)
        return StageContext(
            given, inputs, self.artifacts, self.ledger, lambda *_: None, "memo", "request", plan.prover
        )

    async def stage(self, work: Work, stage: Stage) -> StageOutput:
        """Run a stage after those before it; each once."""
        known = self.outputs.get((work.unit.key, stage.value))
        if known is not None:
            return known
        order = [s.stage for s in work.plan.stages]
        inputs: tuple[ArtifactRef, ...] = ()
        facts: dict[str, str] = {}
        for before in order[: order.index(stage)]:
            output = await self.stage(work, before)
            inputs, facts = output.outputs, {**facts, **output.facts}
        (found,) = await self.system.run_stage(stage.value, [self.context(work, stage, inputs, facts)])
        if isinstance(found, ProveryError):
            raise found
        self.outputs[work.unit.key, stage.value] = found
        return found

    async def submit(self, work: Work) -> tuple[State, Receipt | None]:
        """What a lane does of it in fair weather: ask for the call, ask what the contract says, and send it."""
        verified = await self.stage(work, Stage.VERIFY)
        call = await self.system.call(self.context(work, Stage.SUBMIT, verified.outputs, {}))
        standing = await self.system.standing(STREAM, work.unit.ordinal, call)
        if standing.state is not State.READY:
            return standing.state, None
        chain = await self.system.chain(STREAM)
        return standing.state, await send(chain, call, await self.system.policy(STREAM), lambda _: None)


async def put_light_client(
    anvil: Anvil, setup: Setup, verifier: bytes = ANY_PROOF, client: str = contracts.GROTH16
) -> str:
    """Deploy a light client; its proxy's address."""
    chain: Chain = await open_chain([anvil.url], anvil_account(0), Contract(ERRORS))
    try:
        code = Code(verifier, contracts.creation_code(client), contracts.creation_code(contracts.PROXY))
        return (await deploy(chain, code, setup, policy=Policy())).proxy
    finally:
        await chain.close()


def setup_of(table: StakeTableState, *, blocks: int = 10, start: int = 1, **more: Any) -> Setup:
    """A light client before a network's first block."""
    return Setup(BEGINNING, table, blocks, start, more.pop("owner", address(0)), **more)


def network(
    *, validators: int = 5, capacity: int = 10, changes: Changes = Changes.MEMBERS, seed: str = "rig"
) -> Network:
    return Network(Validators(seed, validators, capacity, changes), blocks_per_epoch=10)


@asynccontextmanager
async def serving(chain: Network) -> AsyncIterator[NetworkServer]:
    server = NetworkServer(chain)
    await server.start()
    try:
        yield server
    finally:
        await server.close()


@asynccontextmanager
async def rig(
    tmp_path: Path,
    anvil: Anvil,
    proxy: str,
    relay_url: str,
    sequencer_url: str,
    *,
    capacity: int = 10,
    scheme: str = "groth16",
    statements: Any = None,
) -> AsyncIterator[Rig]:
    """The system over these servers."""
    env = {
        "ESPRESSO_STATE_RELAY_SERVER_URL": relay_url,
        "ESPRESSO_SEQUENCER_URL": sequencer_url,
        "ESPRESSO_SEQUENCER_L1_PROVIDER": anvil.url,
        "ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS": proxy,
        "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
        "ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX": str(SUBMITTER),
        "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": str(capacity),
        "PROVERY_HOTSHOT_SCHEME": scheme,
        "PROVERY_HOTSHOT_CONFIRMATIONS": "1",
    }
    async with AsyncExitStack() as stack:
        ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        stack.push_async_callback(ledger.close)
        artifacts = open_store((tmp_path / "artifacts").as_uri(), cache=tmp_path / "cache", env={})
        assert isinstance(artifacts, FileStore)
        stack.push_async_callback(artifacts.close)
        unused: Any = None
        provers = statements or {"native": Stamp()}
        deps = Deps(artifacts, ledger, unused, unused, {}, env, tmp_path, provers, open_chain=open_chain)
        system = HotShotSystem.from_deps(deps)
        stack.push_async_callback(system.close)
        yield Rig(system, deps, ledger, artifacts, anvil, proxy, env)
