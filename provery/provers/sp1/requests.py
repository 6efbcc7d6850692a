"""One paid request per order, whatever breaks.

The network knows no idempotency key, so one is made of what it has. The uploaded input's address is different for every
upload: it is stored with the intent, and a request of ours is found again by it. The signed body, nonce included, is
stored too, and only that very body is ever sent again: the network takes a nonce once, so two copies of it are one
request. A new body is signed only after the last one is known to have come to nothing: refused, cancelled before a
prover took it, or not listed long after another request has used its nonce.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, cast

import grpc

from provery.core.errors import ProverUnavailable, ProveryError, ResourceExhausted, SpendingCapReached
from provery.core.ports import Budget, Ledger
from provery.core.types import Json
from provery.provers.sp1 import metrics
from provery.provers.sp1.client import NETWORK, Lost, NetworkClient, Refused, refused
from provery.provers.sp1.order import Order, signable
from provery.provers.sp1.proto import types_pb2
from provery.provers.sp1.settings import Settings
from provery.provers.sp1.signing import keccak256

DESTINATION = "sp1-network"
"""In the ledger."""
_SENDS = 3
"""How often one body is sent in one call; after that the stage is tried again."""
_BODIES = 5
"""New bodies in one call: requests of one account take each other's nonces when several workers share it."""
_SKEW_S = 3_600
"""How far the network's clock may be behind ours."""
_SHORT_OF_MONEY = ("balance", "insufficient", "credit", "funds")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Held:
    """A request that the network has accepted."""

    key: str
    """In the ledger."""
    request_id: bytes
    deadline: int
    """Unix seconds."""
    since: float
    """When it was intended, Unix seconds."""
    cost: Decimal
    """At most, PROVE."""
    outcome: str = ""
    """How it ended, where that is on record."""


