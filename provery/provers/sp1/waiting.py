"""Waiting for a request: what its states mean, when it is cancelled, and what it costs in the end."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

from provery.core.errors import InvalidInput, ProverCrashed, ProverTimeout, ProverUnavailable
from provery.core.ports import Progress
from provery.provers.sp1 import metrics
from provery.provers.sp1.client import NetworkClient, Refused, refused
from provery.provers.sp1.order import Order
from provery.provers.sp1.proto import types_pb2
from provery.provers.sp1.requests import Held, Requests
from provery.provers.sp1.settings import Settings, prove

_BLIND_S = 300.0
"""A network that tells nothing of a request for this long does not answer."""


class Waiting:
    """One order from its request to its proof.

    Args:
        client: The network.
        requests: Makes the request, or finds it.
        settings: Times and prices.
        order: What is asked for.
        progress: Told how far it is.
    """

    def __init__(
        self,
        client: NetworkClient,
        requests: Requests,
        settings: Settings,
        order: Order,
        progress: Progress,
    ) -> None:
        self._client = client
        self._requests = requests
        self._settings = settings
        self._order = order
        self._progress = progress
        self._held: Held | None = None
        self._late = False

    async def fulfilled(self) -> str:
        """Make or find the request and wait for its proof; returns where the proof is.

        Raises:
            ProveryError: as :meth:`provery.provers.sp1_network.Sp1Network.prove` says.
        """
        self._progress("asking the prover network", 0, 1)
        self._held = held = await self._requests.obtain(self._order)
        with metrics.PENDING.labels(self._order.kind).track_inprogress():
            return await self._wait(held)

    async def _wait(self, held: Held) -> str:
        heard, patience = time.monotonic(), held.since + self._settings.auction_s
        while True:
            try:
                status = await self._client.status(held.request_id)
            except Refused as error:
                raise refused("tell of a request to", error) from error
            except ProverUnavailable:
                if time.monotonic() - heard > _BLIND_S:
                    raise
                continue
            heard, now = time.monotonic(), time.time()
            stands, runs = status.fulfillment_status, status.execution_status
            # A proof counts before anything else, past the deadline too: it is paid for.
            if stands == types_pb2.FULFILLED and status.proof_uri:
                self._late = now > held.deadline
                return status.proof_uri
            if runs in (types_pb2.UNEXECUTABLE, types_pb2.VALIDATION_FAILED):
                await self._ended(held, types_pb2.ExecutionStatus.Name(runs))
                raise InvalidInput(
                    "the program fails on this statement, says the prover network",
                    value=f"request {held.request_id.hex()}",
                    action="look at the request in the network's explorer; a re-prove order requests again",
                )
            if stands == types_pb2.UNFULFILLABLE:
                await self._ended(held, "UNFULFILLABLE")
                raise ProverCrashed(
                    "the prover network could not fulfil a request",
                    value=f"request {held.request_id.hex()}",
                    action="it is not requested again by itself; a re-prove order does so",
                )
            waits = stands == types_pb2.REQUESTED
            if waits and status.deadline < held.deadline:  # only a cancel moves it
                await self._requests.unpaid(held.key, "cancelled", held.request_id)
                raise ProverTimeout(
                    "a request to the prover network was cancelled; the next attempt makes another"
                )
            if waits and self._settings.strategy == "auction" and now > patience:
                if await self._requests.cancel(held, "no prover took it"):
                    metrics.REQUESTS.labels(self._order.kind, "cancelled").inc()
                    raise ProverTimeout(
                        f"no prover took a request within {self._settings.auction_s} s; it was cancelled",
                        action="raise PROVERY_SP1_MAX_COST or PROVERY_SP1_AUCTION_S",
                    )
                patience = now + self._settings.auction_s  # taken in that moment, or the answer was lost
            if now > held.deadline + self._settings.grace_s:
                metrics.REQUESTS.labels(self._order.kind, "overdue").inc()
                if waits:  # never assigned, so never to be paid
                    await self._requests.unpaid(held.key, "expired", held.request_id)
                    raise ProverTimeout(
                        "no prover took a request before its deadline; the next attempt makes another"
                    )
                raise ProverTimeout(
                    "a request to the prover network is past its deadline",
                    value=f"request {held.request_id.hex()}",
                    expected=f"a proof within {self._settings.deadline_s} s",
                    action="it is looked at again, not requested again; a re-prove order requests again",
                )
            doing = "waiting for a prover" if waits else "proving in the network"
            self._progress(doing, min(now - held.since, self._settings.deadline_s), self._settings.deadline_s)
            await asyncio.sleep(self._settings.poll_s)

    async def settled(self) -> dict[str, str]:
        """Note what the proof cost; returns facts about the request."""
        held = self._held
        if held is None:
            return {}
        cost = await self._cost(held)
        outcome = held.outcome or ("late" if self._late else "fulfilled")
        if not held.outcome:  # else it was counted when the proof was fetched for the first time
            metrics.REQUESTS.labels(self._order.kind, outcome).inc()
            metrics.SPENT.labels(self._order.unit.system, self._order.unit.stream).inc(float(cost))
            await self._requests.settle(held.key, {"outcome": outcome}, cost)
        return {
            "sp1_request": held.request_id.hex(),
            "sp1_outcome": outcome,
            "sp1_cost": f"{cost.normalize():f}",
        }

    async def withdraw(self) -> None:
        """Nobody wants the proof any more: cancel the request if no prover has taken it.

        A request that was under way when the call was cancelled is looked for once; one that is not found then is
        found, and used, when the unit runs again.
        """
        held = self._held
        if held is None:
            rows = await self._requests.attempts(self._order)
            found = await self._requests.find(self._order, rows) if rows else None
            held = self._requests.held(rows, found) if found is not None else None
        if held is not None and await self._requests.cancel(held, "the unit was cancelled", timeout=1.0):
            metrics.REQUESTS.labels(self._order.kind, "cancelled").inc()

    async def _ended(self, held: Held, how: str) -> None:
        """Note, once, that a request ended without a proof."""
        if not held.outcome:
            metrics.REQUESTS.labels(self._order.kind, "failed").inc()
            await self._requests.settle(held.key, {"outcome": how}, held.cost)

    async def _cost(self, held: Held) -> Decimal:
        """What was used at the price that was offered; what was offered where the network does not tell."""
        try:
            found = await self._client.details(held.request_id)
        except ProverUnavailable:
            found = None
        if found is None or not found.HasField("gas_used") or not found.max_price_per_pgu.isdigit():
            return held.cost
        base = int(found.base_fee) if found.base_fee.isdigit() else 0
        return min(held.cost, prove(base + found.gas_used * int(found.max_price_per_pgu)))
