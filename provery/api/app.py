"""The common server: health, bounded bodies, and one shape of error for every system."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import suppress

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provery.core.errors import InvalidInput, ProveryError, TransientError
from provery.core.serving import Serving, plain_refusal

log = logging.getLogger(__name__)
PROBES = frozenset({"/health", "/ready", "/metrics"})
TELEMETRY = TelemetryConfig(
    exclude=lambda scope: (
        scope["path"] in PROBES
    ),  # asked every few seconds for ever: they would bury the rest
    operation_spans=False,
    metrics=False,
    logs=False,
    auto_configure=False,
)
"""Of what FastAPI itself can tell OpenTelemetry: one span per request, where the process has a tracer provider."""
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 429: "too_many_requests"}
HEALTH = "/health"
DISCARD_BYTES, DISCARD_S = 128 * 2**20, 10.0
"""How much of a body that is refused is taken, and for how long, so that its client comes to read the refusal."""


def create_app(
    routers: Sequence[APIRouter] = (),
    *,
    serving: Serving | None = None,
    title: str = "Provery",
) -> FastAPI:
    """Make the server.

    Args:
        routers: Of the systems. One that has a /health of its own is served that.
        serving: Bounds of requests and the shape of errors; None for the common ones.
        title: Name in the OpenAPI document.
    """
    app = FastAPI(title=title, docs_url="/docs", redoc_url=None, telemetry=TELEMETRY)
    app.state.serving = serving or Serving()
    app.add_middleware(BodyLimit, serving=app.state.serving)
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(ProveryError, _on_provery)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_defect)

    if not any(_serves(router, HEALTH) for router in routers):

        @app.get(HEALTH)
        async def health() -> dict[str, bool]:
            """The process runs."""
            return {"ok": True}

    return app


def _serves(router: APIRouter, path: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(scope)[0] is Match.FULL for route in router.routes)


class BodyLimit:
    """Refuses bodies above a limit by their header, or by counting where none tells, and those that take too long.

    Args:
        app: The server inside.
        serving: The bounds.
    """

    def __init__(self, app: ASGIApp, serving: Serving) -> None:
        self._app = app
        self._serving = serving

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._serving.max_body
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared[:20]) > limit:
            if not any(name == b"expect" for name, _ in scope["headers"]):
                await _discard(receive)
            await self._refuse(413, "too_large", f"request body exceeds {limit} bytes", scope, receive, send)
            return
        # Read here, so that a body without a length is refused before the application sees a byte of it.
        try:
            async with asyncio.timeout(self._serving.body_s):
                body = await _read(receive, limit)
        except TimeoutError:
            said = f"no complete request within {self._serving.body_s:g} s"
            await self._refuse(408, "timeout", said, scope, receive, send)
            return
        except _TooLarge:
            await _discard(receive)
            await self._refuse(413, "too_large", f"request body exceeds {limit} bytes", scope, receive, send)
            return
        if body is None:
            return
        pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _refuse(
        self, status: int, code: str, message: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        response = JSONResponse(self._serving.refusal(status, code, message), status)
        response.headers["connection"] = "close"
        await response(scope, receive, send)


class _TooLarge(Exception):
    """A body is larger than allowed."""


async def _read(receive: Receive, limit: int) -> bytes | None:
    """The whole body; None where the client has gone."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise _TooLarge
    return bytes(body)


async def _discard(receive: Receive) -> None:
    """Take the rest of a body that is refused, within bounds: a client that still sends does not see an answer."""
    left = DISCARD_BYTES
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_S):
            while left > 0:
                message = await receive()
                left -= len(message.get("body", b"")) + 1
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return


async def _on_provery(request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidInput):
        return _error(request, 400, "bad_request", str(error))
    if isinstance(error, TransientError):
        response = _error(request, 503, "unavailable", "a dependency does not answer; try again")
        response.headers["retry-after"] = "1"
        log.warning("%s", error)
        return response
    log.error("request failed: %s", error)
    return _error(request, 500, "internal", str(error))


async def _on_validation(request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(str(part) for part in first["loc"])
    return _error(request, 400, "bad_request", f"{where}: {first['msg']}")


async def _on_http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = _CODES.get(status, "error")
    if status == 404 and _serving(request).refusal is plain_refusal:
        return JSONResponse({"error": code}, status)
    return _error(request, status, code, str(error.detail) if isinstance(error, HTTPException) else "")


async def _on_defect(request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    return _error(request, 500, "internal", "something went wrong on the server")


def _error(request: Request, status: int, error: str, message: str) -> JSONResponse:
    return JSONResponse(_serving(request).refusal(status, error, message), status)


def _serving(request: Request) -> Serving:
    found = request.app.state.serving
    return found if isinstance(found, Serving) else Serving()
