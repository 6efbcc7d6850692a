"""The memoised step where two workers meet over a lost artifact, and where a cancellation meets a result."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from activities.memo import Memo, Rates, Where
from activities.metrics import StageMetrics
from bench.noop import NoopSystem, noop_work
from provery.core.ports import AttemptEnd
from provery.core.types import ArtifactRef, StageInput, StageResult, Unit
from provery.stores.files import FileStore
from provery.stores.ledger import SqlLedger, open_ledger


def worker(home: Path, ledger: SqlLedger) -> Memo:
    """One worker's memo over the ledger and the store that all share."""
    nothing: Any = None
    system = NoopSystem(nothing)
    return Memo(
        FileStore(home / "store"), ledger, lambda _: system, Rates(), StageMetrics(CollectorRegistry())
    )


async def fetched(memo: Memo, given: StageInput) -> StageResult:
    where = Where("prove/noop/bench/u", "run", "io", "w", "h", 1)
    (result,) = await memo.run([given], where, lambda *_: None)
    assert isinstance(result, StageResult)
    return result


async def test_a_worker_that_looked_before_another_recorded_anew_takes_what_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, log = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "stages.log"
    one, other = worker(tmp_path, ledger), worker(tmp_path, ledger)
    work = noop_work("u", params={"bytes": 10, "log": str(log)})
    given = StageInput(work.unit, work.plan.stages[0])
    try:
        first = await fetched(one, given)
        Path(first.outputs[0].uri.removeprefix("file://")).unlink()
        fresh: list[StageResult] = []
        exists = other.artifacts.exists

        async def late(refs: list[ArtifactRef]) -> list[bool]:
            seen = await exists(refs)
            fresh.append(await fetched(one, given))
            return seen

        monkeypatch.setattr(other.artifacts, "exists", late)
        result = await fetched(other, given)
    finally:
        await ledger.close()
    assert len(fresh) == 1
    assert fresh[0].attempt != first.attempt
    assert (result.reused, result.attempt) == (True, fresh[0].attempt)
    assert len(log.read_text().splitlines()) == 2, "once, and once more after the loss"


@pytest.mark.parametrize("away", [False, True], ids=["the ledger answers", "the ledger is away"])
async def test_a_cancellation_waits_for_what_is_computed_to_be_recorded(
    away: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("activities.memo.RECORD_S", 0.3)
    ledger, log = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), tmp_path / "stages.log"
    memo = worker(tmp_path, ledger)
    work = noop_work("u", params={"bytes": 10, "log": str(log)})
    given = StageInput(work.unit, work.plan.stages[0])
    recording, finish = asyncio.Event(), ledger.finish

    async def slow(ends: Sequence[AttemptEnd], done: Sequence[Unit] = ()) -> dict[str, StageResult]:
        recording.set()
        await asyncio.sleep(60 if away else 0.1)
        return await finish(ends, done)

    try:
        with monkeypatch.context() as patched:
            patched.setattr(ledger, "finish", slow)
            task = asyncio.create_task(fetched(memo, given))
            await recording.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 5)
        result = await fetched(memo, given)
    finally:
        await ledger.close()
    assert result.reused is not away
    assert len(log.read_text().splitlines()) == 1 + away
