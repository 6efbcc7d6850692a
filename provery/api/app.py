"""The common server: health, bounded bodies, and one shape of error for every system."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provery.core.errors import InvalidInput, ProveryError, TransientError

log = logging.getLogger(__name__)
MAX_BODY = 2**20
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


def create_app(
    routers: Sequence[APIRouter] = (),
    *,
    max_body: int = MAX_BODY,
    title: str = "Provery",
) -> FastAPI:
    """Make the server.

    Args:
        routers: Of the systems.
        max_body: Largest request body, bytes.
        title: Name in the OpenAPI document.
    """
    app = FastAPI(title=title, docs_url="/docs", redoc_url=None, telemetry=TELEMETRY)
    app.add_middleware(BodyLimit, limit=max_body)
    for router in routers:
        app.include_router(router)
    app.add_exception_handler(ProveryError, _on_provery)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_defect)

    @app.get("/health")
    async def health() -> dict[str, bool]:
        """The process runs."""
        return {"ok": True}

    return app


class BodyLimit:
    """Refuses bodies above a limit by their header, or by counting where none tells.

    Args:
        app: The server inside.
        limit: Bytes.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self._app = app
        self._limit = limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if not declared.isdigit() or int(declared[:20]) > self._limit:
            await self._refuse(scope, receive, send)
            return
        # Read here, so that a body without a length is refused before the application sees a byte of it.
        body, more = bytearray(), True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._limit:
                await self._refuse(scope, receive, send)
                return
        pending: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

        async def replay() -> Message:
            return pending.pop() if pending else await receive()

        await self._app(scope, replay, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = _error(413, "too_large", f"request body exceeds {self._limit} bytes")
        response.headers["connection"] = "close"
        await response(scope, receive, send)


async def _on_provery(_request: Request, error: Exception) -> Response:
    if isinstance(error, InvalidInput):
        return _error(400, "bad_request", str(error))
    if isinstance(error, TransientError):
        response = _error(503, "unavailable", "a dependency does not answer; try again")
        response.headers["retry-after"] = "1"
        log.warning("%s", error)
        return response
    log.error("request failed: %s", error)
    return _error(500, "internal", str(error))


async def _on_validation(_request: Request, error: Exception) -> Response:
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {"loc": (), "msg": str(error)}
    where = ".".join(str(part) for part in first["loc"])
    return _error(400, "bad_request", f"{where}: {first['msg']}")


async def _on_http(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = _CODES.get(status, "error")
    if status == 404:
        return JSONResponse({"error": code}, status)
    return _error(status, code, str(error.detail) if isinstance(error, HTTPException) else "")


async def _on_defect(_request: Request, error: Exception) -> Response:
    log.error("request failed", exc_info=error)
    return _error(500, "internal", "something went wrong on the server")


def _error(status: int, error: str, message: str) -> JSONResponse:
    return JSONResponse({"error": error, "message": message}, status)
