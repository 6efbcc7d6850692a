"""The zkml system whole: a library, workers and the API over a real engine, with the native prover."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import onnx
from temporalio.testing import WorkflowEnvironment

from provery.api.app import create_app
from provery.core.models import ModelRegistry, ModelVersion
from provery.core.ports import Ledger
from provery.core.types import Unit, UnitStatus
from provery.provers.tools import ROOT
from provery.stores.files import FileStore
from tests.support.engine import Engine, engine
from workers import ingress

SPENDING = ROOT / "provery" / "systems" / "zkml" / "vectors" / "models" / "spending-model.onnx"
INPUTS = [0.05, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5]
PATIENCE_S = 120.0


def model_file(mark: str = "") -> bytes:
    """The documented model's bytes; with a mark those of another file that infers the same."""
    model = onnx.load(SPENDING)
    model.doc_string = mark
    return SPENDING.read_bytes() if not mark else model.SerializeToString()


@dataclass
class World:
    """Everything of one installation."""

    engine: Engine
    models: Path
    http: httpx.AsyncClient

    def put(self, name: str, mark: str = "", settings: str = "") -> None:
        """Lay a model into the library."""
        if settings:
            (self.models / f"{name}.json").write_text(settings)
        path = self.models / f"{name}.onnx"
        path.with_suffix(".new").write_bytes(model_file(mark))
        path.with_suffix(".new").rename(path)

    async def listed(self, name: str, other_than: str = "") -> ModelVersion:
        """A model's version, as soon as it is on the list."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            found = await self.registry.get(name)
            if found is not None and found.version != other_than:
                return found
            if time.monotonic() > deadline:
                health = (await self.http.get("/health")).json()
                raise AssertionError(f"{name} is not on the list: {health}")
            await asyncio.sleep(0.1)

    async def prove(self, name: str, inputs: Sequence[float] = INPUTS, **more: Any) -> httpx.Response:
        """Ask for a proof and wait for it."""
        return await self.http.post("/prove", json={"model_id": name, "inputs": list(inputs), **more})

    @property
    def registry(self) -> ModelRegistry:
        """The models that were added."""
        found = self.engine.environment.deps.registry
        assert found is not None
        return found

    @property
    def store(self) -> FileStore:
        """The artifacts, as files."""
        found = self.engine.environment.deps.artifacts
        assert isinstance(found, FileStore)
        return found

    async def stages(self, key: str) -> list[str]:
        """The stages of a unit that were computed, in order."""
        return await computed(self.engine.environment.ledger, key)

    async def models_added(self) -> int:
        """Units that added a version and are done."""
        found = await self.engine.environment.ledger.units(
            system="zkml", stream="default", status=UnitStatus.DONE, limit=1_000
        )
        return sum(row.unit.key.startswith("model-") for row in found)


async def computed(ledger: Ledger, key: str) -> list[str]:
    """The stages of a unit that were computed, in order."""
    audit: Any = await ledger.audit(Unit("zkml", "default", key))
    return [a["stage"] for a in audit["attempts"] if a["outcome"] == "done"]


@asynccontextmanager
async def world(server: WorkflowEnvironment, home: Path, **more: str) -> AsyncIterator[World]:
    """Start it; the library is empty."""
    models = home / "models"
    models.mkdir(parents=True)
    env: dict[str, Any] = {"PROVERY_ZKML_LOOK_S": "0.3", "PROVERY_ZKML_ANONYMOUS_PER_MINUTE": "6000", **more}
    async with engine(server, home, **env) as made:
        feed = await ingress.build(made.environment, "zkml/default")
        stop = asyncio.Event()
        serving = asyncio.create_task(feed.run(stop))
        transport = httpx.ASGITransport(create_app(feed.routers, serving=feed.serving))
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://api", timeout=60.0) as http:
                yield World(made, models, http)
        finally:
            stop.set()
            await serving
