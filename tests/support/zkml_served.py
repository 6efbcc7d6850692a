"""The inference API over a real ledger, with an engine and a prover that keep their promises in this process.

The engine runs units after a delay; the prover's proof is a digest that nobody forges by accident. What is tested with
them is HTTP: everything behind the ``Backend`` has tests of its own.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import httpx
from fastapi import APIRouter, FastAPI
from prometheus_client import CollectorRegistry

from provery.api.app import create_app
from provery.core.errors import InvalidInput, LedgerUnavailable, ProofRejected
from provery.core.models import ModelSettings, ModelVersion, Shown, Visibility
from provery.core.ports import UnitState
from provery.core.types import Plan, Stage, StagePlan, Unit, UnitOutcome, UnitStatus, Work
from provery.stores.database import Database
from provery.stores.ledger import SqlLedger, open_ledger
from provery.stores.schema import ensure
from provery.systems.zkml import hashes
from provery.systems.zkml.http.api import ZkmlApi
from provery.systems.zkml.http.backend import Backend
from provery.systems.zkml.http.settings import HttpSettings
from provery.systems.zkml.model import Answer
from provery.systems.zkml.units import proof_unit, request_digest

STREAM = "default"
MODEL = "spending-model"
INPUTS = [0.05, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5]
SCALE = 12


def version_of_spending(name: str = MODEL, tolerance: float = 0.01, **settings: Any) -> ModelVersion:
    """A registered version like the documented model's."""
    made = ModelVersion(
        model=name,
        sha256=hashlib.sha256(name.encode()).hexdigest(),
        model_hash=hashes.model_hash(name.encode()),
        settings=ModelSettings(tolerance=tolerance, **settings),
        input_shape=(1, 8),
        output_shape=(1, 3),
        added_at=time.time(),
    )
    key = hashlib.sha256(made.version.encode()).hexdigest()
    return replace(made, facts={"verifying_key": key, "circuit": "test"})


def inferred(values: Sequence[float]) -> tuple[int, ...]:
    """Quantised outputs of the test's model."""
    return tuple(round(sum(values[i::3]) * 2**SCALE) for i in range(3))


def quantised(values: Sequence[float]) -> tuple[int, ...]:
    """Quantised inputs."""
    return tuple(round(value * 2**SCALE) for value in values)


def sealed(version: ModelVersion, instance: str) -> bytes:
    """The test prover's proof."""
    return hashlib.sha512(f"{version.version}|{instance}".encode()).digest() * 8


@dataclass
class Engine:
    """Runs units in this process: the port ``Units``, and the prover's two functions."""

    ledger: SqlLedger
    seconds: float = 0.0
    """That a proof takes."""
    started: list[Work] = field(default_factory=list)
    fail: tuple[str, str] | None = None
    """Error kind and reason that proofs end with."""
    hold: asyncio.Event | None = None
    """Proofs end when it is set."""
    away: bool = False
    states: dict[str, UnitState] = field(default_factory=dict)
    versions: dict[str, ModelVersion] = field(default_factory=dict)
    works: dict[str, Work] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    verified: int = 0

    async def start(self, work: Work) -> UnitState:
        if self.away:
            raise LedgerUnavailable("the engine is away")
        key = work.unit.key
        there = self.states.get(key)
        if there is not None and (not there.status.terminal or there.status is UnitStatus.DONE):
            return there
        self.started.append(work)
        await self.ledger.claim([work], work.unit.workflow_id)
        self.states[key] = UnitState(UnitStatus.RUNNING, "prove", "rounds", 0.5)
        task = asyncio.create_task(self._run(work))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return self.states[key]

    async def _run(self, work: Work) -> None:
        if self.hold is not None:
            await self.hold.wait()
        await asyncio.sleep(self.seconds)
        if self.states[work.unit.key].status.terminal:
            return
        if self.fail is not None:
            await self._end(work.unit, UnitStatus.FAILED, *self.fail)
        else:
            await self._end(work.unit, UnitStatus.DONE)

    async def _end(self, unit: Unit, status: UnitStatus, kind: str = "", reason: str = "") -> None:
        facts = {"transaction": "0xabc", "block": "7", "prove_s": "1"} if unit.params.get("attest") else {}
        outcome = UnitOutcome(unit.workflow_id, status, reason, kind, "prove" if kind else "", facts=facts)
        await self.ledger.conclude(unit, status, reason=reason, error_kind=kind)
        self.states[unit.key] = UnitState(status, outcome.stage, outcome=outcome)

    async def state(self, unit: Unit, *, wait_s: float = 0.0, live: bool = False) -> UnitState | None:
        if self.away:
            raise LedgerUnavailable("the engine is away")
        until = time.monotonic() + wait_s
        while (now := self.states.get(unit.key)) is not None and not now.status.terminal:
            if time.monotonic() >= until:
                break
            await asyncio.sleep(0.005)
        return now

    async def cancel(self, unit: Unit, reason: str) -> UnitState | None:
        now = self.states.get(unit.key)
        if now is not None and not now.status.terminal:
            await self._end(unit, UnitStatus.CANCELLED, "", reason)
        return self.states.get(unit.key)

    def digest(self, version: ModelVersion, values: Sequence[float], attest: str, owner: str) -> str:
        return request_digest(version, values, attest, owner)

    async def work(
        self,
        version: ModelVersion,
        values: Sequence[float],
        *,
        attest: str,
        fairness: str,
        weight: float,
        owner: str,
    ) -> Work:
        if any(abs(value) >= 2**11 for value in values):
            raise InvalidInput("an input is out of range", expected="less than 2048")
        unit = proof_unit(STREAM, version, values, attest, None, owner)
        self.versions[unit.key] = version
        plan = Plan((StagePlan(Stage.PROVE, "cpu"),), fairness=fairness, fairness_weight=weight)
        self.works[unit.key] = Work(unit, plan)
        return self.works[unit.key]

    async def answer(self, outcome: UnitOutcome) -> Answer:
        key = outcome.unit.rpartition("/")[2]
        version, given = self.versions[key], self.works[key].unit.params["values"]
        assert isinstance(given, list)
        values = tuple(float(str(value)) for value in given)
        outputs = inferred(values)
        public = version.settings.visibility is Visibility.PUBLIC
        shown = {
            "inputs": list(quantised(values)) if public else [],
            "outputs": list(outputs),
            "verifying_key": version.facts["verifying_key"],
        }
        instance = json.dumps(shown, sort_keys=True)
        proof = sealed(version, instance)
        raw = tuple(value / 2**SCALE for value in outputs)
        return Answer(
            model=version.model,
            version=version.version,
            model_hash=version.model_hash,
            input_hash=hashes.input_hash(values),
            output_hash=hashes.output_hash(raw),
            proof="0x" + proof.hex(),
            proof_hash=hashes.proof_hash(proof),
            proof_size=len(proof),
            prover="native",
            scheme="plonk",
            verifying_key=version.facts["verifying_key"],
            inputs=values,
            quantised=quantised(values),
            raw_output=raw,
            raw_quantised=outputs,
            instance=instance,
            commitment="",
            salt="",
            calldata="0x1234",
            verifier="",
            created_at_ms=1_703_894_400_000,
            generation_ms=210,
        )

    async def check(self, version: ModelVersion, proof: bytes, instance: str) -> Shown:
        self.verified += 1
        if proof != sealed(version, instance):
            raise ProofRejected("the proof does not verify")
        said = json.loads(instance)
        return Shown(tuple(said["outputs"]), tuple(said["inputs"]), output_scale=SCALE)


