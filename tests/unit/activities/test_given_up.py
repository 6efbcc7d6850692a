"""Whether a cancelled stage's result is still wanted: work that goes on outside depends on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from activities.memo import Memo, Rates
from activities.metrics import StageMetrics
from activities.stages import Stages
from bench.noop import NoopSystem, noop_work
from provery.core.errors import ProveryError
from provery.core.ports import StageContext, StageOutput
from provery.core.types import StageInput
from provery.provers.process import given_up
from provery.stores.files import FileStore
from provery.stores.ledger import open_ledger


class Waits(NoopSystem):
    """A stage that only ends by being cancelled, and then asks what for."""

    def __init__(self) -> None:
        nothing: Any = None
        super().__init__(nothing)
        self.began = asyncio.Event()
        self.said: list[bool] = []

    async def run_stage(
        self, stage: str, contexts: Sequence[StageContext]
    ) -> list[StageOutput | ProveryError]:
        try:
            self.began.set()
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.said.append(given_up.get()())
            raise
        raise AssertionError("nobody cancelled")


@pytest.mark.parametrize(
    ("why", "wanted"),
    [
        (ActivityCancellationDetails(cancel_requested=True), False),
        (ActivityCancellationDetails(worker_shutdown=True), True),
        (ActivityCancellationDetails(timed_out=True), True),
        (ActivityCancellationDetails(paused=True), True),
        (ActivityCancellationDetails(not_found=True), True),
    ],
    ids=lambda value: "",
)
async def test_only_the_workflow_gives_a_result_up(
    tmp_path: Path, why: ActivityCancellationDetails, wanted: bool
) -> None:
    ledger, system = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}"), Waits()
    memo = Memo(
        FileStore(tmp_path / "store"), ledger, lambda _: system, Rates(), StageMetrics(CollectorRegistry())
    )
    work = noop_work("u", params={})
    environment = ActivityEnvironment()
    task = asyncio.ensure_future(
        environment.run(Stages(memo, "w").fetch, StageInput(work.unit, work.plan.stages[0]))
    )
    await system.began.wait()
    environment.cancel(cancellation_details=why)
    with pytest.raises((asyncio.CancelledError, ApplicationError)):
        await task
    await ledger.close()
    assert system.said == [not wanted]
