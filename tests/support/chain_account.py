"""Contracts, transactions and receipts for tests of an account on a real chain."""

import asyncio

from provery.chain.endpoint import Limits
from provery.chain.signers import keccak256
from provery.core.lanes import Chain, Receipt, Signed, Unsigned
from tests.support.anvil import GWEI, address

LIMITS = Limits(connect_s=3.0, read_s=3.0, total_s=6.0)
ERRORS = ("OutdatedState()", "Insufficient(uint256,uint256)")
# Reverts with the call data: CALLDATASIZE PUSH0 PUSH0 CALLDATACOPY CALLDATASIZE PUSH0 REVERT
ECHO_REVERT = "0x365f5f37365ffd"
# Returns the call data.
ECHO = "0x365f5f37365ff3"
# The first call sets slot 0; every later one reverts with OutdatedState():
# PUSH0 SLOAD PUSH1 10 JUMPI PUSH1 1 PUSH0 SSTORE STOP JUMPDEST PUSH4 … PUSH0 MSTORE PUSH1 4 PUSH1 28 REVERT
ONCE = f"0x5f54600a5760015f55005b63{keccak256(b'OutdatedState()')[:4].hex()}5f526004601cfd"
ECHO_REVERT_AT, ECHO_AT, ONCE_AT = ("0x" + f"{n:040x}" for n in (0xE1, 0xE2, 0xE3))


async def transfer(
    chain: Chain, nonce: int, fees: tuple[int, int] = (10 * GWEI, GWEI), value: int = 1
) -> Signed:
    return await chain.sign(Unsigned(nonce, address(1), "0x", value, 21_000, *fees))


async def mined(chain: Chain, signed: Signed) -> Receipt:
    """Its receipt: a node makes the block after it has answered."""
    for _ in range(250):
        receipt = await chain.receipt(signed.hash)
        if receipt is not None:
            return receipt
        await asyncio.sleep(0.02)
    raise AssertionError("not mined")


async def landed(chain: Chain, signed: Signed) -> bool:
    return (await mined(chain, signed)).succeeded


def insufficient(have: int, want: int) -> str:
    return keccak256(b"Insufficient(uint256,uint256)")[:4].hex() + f"{have:064x}{want:064x}"
