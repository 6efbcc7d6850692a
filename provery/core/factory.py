"""Contracts at addresses that follow from their code: by CREATE2, through the deterministic deployment proxy.

A deployment that is repeated, or goes on after an interruption, finds what is there. It is signed outside any lane, by
an operator at the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from eth_utils.address import to_checksum_address

from provery.core.abi import keccak256
from provery.core.errors import ConfigurationError
from provery.core.lanes import Call, Chain, Policy, Receipt
from provery.core.sending import send

FACTORY = "0x4e59b44847b379578588920cA78FbF26c0B4956C"
"""The deterministic deployment proxy: data are a salt of 32 bytes and creation code. On nearly every public chain."""
FACTORY_CODE = bytes.fromhex(
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"
    "3601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
)
NO_SALT = bytes(32)


@dataclass(frozen=True)
class Deployed:
    """One contract, and what putting it there took."""

    name: str
    """Of the contract, for people."""
    address: str
    found: bool
    """It was there before: nothing was sent."""
    transaction: str = ""
    gas: int = 0
    fee: int = 0
    """Wei."""


def address_of(code: bytes, salt: bytes = NO_SALT, deployer: str = FACTORY) -> str:
    """Where CREATE2 puts creation code (EIP-1014), with a checksum.

    Args:
        code: Creation code, constructor arguments included.
        salt: 32 bytes.
        deployer: Contract that creates it, 0x and 40 digits.
    """
    made = keccak256(b"\xff" + bytes.fromhex(deployer[2:]) + salt + keccak256(code))
    return str(to_checksum_address(made[12:]))


async def check(chain: Chain) -> None:
    """Find out whether the chain has the deployment proxy.

    Raises:
        ConfigurationError: it lacks it.
        SinkUnavailable: no endpoint answers.
    """
    if await chain.code(FACTORY) != FACTORY_CODE:
        raise ConfigurationError(
            f"chain {chain.chain_id} has no deterministic deployment proxy",
            expected=f"its code at {FACTORY}",
            action="put it there: docs/contracts.md has its transaction",
        )


async def create(
    chain: Chain,
    name: str,
    creation: bytes,
    policy: Policy,
    *,
    salt: bytes = NO_SALT,
    say: Callable[[str], None] = lambda _: None,
) -> Deployed:
    """Put one contract on a chain, or find it there.

    Args:
        chain: The account that pays; nothing else may send from it meanwhile.
        name: For people.
        creation: Creation code, constructor arguments included.
        policy: What gas may cost, and when a transaction counts as done.
        salt: 32 bytes: another one makes another instance.
        say: Told each step.

    Raises:
        ConfigurationError: gas costs more than allowed, the account lacks funds, or endpoints disagree.
        Reverted: the chain refuses the contract.
        SinkUnavailable: no endpoint answers.
    """
    address = address_of(creation, salt)
    if await chain.code(address):
        say(f"{name}: found at {address}")
        return Deployed(name, address, found=True)
    say(f"{name}: goes to {address}")
    data = "0x" + (salt + creation).hex()
    receipt: Receipt = await send(chain, Call(FACTORY, data, method=f"create {name}"), policy, say)
    if not await chain.code(address):
        raise ConfigurationError(
            f"the {name} is not on the chain although its transaction succeeded",
            value=receipt.hash,
            action="check that every endpoint is of the same chain and in step, and run this again",
        )
    return Deployed(
        name, address, False, receipt.hash, receipt.gas_used, receipt.gas_used * receipt.gas_price
    )
