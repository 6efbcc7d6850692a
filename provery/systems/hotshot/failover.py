"""Several servers of one kind as one source: each is asked in turn until one has a usable answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from provery.core.errors import ConfigurationError, InvalidInput, ProveryError, SourceUnavailable
from provery.systems.hotshot.errors import InvalidState, StakeTableMismatch
from provery.systems.hotshot.http import Limits, Service

T = TypeVar("T")


class Servers:
    """The servers of one stream, in the order of preference. One that failed goes to the end.

    Args:
        what: What one is called in messages.
        urls: Base URLs.
        failure: The error when none has a usable answer.
        limits: Bounds of each request.

    Raises:
        ConfigurationError: there is no URL, or one is malformed.
    """

    def __init__(
        self, what: str, urls: Sequence[str], failure: type[SourceUnavailable], limits: Limits | None = None
    ) -> None:
        if not urls:
            raise ConfigurationError(f"no {what} is configured", expected="at least one URL")
        self._what, self._failure = what, failure
        self._services = [Service(what, url, failure, limits) for url in urls]

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(service.close() for service in self._services))

    async def first(self, wanted: str, ask: Callable[[Service], Awaitable[T | None]]) -> T | None:
        """The first usable answer.

        Args:
            wanted: What is asked for, for messages.
            ask: Asks one server and checks its answer; None where the server does not have it yet.

        Returns:
            None where at least one server does not have it yet, and none has a usable answer.

        Raises:
            InvalidState: an answer was there that fails its checks, and no usable one.
            StakeTableMismatch: the same, of a stake table.
            SourceUnavailable: in the class that was given; no server answered usably.
        """
        errors: list[ProveryError] = []
        missing = False
        for service in list(self._services):
            found = await self.attempt(service, ask)
            if isinstance(found, ProveryError):
                errors.append(found)
                self._services.remove(service)
                self._services.append(service)
            elif found is None:
                missing = True
            else:
                return found
        if missing:
            return None
        raise self.failed(wanted, errors)

    async def each(self, ask: Callable[[Service], Awaitable[T | None]]) -> list[T | ProveryError | None]:
        """Every server's answer, all asked at once."""
        return list(await asyncio.gather(*(self.attempt(service, ask) for service in self._services)))

    @staticmethod
    async def attempt(
        service: Service, ask: Callable[[Service], Awaitable[T | None]]
    ) -> T | ProveryError | None:
        """One server's answer, or why it has no usable one."""
        try:
            return await ask(service)
        except (SourceUnavailable, InvalidState, StakeTableMismatch) as error:
            return error
        except InvalidInput as error:
            return InvalidInput(f"{service.name}: {error}")

    def failed(self, wanted: str, errors: Sequence[ProveryError]) -> ProveryError:
        """What to raise when nobody had a usable answer: a failed check is more telling than a silent server."""
        for error in errors:
            if isinstance(error, InvalidState | StakeTableMismatch):
                return error
        return self._failure(
            f"no {self._what} gave {wanted}: " + " | ".join(map(str, errors)),
            action=f"check the {self._what}'s URL and that it runs; it is tried again later",
        )
