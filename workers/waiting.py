"""Waiting for what a worker needs before it can start."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from provery.core.errors import TransientError

T = TypeVar("T")
log = logging.getLogger("provery.worker")
PAUSES_S = (0.2, 0.5, 1.0, 2.0)
"""Between attempts to reach something that is away; the last one repeats."""


class Waiting:
    """Calls until there is an answer, and knows meanwhile what it waits for."""

    def __init__(self) -> None:
        self.reasons: dict[str, str] = {}
        """What is away, and why; empty when nothing is."""

    async def __call__(self, what: str, call: Callable[[], Awaitable[T]]) -> T:
        """Result of ``call``, after as many attempts as it takes. Any but a transient error passes through."""
        tries = 0
        while True:
            try:
                result = await call()
            except TransientError as error:
                pause = PAUSES_S[min(tries, len(PAUSES_S) - 1)]
                self.reasons[what] = str(error)
                log.warning("waiting for %s, again in %.1f s: %s", what, pause, error)
                await asyncio.sleep(pause)
                tries += 1
            else:
                self.reasons.pop(what, None)
                return result
