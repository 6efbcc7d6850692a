"""The relay server: where validators' signatures of the latest state are collected."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from provery.core.errors import ProveryError
from provery.systems.hotshot import wire
from provery.systems.hotshot.errors import RelayServerError
from provery.systems.hotshot.failover import Servers
from provery.systems.hotshot.http import Limits, Service
from provery.systems.hotshot.model import Bundle

STATE = "/api/state"


class Relay:
    """The relay of one stream: one server, or several that collect independently.

    Args:
        urls: Base URLs.
        limits: Bounds of each request.

    Raises:
        ConfigurationError: there is no URL, or one is malformed.
    """

    def __init__(self, urls: Sequence[str], limits: Limits | None = None) -> None:
        self._servers = Servers("relay server", urls, RelayServerError, limits)

    async def close(self) -> None:
        """Close every connection."""
        await self._servers.close()

    async def bundle(self, check: Callable[[Bundle], object] | None = None) -> Bundle | None:
        """The newest state that a relay server has enough signatures for; all servers are asked at once.

        Args:
            check: Called with each bundle; it raises InvalidState for one that is not to be used.

        Returns:
            None where no server has enough signatures yet.

        Raises:
            InvalidState: there were bundles, and all failed the check.
            RelayServerError: no server gave a usable answer.
        """

        async def ask(service: Service) -> Bundle | None:
            answer = await service.get(STATE)
            if answer.missing:
                return None
            if not answer.ok:
                raise service.unavailable(
                    STATE, f"status {answer.status} {wire.error_text(answer.body)}".strip()
                )
            bundle = wire.read_bundle(answer.body)
            if check is not None:
                await asyncio.to_thread(check, bundle)  # signatures take a second or so
            return bundle

        answers = await self._servers.each(ask)
        bundles = [found for found in answers if isinstance(found, Bundle)]
        errors = [found for found in answers if isinstance(found, ProveryError)]
        if bundles:
            return max(bundles, key=lambda bundle: bundle.state.height)
        if len(errors) < len(answers):
            return None
        raise self._servers.failed("the latest state", errors)
