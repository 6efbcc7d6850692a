"""Light clients on anvil: with a verifier that takes the hash of the public inputs for a proof, or a generated one."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from eth_abi.abi import encode

from provery.chain.solidity import Build, Solidity, read_sources
from provery.core.abi import Function, keccak256
from provery.core.lanes import Call, Chain, Policy, Receipt
from provery.core.sending import send
from provery.local import ROOT
from provery.local.toolchain import evm_modules, find
from provery.systems.hotshot import abi, contracts, deploying
from provery.systems.hotshot.contract_rules import LightClientContract
from provery.systems.hotshot.deploying import Code, Deployment, Setup
from provery.systems.hotshot.model import LightClientState, StakeTableState
from tests.support.anvil import Anvil, address

HASH_VERIFIER = ROOT / "tests/contracts/hotshot/HashVerifier.sol"
TABLE = StakeTableState(bls=0xB15, schnorr=0x5C8, amount=0xA40, threshold=34)
NEXT = StakeTableState(bls=0xB16, schnorr=0x5C9, amount=0xA41, threshold=35)
POLICY = Policy(stuck_after_s=20.0)
LENGTH = 10
"""Blocks of an epoch."""


def compile_now(sources: dict[str, str]) -> Build:
    """Compile, in a loop of its own: a test's may be running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, Solidity(find("node"), evm_modules()).compile(sources)).result()


@cache
def fresh_build() -> Build:
    """The sources of the slice, compiled now, and the verifier of hashes with them."""
    return compile_now(
        {**read_sources(contracts.FOLDER), "HashVerifier.sol": HASH_VERIFIER.read_text(encoding="utf-8")}
    )


@cache
def hash_code() -> Code:
    """Creation codes with the verifier of hashes."""
    verifier = fresh_build().contracts["HashVerifier"].creation
    return Code(
        verifier, contracts.creation_code(contracts.GROTH16), contracts.creation_code(contracts.PROXY)
    )


def setup(owner: str = "", **other: Any) -> Setup:
    """Epochs of ten blocks from block 11 on, from the network's beginning."""
    base = Setup(LightClientState(0, 0, 0), TABLE, LENGTH, 11, owner or address(0))
    return replace(base, **other)


def hash_proof(state: LightClientState, voting: StakeTableState, next_stake: StakeTableState) -> bytes:
    """What the verifier of hashes takes for a proof."""
    inputs = abi.public_inputs(state, voting, next_stake)
    return keccak256(encode(["uint256[11]"], [inputs]))


@dataclass
class Client:
    """A light client, with the model that it has to agree with."""

    anvil: Anvil
    chain: Chain
    deployment: Deployment
    model: LightClientContract

    @classmethod
    async def deploy(
        cls, anvil: Anvil, chain: Chain, start: Setup, *, code: Code | None = None, salt: int = 0
    ) -> Client:
        """Put one on the chain."""
        done = await deploying.deploy(
            chain, code or hash_code(), start, policy=POLICY, salt=salt.to_bytes(32)
        )
        model = LightClientContract(
            start.genesis,
            start.stake_table,
            start.blocks_per_epoch,
            start.epoch_start_block,
            start.permissioned_prover,
        )
        return cls(anvil, chain, done, model)

    @property
    def address(self) -> str:
        """Its proxy."""
        return self.deployment.proxy

    async def read(self, function: Function, *values: object) -> tuple[object, ...]:
        """Call a read."""
        return function.read(await self.chain.read(self.address, function.call(*values)))

    async def do(self, data: str, *, chain: Chain | None = None, to: str = "") -> Receipt:
        """Send a call; raises Reverted where it is refused."""
        call = Call(to or self.address, data, method="the call")
        return await send(chain or self.chain, call, POLICY, lambda _: None)

    def data(
        self, view: int, height: int, table: StakeTableState | None = None, proof: bytes | None = None
    ) -> str:
        """A submission with a right proof."""
        state, voting = LightClientState(view, height, 1000 + height), self.model.voting
        wanted = table or voting
        right = hash_proof(state, voting, wanted)
        return abi.submit_call(state, wanted, right if proof is None else proof)

    async def submit(self, view: int, height: int, table: StakeTableState | None = None) -> Receipt:
        """Submit a state; the model follows."""
        receipt = await self.do(self.data(view, height, table))
        state = LightClientState(view, height, 1000 + height)
        self.model = self.model.submit(self.chain.sender, state, table or self.model.voting)
        return receipt

    async def logs(self, receipt: Receipt) -> list[tuple[list[bytes], bytes]]:
        """Topics and data of what a transaction logged here."""
        found = await self.anvil.call("eth_getTransactionReceipt", receipt.hash)
        return [
            ([bytes.fromhex(t[2:]) for t in log["topics"]], bytes.fromhex(log["data"][2:]))
            for log in found["logs"]
            if log["address"].lower() == self.address.lower()
        ]
