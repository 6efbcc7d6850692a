"""The sequencer: the network's configuration, its stake tables, and the certificates of its epochs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from provery.core.errors import InvalidInput
from provery.systems.hotshot import wire
from provery.systems.hotshot.errors import SequencerCommunicationError
from provery.systems.hotshot.failover import Servers
from provery.systems.hotshot.http import Limits, Service
from provery.systems.hotshot.model import HotShotConfig, StakeTable, StateCertificate

T = TypeVar("T")
CONFIG = "/config/hotshot"


class Sequencer:
    """The sequencers of one stream.

    Args:
        urls: Base URLs in the order of preference.
        limits: Bounds of each request.

    Raises:
        ConfigurationError: there is no URL, or one is malformed.
    """

    def __init__(self, urls: Sequence[str], limits: Limits | None = None) -> None:
        self._servers = Servers("sequencer", urls, SequencerCommunicationError, limits)

    async def close(self) -> None:
        """Close every connection."""
        await self._servers.close()

    async def config(self) -> HotShotConfig:
        """The network's configuration.

        Raises:
            SequencerCommunicationError: no sequencer gave a usable answer.
        """
        return await self._must(CONFIG, wire.read_config, "the network's configuration")

    async def stake_table(
        self, epoch: int, check: Callable[[StakeTable], object] | None = None
    ) -> StakeTable:
        """Who may sign in an epoch.

        Args:
            epoch: Number of the epoch.
            check: Called with the table; it raises StakeTableMismatch or InvalidState for one that is not to be used,
                and the next sequencer is asked.

        Raises:
            StakeTableMismatch: no sequencer has a table that passes the check.
            InvalidState: the same.
            SequencerCommunicationError: no sequencer gave a usable answer, or none knows the epoch.
        """
        path, what = f"/node/stake-table/{epoch}", f"the stake table of epoch {epoch}"
        return await self._must(path, wire.read_stake_table, what, check)

    async def state_certificate(
        self, epoch: int, check: Callable[[StateCertificate], object] | None = None
    ) -> StateCertificate | None:
        """The certificate of an epoch's root.

        Args:
            epoch: Number of the epoch.
            check: Called with the certificate; it raises InvalidState for one that is not to be used, and the next
                sequencer is asked.

        Returns:
            None where no sequencer has it yet.

        Raises:
            InvalidState: no sequencer has a certificate that passes the check.
            SequencerCommunicationError: no sequencer gave a usable answer.
        """

        def read(body: bytes) -> StateCertificate:
            found = wire.read_certificate(body)
            if found.epoch != epoch:
                raise InvalidInput(
                    "the state certificate is of another epoch", value=found.epoch, expected=str(epoch)
                )
            return found

        path, what = f"/availability/state-cert/{epoch}", f"the state certificate of epoch {epoch}"
        ask = self._asking(path, read, check)
        return await self._servers.first(what, ask)

    async def _must(
        self,
        path: str,
        read: Callable[[bytes], T],
        what: str,
        check: Callable[[T], object] | None = None,
    ) -> T:
        ask = self._asking(path, read, check)
        found = await self._servers.first(what, ask)
        if found is None:
            raise SequencerCommunicationError(
                f"no sequencer has {what}",
                action="wait until the network gets there; it is tried again later",
            )
        return found

    @staticmethod
    def _asking(
        path: str, read: Callable[[bytes], T], check: Callable[[T], object] | None
    ) -> Callable[[Service], Awaitable[T | None]]:
        async def ask(service: Service) -> T | None:
            answer = await service.get(path)
            if answer.missing:
                return None
            if not answer.ok:
                raise service.unavailable(
                    path, f"status {answer.status} {wire.error_text(answer.body)}".strip()
                )
            found = read(answer.body)
            if check is not None:
                await asyncio.to_thread(check, found)  # signatures take a second or so
            return found

        return ask
