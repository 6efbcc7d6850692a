"""The stages of a queue job with the real prover, circuit, store and table: alone, in batches, with poison in them."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    InvalidWitness,
    ProofRejected,
    ProverCrashed,
    ProveryError,
)
from provery.core.ports import ArtifactStore, CircomProver, ItemResult, StageContext, StageOutput
from provery.core.types import Json, Stage, StageInput, UnitStatus, Work
from provery.provers import build_provers
from provery.stores.artifacts import open_store
from provery.systems.queue.model import RowStatus
from provery.systems.queue.planner import Planner
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.system import QueueSystem
from provery.systems.queue.table import JobTable
from provery.systems.queue.wire import check
from tests.e2e.provers_support import CACHE, HOME, jobs, membership, registry

STAGES = (Stage.FETCH, Stage.WITNESS, Stage.PROVE, Stage.VERIFY, Stage.SUBMIT)


@dataclass
class Made:
    system: QueueSystem
    planner: Planner
    table: JobTable
    store: ArtifactStore
    provers: dict[str, CircomProver]

    async def work(self, id: str, request: dict[str, Json]) -> Work:
        return await self.planner.work(check(id, request))

    def context(self, work: Work, stage: Stage, before: StageOutput | None) -> StageContext:
        plan = work.plan.of(stage)
        assert plan is not None
        inputs = before.outputs if before else ()
        unused: Any = None
        return StageContext(StageInput(work.unit, plan, inputs), inputs, self.store, unused, silent, "memo")

    async def stage(
        self, works: Sequence[Work], stage: Stage, before: Sequence[StageOutput | None]
    ) -> list[StageOutput | ProveryError]:
        contexts = [self.context(w, stage, b) for w, b in zip(works, before, strict=True)]
        return await self.system.run_stage(stage, contexts)

    async def run(
        self, works: Sequence[Work], until: Stage = Stage.SUBMIT
    ) -> dict[str, StageOutput | ProveryError]:
        """All stages of a batch, as the engine does: who fails drops out."""
        latest: dict[str, StageOutput | ProveryError | None] = {w.unit.key: None for w in works}
        for stage in STAGES[: STAGES.index(until) + 1]:
            alive = [w for w in works if not isinstance(latest[w.unit.key], ProveryError)]
            before = [latest[w.unit.key] for w in alive]
            made = await self.stage(alive, stage, before)  # type: ignore[arg-type]
            latest |= {w.unit.key: outcome for w, outcome in zip(alive, made, strict=True)}
        return {key: outcome for key, outcome in latest.items() if outcome is not None}


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


@pytest_asyncio.fixture
async def made(tmp_path: Path) -> AsyncIterator[Made]:
    await membership()
    store = open_store((CACHE / "artifacts").as_uri(), cache=tmp_path / "cache", env={})
    provers = dict(build_provers(os.environ, 1, HOME))
    table = JobTable(f"sqlite:///{tmp_path}/queue.db")
    async with registry(CACHE) as circuits:
        settings = QueueSettings()
        system = QueueSystem(settings, table, circuits, provers)
        yield Made(system, Planner(settings, circuits, store), table, store, provers)
        await system.close()
    for prover in provers.values():
        await prover.close()


async def test_one_job_from_request_to_row(made: Made) -> None:
    work = await made.work("one", jobs()[0])
    outcome = (await made.run([work]))["one"]
    assert isinstance(outcome, StageOutput), outcome
    assert [ref.name for ref in outcome.outputs] == ["proof.json", "public.json"]
    row = await made.table.get("one")
    assert row is not None
    assert (row.status, row.request) == (RowStatus.DONE, jobs()[0])
    assert row.public_inputs == {name: jobs()[0][name] for name in ("root", "user", "epoch")}
    assert isinstance(row.proof, dict)
    assert set(row.proof) >= {"pi_a", "pi_b", "pi_c"}
    assert work.plan.express
    again = await made.stage([work], Stage.SUBMIT, [outcome])
    assert isinstance(again[0], StageOutput)
    assert await made.table.get("one") == row, "written once"
    other = await made.work("one", {**jobs()[0], "root": jobs()[0]["root"], "note": "another request"})
    (refused,) = await made.stage([other], Stage.SUBMIT, [outcome])
    assert isinstance(refused, InvalidInput)
    assert "another request under this id is done; got 'one'" in str(refused)
    assert await made.table.get("one") == row, "a done row stays"


async def test_a_batch_with_poison_in_it(made: Made) -> None:
    works = [await made.work(f"j{n}", request) for n, request in enumerate(jobs()[:6])]
    works[2] = await made.work("j2", jobs()[2] | {"nonce": "999"})
    outcomes = await made.run(works)
    assert isinstance(outcomes["j2"], InvalidWitness)
    for n in (0, 1, 3, 4, 5):
        assert isinstance(outcomes[f"j{n}"], StageOutput), outcomes[f"j{n}"]
    await made.system.conclude(works[2].unit, UnitStatus.FAILED, str(outcomes["j2"]), "InvalidWitness")
    await made.system.conclude(works[0].unit, UnitStatus.FAILED, "too late", "X")
    poison, good = await made.table.get("j2"), await made.table.get("j0")
    assert poison is not None
    assert good is not None
    assert (poison.status, good.status, good.error) == (RowStatus.FAILED, RowStatus.DONE, None)


async def test_large_requests_come_back_from_the_store(made: Made) -> None:
    request = jobs()[0] | {"note": "x" * 20_000}
    work = await made.work("large", request)
    assert "request" not in work.unit.params
    assert isinstance((await made.run([work]))["large"], StageOutput)
    row = await made.table.get("large")
    assert row is not None
    assert row.request == request


async def test_a_valid_proof_of_another_request_is_quarantined(made: Made) -> None:
    one, two = await made.work("one", jobs()[0]), await made.work("two", jobs()[1])
    proved = await made.run([one, two], until=Stage.PROVE)
    swapped = [proved["two"], proved["one"]]
    rejected = await made.stage([one, two], Stage.VERIFY, swapped)  # type: ignore[arg-type]
    for outcome in rejected:
        assert isinstance(outcome, ProofRejected)
        assert "another statement" in str(outcome)


async def test_a_foreign_verifying_key_stops_everything(made: Made) -> None:
    work = await made.work("one", jobs()[0])
    proved = (await made.run([work], until=Stage.PROVE))["one"]
    stages = tuple(
        replace(s, verifying_key="0" * 64) if s.stage is Stage.VERIFY else s for s in work.plan.stages
    )
    foreign = Work(work.unit, replace(work.plan, stages=stages))
    (outcome,) = await made.stage([foreign], Stage.VERIFY, [proved])  # type: ignore[list-item]
    assert isinstance(outcome, InvalidKey)


class Touchy:
    """A prover that dies over one witness, as a native crash would, and takes its whole call with it."""

    name = "native"

    def __init__(self, inner: CircomProver, fatal: str) -> None:
        self._inner, self._fatal, self.calls = inner, fatal, 0

    async def witness(self, circuit: Any, items: Any, progress: Any) -> list[ItemResult]:
        self.calls += 1
        if any(item.inputs["user"] == self._fatal for item in items):
            raise ProverCrashed("the child died", value="signal 11")
        return await self._inner.witness(circuit, items, progress)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


async def test_who_kills_the_prover_dies_alone(made: Made) -> None:
    touchy = Touchy(made.provers["native"], str(jobs()[3]["user"]))
    made.provers["native"] = touchy
    works = [await made.work(f"j{n}", request) for n, request in enumerate(jobs()[:8])]
    outcomes = await made.run(works, until=Stage.WITNESS)
    assert [key for key, outcome in outcomes.items() if isinstance(outcome, ProveryError)] == ["j3"]
    assert isinstance(outcomes["j3"], ProverCrashed)
    assert touchy.calls <= 7


async def test_what_cannot_be_run_says_so(made: Made, tmp_path: Path) -> None:
    work = await made.work("one", jobs()[0])
    with pytest.raises(ConfigurationError, match="no such stage"):
        await made.system.run_stage("compress", [])
    (missing,) = await made.stage([work], Stage.PROVE, [None])
    assert isinstance(missing, InvalidInput)
    assert "witness.wtns" in str(missing)
    fetched = (await made.run([work], until=Stage.FETCH))["one"]
    assert isinstance(fetched, StageOutput)
    context = made.context(work, Stage.WITNESS, fetched)
    context.prover = "imaginary"
    (outcome,) = await made.system.run_stage(Stage.WITNESS, [context])
    assert isinstance(outcome, ConfigurationError)
    assert "imaginary" in str(outcome)
    assert json.loads(await made.store.read(fetched.outputs[0]))["epoch"] == str(jobs()[0]["epoch"])
    assert await made.system.discover("prove", None, None) == []
