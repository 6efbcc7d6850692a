"""Anvil for tests: mining, fees, reorgs and kills by hand, and an account on it.

    async with Anvil(tmp_path) as anvil:
        chain = await anvil.open(0)
        await anvil.automine(False)
        ...
        await anvil.mine()

``kill_saved`` keeps the blocks that there are; a plain ``kill`` loses up to a second of them. ``start`` goes on from
there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from eth_utils.address import to_checksum_address

from provery.chain import open_chain
from provery.chain.ethaccount import Accounts
from provery.core.lanes import Account, Chain, Contract
from provery.local.anvil import CHAIN_ID, MNEMONIC, STATE_INTERVAL_S, AnvilServer

GWEI = 10**9
ETHER = 10**18


def account(index: int) -> Account:
    """One of anvil's ten rich accounts."""
    return Account(private_key=private_key(index))


def address(index: int) -> str:
    """Its checksummed address."""
    return str(_local(index).address)


def private_key(index: int) -> str:
    """Its key, 0x and 64 digits."""
    return "0x" + bytes(_local(index).key).hex()


@cache
def _local(index: int) -> Any:
    Accounts.enable_unaudited_hdwallet_features()
    return Accounts.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")


class Anvil(AnvilServer):
    """A node on a free port. See :class:`~provery.local.anvil.AnvilServer`."""

    def __init__(
        self,
        home: Path,
        *,
        port: int = 0,
        block_time_s: int = 0,
        chain_id: int = CHAIN_ID,
        options: Sequence[str] = (),
    ) -> None:
        super().__init__(home, port=port, block_time_s=block_time_s, chain_id=chain_id, options=options)

    async def open(self, index: int = 0, errors: Sequence[str] = (), *more: str) -> Chain:
        """An account on this node; ``more`` are further endpoints."""
        return await open_chain([self.url, *more], account(index), Contract(tuple(errors)))

    # ------------------------------------------------------------------ blocks

    async def mine(self, blocks: int = 1) -> None:
        """Make blocks now."""
        await self.call("anvil_mine", hex(blocks))

    async def automine(self, on: bool) -> None:
        """Whether each transaction makes a block at once. Off: it waits for :meth:`mine`."""
        await self.call("evm_setAutomine", on)

    async def block_every(self, seconds: int) -> None:
        """Make a block every so often; 0 for never."""
        await self.call("evm_setIntervalMining", seconds)

    async def next_base_fee(self, wei: int) -> None:
        """Base fee of the next block."""
        await self.call("anvil_setNextBlockBaseFeePerGas", hex(wei))

    async def pass_time(self, seconds: int) -> None:
        """Make the next block that much later."""
        await self.call("evm_increaseTime", seconds)

    async def reorg(self, depth: int, transactions: Sequence[tuple[str, int]] = ()) -> None:
        """Replace the newest blocks by as many others, with these (raw transaction, block from 0) and no others."""
        await self.call("anvil_reorg", depth, [list(pair) for pair in transactions])

    async def drop(self, tx_hash: str) -> None:
        """Forget a pending transaction."""
        await self.call("anvil_dropTransaction", tx_hash)

    async def drop_all(self) -> None:
        """Forget every pending transaction."""
        await self.call("anvil_dropAllTransactions")

    async def pending(self) -> list[str]:
        """Hashes of the transactions that wait, or are queued behind a gap."""
        content = await self.call("txpool_content")
        pools = (content.get("pending") or {}, content.get("queued") or {})
        return [tx["hash"] for pool in pools for sender in pool.values() for tx in sender.values()]

    # ------------------------------------------------------------------ accounts

    async def set_balance(self, who: str, wei: int) -> None:
        """Give an account exactly this much."""
        await self.call("anvil_setBalance", who, hex(wei))

    async def count(self, who: str) -> int:
        """Transactions of an account that are in blocks."""
        return int(await self.call("eth_getTransactionCount", who, "latest"), 16)

    async def height(self) -> int:
        """Number of the newest block."""
        return int(await self.call("eth_blockNumber"), 16)

    async def deploy(self, code: str, index: int = 9) -> str:
        """Put a contract on the chain by one of the accounts; its checksummed address.

        Args:
            code: Creation code, 0x and digits, constructor arguments included.
            index: Who pays.
        """
        sent = await self.call(
            "eth_sendTransaction", {"from": address(index), "data": code, "gas": hex(15_000_000)}
        )
        for _ in range(500):
            receipt = await self.call("eth_getTransactionReceipt", sent)
            if receipt is not None:
                assert int(receipt["status"], 16) == 1, "the constructor reverts"
                return to_checksum_address(receipt["contractAddress"])
            await asyncio.sleep(0.02)
        raise AssertionError("the contract was not mined: is automine off?")

    async def put_code(self, where: str, code: str) -> None:
        """Set the code at an address."""
        await self.call("anvil_setCode", where, code)

    # ------------------------------------------------------------------ life

    async def settle(self) -> None:
        """Wait until the state file holds the chain as it is now."""
        latest = await self.call("eth_getBlockByNumber", "latest", False)
        for _ in range(500):
            saved = self.saved()
            if saved and saved["blocks"]:
                last = max((block["header"] for block in saved["blocks"]), key=lambda h: int(h["number"], 16))
                if all(
                    last[name] == latest[name] for name in ("number", "parentHash", "stateRoot", "timestamp")
                ):
                    return
            await asyncio.sleep(STATE_INTERVAL_S / 20)
        raise AssertionError("anvil does not write its state")

    async def kill_saved(self) -> None:
        """SIGKILL once the state file holds every block; what was pending is lost, as with any node."""
        await self.settle()
        await self.kill()
