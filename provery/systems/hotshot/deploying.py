"""Puts a light client on a chain: its verifier, the code, and the proxy that keeps the state.

Every contract goes through the deterministic deployment proxy, by CREATE2: its address follows from its code and
constructor arguments, so that a deployment that is repeated, or goes on after an interruption, finds what is there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from provery.core import factory
from provery.core.errors import InvalidInput
from provery.core.lanes import Chain, Policy
from provery.systems.hotshot import abi
from provery.systems.hotshot.contract_rules import NOBODY, LightClientContract, Refused
from provery.systems.hotshot.model import LightClientState, StakeTableState

RETENTION_S = 8 * 24 * 3600
"""Seconds for which a light client keeps its history unless told otherwise."""


@dataclass(frozen=True)
class Code:
    """Creation codes, without constructor arguments."""

    verifier: bytes
    client: bytes
    proxy: bytes


@dataclass(frozen=True)
class Setup:
    """What a light client starts from."""

    genesis: LightClientState
    stake_table: StakeTableState
    blocks_per_epoch: int
    epoch_start_block: int
    owner: str
    """0x and 40 digits: may upgrade and name the permissioned prover."""
    permissioned_prover: str = NOBODY
    retention_s: int = RETENTION_S

    def call(self) -> str:
        """The call that initialises a light client.

        Raises:
            InvalidInput: no contract would take it, or a value is out of range.
        """
        contract = LightClientContract(
            self.genesis,
            self.stake_table,
            self.blocks_per_epoch,
            self.epoch_start_block,
            self.permissioned_prover,
        )
        try:
            contract.check_setup()
        except Refused as refused:
            raise InvalidInput(
                f"a light client cannot start from this ({refused.error})",
                value=f"height {self.genesis.height}, {self.blocks_per_epoch} blocks an epoch from "
                f"{self.epoch_start_block}, threshold {self.stake_table.threshold}",
                expected="epochs of more than 5 blocks, a genesis not past its epoch's root, a stake table",
            ) from None
        elements = (self.genesis.block_comm_root, *abi.stake_table_words(self.stake_table))
        if max(elements) >= abi.SCALAR_FIELD:
            raise InvalidInput("a commitment is not in BN254's scalar field", value=max(elements))
        return abi.INITIALIZE.call(
            (
                abi.state_words(self.genesis),
                abi.stake_table_words(self.stake_table),
                self.blocks_per_epoch,
                self.epoch_start_block,
                self.retention_s,
                self.owner,
                self.permissioned_prover,
            )
        )


@dataclass(frozen=True)
class Deployment:
    """A light client on a chain."""

    contracts: tuple[factory.Deployed, ...]
    implementation: str
    """What the proxy points to now: another one where it was upgraded since."""
    finalized: LightClientState
    """Where it stands."""

    @property
    def proxy(self) -> str:
        """The light client's address."""
        return self.contracts[-1].address

    @property
    def upgraded(self) -> bool:
        """Whether the proxy that was found has another implementation by now."""
        return self.implementation.lower() != self.contracts[-2].address.lower()


def creations(code: Code, setup: Setup, salt: bytes) -> tuple[tuple[str, bytes], ...]:
    """The contracts by name, in order, with their whole creation codes."""
    implementation = code.client + encode(["address"], [factory.address_of(code.verifier, salt)])
    start = bytes.fromhex(setup.call()[2:])
    proxy = code.proxy + encode(["address", "bytes"], [factory.address_of(implementation, salt), start])
    return ("verifier", code.verifier), ("implementation", implementation), ("proxy", proxy)


async def check(chain: Chain, setup: Setup) -> None:
    """Find out what can be found out before anything is compiled or sent.

    Raises:
        ConfigurationError: the chain lacks the deployment proxy.
        InvalidInput: no light client can start from the set-up.
        SinkUnavailable: no endpoint answers.
    """
    setup.call()
    await factory.check(chain)


async def deploy(
    chain: Chain,
    code: Code,
    setup: Setup,
    *,
    policy: Policy,
    salt: bytes = bytes(32),
    say: Callable[[str], None] = lambda _: None,
) -> Deployment:
    """Put a light client on a chain, or find it there.

    Args:
        chain: The account that pays; nothing else may send from it meanwhile.
        code: What was compiled.
        setup: What the light client starts from.
        policy: What gas may cost, and when a transaction counts as done.
        salt: 32 bytes: another salt makes another light client of the same set-up.
        say: Told each step.

    Raises:
        ConfigurationError: the chain lacks the deployment proxy, gas costs more than allowed, or the account lacks
            funds.
        InvalidInput: no light client can start from the set-up.
        Reverted: the chain refuses a contract.
        SinkUnavailable: no endpoint answers.
    """
    wanted = creations(code, setup, salt)
    await check(chain, setup)
    done = [
        await factory.create(chain, name, creation, policy, salt=salt, say=say) for name, creation in wanted
    ]
    proxy = done[-1].address
    word = await chain.storage(proxy, abi.IMPLEMENTATION_SLOT)
    state = abi.FINALIZED_STATE.read(await chain.read(proxy, abi.FINALIZED_STATE.call()))
    return Deployment(tuple(done), str(to_checksum_address(f"0x{word:040x}")), abi.state_of(state))
