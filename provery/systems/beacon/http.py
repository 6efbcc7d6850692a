"""One beacon node over HTTP: bounded in time and size, and never a secret in a message."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from provery.core.errors import SourceUnavailable
from provery.core.redact import redact, redactor
from provery.core.urls import address_of

SSZ = "application/octet-stream"
JSON = "application/json"
_WHAT = "a beacon node"
_STATUS_OK = 200


@dataclass(frozen=True)
class Limits:
    """Bounds of one request. Times are seconds."""

    connect_s: float = 5.0
    read_s: float = 10.0
    """Longest silence."""
    total_s: float = 30.0
    """Whole request, so that a node that drips bytes does not hold it for ever."""


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    status: int
    content_type: str
    """Without parameters, in lower case."""
    body: bytes
    version: str = ""
    """Eth-Consensus-Version: the fork in whose form an SSZ body is."""

    @property
    def ok(self) -> bool:
        """Whether the node claims success."""
        return self.status == _STATUS_OK


class BeaconNode:
    """A node of the beacon API.

    Args:
        url: Base URL. User information becomes basic authentication; a query is sent with every request.
        limits: Bounds of each request.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        address = address_of(url, _WHAT)
        self.name = address.name
        """What messages, metrics and logs call it: no user, path or query."""
        redactor.learn_values(address.secrets)
        self._limits = limits or Limits()
        auth = None if address.user is None else httpx.BasicAuth(address.user, address.password)
        self._base = address.name + address.path.rstrip("/")
        self._query = address.query
        timeout = httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s)
        # No proxies or netrc from the environment: what a node sees is what was configured.
        self._http = httpx.AsyncClient(
            timeout=timeout,
            auth=auth,
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(
        self, path: str, *, accept: str, limit: int, params: Mapping[str, int] | None = None
    ) -> Answer:
        """One GET.

        Args:
            path: From ``/eth`` on.
            accept: The Accept header.
            limit: Bytes of body that are taken; more is refused.
            params: Query.

        Raises:
            SourceUnavailable: no complete answer came, for whatever reason.
        """
        query: list[tuple[str, str | int | float | bool | None]] = [*self._query, *(params or {}).items()]
        try:
            async with (
                asyncio.timeout(self._limits.total_s),
                self._http.stream(
                    "GET", self._base + path, params=query, headers={"accept": accept}
                ) as answer,
            ):
                return await self._read(answer, path, limit)
        except TimeoutError as error:
            raise self.unavailable(path, f"no complete answer within {self._limits.total_s:g} s") from error
        except httpx.TimeoutException as error:
            raise self.unavailable(path, f"silent for too long ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self.unavailable(path, f"{type(error).__name__}: {error}") from error

    async def _read(self, answer: httpx.Response, path: str, limit: int) -> Answer:
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise self.unavailable(path, f"sent {encoding} although only identity was accepted")
        claimed = answer.headers.get("content-length", "")
        if claimed.isdigit() and int(claimed[:20]) > limit:
            raise self.unavailable(path, f"announced {claimed[:20]} bytes, at most {limit} are taken")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > limit:
                raise self.unavailable(path, f"sent more than {limit} bytes")
        kind = answer.headers.get("content-type", "").split(";")[0].strip().lower()
        return Answer(answer.status_code, kind, bytes(body), answer.headers.get("eth-consensus-version", ""))

    def unavailable(self, path: str, reason: str) -> SourceUnavailable:
        """The error of a failed request; ``reason`` loses its secrets here."""
        return SourceUnavailable(
            f"beacon node {self.name}, {path}: {redact(reason)}", action="it is tried again later"
        )


def public_name(url: str) -> str:
    """Scheme, host and port of a node's URL; user, path and query may be secret.

    Raises:
        ConfigurationError: it is no http or https URL.
    """
    return address_of(url, _WHAT).name
