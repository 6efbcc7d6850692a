"""A lane: what its submissions wait between signing and a node, and what a unit through it costs.

Temporal, three worker processes, the ledger and anvil, which makes a block of each transaction. Units of four stages
go one at a time, the last one through the lane; the first three do nothing, and the call writes one word.

``sign to seen`` is by the ledger's times: from just before a transaction is kept, which is after it is signed, until a
node has taken it. It holds the ledger's commit, which has to come before sending, and the node's answer.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

from bench.dispatch import WORKERS, quantile
from bench.results import Figures, figure
from bench.stack import Stack, stack
from provery.client import Provery
from provery.core.lane_records import Phase
from provery.core.types import UnitOutcome, UnitStatus
from tests.support.anvil import Anvil
from tests.support.laned import environment, laned_work, prepared

WARM, UNITS = 10, 120


async def run(home: Path) -> Figures:
    """Submit one unit after the other; one that does not land with its first transaction raises."""
    seen: list[float] = []
    took: list[float] = []
    async with Anvil(home / "anvil") as anvil:
        await prepared(anvil)
        settings: Any = environment(anvil.url, home / "policy.json")
        async with stack(home, WORKERS, **settings) as made:
            provery = Provery(made.client, made.ledger, made.env)
            for n in range(WARM):
                await _unit(made, provery, n, [], [])
            before = sum(made.cpu().values())
            for n in range(WARM, WARM + UNITS):
                await _unit(made, provery, n, seen, took)
            cpu_ms = (sum(made.cpu().values()) - before) * 1000 / UNITS
    return {
        "lane_sign_to_seen_p50_ms": figure(
            statistics.median(seen),
            "ms",
            f"signing until a node has it, the ledger's commit included; {len(seen)} submissions one at a time, anvil;"
            f" p90 {quantile(seen, 0.9):.1f}; a unit of three no-op stages and submit takes"
            f" {statistics.median(took):.0f} ms end to end, p90 {quantile(took, 0.9):.0f},"
            f" and {cpu_ms:.0f} CPU-ms of the workers",
        ),
    }


async def _unit(made: Stack, provery: Provery, n: int, seen: list[float], took: list[float]) -> None:
    """Land one unit and note its times, in milliseconds."""
    work = laned_work("free", n, key=f"lane{n}")
    began = time.perf_counter()
    (started,) = await provery.start([work])
    outcome = await made.client.get_workflow_handle(started.workflow_id, result_type=UnitOutcome).result()
    took.append((time.perf_counter() - began) * 1000)
    assert outcome.status is UnitStatus.DONE, outcome
    (submission,) = await made.ledger.lanes.of_unit(f"{work.unit.system}/{work.unit.stream}/{work.unit.key}")
    (transaction,) = submission.transactions
    assert submission.phase is Phase.LANDED, submission
    assert transaction.sent_at is not None, submission
    seen.append((transaction.sent_at - transaction.signed_at) * 1000)
