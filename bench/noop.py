"""A system whose stages do nothing, or what a unit's parameters tell them: for measuring and breaking the engine.

Parameters of a unit, all optional:

``bytes``      size of each stage's artifact (0: no artifact)
``shards``     pieces that the witness splits into
``join``       ``["compress"]``: stages whose artifact is their inputs, one after the other
``sleep``      ``{"prove": 1.5}``: seconds that a stage takes
``fail``       ``{"prove": ["InvalidWitness", 1]}``: error class, and how often (-1: always)
``log``        a file that gets one line per computed stage: ``<unit> <stage> <shard> <generation>``

The first n looks at a stream named ``fails-<n>`` fail.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Sequence

from provery.core.errors import InvalidInput, ProveryError, error_classes
from provery.core.ports import Deps, StageContext, StageOutput
from provery.core.types import STAGES, ArtifactRef, Json, Plan, Stage, StagePlan, Unit, UnitStatus, Work

QUEUES = {
    Stage.FETCH: "io",
    Stage.WITNESS: "cpu",
    Stage.PROVE: "cpu",
    Stage.COMPRESS: "cpu",
    Stage.VERIFY: "cpu",
    Stage.SUBMIT: "io",
}


class NoopSystem:
    """See the module."""

    name = "noop"

    def __init__(self, deps: Deps) -> None:
        self._deps = deps
        self._failed: Counter[tuple[str, str]] = Counter()

    async def run_stage(
        self, stage: str, contexts: Sequence[StageContext]
    ) -> list[StageOutput | ProveryError]:
        """Do as each unit's parameters say."""
        return [await self._one(stage, context) for context in contexts]

    async def _one(self, stage: str, context: StageContext) -> StageOutput | ProveryError:
        params = context.unit.params
        read = [await context.artifacts.read(ref) for ref in context.inputs]
        if seconds := _of(params, "sleep", stage):
            await self._sleep(float(str(seconds)), context)
        if fail := _of(params, "fail", stage):
            kind, times = fail if isinstance(fail, list) else (fail, -1)
            self._failed[context.memo_key, stage] += 1
            if times == -1 or self._failed[context.memo_key, stage] <= int(str(times)):
                return error_classes()[str(kind)](f"{stage} was told to fail")
        if log := params.get("log"):
            _append(log, f"{context.unit.key} {stage} {context.given.shard} {context.given.plan.generation}")
        size = int(str(params.get("bytes", 0)))
        shards = int(str(params.get("shards", 0))) if stage == Stage.WITNESS else 0
        joining = params.get("join")
        joining = joining if isinstance(joining, list) else []
        names = [f"{stage}-{i}.bin" for i in range(shards)] or [f"{stage}.bin"]
        outputs: list[ArtifactRef] = []
        for name in names if size or shards else []:
            seed = f"{context.unit.key}/{name}/{context.given.shard}/".encode()
            data = (seed * (1 + size // len(seed)))[: max(size, len(seed))]
            if stage in joining:
                data = b"".join(read)
            outputs.append(await context.artifacts.put_bytes(data, name=name))
        return StageOutput(tuple(outputs), facts={f"{stage}_pid": str(os.getpid())}, shards=bool(shards))

    async def _sleep(self, seconds: float, context: StageContext) -> None:
        steps = max(1, int(seconds / 0.1))
        for step in range(steps):
            context.progress("sleep", step, steps)
            await asyncio.sleep(seconds / steps)

    async def conclude(self, unit: Unit, status: UnitStatus, reason: str, error_kind: str) -> None:
        """Log the end."""
        if log := unit.params.get("log"):
            _append(log, f"{unit.key} conclude {status.value} {error_kind}")

    async def discover(self, stream: str, first: int | None, last: int | None) -> list[Work]:
        """Units ``first`` to ``last``; none without a range."""
        self._failed[stream, "discover"] += 1
        if stream.startswith("fails-") and self._failed[stream, "discover"] <= int(stream[6:]):
            raise InvalidInput("the look was told to fail", value=stream)
        if first is None or last is None:
            return []
        return [noop_work(f"u{i}", stream=stream, ordinal=i) for i in range(first, last + 1)]

    async def close(self) -> None:
        """Nothing to release."""


def _append(log: Json, line: str) -> None:
    """One line in one write: several workers log to one file."""
    with open(str(log), "a") as out:
        out.write(line + "\n")


def _of(params: dict[str, Json], name: str, stage: str) -> Json:
    table = params.get(name)
    return table.get(stage) if isinstance(table, dict) else None


def noop_work(
    key: str,
    *,
    stream: str = "bench",
    ordinal: int | None = None,
    params: dict[str, Json] | None = None,
    stages: Sequence[Stage] = STAGES,
    express: bool = False,
    park: bool = False,
    attempts: int = 3,
    heartbeat_s: float = 10.0,
    parallel: int = 32,
    fallback_queue: str = "",
    brief: bool = True,
    fused: bool = False,
) -> Work:
    """A unit of the no-op system."""
    plans = tuple(
        StagePlan(
            stage,
            QUEUES[stage],
            attempts=attempts,
            heartbeat_s=heartbeat_s,
            prover="noop" if stage is Stage.PROVE else "",
            fallback_queue=fallback_queue,
            brief=brief,
            fused=fused,
        )
        for stage in stages
    )
    unit = Unit("noop", stream, key, params or {}, ordinal, title=f"no-op {key}")
    return Work(unit, Plan(plans, express=express, park=park, parallel=parallel))


def build(deps: Deps) -> NoopSystem:
    """The registry's entry."""
    return NoopSystem(deps)
