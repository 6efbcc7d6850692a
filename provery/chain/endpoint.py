"""One JSON-RPC 2.0 endpoint over HTTP: bounded in time and size, every answer checked, never a secret in a message."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, NoReturn

import httpx
from pydantic_core import from_json

from provery.core.errors import shorten
from provery.core.redact import redact, redactor
from provery.core.types import Json
from provery.core.urls import address_of

BODY_LIMIT = 8 * 2**20
"""Bytes of an answer that are taken; a block with every transaction's hash has some hundred thousand."""
RETRY_AFTER_LIMIT_S = 300.0
"""Seconds; a longer Retry-After is cut to this."""
_TOO_MANY = frozenset({429, 503})
_RATE_WORDS = (
    "rate limit",
    "rate exceeded",
    "too many requests",
    "request limit",
    "limit exceeded",
    "request count exceeded",
    "compute units",
    "quota",
)
"""How hosted endpoints refuse with a JSON-RPC error; they share its code, -32005, with others."""
_CODE_REVERTED = 3
_NOT_UNDERSTOOD = frozenset({-32600, -32700})
"""JSON-RPC: invalid request, parse error."""


@dataclass(frozen=True)
class Limits:
    """Bounds of one request. Times are seconds."""

    connect_s: float = 4.0
    read_s: float = 10.0
    """Longest silence."""
    total_s: float = 20.0
    """Whole request, so that a node that drips bytes does not hold it for ever."""
    body: int = BODY_LIMIT


@dataclass(frozen=True)
class Ask:
    """One call of a method."""

    method: str
    params: tuple[Json, ...] = ()


@dataclass(frozen=True)
class Failure:
    """A JSON-RPC error: the node understood, and says no."""

    code: int
    message: str
    data: Json = None

    @property
    def rate_limited(self) -> bool:
        """Whether the node only asks for patience."""
        low = self.message.lower()
        # A contract may say "rate limit exceeded" too, and a transaction may have too high a gas limit.
        if self.code == _CODE_REVERTED or "revert" in low or "gas" in low:
            return False
        return self.code == httpx.codes.TOO_MANY_REQUESTS or any(word in low for word in _RATE_WORDS)

    def __str__(self) -> str:
        return f"{shorten(redact(self.message), 300)} (code {self.code})"


@dataclass(frozen=True)
class Result:
    """What a method returned; its shape is for the caller to check."""

    value: Any


Answer = Result | Failure


class EndpointDown(Exception):
    """No usable answer came from one endpoint; others may be asked.

    Args:
        message: Names the endpoint; without secrets.
        rest_s: How long the endpoint asked to be left alone, in seconds.
        foreign: Whether it is of another chain.
    """

    def __init__(self, message: str, *, rest_s: float = 0.0, foreign: bool = False) -> None:
        super().__init__(message)
        self.rest_s = rest_s
        self.foreign = foreign


class _NoBatches(Exception):
    """The server answered a batch as if it were one malformed request."""


