"""Which transaction took a nonce, on a real chain."""

from __future__ import annotations

from pathlib import Path

from tests.support.anvil import Anvil, address


async def test_whoever_took_a_nonce_is_found(tmp_path: Path) -> None:
    async with Anvil(tmp_path) as anvil:
        chain = await anvil.open(2)
        try:
            hashes = []
            for n in range(5):
                call = {"from": address(2), "to": address(3), "value": hex(n)}
                hashes.append(await anvil.call("eth_sendTransaction", call))
                await anvil.mine(n * 3)
            for nonce, tx_hash in enumerate(hashes):
                found = await chain.taken(nonce)
                assert found is not None
                assert (found.hash, found.succeeded) == (tx_hash, True)
            assert await chain.taken(5) is None
        finally:
            await chain.close()