@dataclass
class Served:
    """An API under test."""

    api: ZkmlApi
    app: FastAPI
    engine: Engine
    ledger: SqlLedger
    registry: CollectorRegistry
    missing: dict[str, str]
    address: str = "127.0.0.1"

    def client(self, address: str = "", **more: Any) -> httpx.AsyncClient:
        """A client that seems to call from an address."""
        transport = httpx.ASGITransport(
            app=self.app, raise_app_exceptions=False, client=(address or self.address, 4321)
        )
        return httpx.AsyncClient(transport=transport, base_url="http://provery", timeout=30, **more)

    async def key(self, *scopes: str, **more: Any) -> dict[str, str]:
        """Headers of a new key."""
        _, secret = await self.ledger.access.keys.add("test", scopes, **more)
        return {"authorization": f"Bearer {secret}"}

    def figure(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.registry.get_sample_value(name, labels) or 0.0


@cache
def _migrated() -> bytes:
    """An empty ledger: making its tables takes longer than most tests."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.db"
        database = Database(f"sqlite:///{path}")
        ensure(database, f"sqlite:///{path}", upgrade=True)
        database.close_now()
        return path.read_bytes()


def new_ledger(folder: Path) -> SqlLedger:
    """A ledger of a test's own."""
    path = folder / "ledger.db"
    path.write_bytes(_migrated())
    return open_ledger(f"sqlite:///{path}")


@asynccontextmanager
async def served(
    folder: Path, ledger: SqlLedger | None = None, engines: type[Engine] = Engine, **settings: Any
) -> AsyncIterator[Served]:
    """An API with the documented model, and as many proofs a minute as a test likes."""
    settings = {"anonymous_per_minute": 100_000.0, **settings}
    opened = ledger or new_ledger(folder)
    engine, missing, registry = engines(opened), dict[str, str](), CollectorRegistry()
    if await opened.models.get(MODEL) is None:
        await opened.models.add(version_of_spending())
    backend = Backend(
        stream=STREAM,
        registry=opened.models,
        access=opened.access,
        starter=engine,
        ledger=opened,
        digest=engine.digest,
        work=engine.work,
        answer=engine.answer,
        check=engine.check,
        missing=lambda: missing,
    )
    made = HttpSettings.model_validate(settings)
    api = ZkmlApi(made, backend, registry, folder)
    outer = APIRouter()  # as the ingress does it, with its page beside
    outer.include_router(api.routes)
    app = create_app([outer], serving=api.serving)
    running = asyncio.create_task(api.run())
    await api.open()
    try:
        yield Served(api, app, engine, opened, registry, missing)
    finally:
        if engine.hold is not None:
            engine.hold.set()
        await api.stop()
        await asyncio.wait([running], timeout=5)
        running.cancel()
        await api.close()
        await asyncio.gather(running, *engine.tasks, return_exceptions=True)
        if ledger is None:
            await opened.close()


def prove_body(*changes: float, **more: Any) -> dict[str, Any]:
    """The documented request; ``changes`` replace its first inputs."""
    return {"model_id": MODEL, "inputs": [*changes, *INPUTS[len(changes) :]], "tag": "spending", **more}
