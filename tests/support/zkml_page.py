"""The page and the inference API behind it on a port of this machine, for tests in a browser.

The API and its ledger are the real ones; the engine is that of :mod:`tests.support.zkml_served`, which here walks a
proof through its stages, so that there is something to watch.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from provery.core.access import PROVE, READ, VERIFY
from provery.core.ports import UnitState
from provery.core.types import Unit, UnitStatus, Work
from provery.systems.zkml.http.page import page_routes
from tests.support import zkml_served
from tests.support.zkml_served import Engine, version_of_spending

STAGES = ("witness", "prove", "verify")
LOOKS = 3
"""A stage goes on once it was looked at so often: however slow the machine is, a watcher sees every stage."""
PATIENCE_S = 0.5
"""Unless nobody watches."""
MODELS = {"digits": (1, 1, 8, 8), "failing": (2, 2), "slow": (1, 2)}
"""Beside the documented one. Proofs of ``failing`` fail, those of ``slow`` stay in their first stage."""


@dataclass
class StagedEngine(Engine):
    """Walks proofs through their stages."""

    looks: dict[str, asyncio.Semaphore] = field(default_factory=dict)

    async def start(self, work: Work) -> UnitState:
        known = self.states.get(work.unit.key)
        state = await super().start(work)
        if state is known:
            return state
        self._stands(work.unit, STAGES[0], 0.0)
        return self.states[work.unit.key]

    async def state(self, unit: Unit, *, wait_s: float = 0.0, live: bool = False) -> UnitState | None:
        if live and unit.key in self.looks:
            self.looks[unit.key].release()
        return await super().state(unit, wait_s=wait_s, live=live)

    def _stands(self, unit: Unit, stage: str, done: float) -> None:
        self.looks[unit.key] = asyncio.Semaphore(0)
        self.states[unit.key] = UnitState(UnitStatus.RUNNING, stage, "a step" if done else "", done)

    async def _run(self, work: Work) -> None:
        model = str(work.unit.params["model"])
        for stage in STAGES:
            for done in (0.0, 0.5):
                self._stands(work.unit, stage, done)
                looks = self.looks[work.unit.key]
                with suppress(TimeoutError):
                    async with asyncio.timeout(30 if model == "slow" else PATIENCE_S):
                        for _ in range(10**9 if model == "slow" else LOOKS):
                            await looks.acquire()
                if self.states[work.unit.key].status.terminal:
                    return
            if model == "failing" and stage == "prove":
                await self._end(work.unit, UnitStatus.FAILED, "ProverCrashed", "the prover crashed")
                return
        await self._end(work.unit, UnitStatus.DONE)


@dataclass(frozen=True)
class Site:
    """Where the page is."""

    url: str
    secret: str
    """Of a key that may do what the page does."""


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """Serve the page and the API on a free port."""
    async with zkml_served.served(folder, engines=StagedEngine) as served:
        for name, shape in MODELS.items():
            await served.ledger.models.add(replace(version_of_spending(name), input_shape=shape))
        _, secret = await served.ledger.access.keys.add("page", (PROVE, VERIFY, READ))
        served.app.include_router(page_routes())
        async with listening(served.app) as url:
            yield Site(url, secret)
        for task in served.engine.tasks:
            task.cancel()


@asynccontextmanager
async def listening(app: FastAPI) -> AsyncIterator[str]:
    """Serve on a free port; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
    server.capture_signals = suppress  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = server.force_exit = True
        await running
