"""The light-client contract as it stands: read through the stream's account, all at one block of its chain."""

from __future__ import annotations

import asyncio

from eth_utils.address import to_checksum_address

from provery.core.abi import Function
from provery.core.errors import ConfigurationError, Reverted
from provery.core.lanes import Chain
from provery.core.types import digest_json
from provery.systems.hotshot import abi
from provery.systems.hotshot.advance import Held
from provery.systems.hotshot.errors import ContractError, EpochAlreadyStarted

OUR_VERSION = 2


class LightClient:
    """A light-client contract.

    Args:
        chain: The account that asks.
        address: Of the contract's proxy.
    """

    def __init__(self, chain: Chain, address: str) -> None:
        self.chain, self.address = chain, address
        self._valid = False

    async def validate(self) -> None:
        """Refuse what is no light client of version 2 behind a proxy. Asked once.

        Raises:
            ConfigurationError: it is not one, and what to do.
            ContractError: the contract cannot be read.
        """
        if self._valid:
            return
        if not await self.chain.storage(self.address, abi.IMPLEMENTATION_SLOT):
            raise ConfigurationError(
                "the light-client address is not that of a proxy",
                value=self.address,
                expected="a contract with an implementation behind it (EIP-1967)",
                action="give the proxy's address: an implementation of its own has another state",
            )
        major, minor, patch = await self._read(abi.VERSION)
        if major != OUR_VERSION:
            older = isinstance(major, int) and major < OUR_VERSION
            wrong = EpochAlreadyStarted if older else ConfigurationError
            raise wrong(
                f"the light-client contract is of version {major}.{minor}.{patch}",
                value=self.address,
                expected=f"version {OUR_VERSION}, whose stake tables change with the epochs",
                action="have its owner upgrade it" if older else "take a release that knows this version",
            )
        self._valid = True

    async def held(self) -> Held:
        """What it holds now, all at the newest block.

        Raises:
            ContractError: it cannot be read.
            SinkUnavailable: no endpoint answers.
        """
        number = (await self.chain.head()).number
        block = hex(number)
        found, voting, length, start, enabled, prover = await asyncio.gather(
            self._read(abi.FINALIZED_STATE, block),
            self._read(abi.VOTING_STAKE_TABLE, block),
            self._read(abi.BLOCKS_PER_EPOCH, block),
            self._read(abi.EPOCH_START_BLOCK, block),
            self._read(abi.PERMISSIONED, block),
            self._read(abi.PERMISSIONED_PROVER, block),
        )
        return Held(
            finalized=abi.state_of(found),
            voting=abi.stake_table_of(voting),
            blocks_per_epoch=int(str(length[0])),
            epoch_start_block=int(str(start[0])),
            prover=str(prover[0]).lower() if enabled[0] else "",
            block=number,
        )

    async def network(self) -> str:
        """Sixteen hexadecimal digits of what it began with: another network's contract has others."""
        words = (*await self._read(abi.GENESIS_STATE), *await self._read(abi.GENESIS_STAKE_TABLE))
        return digest_json([str(word) for word in words])[:16]

    async def verifier(self) -> str:
        """Address of the contract that checks its proofs; empty where it names none.

        Raises:
            SinkUnavailable: no endpoint answers.
        """
        try:
            answer = await self.chain.read(self.address, abi.VERIFIER.call())
        except Reverted:
            return ""
        return str(to_checksum_address(str(abi.VERIFIER.read(answer)[0]))) if answer else ""

    async def _read(self, function: Function, block: str = "latest") -> tuple[object, ...]:
        try:
            return function.read(await self.chain.read(self.address, function.call(), block=block))
        except Reverted as error:
            raise ContractError(
                f"the light-client contract does not answer {function.signature}: {error}",
                value=self.address,
                action="check the contract's address and the L1 endpoints",
            ) from error
