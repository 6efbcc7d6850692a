"""Memoised stages: look up, compute what is missing, record bytes first and rows second.

This is where "no finished stage is computed twice" is kept. The ledger is asked before any work, by a name that only
depends on the work itself; results are recorded put-if-absent after it. A retried, reset, re-started or redelivered
unit therefore recomputes nothing, even when the Temporal database was lost.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from activities.manifest import Manifests
from activities.metrics import StageMetrics
from provery.core.errors import ProverCrashed, ProveryError, ShardsMissing
from provery.core.ports import (
    ArtifactStore,
    Attempt,
    AttemptEnd,
    Ledger,
    Progress,
    StageContext,
    StageOutput,
    System,
    Usage,
)
from provery.core.redact import redact
from provery.core.types import ArtifactRef, StageInput, StageResult, memo_key

T = TypeVar("T")
RECORD_S = 2.0
"""How long a cancellation waits for what is computed to be recorded: as long as a prover has to end."""


@dataclass(frozen=True)
class Rates:
    """What computing costs, in any one currency."""

    cpu_hour: float = 0.0
    gpu_hour: float = 0.0

    def cost(self, usage: Usage) -> float:
        """Price of a child's work: CPU time, plus wall time where it held a device."""
        device = usage.wall_s * self.gpu_hour if usage.device else 0.0
        return (usage.cpu_s * self.cpu_hour + device) / 3600


@dataclass(frozen=True)
class Where:
    """Who is computing: goes into each attempt's row."""

    workflow_id: str
    run_id: str
    queue: str
    worker: str
    host: str
    number: int
    device: str = ""
    activity_id: str = ""
    cancelled: Callable[[], str] = lambda: "cancelled"
    """How attempts end that are cut off: an order cancels them, a draining worker hands them back."""


