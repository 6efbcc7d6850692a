"""What holds for every route: errors in one shape, figures, and a row of the audit trail."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from provery.core.access import AuditEntry
from provery.core.errors import ProveryError, TransientError
from provery.core.redact import redact
from provery.systems.zkml.http.problems import ApiError, Trail, of, shown

if TYPE_CHECKING:
    from provery.systems.zkml.http.api import Parts

log = logging.getLogger(__name__)
Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def route_class(parts: Parts) -> type[APIRoute]:
    """Routes of one API.

    Args:
        parts: Of that API.
    """

    class ZkmlRoute(APIRoute):
        """A route that never lets an error out in another shape."""

        def get_route_handler(self) -> Handler:
            """The handler, wrapped."""
            inner, path = super().get_route_handler(), self.path

            async def handle(request: Request) -> Response:
                began, at = time.perf_counter(), time.time()
                request.state.trail = trail = Trail()
                request.state.began = began
                error: ApiError | None = None
                try:
                    response = await inner(request)
                except Exception as raised:
                    error = said_of(raised)
                    response = error.response(round((time.perf_counter() - began) * 1000))
                if trail.action:
                    # Recorded before it is answered: an answer that nobody can account for is not given.
                    try:
                        await _record(parts, request, trail, error, at, time.perf_counter() - began)
                    except TransientError as away:
                        log.warning("the audit trail cannot be written: %s", away)
                        error = of(away)
                        response = error.response(round((time.perf_counter() - began) * 1000))
                if error is not None:
                    parts.metrics.refused(error.code)
                parts.metrics.answered(path, response.status_code, time.perf_counter() - began)
                return response

            return handle

    return ZkmlRoute


def elapsed_ms(request: Request) -> int:
    """Since the request came."""
    return round((time.perf_counter() - float(request.state.began)) * 1000)


def said_of(raised: Exception) -> ApiError:
    """What is answered to an error of any kind."""
    if isinstance(raised, ApiError):
        return raised
    if isinstance(raised, RequestValidationError):
        first = raised.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return ApiError("bad_request", f"{shown(where)}: {first['msg']}")
    if isinstance(raised, ProveryError):
        found = of(raised)
        level = (
            logging.DEBUG if found.status < 500 else logging.WARNING if found.status == 503 else logging.ERROR
        )
        log.log(level, "%s: %s", raised.kind, raised)
        return found
    log.error("request failed", exc_info=raised)
    return ApiError("internal", "something went wrong on the server")


async def _record(
    parts: Parts, request: Request, trail: Trail, error: ApiError | None, at: float, seconds: float
) -> None:
    detail = dict(trail.detail)
    outcome = trail.outcome or "ok"
    if error is not None:
        outcome = "refused" if error.status < 500 else "failed"
        detail["code"] = error.code
    entry = AuditEntry(
        at=at,
        who=trail.who or parts.callers.address(request),
        action=trail.action,
        outcome=outcome,
        latency_ms=round(seconds * 1000, 3),
        digests=trail.digests,
        detail={name: redact(value) if isinstance(value, str) else value for name, value in detail.items()},
    )
    await parts.backend.access.audit.append(entry)
