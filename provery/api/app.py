"""The common server: health, readiness, metrics, bounded bodies, and one shape of error for every system."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from provery.core.errors import InvalidInput, ProveryError, TransientError

log = logging.getLogger(__name__)
Check = Callable[[], Awaitable[None]]
MAX_BODY = 2**20
CHECK_S = 3.0
"""Seconds that one readiness check may take."""
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 429: "too_many_requests"}


def create_app(
    routers: Sequence[APIRouter] = (),
    *,
    checks: Mapping[str, Check] | None = None,
    registry: CollectorRegistry | None = None,
    max_body: int = MAX_BODY,
    title: str = "Provery",
) -> FastAPI:
    """Make the server.

    Args:
        routers: Of the systems.
        checks: Readiness: each raises while its dependency does not answer; without any there is no ``/ready``.
        registry: What ``/metrics`` shows; without one there is no such route.
        max_body: Largest request body, bytes.
        title: Name in the OpenAPI document.
    """
    app = FastAPI(title=title, docs_url="/docs", redoc_url=None)
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

    if checks is not None:

        @app.get("/ready")
        async def ready() -> JSONResponse:
            """Everything it needs answers."""
            answers = await asyncio.gather(*(_answer(check) for check in checks.values()))
            report = dict(zip(checks, answers, strict=True))
            ok = not any(report.values())
            shown = {name: fault or "ok" for name, fault in report.items()}
            return JSONResponse({"ok": ok, "checks": shown}, 200 if ok else 503)

    if registry is not None:

        @app.get("/metrics")
        async def metrics() -> Response:
            """Prometheus text."""
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

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


async def _answer(check: Check) -> str:
    """What is wrong, or an empty string."""
    try:
        async with asyncio.timeout(CHECK_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_S:g} s"
    except Exception as error:  # a readiness probe reports every fault and never becomes one
        return f"{type(error).__name__}: {error}"
    return ""


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
