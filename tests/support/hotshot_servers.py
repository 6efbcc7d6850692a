"""A HotShot network, an Ethereum node and a light client on it, as processes: settings that lead to them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provery.local.anvil import MNEMONIC
from provery.local.hotshot_network import HotShotNetwork, Shape
from provery.systems.hotshot.model import StakeTableState
from tests.support.anvil import Anvil
from tests.support.hotshot_rig import SUBMITTER, put_light_client, setup_of

SHAPE = Shape(validators=5, epochs=4, pace=1_000.0)
"""Four epochs that are there from the start."""


@contextmanager
def hotshot_servers(home: Path) -> Iterator[dict[str, str]]:
    """Serve; the light client's verifier takes any proof."""
    network, anvil = HotShotNetwork(home, SHAPE), Anvil(home)
    try:
        yield asyncio.run(_start(network, anvil))
    finally:
        asyncio.run(_stop(network, anvil))


async def _start(network: HotShotNetwork, anvil: Anvil) -> dict[str, str]:
    await asyncio.gather(network.start(), anvil.start())
    genesis = (await network.status())["genesis"]["stake_table"]
    table = StakeTableState(**{name: int(value, 16) for name, value in genesis.items()})
    proxy = await put_light_client(anvil, setup_of(table))
    return {
        "ESPRESSO_STATE_RELAY_SERVER_URL": network.relay_url,
        "ESPRESSO_SEQUENCER_URL": network.sequencer_url,
        "ESPRESSO_SEQUENCER_L1_PROVIDER": anvil.url,
        "ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS": proxy,
        "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
        "ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX": str(SUBMITTER),
        "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": str(SHAPE.capacity),
        "PROVERY_HOTSHOT_SCHEME": "groth16",
        "PROVERY_HOTSHOT_CONFIRMATIONS": "1",
    }


async def _stop(network: HotShotNetwork, anvil: Anvil) -> None:
    await asyncio.gather(network.stop(), anvil.stop())
