"""The beacon system with real stores and without Temporal: stages run memoised, one after the other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from activities.express import run_express
from activities.memo import Memo, Rates, Where
from activities.metrics import StageMetrics
from provery.core.ports import Deps, StatementProver
from provery.core.types import UnitOutcome, UnitStatus, Work
from provery.stores.artifacts import open_store
from provery.stores.ledger import open_ledger
from provery.systems.beacon.http import Limits
from provery.systems.beacon.streams import Stream, Streams
from provery.systems.beacon.system import BeaconSystem
from tests.support.queue import MANIFEST, Circuits

WHERE = Where("w", "r", "cpu", "worker", "host", 1)
QUICK = Limits(connect_s=1.0, read_s=1.0, total_s=2.0)


@dataclass
class Bench:
    """What the engine would hold."""

    deps: Deps
    streams: Streams
    system: BeaconSystem
    memo: Memo
    home: Path

    @property
    def stream(self) -> Stream:
        return self.streams.get("test")

    @property
    def store(self) -> Path:
        return self.home / "store"

    async def due(self, first: int | None = None, last: int | None = None) -> list[Work]:
        return await self.system.discover("test", first, last)

    async def prove(self, works: Sequence[Work]) -> list[UnitOutcome]:
        """Every stage of each unit, in order; a transient error leaves by raising."""
        await self.deps.ledger.claim(works)
        outcomes = []
        for work in works:
            outcomes += await run_express(self.memo, [work], WHERE, lambda step, done, total: None)
        return outcomes

    async def look(self) -> dict[str, UnitStatus]:
        """One look: discover, prove; status by period."""
        works = await self.due()
        outcomes = await self.prove(works)
        return {work.unit.key: outcome.status for work, outcome in zip(works, outcomes, strict=True)}

    def metric(self, name: str) -> float:
        """A series of the stream that has no further labels."""
        for line in self.stream.collector.text().splitlines():
            if line.startswith((name + "{", name + " ")) and "file=" not in line:
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"there is no {name}")


@asynccontextmanager
async def bench(
    home: Path, env: Mapping[str, str], statements: Mapping[str, StatementProver]
) -> AsyncIterator[Bench]:
    """A bench in a directory."""
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}")
    artifacts = open_store((home / "artifacts").as_uri(), cache=home / "cache", env={})
    deps = Deps(artifacts, ledger, ledger.catalog, Circuits(MANIFEST), {}, env, home, statements)
    streams = Streams(env, home, statements, QUICK)
    system = BeaconSystem(streams, ledger)
    metrics = StageMetrics(CollectorRegistry())
    try:
        yield Bench(
            deps, streams, system, Memo(artifacts, ledger, lambda name: system, Rates(), metrics), home
        )
    finally:
        await system.close()
        await artifacts.close()
        await ledger.close()


def with_generation(work: Work, generation: int) -> Work:
    """The work as an operator's order to prove it again makes it."""
    stages = tuple(replace(stage, generation=generation) for stage in work.plan.stages)
    return replace(work, plan=replace(work.plan, stages=stages))
