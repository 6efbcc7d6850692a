"""One port for /health, /ready and /metrics: the SDK's metrics and ours on one page."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import httpx
import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from provery.api.app import create_app
from provery.core.serving import Serving
from workers.http import HEAD_BYTES, KEEP_ALIVE_S, PatientProtocol

Ready = Callable[[], Awaitable[dict[str, str]]]
"""Names of what is not ready, with the reason; empty when all is."""
GRACE_S = 10.0
"""Seconds that requests in flight have once everything else has stopped."""
LINGER_S = 2.0
"""Seconds that connections without a request have, when the server leaves, for one that is on its way."""


class HealthServer:
    """Serves a worker's state until ``close``: from its first moment, so that a worker that waits is seen waiting.

    Args:
        ready: Asked at every /ready.
    """

    def __init__(self, ready: Ready) -> None:
        self._ready = ready
        self._registry: CollectorRegistry | None = None
        self._sdk = ""
        self._app = self._make()
        self._draining = False
        self._server: uvicorn.Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    def attach(
        self,
        registry: CollectorRegistry,
        sdk_metrics: str,
        routers: Sequence[APIRouter] = (),
        serving: Serving | None = None,
    ) -> None:
        """Show more, now that it exists.

        Args:
            registry: Our metrics.
            sdk_metrics: Address of the SDK's own Prometheus listener on loopback.
            routers: HTTP APIs of systems to serve beside these pages; their paths take precedence.
            serving: Bounds of their requests, and how errors are said; None for the common ones.
        """
        self._registry, self._sdk = registry, sdk_metrics
        self._app = self._make(routers, serving)

    def _make(self, routers: Sequence[APIRouter] = (), serving: Serving | None = None) -> FastAPI:
        app = create_app(routers, serving=serving, title="Provery")
        if self._registry is None:
            # Not a 404: whoever asked another replica a moment ago would take that for an answer.
            app.add_exception_handler(HTTPException, _starting)
        app.add_api_route("/ready", self._ready_page, methods=["GET"])
        app.add_api_route("/metrics", self._metrics, methods=["GET"])
        return app

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def answer(message: Message) -> None:
            if self._draining and message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, answer)  # looked up at each request: attaching makes it anew

    async def start(self, host: str, port: int) -> None:
        """Listen; port 0 takes a free one, readable as ``port`` afterwards.

        Raises:
            OSError: the port is taken.
        """
        listener = socket.create_server((host, port), reuse_port=False)
        # Inherited by connections. asyncio sets it on those alone that say they are TCP, which these do not; without
        # it a response that is written in two parts waits 40 ms for the client's acknowledgement of the first.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self._serve,
            interface="asgi3",
            http=PatientProtocol,
            ws="none",
            log_config=None,
            access_log=False,
            lifespan="off",
            # Who asks is decided by systems that care, by their own list of proxies.
            proxy_headers=False,
            server_header=False,
            h11_max_incomplete_event_size=HEAD_BYTES,
            timeout_keep_alive=round(KEEP_ALIVE_S),
            timeout_graceful_shutdown=round(GRACE_S),
        )
        self._server = uvicorn.Server(config)
        # Signals belong to the worker: uvicorn must not take SIGTERM away from the drain.
        self._server.capture_signals = _nothing  # type: ignore[method-assign, assignment]
        self._task = asyncio.create_task(self._server.serve(sockets=[listener]))

    async def drain(self) -> None:
        """Take no more connections, and have each end with its next answer; return once they have, or a while later.

        Connections are refused from now on, which every load balancer takes to another replica. A request that comes on
        one that was there before is still answered in full: closing it could cross the request on its way.
        """
        if self._server is None or not self._server.started:
            return
        self._draining = True
        await asyncio.sleep(0)  # who has connected by now is served
        for server in self._server.servers:
            server.close()
        deadline = time.monotonic() + LINGER_S
        while self._server.server_state.connections and time.monotonic() < deadline:
            await asyncio.sleep(0.02)

    async def close(self) -> None:
        """Stop listening; requests in flight are answered, for a while."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            with suppress(asyncio.CancelledError):
                await self._task

    async def _ready_page(self, response: Response) -> dict[str, object]:
        waiting = await self._ready()
        response.status_code = 503 if waiting else 200
        return {"ready": not waiting, "waiting": waiting}

    async def _metrics(self) -> Response:
        if self._registry is None:
            return Response(b"", media_type=CONTENT_TYPE_LATEST)
        pages = [generate_latest(self._registry)]
        with suppress(httpx.HTTPError):  # the SDK's listener starts with the first client
            async with httpx.AsyncClient(timeout=2.0, trust_env=False) as http:
                pages.append((await http.get(f"http://{self._sdk}/metrics")).content)
        return Response(b"".join(pages), media_type=CONTENT_TYPE_LATEST)


async def _starting(_request: Request, _error: Exception) -> Response:
    return JSONResponse({"error": "starting"}, 503, headers={"retry-after": "1"})


class _nothing:
    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
