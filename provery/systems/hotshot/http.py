"""One relay server or sequencer over HTTP: JSON, bounded in time and size, and never a secret in a message."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urljoin, urlsplit

import httpx

from provery.core.errors import ConfigurationError, SourceUnavailable
from provery.core.redact import redact, redactor
from provery.systems.hotshot.fields import LARGEST

JSON = "application/json"
REDIRECTS = (301, 302, 303, 307, 308)
MOST_REDIRECTS = 3
"""Both services redirect once, from ``/api/…`` to ``/v1/api/…``."""
_SHORT = 12
"""Characters; a longer path segment of a URL may be an access key."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one request. Times are seconds."""

    connect_s: float = 5.0
    read_s: float = 10.0
    """Longest silence."""
    total_s: float = 30.0
    """Whole request, so that a server that drips bytes does not hold it for ever."""
    body: int = LARGEST
    """Bytes of an answer that are taken."""


@dataclass(frozen=True)
class Answer:
    """A complete answer."""

    status: int
    body: bytes

    @property
    def ok(self) -> bool:
        """Whether the server claims success."""
        return self.status == httpx.codes.OK

    @property
    def missing(self) -> bool:
        """Whether the server says that it does not have it, or not yet."""
        return self.status == httpx.codes.NOT_FOUND


class Service:
    """A server at a base URL.

    Args:
        what: What it is called in messages, such as ``relay server``.
        url: Base URL. User information becomes basic authentication; a query is sent with every request.
        failure: The error that failed requests are raised as.
        limits: Bounds of each request.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(
        self, what: str, url: str, failure: type[SourceUnavailable], limits: Limits | None = None
    ) -> None:
        parts = split(what, url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._origin = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
        self.name = f"{what} {self._origin}"
        """What messages call it: no user, path or query."""
        redactor.learn_values(_secrets(parts))
        self._base = self._origin + parts.path.rstrip("/")
        self._query = httpx.QueryParams(parts.query)
        self._failure = failure
        self._limits = limits or Limits()
        auth = None
        if parts.username is not None:
            auth = httpx.BasicAuth(unquote(parts.username), unquote(parts.password or ""))
        # No proxies or netrc from the environment: what a server sees is what was configured.
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s),
            auth=auth,
            trust_env=False,
            follow_redirects=False,
            headers={"accept": JSON, "accept-encoding": "identity"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def get(self, path: str) -> Answer:
        """One GET, with the redirects that stay on the server.

        Args:
            path: From the base URL on, beginning with a slash.

        Raises:
            SourceUnavailable: in the class that was given; no complete answer came, for whatever reason.
        """
        try:
            async with asyncio.timeout(self._limits.total_s):
                return await self._follow(path)
        except TimeoutError as error:
            raise self.unavailable(path, f"no complete answer within {self._limits.total_s:g} s") from error
        except httpx.TimeoutException as error:
            raise self.unavailable(path, f"silent for too long ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self.unavailable(path, f"{type(error).__name__}: {error}") from error

    async def _follow(self, path: str) -> Answer:
        url = self._base + path
        for _ in range(MOST_REDIRECTS + 1):
            async with self._http.stream("GET", url, params=self._query or None) as answer:
                if answer.status_code not in REDIRECTS:
                    return await self._read(answer, path)
                target = answer.headers.get("location", "")
            url = self._redirected(url, target, path)
        raise self.unavailable(path, f"redirects more than {MOST_REDIRECTS} times")

    def _redirected(self, url: str, target: str, path: str) -> str:
        try:
            there = urljoin(url, target)
            parts = urlsplit(there)
        except ValueError as error:
            raise self.unavailable(path, "redirects to a malformed URL") from error
        if not there.startswith(f"{self._origin}/"):
            raise self.unavailable(path, f"redirects to another server, {parts.scheme}://{parts.hostname}")
        # What is sent with every request is added again; a redirect may or may not repeat it.
        return parts._replace(query="", fragment="").geturl() if self._query else there

    async def _read(self, answer: httpx.Response, path: str) -> Answer:
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            raise self.unavailable(path, f"sent {encoding} although only identity was accepted")
        claimed = answer.headers.get("content-length", "")
        if claimed.isdigit() and int(claimed[:20]) > self._limits.body:
            raise self.unavailable(
                path, f"announced {claimed[:20]} bytes, at most {self._limits.body} are taken"
            )
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > self._limits.body:
                raise self.unavailable(path, f"sent more than {self._limits.body} bytes")
        return Answer(answer.status_code, bytes(body))

    def unavailable(self, path: str, reason: str) -> SourceUnavailable:
        """The error of a failed request; ``reason`` loses its secrets here."""
        return self._failure(f"{self.name}, {path}: {redact(reason)}", action="it is tried again later")


def split(what: str, url: str) -> SplitResult:
    """The parts of a base URL.

    Raises:
        ConfigurationError: it is no http or https URL.
    """
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"a {what}'s URL is malformed", action="correct it") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"a {what}'s URL is malformed", value=parts.scheme, expected="http:// or https:// and a host"
        )
    return parts


def _secrets(parts: SplitResult) -> set[str]:
    """Parts of a URL that may be secret: passwords, query values, long path segments."""
    found = {part for part in (parts.password, unquote(parts.password or "")) if part}
    if parts.password is None and parts.username:
        found.add(parts.username)
    found |= {value for _, value in parse_qsl(parts.query)}
    return found | {segment for segment in parts.path.split("/") if len(segment) > _SHORT}
