"""What is noted while a case runs, and what is gathered after it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Mapping, Sequence

from provery.core.types import Json
from tests.faults.accounting import Counts, Evidence, count
from tests.faults.rig import Rig, until

DONE_S = 150.0
"""How long jobs may take to end."""


class Seen:
    """Notes on one case."""

    def __init__(self, ids: Sequence[str], cursor: str) -> None:
        self.ids, self.cursor = ids, cursor
        self.began = time.time()
        self.broken = 0.0
        """When the fault happened, or was over where nothing can go on before."""
        self.bull: dict[str, str] = {}
        """Jobs by the ids that BullMQ gave to their deliveries."""
        self.orphans: list[int] = []
        self.problems: list[str] = []
        self.evidence = Evidence({}, {})
        self.counts = Counts()

    async def deliver(self, rig: Rig, orders: Mapping[str, Mapping[str, Json]]) -> None:
        """Add jobs as a producer does."""
        for id, order in orders.items():
            self.bull[await rig.add(id, order)] = id


@contextlib.asynccontextmanager
async def watched(rig: Rig, ids: list[str]) -> AsyncIterator[Seen]:
    """Note where the events stand before a case; after it wait for the jobs' end and gather the evidence."""
    before = await rig.events()
    seen = Seen(ids, before[-1]["id"] if before else "-")
    try:
        yield seen
    finally:
        rig.release()
        await rig.mend()
    if not await until(lambda: ended(rig, seen), DONE_S, 0.1):
        seen.problems.append(f"not ended in {DONE_S:.0f} s")
    await asyncio.sleep(0.3)  # for a second delivery to show
    seen.evidence = await gather(rig, seen)
    seen.counts = count(seen.evidence)
    for name in rig.collapsed:
        seen.problems.append(f"{name} ended by itself: {rig.process(name).log_tail()[-600:]}")


async def gather(rig: Rig, seen: Seen) -> Evidence:
    """Everything that tells what became of the jobs."""
    return Evidence(
        audits={id: await rig.audit(id) for id in seen.ids},
        rows=await rig.rows(seen.ids),
        changes=await rig.changes(seen.ids),
        events=await rig.events(seen.cursor),
        left=await rig.held(list(seen.bull)) or (),
        orphans=seen.orphans or await rig.orphans(),
        deliveries=dict(seen.bull),
    )


async def ended(rig: Rig, seen: Seen) -> bool:
    """Whether all jobs have their results and have left Redis."""
    held = await rig.held(list(seen.bull))
    if held is None or held:
        return False
    return all([await rig.status(id) in ("done", "failed") for id in seen.ids])
