"""What runs beside the workers for a stream: the upstream service's HTTP API, and figures that are up to date.

States are found by the stream's schedule, not here.
"""

from __future__ import annotations

import asyncio
import logging

from eth_utils.address import to_checksum_address
from prometheus_client import CollectorRegistry

from provery.core.amounts import WEI_PER_GWEI, amount
from provery.core.errors import ProveryError
from provery.core.ports import Deps
from provery.systems.hotshot.errors import GasPriceTooHigh
from provery.systems.hotshot.metrics import register
from provery.systems.hotshot.routes import routes
from provery.systems.hotshot.streams import Stream, Streams

log = logging.getLogger(__name__)
LOOK_S = 15.0
"""Seconds between looks at contract, relay servers and fees: figures are no older than that."""


class HotShotIngress:
    """Serves one stream.

    Args:
        stream: The stream.
        metrics: Where its figures are registered.
    """

    def __init__(self, stream: Stream, metrics: CollectorRegistry) -> None:
        self.routes = routes(str(to_checksum_address(stream.settings.contract)))
        """The HTTP API."""
        self._stream = stream
        self._stopping = asyncio.Event()
        self._trouble = "the contract was not read yet"
        stream.figures.listen()
        register(metrics)

    async def run(self) -> None:
        """Keep figures up to date until :meth:`stop`."""
        while not self._stopping.is_set():
            await self._look()
            try:
                async with asyncio.timeout(LOOK_S):
                    await self._stopping.wait()
            except TimeoutError:
                continue

    async def _look(self) -> None:
        stream = self._stream
        try:
            contract = await stream.contract()
            held = await contract.held()
            fees, _ = (
                await contract.chain.fees(),
                await contract.chain.balance(),
            )  # the chain shows the balance
            price, cap = fees.base + fees.priority, stream.settings.max_gas_price
            stream.figures.gas(price, cap)
            if cap is not None and price > cap:
                self._failed(_too_high(price, cap))
            self._trouble = ""
        except ProveryError as error:
            self._failed(error)
            self._trouble = str(error)
            return
        try:
            newest = await stream.relay.bundle()
        except ProveryError as error:
            self._failed(error)
            newest = None
        stream.figures.read(held, newest.state if newest is not None else None)

    def _failed(self, error: ProveryError) -> None:
        self._stream.figures.failed(error.kind)
        log.warning("%s: %s: %s", self._stream.id, error.kind, error)

    async def stop(self) -> None:
        """Let :meth:`run` return."""
        self._stopping.set()

    async def waiting(self) -> str:
        """Why it is not ready: what keeps the contract from being read."""
        return self._trouble

    async def close(self) -> None:
        """Close connections."""
        await self._stream.close()


def _too_high(price: int, cap: int) -> GasPriceTooHigh:
    """What operators know the wait by, in gwei as there."""
    return GasPriceTooHigh(
        "gas costs more than is allowed; proofs wait in the lane",
        value=f"{amount(price, WEI_PER_GWEI)} gwei",
        expected=f"at most {amount(cap, WEI_PER_GWEI)} gwei",
        action="wait, or raise the cap",
    )


def from_deps(deps: Deps, stream: str, metrics: CollectorRegistry) -> HotShotIngress:
    """The ingress of ``hotshot/<stream>``, from what the workers inject."""
    return HotShotIngress(Streams.of(deps).get(stream), metrics)