class Requests:
    """Makes requests and finds them again.

    Args:
        client: The network.
        ledger: Where intents and receipts are kept.
        settings: Prices, limits and times.
    """

    def __init__(self, client: NetworkClient, ledger: Ledger, settings: Settings) -> None:
        self._client = client
        self._ledger = ledger
        self._settings = settings
        self.turn = asyncio.Lock()
        """Held from asking for a nonce until the network has taken it."""

    async def obtain(self, order: Order) -> Held:
        """The order's request: found, or else made.

        Raises:
            SpendingCapReached: it would cost too much; nothing was requested.
            ProverUnavailable: the network does not answer, or it is not clear yet what became of a request.
            ResourceExhausted: the account is out of money.
            ProverCrashed, ConfigurationError: the network refuses.
        """
        bodies = 0
        rows = await self.attempts(order)
        number = max(rows, default=1)
        while True:
            row = rows.get(number)
            if row is not None and (row["receipt"] or {}).get("unpaid"):
                number += 1
                continue
            if row is not None and row["receipt"]:
                return _held(row, bytes.fromhex(row["receipt"]["request_id"]))
            try:
                if row is not None:
                    return await self._place(order, row, rows, new=False)
                bodies += 1
                # One input for all bodies of an order: whichever of them the network has, it is found by this.
                place = rows[max(rows)]["detail"]["stdin_uri"] if rows else await order.upload()
                async with self.turn:
                    row = await self._intend(order, number, place)
                    return await self._place(order, row, rows, new=row["new"])
            except Refused as error:
                metrics.REQUESTS.labels(order.kind, "refused").inc()
                if not error.nonce or bodies >= _BODIES:
                    raise _refusal(error) from error
            rows = await self.attempts(order)

    async def attempts(self, order: Order) -> dict[int, dict[str, Any]]:
        """What the ledger has of an order, by number."""
        told = await self._ledger.audit(order.unit)
        found = {}
        for row in cast(list[dict[str, Any]], told["submissions"]):
            stem, _, number = row["request_key"].rpartition("/")
            if stem == order.key and number.isdigit():
                found[int(number)] = row
        return found

    async def find(self, order: Order, rows: Mapping[int, dict[str, Any]]) -> types_pb2.ProofRequest | None:
        """Look for a request of this order in the network, once."""
        places = {row["detail"]["stdin_uri"] for row in rows.values()}
        ended = {
            row["receipt"].get("request_id") for row in rows.values() if (row["receipt"] or {}).get("unpaid")
        }
        mine = []
        for row in rows.values():
            # The network's state machine names a request so; a deployment that does not is found out by the list.
            name = keccak256(_requester(row) + bytes.fromhex(row["detail"]["body"]))
            known = None if name.hex() in ended else await self._client.details(name)
            if known is not None and known.stdin_uri in places:
                mine.append(known)
        if not mine:
            since = int(min(row["intended_at"] for row in rows.values())) - _SKEW_S
            for requester in {
                _requester(row) for row in rows.values()
            }:  # the key may have been changed meanwhile
                async for request in self._client.requested(requester, order.vk_hash, order.mode, since):
                    if request.stdin_uri in places and request.request_id.hex() not in ended:
                        mine.append(request)
        if len(mine) > 1:
            _log.warning("%d requests of one order in the prover network; the first one counts", len(mine))
        return min(mine, key=lambda request: request.created_at, default=None)

    async def cancel(self, held: Held, why: str, *, timeout: float = 10.0) -> bool:
        """Cancel a request that no prover has taken; False where one has, or where no answer came."""
        try:
            async with self.turn:
                body = types_pb2.CancelRequestRequestBody(
                    nonce=await self._client.nonce(), request_id=held.request_id
                )
                await self._client.once(
                    NETWORK + "CancelRequest",
                    types_pb2.CancelRequestRequest(
                        format=types_pb2.BINARY,
                        signature=self._client.signer.sign(body.SerializeToString(deterministic=True)),
                        body=body,
                    ),
                    types_pb2.CancelRequestResponse,
                    timeout=timeout,
                )
        except (Lost, Refused, ProverUnavailable) as error:
            _log.info("request %s is not cancelled: %s", held.request_id.hex(), error)
            return False
        await self.unpaid(held.key, why, held.request_id)
        return True

    def held(self, rows: Mapping[int, dict[str, Any]], found: types_pb2.ProofRequest) -> Held:
        """A request that was found, under the newest intent that has its input."""
        row = rows[max(n for n, row in rows.items() if row["detail"]["stdin_uri"] == found.stdin_uri)]
        return _held(row, found.request_id)

    async def settle(self, key: str, outcome: Mapping[str, Json], cost: Decimal) -> None:
        """Note how a request ended and what it cost, in PROVE."""
        await self._ledger.settle(key, outcome, cost=float(cost))

    async def unpaid(self, key: str, why: str, request_id: bytes = b"") -> None:
        """Note that a request came to nothing and costs nothing, so that another may be made."""
        name: dict[str, Json] = {"request_id": request_id.hex()} if request_id else {}
        await self._ledger.settle(key, {**name, "unpaid": why}, cost=0.0)

    # one request

    async def _intend(self, order: Order, number: int, place: str) -> dict[str, Any]:
        """Sign a body and write it down, or learn which one was written down before."""
        body, cost = await signable(self._client, self._settings, order, place)
        encoded = body.SerializeToString(deterministic=True)
        detail: dict[str, Json] = {
            "mode": order.kind,
            "requester": f"0x{self._client.signer.address.hex()}",
            "stdin_uri": place,
            "deadline": body.deadline,
            "max_cost": f"{cost:f}",
            "body": encoded.hex(),
            "signature": self._client.signer.sign(encoded).hex(),
        }
        try:
            row = await self._ledger.intend(
                order.unit,
                DESTINATION,
                f"{order.key}/{number}",
                detail,
                cost=float(cost),
                budget=Budget(float(self._settings.max_daily), 86_400.0),
            )
        except SpendingCapReached:
            metrics.REQUESTS.labels(order.kind, "too_dear").inc()
            raise
        return cast(dict[str, Any], row)

    async def _place(
        self, order: Order, row: dict[str, Any], rows: Mapping[int, dict[str, Any]], *, new: bool
    ) -> Held:
        """Have the network accept this body, unless it has.

        Raises:
            Refused: it has not and will not; the row says so too.
            ProverUnavailable: not clear yet.
        """
        known = {**rows, int(row["request_key"].rpartition("/")[2]): row}
        if not new:
            found = await self._look(order, known, row["intended_at"])
            if found is not None:
                return await self._record(order, row, found, "adopted")
        body = types_pb2.RequestProofRequestBody.FromString(bytes.fromhex(row["detail"]["body"]))
        request = types_pb2.RequestProofRequest(
            format=types_pb2.BINARY, signature=bytes.fromhex(row["detail"]["signature"]), body=body
        )
        said = ""
        for _ in range(_SENDS):
            try:
                answer = await self._client.once(
                    NETWORK + "RequestProof", request, types_pb2.RequestProofResponse
                )
                return await self._record(order, row, answer.body.request_id, "requested")
            except (Lost, Refused) as error:
                # Another worker, taken for dead and alive after all, may have sent the same body.
                found = await self._look(order, known, time.time())
                if found is not None:
                    return await self._record(order, row, found, "adopted")
                said = str(error)
                if isinstance(error, Lost):
                    new = False
                elif new or time.time() > row["intended_at"] + self._settings.settle_s:
                    await self.unpaid(row["request_key"], f"refused: {said}")
                    raise
                else:
                    break
        raise ProverUnavailable(
            f"it is not clear yet what became of a request to the prover network: {said}",
            value=row["request_key"],
            action="it is looked for again; nothing else is requested meanwhile",
        )

    async def _look(self, order: Order, rows: Mapping[int, dict[str, Any]], since: float) -> bytes | None:
        """Look until the network has had the time to list what it accepted at ``since``."""
        while True:
            found = await self.find(order, rows)
            left = since + self._settings.look_s - time.time()
            if found is not None or left <= 0:
                return found.request_id if found is not None else None
            await asyncio.sleep(min(left, self._settings.poll_s))

    async def _record(self, order: Order, row: dict[str, Any], request_id: bytes, how: str) -> Held:
        held = _held(row, request_id)
        metrics.REQUESTS.labels(order.kind, how).inc()
        await self._ledger.receipt(
            held.key, {"request_id": request_id.hex(), "how": how}, cost=float(held.cost)
        )
        return held


def _requester(row: Mapping[str, Any]) -> bytes:
    return bytes.fromhex(row["detail"]["requester"].removeprefix("0x"))


def _held(row: Mapping[str, Any], request_id: bytes) -> Held:
    detail, receipt = row["detail"], row["receipt"] or {}
    return Held(
        row["request_key"],
        request_id,
        detail["deadline"],
        row["intended_at"],
        Decimal(detail["max_cost"]),
        receipt.get("outcome", ""),
    )


def _refusal(error: Refused) -> ProveryError:
    text = error.details.lower()
    if error.code is grpc.StatusCode.RESOURCE_EXHAUSTED or any(word in text for word in _SHORT_OF_MONEY):
        return ResourceExhausted(
            f"the prover network has no credit for this account: {error}", action="fund the account"
        )
    return refused("prove for", error)
