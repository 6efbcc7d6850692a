"""Lanes in which nothing happens leave the queue's slots to others."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from activities.lanes import Lanes
from provery.core.lane_controls import Advance, LaneInput, LaneView
from provery.core.lane_records import LaneOrder, Submission, request_key_of
from provery.core.lanes import SUBMIT_LANE, Call, lane_id
from provery.core.queues import IO, ORCHESTRATE, task_queue
from provery.core.types import Unit
from tests.support.anvil import Anvil
from tests.support.engine import SPECS, engine
from tests.support.laned import CONTRACT, environment, prepared

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]
SLOTS, LANES = 2, 8
PROMPT_S = 10.0
"""Far below what lanes held the slots for, and far above what a call takes on a slow machine."""


@pytest.mark.timeout(120)
async def test_more_open_lanes_than_slots_hold_nobody_up(
    server: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[tuple[float, float]] = []
    real = Lanes._advance

    async def timed(self: Lanes, given: Advance) -> LaneView:
        began = time.monotonic()
        try:
            return await real(self, given)
        finally:
            held.append((began, time.monotonic()))

    monkeypatch.setattr(Lanes, "_advance", timed)
    specs = tuple(replace(s, slots=SLOTS) if s.name == IO else s for s in SPECS)
    async with Anvil(tmp_path / "anvil", chain_id=39_999) as anvil:
        await prepared(anvil)
        settings: Any = environment(anvil.url, tmp_path / "policy.json")
        async with engine(server, tmp_path / "home", specs=specs, **settings) as made:
            handles = []
            for n in range(LANES):
                # Of an account that is no longer the stream's: each stays open, and waits for its operator.
                lane, unit = lane_id(50_000 + n, f"0x{n:040x}"), Unit("laned", "free", f"slot{n}")
                call = Call(CONTRACT, "0x", method="count")
                intent = Submission(request_key_of(unit), lane, "laned", "free", unit.key, call, "run:1", 1.0)
                await made.environment.ledger.lanes.enter(intent, 50_000 + n, f"0x{n:040x}")
                handles.append(
                    await made.client.start_workflow(
                        SUBMIT_LANE,
                        LaneInput(50_000 + n, f"0x{n:040x}"),
                        id=lane,
                        task_queue=task_queue(ORCHESTRATE, made.env),
                    )
                )
            try:
                async with asyncio.timeout(PROMPT_S):
                    for handle in handles:  # an order is an activity of the same queue
                        order = LaneOrder("pause", "", by="op")
                        assert await handle.execute_update("pause", order) == "paused"
                await asyncio.sleep(8)
                began = time.monotonic()
                await asyncio.sleep(6)
                share = sum(end - max(start, began) for start, end in held if end > began) / 6
                assert share < SLOTS / 2, (
                    f"{share:.2f} of {SLOTS} slots held by lanes in which nothing happens"
                )
                assert len({await _reason(handle) for handle in handles}) == 1
            finally:
                for handle in handles:
                    await handle.terminate("the test is over")


async def _reason(handle: Any) -> str:
    view = await handle.query("lane", result_type=LaneView)
    (line,) = view.lines
    return str(line.waits_for)
