"""Relay server and sequencer of the network over HTTP: the paths, redirects, statuses and JSON of the real ones."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import ValidationError

from provery.core.errors import InvalidInput
from provery.core.types import Json
from provery.systems.hotshot import wire
from provery.systems.hotshot.model import LightClientState, StakeTableState
from provery.systems.hotshot.network.chain import Chain
from provery.systems.hotshot.network.collector import Collector, Refused
from provery.systems.hotshot.network.faults import Faults

VERSION = "/v1"
MOST_BODY = 64 * 1024
"""Bytes of a request."""
MOST_BLOCKS = 10**9
NOT_FOUND, TEMPORARY_REDIRECT = 404, 307


def relay_app(chain: Chain, collector: Collector) -> FastAPI:
    """The relay server."""
    app = _app("HotShot relay server", chain, lambda: chain.faults.relay_status)

    @app.get(f"{VERSION}/api/state")
    def latest() -> Response:
        found = collector.bundle()
        if found is None:
            return _error(NOT_FOUND, "The light client state signatures are not ready.")
        return JSONResponse(wire.write_bundle(found))

    @app.post(f"{VERSION}/api/state")
    async def post(request: Request) -> Response:
        try:
            signature = wire.read_signature_request(await _body(request))
            await asyncio.to_thread(collector.submit, signature)
        except Refused as error:
            return _error(error.status, str(error))
        except InvalidInput as error:
            return _error(400, str(error))
        return JSONResponse(None)

    _redirect(app, "/api/state", ["GET", "POST"])
    return app


def sequencer_app(chain: Chain) -> FastAPI:
    """The sequencer; besides what a real one has, ``/network`` for whoever runs the network."""
    app = _app("HotShot sequencer", chain, lambda: chain.faults.sequencer_status)

    @app.get(f"{VERSION}/config/hotshot")
    def config() -> Response:
        return JSONResponse(wire.write_config(chain.config))

    @app.get(f"{VERSION}/node/stake-table/{{epoch}}")
    def stake_table(epoch: int) -> Response:
        found = chain.served_table(epoch) if epoch >= 0 else None
        if found is None:
            return _error(NOT_FOUND, f"The stake table of epoch {epoch} is not known.")
        return JSONResponse(wire.write_stake_table(found))

    @app.get(f"{VERSION}/availability/state-cert/{{epoch}}")
    def certificate(epoch: int) -> Response:
        found = chain.certificate(epoch)
        if found is None:
            return _error(NOT_FOUND, f"The state certificate of epoch {epoch} is not available.")
        return JSONResponse(wire.write_certificate(found, triples=True))

    for path in ("/config/hotshot", "/node/stake-table/{epoch}", "/availability/state-cert/{epoch}"):
        _redirect(app, path, ["GET"])

    @app.get("/network")
    def status() -> Response:
        return JSONResponse(describe(chain))

    @app.post("/network/advance")
    def advance(blocks: int = 1) -> Response:
        if not 0 < blocks <= MOST_BLOCKS:
            return _error(400, f"expected 1 to {MOST_BLOCKS} blocks")
        chain.advance(blocks)
        return JSONResponse(describe(chain))

    @app.post("/network/faults")
    async def faults(request: Request) -> Response:
        try:
            chain.faults = Faults.model_validate(json.loads(await _body(request)))
        except (ValueError, ValidationError, InvalidInput) as error:
            return _error(400, str(error))
        return JSONResponse(chain.faults.model_dump(mode="json"))

    return app


def describe(chain: Chain) -> dict[str, Json]:
    """Where a chain is, and what a contract has to begin with: every number in hexadecimal but heights and epochs."""
    height = chain.height
    epoch = chain.epoch(height)
    return {
        "height": height,
        "epoch": epoch,
        "blocks_per_epoch": chain.blocks_per_epoch,
        "epoch_start_block": chain.epoch_start_block,
        "stake_table_capacity": chain.validators.capacity,
        "validators": chain.validators.count,
        "state": _state(chain.state(height)),
        "stake_table": _commitment(chain.validators.commitment(epoch)),
        "next_stake_table": _commitment(chain.next_stake(height)),
        "genesis": {
            "state": _state(chain.state(0)),
            "stake_table": _commitment(chain.validators.commitment(0)),
        },
    }


def _state(state: LightClientState) -> Json:
    return {"view": state.view, "height": state.height, "block_comm_root": hex(state.block_comm_root)}


def _commitment(state: StakeTableState) -> Json:
    return {
        "bls": hex(state.bls),
        "schnorr": hex(state.schnorr),
        "amount": hex(state.amount),
        "threshold": hex(state.threshold),
    }


def _app(title: str, chain: Chain, status: Callable[[], int]) -> FastAPI:
    app = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None)

    @app.middleware("http")
    async def faulty(request: Request, go_on: Callable[[Request], Awaitable[Response]]) -> Response:
        if request.url.path.startswith("/network"):
            return await go_on(request)
        await asyncio.sleep(chain.faults.delay_s)
        failing = status()
        return _error(failing, "out of order on request") if failing else await go_on(request)

    @app.get("/healthcheck")
    def healthcheck() -> dict[str, str]:
        return {"status": "available"}

    return app


def _redirect(app: FastAPI, path: str, methods: list[str]) -> None:
    """Send what comes without a version to the path with one, as the real servers do."""

    def redirect(request: Request) -> Response:
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{VERSION}{request.url.path}{query}", TEMPORARY_REDIRECT)

    app.add_api_route(path, redirect, methods=methods)


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_BODY:
            raise InvalidInput("the request is too large", expected=f"at most {MOST_BODY} bytes")
    return bytes(body)


def _error(status: int, message: str) -> JSONResponse:
    return JSONResponse({"status": status, "message": message}, status)


class NetworkServer:
    """A network's relay server and sequencer, each on a port of its own.

    Args:
        chain: What they serve.
    """

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.collector = Collector(chain)
        self.relay_url = self.sequencer_url = ""
        self._running: list[tuple[uvicorn.Server, asyncio.Task[None]]] = []

    async def start(self, host: str = "127.0.0.1", relay_port: int = 0, sequencer_port: int = 0) -> None:
        """Listen; port 0 takes a free one. The URLs are attributes afterwards.

        Raises:
            OSError: a port is taken.
        """
        self.relay_url = await self._serve(relay_app(self.chain, self.collector), host, relay_port)
        self.sequencer_url = await self._serve(sequencer_app(self.chain), host, sequencer_port)

    async def _serve(self, app: FastAPI, host: str, port: int) -> str:
        listener = socket.create_server((host, port))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        # Signals belong to whoever runs the network.
        server.capture_signals = suppress  # type: ignore[method-assign, assignment]
        self._running.append((server, asyncio.create_task(server.serve(sockets=[listener]))))
        return f"http://{host}:{listener.getsockname()[1]}"

    async def close(self) -> None:
        """Stop listening."""
        for server, _ in self._running:
            server.should_exit = True
        await asyncio.gather(*(task for _, task in self._running))
        self._running.clear()
