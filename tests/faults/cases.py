"""One fault at one boundary: break, mend, and count what it cost."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import asdict, dataclass
from typing import Any

from tests.faults.rig import ROLES, SERVERS, Rig, orphans, until

STAGES = ("fetch", "witness", "prove", "verify", "submit")
BOUNDARIES = (*(f"{when}-{stage}" for stage in STAGES for when in ("before", "mid", "after")), "in-prove")
"""``in-prove`` is not a gate: the kill comes while the child computes."""
VICTIMS = (*ROLES, "prover", *SERVERS)
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Row:
    """What a fault cost."""

    fault: str
    boundary: str
    recomputed: int
    """Finished stages that were computed again."""
    lost: int
    """Jobs without a terminal status."""
    duplicated: int
    """Results delivered more than once."""
    orphans: int
    """Provers left without a worker."""
    recovered_s: float
    """Seconds from the kill until the interrupted stage ran again, or the job was done."""
    done_s: float

    @property
    def clean(self) -> bool:
        return not (self.recomputed or self.lost or self.duplicated or self.orphans)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


async def break_at(rig: Rig, victim: str, boundary: str) -> Row:
    """Kill ``victim`` when a fresh job is at ``boundary``."""
    job = f"{victim}-{boundary}-{next(_numbers)}"
    gate = "before-prove" if boundary == "in-prove" else boundary
    rig.hold(gate)
    await rig.add(job, {"circuit": "chain", "inputs": {"seed": str(next(_numbers))}})
    if await until(lambda: rig.reached(gate), 90) is None:
        rig.release(gate)
        raise AssertionError(f"{job} never reached {gate}")
    if boundary == "in-prove":
        rig.release(gate)
        await asyncio.sleep(0.15)
    killed = time.time()
    await rig.break_(victim)
    if boundary != "in-prove":
        rig.release(gate)
    await asyncio.sleep(0.2)
    left = len(orphans(rig)) if victim == "worker-cpu" else 0
    await rig.mend(victim)
    recovered: list[float] = []

    async def ran_again() -> bool:
        try:
            attempts = (await rig.audit(job))["attempts"]
        except Exception:
            return False
        return any(a["started_at"] > killed for a in attempts) or await rig.status(job) == "done"

    async def done() -> bool:
        if not recovered and await ran_again():
            recovered.append(time.time() - killed)
        return await rig.status(job) in ("done", "failed")

    await until(done, 150)
    row = await account(rig, victim, boundary, job)
    seconds = recovered[0] if recovered else -1.0
    return Row(victim, boundary, **row, orphans=left, recovered_s=round(seconds, 2), done_s=round(time.time() - killed, 2))


async def redeliver(rig: Rig, when: str) -> Row:
    """Add the same job again: after it is done, or while it is being proved."""
    job = f"redelivered-{when}-{next(_numbers)}"
    request = {"circuit": "chain", "inputs": {"seed": str(next(_numbers))}}
    began = time.time()
    if when == "running":
        rig.hold("before-prove")
    await rig.add(job, request)
    if when == "running":
        assert await until(lambda: rig.reached("before-prove"), 90) is not None
        await rig.add(job, request)
        await asyncio.sleep(1.0)
        rig.release("before-prove")

    async def settled() -> bool:
        return await rig.status(job) == "done" and not await rig.open_jobs()

    assert await until(settled, 120) is not None
    if when == "done":
        await rig.add(job, request)
        await asyncio.sleep(0.5)
        assert await until(settled, 60) is not None
    row = await account(rig, "redelivered job", when, job)
    return Row("redelivered job", when, **row, orphans=0, recovered_s=0.0, done_s=round(time.time() - began, 2))


async def account(rig: Rig, victim: str, boundary: str, job: str) -> dict[str, int]:
    """Recomputed, lost and duplicated of one job, from the ledger, the table and Redis."""
    async def left_redis() -> bool:
        try:
            return not await rig.open_jobs()
        except Exception:
            return False

    emptied = await until(left_redis, 60)
    audit = await rig.audit(job)
    finished = {r["memo_key"]: r["created_at"] for r in audit["results"]}
    late = [a for a in audit["attempts"] if a["started_at"] > finished.get(a["memo_key"], float("inf"))]
    done = await rig.status(job) == "done"
    events = [e for e in await rig.events() if e.get("event") == "completed"]
    deliveries = 2 if victim == "redelivered job" else 1
    ids = await job_ids(rig, job)
    completed = sum(1 for e in events if e.get("jobId") in ids)
    return {
        "recomputed": len(late),
        "lost": int(not done) + int(emptied is None),
        "duplicated": max(0, completed - deliveries) + max(0, len(audit["submissions"]) - 1),
    }


async def job_ids(rig: Rig, job: str) -> set[str]:
    """BullMQ ids that carried a job: those added since the case began."""
    events = [e for e in await rig.events() if e.get("event") == "added"]
    return {events[-1]["jobId"]} if "redelivered" not in job else {e["jobId"] for e in events[-2:]}
