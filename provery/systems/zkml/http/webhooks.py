"""Webhooks: owed from the moment that a request is taken, so that no crash loses one.

Two entries follow one another in the list of what is owed. ``await:…`` says that somebody wants to be told of a
proof; it is looked at until the proof has ended, and followed by ``hook:…``, the call itself, with its final body. Each
is kept put-if-absent by its id, so it does not matter which replica, or how many, see the end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from provery.core.access import Deliveries, Delivery
from provery.core.errors import ProveryError, TransientError
from provery.core.types import Json, canonical_json
from provery.systems.zkml.http.callers import Caller
from provery.systems.zkml.http.metrics import HttpMetrics
from provery.systems.zkml.http.problems import ApiError
from provery.systems.zkml.http.settings import HttpSettings
from provery.systems.zkml.http.webhook_calls import (
    DELIVERY,
    SIGNATURE,
    TIMESTAMP,
    CallFailed,
    call,
    key_secret,
    signature,
    target_of,
)

log = logging.getLogger(__name__)
AWAIT, HOOK = "await:", "hook:"
LOOK_S = 1.0
AGAIN_S = 5.0
"""Between looks whether a proof has ended that no replica seems to watch."""
BACKOFF_S, BACKOFF_MOST_S = 2.0, 3_600.0

Telling = Callable[[str], Awaitable[dict[str, Json] | None]]
"""What is told of a proof, by its digest; None while it has not ended."""


class Webhooks:
    """Calls what is owed.

    Args:
        settings: Of the API.
        deliveries: What is owed.
        telling: What to tell.
        metrics: Of this process.
    """

    def __init__(
        self, settings: HttpSettings, deliveries: Deliveries, telling: Telling, metrics: HttpMetrics
    ) -> None:
        self._settings, self._deliveries = settings, deliveries
        self._telling, self._metrics = telling, metrics
        self._secret = settings.webhook_secret.get_secret_value()
        self._wake = asyncio.Event()
        self._here: dict[str, set[tuple[str, str]]] = {}
        self._lease_s = settings.webhook_timeout_s * 2 + 10

    def secret_of(self, caller: Caller) -> str:
        """What a caller checks signatures by.

        Raises:
            ApiError: no webhooks here, or not without a key.
        """
        if not self._secret:
            raise ApiError("webhooks_disabled", "this installation has no secret to sign webhooks by")
        if caller.key is None:
            raise ApiError("unauthorized", "webhooks need an API key", headers={"www-authenticate": "Bearer"})
        return key_secret(self._secret, caller.key.id)

    def check(self, url: str, caller: Caller) -> None:
        """Refuse what cannot be called.

        Raises:
            ApiError: the address may not be called, or there are no webhooks here.
        """
        self.secret_of(caller)
        target_of(url, self._settings.hosts)

    async def owe(self, digest: str, url: str, caller: Caller) -> None:
        """Note that somebody wants to be told."""
        key = caller.key.id if caller.key is not None else ""
        said = canonical_json({"proof": digest, "key": key})
        name = f"{digest}:{key}:{_short(url)}"
        self._here.setdefault(digest, set()).add((url, key))
        await self._deliveries.owe(Delivery(AWAIT + name, url, said.decode(), due_at=time.time() + AGAIN_S))

    async def ended(self, digest: str) -> None:
        """A proof has ended, and this replica saw it: whom it knows of need not wait for the next look."""
        for url, key in self._here.pop(digest, ()):
            await self._follow(digest, url, key)
            await self._deliveries.done(f"{AWAIT}{digest}:{key}:{_short(url)}", "followed by the call")
        self._wake.set()

    async def run(self) -> None:
        """Call what is owed, for ever."""
        while True:
            self._wake.clear()
            try:
                busy = await self.once()
            except TransientError as error:
                log.warning("cannot see which webhooks are owed: %s", error)
                busy = False
            if not busy:
                try:
                    async with asyncio.timeout(LOOK_S):
                        await self._wake.wait()
                except TimeoutError:
                    continue

    async def once(self) -> bool:
        """Call what is due; whether there was anything."""
        due = await self._deliveries.lease(time.time(), self._lease_s)
        await asyncio.gather(*(self._one(delivery) for delivery in due))
        return bool(due)

    async def _follow(self, digest: str, url: str, key: str) -> bool:
        """Owe the call itself, if its body is final; whether it is."""
        told = await self._telling(digest)
        if told is None:
            return False
        name = f"{digest}:{key}:{_short(url)}"
        body = canonical_json({**told, "key": key}).decode()
        await self._deliveries.owe(Delivery(HOOK + name, url, body, due_at=time.time()))
        return True

    async def _one(self, delivery: Delivery) -> None:
        try:
            if delivery.id.startswith(AWAIT):
                await self._await(delivery)
            else:
                await self._call(delivery)
        except ProveryError as error:
            # The lease ends by itself, and somebody tries again.
            log.warning("webhook %s is put off: %s", delivery.id, error)
        except Exception:
            log.exception("a defect in webhook %s", delivery.id)

    async def _await(self, delivery: Delivery) -> None:
        said: dict[str, Any] = json.loads(delivery.body)
        if not await self._follow(str(said["proof"]), delivery.url, str(said["key"])):
            await self._deliveries.later(delivery.id, time.time() + AGAIN_S, "the proof has not ended")
            return
        await self._deliveries.done(delivery.id, "followed by the call")

    async def _call(self, delivery: Delivery) -> None:
        said: dict[str, Any] = json.loads(delivery.body)
        stamp = int(time.time())
        secret = key_secret(self._secret, str(said["key"]))
        headers = {
            TIMESTAMP: str(stamp),
            SIGNATURE: signature(secret, stamp, delivery.body),
            DELIVERY: delivery.id,
        }
        try:
            if not self._secret:
                raise CallFailed("this installation has no secret to sign by", again=False)
            target = target_of(delivery.url, self._settings.hosts)
            status = await call(target, headers, delivery.body, self._settings.webhook_timeout_s)
        except (CallFailed, ApiError) as error:
            again = isinstance(error, CallFailed) and error.again
            if not again or delivery.attempts + 1 >= self._settings.webhook_attempts:
                self._metrics.webhook("given_up")
                await self._deliveries.done(delivery.id, f"given up: {error}")
            else:
                self._metrics.webhook("retried")
                await self._deliveries.later(delivery.id, time.time() + _pause(delivery.attempts), str(error))
            return
        self._metrics.webhook("delivered")
        await self._deliveries.done(delivery.id, f"delivered: {status}")


def _pause(attempts: int) -> float:
    """Back-off with full jitter in its upper half: receivers that come back are not all called at once."""
    longest = min(BACKOFF_S * 2.0**attempts, BACKOFF_MOST_S)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - nothing secret


def _short(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()[:16]
