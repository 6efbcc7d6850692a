"""A unit of 2,000 shards, at the thresholds that a server has by default."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from bench.noop import noop_work
from provery.core.types import UnitStatus
from tests.support.engine import engine, temporal_server

pytestmark = pytest.mark.asyncio(loop_scope="session")
SHARDS = 2_000
SECONDS = 90
WARNING_EVENTS, WARNING_BYTES = 10_240, 10 * 2**20
"""Where a server begins to complain about a history; it ends the workflow at five times as much."""
SUGGESTED = 4_096
"""Events at which a server suggests to continue as new."""


async def lengths(client: Client, workflow_id: str, run: str | None) -> list[tuple[int, int]]:
    """Events and bytes of each run's history, from the first run to the last."""
    seen = []
    while run:
        handle = client.get_workflow_handle(workflow_id, run_id=run)
        info = (await handle.describe()).raw_description.workflow_execution_info
        seen.append((info.history_length, info.history_size_bytes))
        last = (await handle.fetch_history()).events[-1]
        run = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return seen


async def test_a_unit_of_two_thousand_shards_is_proved_over_several_runs(tmp_path: Path) -> None:
    async with (
        temporal_server(**{"limit.historyCount.suggestContinueAsNew": ""}) as server,
        engine(server, tmp_path) as noop,
    ):
        params: dict[str, Any] = {"log": str(noop.log()), "bytes": 10, "shards": SHARDS, "join": ["compress"]}
        work = noop_work("wide", params=params, parallel=64)
        handle = await noop.start(work)
        outcome = await asyncio.wait_for(handle.result(), SECONDS)
        assert outcome.status is UnitStatus.DONE

        proved = [line.split()[2] for line in noop.computed() if line.split()[1] == "prove"]
        assert sorted(map(int, proved)) == list(range(SHARDS)), "every shard, and each once"
        audit: Any = await noop.environment.ledger.audit(work.unit)
        attempts = [a["outcome"] for a in audit["attempts"] if a["stage"] == "prove"]
        assert Counter(attempts) == {"done": SHARDS}
        (joined,) = [r["outputs"][0] for r in audit["results"] if r["stage"] == "compress"]
        text = Path(joined["uri"].removeprefix("file://")).read_text()
        assert text == "".join(f"wide/prove.bin/{i}/" for i in range(SHARDS)), "proofs in the order of shards"

        runs = await lengths(noop.client, handle.id, handle.first_execution_run_id)
        assert len(runs) > 1, "the history of one run would be too long"
        assert runs[0][0] >= SUGGESTED, "at the server's own threshold, not at the low one of other tests"
        assert all(events < WARNING_EVENTS and size < WARNING_BYTES for events, size in runs), runs
