"""What is asked of the prover network: a proof, and what it may cost."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal

from provery.core.errors import ProverCrashed, SpendingCapReached
from provery.core.types import Unit
from provery.provers.sp1 import metrics
from provery.provers.sp1.client import NETWORK, NetworkClient, Refused, refused
from provery.provers.sp1.proto import types_pb2
from provery.provers.sp1.settings import STRATEGIES, Settings, prove, units


@dataclass(frozen=True)
class Order:
    """A proof to ask for."""

    unit: Unit
    key: str
    """Deterministic name."""
    mode: types_pb2.ProofMode
    vk_hash: bytes
    upload: Callable[[], Awaitable[str]]
    """Stores the program's input with the network; returns its address."""
    max_cost: Decimal | None = None
    """What the proof's own stream lets it cost, in PROVE; the settings' cap holds besides."""

    @property
    def kind(self) -> str:
        """The mode in words."""
        return types_pb2.ProofMode.Name(self.mode).lower()


async def signable(
    client: NetworkClient, settings: Settings, order: Order, place: str
) -> tuple[types_pb2.RequestProofRequestBody, Decimal]:
    """A request's body, ready to be signed, and what it costs at most, in PROVE.

    Args:
        client: The network.
        settings: Prices, limits and times.
        order: What to ask for.
        place: Where the program's input is stored.

    Raises:
        SpendingCapReached: the network's price is above the cap.
        ProverUnavailable, ProverCrashed, ConfigurationError: the network gives no price.
    """
    body = types_pb2.RequestProofRequestBody(
        vk_hash=order.vk_hash,
        version=f"sp1-{settings.release}",
        mode=order.mode,
        strategy=STRATEGIES[settings.strategy],
        stdin_uri=place,
        cycle_limit=settings.cycle_limit,
        gas_limit=settings.gas_limit,
    )
    cost = Decimal(0)  # elsewhere a contract says what is paid, not the request
    try:
        if settings.strategy == "auction":
            cost = await _auction(client, settings, order, body)
        body.deadline = int(time.time()) + settings.deadline_s
        body.nonce = await client.nonce()
    except Refused as error:
        raise refused("quote a price to", error) from error
    return body, cost


async def _auction(
    client: NetworkClient, settings: Settings, order: Order, body: types_pb2.RequestProofRequestBody
) -> Decimal:
    """Fill in prices and parties of the auction; returns what the proof costs at most."""
    terms = await client.ask(
        NETWORK + "GetProofRequestParams",
        types_pb2.GetProofRequestParamsRequest(mode=order.mode),
        types_pb2.GetProofRequestParamsResponse,
    )
    provers = await client.ask(
        NETWORK + "GetProversByUptime",
        types_pb2.GetProversByUptimeRequest(high_availability_only=False),
        types_pb2.GetProversByUptimeResponse,
    )
    base, quoted = _amount(terms.base_fee), _amount(terms.max_price_per_pgu)
    most = settings.max_cost if order.max_cost is None else min(settings.max_cost, order.max_cost)
    cap, gas = units(most), settings.gas_limit
    if base + quoted * gas > cap:
        metrics.REQUESTS.labels(order.kind, "too_dear").inc()
        raise SpendingCapReached(
            f"a {order.kind} proof is too dear; nothing was requested",
            value=f"{prove(base + quoted * gas):f} PROVE for {gas} gas units",
            expected=f"at most {most:f} PROVE",
            action="raise PROVERY_SP1_MAX_COST or the stream's SPENDING_CAP, lower PROVERY_SP1_GAS_LIMIT, or wait",
        )
    price = min(quoted * 12 // 10, (cap - base) // gas)  # a fifth above the quote, within the cap
    body.whitelist.extend(provers.provers)
    body.domain, body.auctioneer, body.executor = terms.domain, terms.auctioneer, terms.executor
    body.verifier, body.treasury = terms.verifier, terms.treasury
    body.base_fee, body.max_price_per_pgu = str(base), str(price)
    return prove(base + price * gas)


def _amount(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 40:
        raise ProverCrashed("the prover network quotes no price", value=text, expected="a whole number")
    return int(text)
