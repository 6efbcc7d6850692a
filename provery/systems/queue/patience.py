"""Waiting for dependencies that do not answer."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from provery.core.errors import TransientError

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)
PAUSES_S = (0.1, 0.2, 0.5, 1.0, 2.0)
"""Between attempts to reach something that does not answer; the last one repeats."""


def pause_s(tries: int) -> float:
    """Seconds to wait after so many failed attempts in a row, from 0."""
    return PAUSES_S[min(tries, len(PAUSES_S) - 1)]


class Patience:
    """Calls until there is an answer, so that an outage delays work and never loses it."""

    def __init__(self) -> None:
        self.outages = 0
        """How often something did not answer."""

    async def __call__(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Result of ``call``, after as many attempts as it takes. Any but a transient error passes through."""
        tries = 0
        while True:
            try:
                return await call(*args, **kwargs)
            except TransientError as error:
                self.outages += 1
                log.warning("trying again in %.1f s: %s", pause_s(tries), error)
                await asyncio.sleep(pause_s(tries))
                tries += 1