@dataclass(frozen=True)
class Memo:
    """The memoised step over injected ports."""

    artifacts: ArtifactStore
    ledger: Ledger
    system: Callable[[str], System]
    rates: Rates
    metrics: StageMetrics

    @cached_property
    def _manifests(self) -> Manifests:
        return Manifests(self.artifacts)

    async def run(
        self, givens: Sequence[StageInput], where: Where, progress: Progress
    ) -> list[StageResult | ProveryError]:
        """Run one stage of one system for one or many units.

        Args:
            givens: Inputs of the same stage and system.
            where: Who computes.
            progress: Told where the prover is.

        Returns:
            One result or error per input, in order. An error of one unit never fails its neighbours.
        """
        contexts = [await self._context(given, progress) for given in givens]
        ready = [c for c in contexts if isinstance(c, StageContext)]
        attempts = [self._attempt(c, where) for c in ready]
        found = await self._found(attempts)
        todo = [(c, a) for c, a in zip(ready, attempts, strict=True) if a.memo_key not in found]
        fresh = await self._compute(todo, where)
        if found:
            self.metrics.reused(givens[0].unit, givens[0].plan.stage, len(found))
        by_key: Mapping[str, StageResult | ProveryError] = {**found, **fresh}
        done = [c.unit for c in ready if c.given.last and c.memo_key in found]
        if done:
            await self.ledger.finish([], done)
        return [c if isinstance(c, ProveryError) else by_key[c.memo_key] for c in contexts]

    async def look(self, given: StageInput, progress: Progress) -> tuple[StageContext, StageResult | None]:
        """A stage's context, and its result if it is recorded; for stages that others carry out.

        Raises:
            ProveryError: the stage's inputs are not there.
        """
        context = await self._context(given, progress)
        if isinstance(context, ProveryError):
            raise context
        found = (await self.ledger.lookup([context.memo_key])).get(context.memo_key)
        if found is not None and not all(await self.artifacts.exists(found.outputs)):
            found = None
        if found is not None and given.last:
            await self.ledger.finish([], [given.unit])
        return context, found

    async def record(
        self, context: StageContext, produced: StageOutput | ProveryError, where: Where, started_at: float
    ) -> StageResult | ProveryError:
        """Record what somebody else has made of a stage since ``started_at``, seconds since the epoch."""
        attempt = replace(self._attempt(context, where), started_at=started_at)
        found = await self._found([attempt])
        if context.memo_key in found:
            return found[context.memo_key]
        seconds = time.time() - started_at
        done = [context.unit] if context.given.last else []
        if isinstance(produced, ProveryError):
            await self.ledger.finish([self._failed(attempt, produced)])
            result: StageResult | ProveryError = produced
        else:
            end = await self._succeeded(context, attempt, produced, seconds, attempt.host)
            result = (await self.ledger.finish([end], done))[context.memo_key]
        errors = [produced] if isinstance(produced, ProveryError) else []
        self.metrics.computed(context.unit, context.given.plan.stage, seconds, 1, errors)
        return result

    async def _context(self, given: StageInput, progress: Progress) -> StageContext | ProveryError:
        try:
            inputs = await self._inputs(given)
        except ProveryError as error:
            return error
        key = memo_key(given.unit, given.plan, tuple(ref.sha256 for ref in inputs), given.shard)
        return StageContext(
            given=given,
            inputs=inputs,
            artifacts=self.artifacts,
            ledger=self.ledger,
            progress=progress,
            memo_key=key,
            request_key=key,
            prover=given.plan.prover,
        )

    async def _inputs(self, given: StageInput) -> tuple[ArtifactRef, ...]:
        """The input artifacts: as given, one entry of a shard manifest, or gathered from a fan-out's results."""
        if given.gather:
            done = await self.ledger.results(given.unit, given.gather_stage.value, given.gather_generation)
            missing = [i for i in range(given.gather) if i not in done]
            if missing:
                raise ShardsMissing(
                    "results of a fan-out are missing", value=missing[:8], expected=f"{given.gather} shards"
                )
            return tuple(ref for i in range(given.gather) for ref in done[i].outputs)
        if given.shard is None:
            return given.inputs
        return (await self._manifests.entry(given.inputs, given.shard, given.shards),)

    def _attempt(self, context: StageContext, where: Where) -> Attempt:
        given = context.given
        return Attempt(
            id=uuid.uuid4().hex,
            memo_key=context.memo_key,
            unit=given.unit,
            stage=given.plan.stage.value,
            shard=given.shard,
            number=where.number,
            workflow_id=where.workflow_id,
            run_id=where.run_id,
            queue=where.queue,
            worker=where.worker,
            host=where.host,
            started_at=time.time(),
            prover=given.plan.prover,
            device=where.device,
            generation=given.plan.generation,
            activity_id=where.activity_id,
        )

    async def _found(self, attempts: Sequence[Attempt]) -> dict[str, StageResult]:
        """Recorded results whose artifacts are all present; the others are forgotten and opened as new attempts."""
        if not attempts:
            return {}
        found = await self.ledger.begin(attempts)
        refs = [(key, ref) for key, result in found.items() for ref in result.outputs]
        present = await self.artifacts.exists([ref for _, ref in refs]) if refs else []
        gone = {key for (key, _), there in zip(refs, present, strict=True) if not there}
        if gone:
            for key in gone:
                await self.ledger.forget(
                    key, attempt=found[key].attempt, reason="its artifacts are gone from the store"
                )
            again = await self.ledger.begin([a for a in attempts if a.memo_key in gone])
            found = {**{k: r for k, r in found.items() if k not in gone}, **again}
        return {key: replace(result, reused=True, seconds=0.0) for key, result in found.items()}

    async def _compute(
        self, todo: Sequence[tuple[StageContext, Attempt]], where: Where
    ) -> dict[str, StageResult | ProveryError]:
        if not todo:
            return {}
        contexts = [context for context, _ in todo]
        stage, system = contexts[0].given.plan.stage, self.system(contexts[0].unit.system)
        started = time.monotonic()
        produced: Sequence[StageOutput | ProveryError]
        try:
            produced = await system.run_stage(stage.value, contexts)
        except ProveryError as error:
            produced = [error] * len(contexts)
        except asyncio.CancelledError:
            await asyncio.shield(self._close_all(todo, where))
            raise
        except Exception as error:
            # A bug in an adapter: bounded retries, a readable reason, and the neighbours of the batch still end.
            crash = ProverCrashed(
                f"{stage} failed unexpectedly: {type(error).__name__}: {redact(str(error))}"
            )
            crash.__cause__ = error
            produced = [crash] * len(contexts)
        return await _to_the_end(self._recorded(todo, produced, time.monotonic() - started))

    async def _recorded(
        self,
        todo: Sequence[tuple[StageContext, Attempt]],
        produced: Sequence[StageOutput | ProveryError],
        seconds: float,
    ) -> dict[str, StageResult | ProveryError]:
        contexts = [context for context, _ in todo]
        ends, errors = [], {}
        for (context, attempt), output in zip(todo, produced, strict=True):
            if isinstance(output, ProveryError):
                errors[context.memo_key] = output
                ends.append(self._failed(attempt, output))
            else:
                ends.append(
                    await self._succeeded(context, attempt, output, seconds / len(todo), attempt.host)
                )
        finished = [c.unit for c in contexts if c.given.last and c.memo_key not in errors]
        winners = await self.ledger.finish(ends, finished)
        stage = contexts[0].given.plan.stage
        self.metrics.computed(contexts[0].unit, stage, seconds, len(todo), list(errors.values()))
        return {**winners, **errors}

    async def _succeeded(
        self, context: StageContext, attempt: Attempt, output: StageOutput, seconds: float, host: str
    ) -> AttemptEnd:
        outputs, shards = output.outputs, len(output.outputs) if output.shards else 0
        if shards:
            outputs = await self._manifests.pack(outputs)
        result = StageResult(
            stage=context.given.plan.stage,
            memo_key=context.memo_key,
            outputs=outputs,
            facts=output.facts,
            shards=shards,
            seconds=round(seconds, 4),
            prover=context.given.plan.prover,
            host=host,
            attempt=attempt.id,
        )
        usage = output.usage
        return AttemptEnd(
            id=attempt.id,
            ended_at=time.time(),
            outcome="done",
            exit_code=usage.exit_code,
            signal=usage.signal,
            cpu_s=usage.cpu_s,
            peak_rss=usage.peak_rss,
            cost=self.rates.cost(usage),
            result=result,
        )

    def _failed(self, attempt: Attempt, error: ProveryError) -> AttemptEnd:
        usage = getattr(error, "usage", None) or Usage()
        return AttemptEnd(
            id=attempt.id,
            ended_at=time.time(),
            outcome="failed",
            error_kind=error.kind,
            error=redact(str(error)),
            exit_code=usage.exit_code,
            signal=usage.signal,
            cpu_s=usage.cpu_s,
            peak_rss=usage.peak_rss,
            cost=self.rates.cost(usage),
        )

    async def _close_all(self, todo: Sequence[tuple[StageContext, Attempt]], where: Where) -> None:
        now, outcome = time.time(), where.cancelled()
        # Without a database the row stays open, and a later attempt marks it lost: a cancel must not wait for it.
        with suppress(ProveryError):
            await self.ledger.finish([AttemptEnd(id=a.id, ended_at=now, outcome=outcome) for _, a in todo])


async def _to_the_end(work: Coroutine[object, object, T]) -> T:
    """Await work that a cancellation has to wait for, within reason; it is then raised all the same."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task], timeout=RECORD_S)
        if not task.cancel():
            task.exception()  # nobody else asks
        raise