class Endpoint:
    """A JSON-RPC server.

    Args:
        url: http or https. User information becomes basic authentication; the query is sent with every request.
        limits: Bounds of each request.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(self, url: str, limits: Limits | None = None) -> None:
        address = address_of(url, "a JSON-RPC endpoint")
        redactor.learn_values(address.secrets)
        self.name = address.name
        """Scheme, host and port: what messages and metrics call it."""
        self._limits = limits or Limits()
        self._ids = count(1)
        self._batches = True
        self._url = address.name + address.path
        # No proxies or netrc from the environment: what a node sees is what was configured.
        self._http = httpx.AsyncClient(
            params=list(address.query),
            auth=None if address.user is None else httpx.BasicAuth(address.user, address.password),
            timeout=httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s),
            verify=certificates(self.name),
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity", "content-type": "application/json"},
        )

    def __repr__(self) -> str:
        return f"Endpoint({self.name})"

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Call methods, in one request where the server takes batches; answers in the order of ``asks``.

        Raises:
            EndpointDown: not every call was answered as JSON-RPC 2.0 has it, or the server wants to be left alone.
        """
        if len(asks) > 1 and self._batches:
            try:
                return await self._round(asks, batch=True)
            except _NoBatches:
                self._batches = False
        return [answer for one in asks for answer in await self._round([one], batch=False)]

    async def _round(self, asks: Sequence[Ask], *, batch: bool) -> list[Answer]:
        ids = [next(self._ids) for _ in asks]
        calls = [
            {"jsonrpc": "2.0", "id": number, "method": ask.method, "params": list(ask.params)}
            for number, ask in zip(ids, asks, strict=True)
        ]
        status, body = await self._post(json.dumps(calls if batch else calls[0]).encode())
        try:
            # Not json.loads: where a library has raised the recursion limit, deep nesting would kill the process.
            document = from_json(body, allow_inf_nan=False)
        except ValueError:
            what = f"HTTP {status}" if status != httpx.codes.OK else "an answer"
            said = redact(body[:200].decode("utf-8", "replace"))
            self._down(f"{what} that is not JSON: {shorten(said, 80)}")
        if batch and isinstance(document, dict):
            failure = _failure(document.get("error"))
            if failure and (failure.code in _NOT_UNDERSTOOD or "batch" in failure.message.lower()):
                raise _NoBatches
            self._check_refusal(document)
        answers = self._matched(document if batch else [document], ids)
        for answer in answers:
            if isinstance(answer, Failure) and answer.rate_limited:
                self._down(f"limits requests: {answer}", rest_s=1.0)
        return answers

    async def _post(self, content: bytes) -> tuple[int, bytes]:
        try:
            async with (
                asyncio.timeout(self._limits.total_s),
                self._http.stream("POST", self._url, content=content) as answer,
            ):
                if answer.status_code in _TOO_MANY:
                    self._down(f"HTTP {answer.status_code}", rest_s=_retry_after(answer.headers))
                if answer.status_code in (401, 403):
                    self._down(f"HTTP {answer.status_code}: it refuses the credentials in its URL")
                return answer.status_code, await self._read(answer)
        except TimeoutError:
            self._down(f"no complete answer within {self._limits.total_s:g} s")
        except httpx.TimeoutException as error:
            self._down(f"silent for too long ({type(error).__name__})")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            self._down(f"{type(error).__name__}: {redact(error)}")

    async def _read(self, answer: httpx.Response) -> bytes:
        encoding = answer.headers.get("content-encoding", "identity").strip().lower()
        if encoding not in ("", "identity"):
            self._down(f"sent {shorten(encoding)} although only identity was accepted")
        claimed = answer.headers.get("content-length", "")
        if claimed.isdigit() and int(claimed[:20]) > self._limits.body:
            self._down(f"announced {claimed[:20]} bytes, at most {self._limits.body} are taken")
        body = bytearray()
        async for chunk in answer.aiter_raw():
            body += chunk
            if len(body) > self._limits.body:
                self._down(f"sent more than {self._limits.body} bytes")
        return bytes(body)

    def _matched(self, documents: object, ids: Sequence[int]) -> list[Answer]:
        """Answers in the order of the ids, each exactly once."""
        if not isinstance(documents, list) or len(documents) != len(ids):
            self._down(f"answered {len(ids)} calls with something else")
        found: dict[int, Answer] = {}
        for document in documents:
            if not isinstance(document, dict):
                self._down("an answer that is no JSON-RPC object")
            self._check_refusal(document)
            number = document.get("id")
            if type(number) is not int or number not in ids or number in found:
                self._down("an answer to another call", value=number)
            found[number] = self._answer(document)
        return [found[number] for number in ids]

    def _check_refusal(self, document: dict[str, Any]) -> None:
        """An error without an id: of the whole request, as gateways send it."""
        error = document.get("error")
        if document.get("id") is None and error is not None:
            failure = _failure(error) or Failure(0, str(error))
            if failure.rate_limited:
                self._down(f"limits requests: {failure}", rest_s=1.0)
            self._down(str(failure))

    def _answer(self, document: dict[str, Any]) -> Answer:
        if document.get("jsonrpc") != "2.0":
            self._down("an answer that is not of JSON-RPC 2.0", value=document.get("jsonrpc"))
        error = document.get("error")
        if error is None and "result" in document:
            return Result(document["result"])
        failure = _failure(error)
        if failure is None:
            self._down("an answer with neither a result nor a JSON-RPC error", value=error)
        return failure

    def _down(self, reason: str, *, value: object = None, rest_s: float = 0.0) -> NoReturn:
        got = "" if value is None else f", got {shorten(redact(value), 60)}"
        raise EndpointDown(f"{self.name}: {reason}{got}", rest_s=rest_s)


def certificates(name: str) -> ssl.SSLContext | bool:
    """Whose certificates a client trusts: the usual ones; for plain HTTP none, as loading them takes long."""
    return True if name.startswith("https://") else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _failure(error: object) -> Failure | None:
    if not isinstance(error, dict):
        return None
    code, message = error.get("code"), error.get("message")
    if type(code) is not int or not isinstance(message, str):
        return None
    return Failure(code, message, error.get("data"))


def _retry_after(headers: httpx.Headers) -> float:
    text = headers.get("retry-after", "")
    return min(float(text[:9]), RETRY_AFTER_LIMIT_S) if text.isdigit() else 1.0
