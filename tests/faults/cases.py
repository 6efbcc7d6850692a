"""The cases: who is killed, and when; each is run, mended and accounted for."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from provery.core.errors import ProveryError
from provery.core.types import Json
from tests.e2e.provers_support import jobs as memberships
from tests.faults import processes
from tests.faults.accounting import Counts, Evidence, count, first_sign
from tests.faults.rig import REVIVAL_S, ROLES, SERVERS, Rig, until

STAGES = ("fetch", "witness", "prove", "verify", "submit")
IN_PROVE = "in-prove"
"""Not a gate: the kill comes while the prover child computes."""
BOUNDARIES = (*(f"{when}-{stage}" for stage in STAGES for when in ("before", "mid", "after")), IN_PROVE)
VICTIMS = (*ROLES, "prover", *SERVERS)
BATCH = " of a batch"
"""Suffix of a boundary at which several small jobs stand together, in one express activity."""
REDELIVERED = "redelivered job"
EMPTIED = "temporal, its database lost"

LIMIT_S = 30.0
"""A dead worker's stage must be running again this soon."""
QUIET_S = 60.0
"""The same for an ingress: the lock of 30 s that its jobs are under, and two looks for stalled ones. No stage waits."""
_REACH_S, _DONE_S = 90.0, 150.0
_BUSY_TICKS = 5
"""Hundredths of a second that a prover must have computed to be in the middle of it."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Case:
    """One fault at one boundary."""

    fault: str
    boundary: str

    @property
    def batch(self) -> bool:
        return self.boundary.endswith(BATCH)

    @property
    def gate(self) -> str:
        return self.boundary.removesuffix(BATCH)

    @property
    def limit_s(self) -> float:
        return QUIET_S if self.fault == "ingress" else LIMIT_S

    def __str__(self) -> str:
        return f"{self.fault}, {self.boundary}"


@dataclass(frozen=True)
class Row:
    """What a fault cost; the names of bench/results/faults.json."""

    fault: str
    boundary: str
    recomputed: int
    """Finished stages that were computed again."""
    lost: int
    """Jobs without a result, or that Redis still holds."""
    duplicated: int
    """Results that were written or delivered more than once."""
    orphans: int
    """Processes that outlived their worker."""
    recovered_s: float
    """Seconds from the kill to the next sign of work: the interrupted stage, or the one behind it, began."""
    done_s: float
    """Seconds from the kill until the last job was ended in Redis."""
    problems: tuple[str, ...] = ()
    """What is wrong, in words; empty when all is well."""

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "problems" or value}


def matrix(subset: str = "full") -> list[Case]:
    """All cases, or the subset of every run of the tests; the slowest first."""
    if subset == "ci":
        return [Case(*pair) for pair in CI]
    cases = [Case(victim, boundary) for victim in VICTIMS for boundary in BOUNDARIES]
    cases += [
        Case(victim, gate + BATCH) for victim in VICTIMS for gate in ("mid-prove", IN_PROVE, "after-submit")
    ]
    cases += [Case(EMPTIED, boundary) for boundary in ("after-fetch", "after-prove", "after-submit")]
    cases += [Case(REDELIVERED, when) for when in ("while running", "after done")]
    return sorted(cases, key=lambda c: (not c.batch, c.fault != "ingress", not c.fault.startswith("worker")))


CI = (
    ("worker-cpu", "in-prove" + BATCH),
    ("redis", "mid-prove" + BATCH),
    ("ingress", "before-prove"),
    ("worker-cpu", "in-prove"),
    ("worker-io", "mid-submit"),
    ("worker-orchestrate", "after-witness"),
    ("prover", "in-prove"),
    ("temporal", "mid-prove"),
    ("redis", "after-submit"),
    ("postgres", "mid-verify"),
    ("s3", "before-prove"),
    (REDELIVERED, "while running"),
    (REDELIVERED, "after done"),
)
CI_SETTINGS = {"PROVERY_QUEUE_LOCK_MS": "8000", "PROVERY_QUEUE_STALLED_INTERVAL_MS": "1000"}
"""The subset does not wait half a minute for a dead ingress' locks; the matrix does, as production would."""


def requests(case: Case) -> dict[str, dict[str, Json]]:
    """Jobs of a case by id: one large proof, or several small ones that share a batch."""
    number = next(_numbers)
    stem = f"case-{number}"
    if case.batch and case.gate != IN_PROVE:
        some = memberships()[:6]
        return {f"{stem}-{at}": {**request, "epoch": number} for at, request in enumerate(some)}
    return {
        f"{stem}-{at}": {"circuit": "chain", "inputs": {"seed": str(number * 100 + at)}}
        for at in range(3 if case.batch else 1)
    }


async def run(rig: Rig, case: Case) -> Row:
    """Run a case on a rig that has nothing else to do."""
    await rig.use(express=case.batch)
    await _prover_there(rig)
    orders = requests(case)
    async with _watched(rig, list(orders)) as seen:
        if case.fault == REDELIVERED:
            await _redeliver(rig, case, orders, seen)
        else:
            await _break(rig, case, orders, seen)
        ended = await until(lambda: _ended(rig, seen), _DONE_S, 0.1)
    counts, evidence = seen.counts, seen.evidence
    problems = [*counts.why, *seen.problems]
    last = max((e["at"] for e in evidence.events if e["event"] in ("completed", "failed")), default=0.0)
    sign = first_sign(evidence, seen.killed) if seen.killed else seen.began
    recovered = -1.0 if sign is None else sign - (seen.killed or seen.began)
    if not ended:
        problems.append(f"not ended {_DONE_S:.0f} s after the kill")
    if recovered < 0 or recovered > case.limit_s:
        problems.append(f"work went on after {recovered:.1f} s; expected at most {case.limit_s:.0f} s")
    return Row(
        case.fault,
        case.boundary,
        counts.recomputed,
        counts.lost,
        counts.duplicated,
        counts.orphans,
        round(recovered, 2),
        round(max(last - (seen.killed or seen.began), -1.0), 2),
        tuple(problems),
    )


class Seen:
    """What is noted while a case runs."""

    def __init__(self, ids: Sequence[str], cursor: str) -> None:
        self.ids, self.cursor = ids, cursor
        self.began, self.killed = time.time(), 0.0
        self.bull: list[str] = []
        self.orphans: list[int] = []
        self.problems: list[str] = []
        self.evidence = Evidence({}, {})
        self.counts = Counts()


@contextlib.asynccontextmanager
async def _watched(rig: Rig, ids: list[str]) -> AsyncIterator[Seen]:
    """Note where the events stand before a case, and gather the evidence after it."""
    before = await rig.events()
    seen = Seen(ids, before[-1]["id"] if before else "-")
    try:
        yield seen
    finally:
        rig.release()
        await rig.mend()
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
        left=await rig.held(seen.bull) or (),
        orphans=seen.orphans or await rig.orphans(),
    )


async def _break(rig: Rig, case: Case, orders: Mapping[str, Mapping[str, Json]], seen: Seen) -> None:
    """Kill when the jobs stand at the boundary, start again as a supervisor would."""
    gates = ("before-prove", "mid-prove") if case.gate == IN_PROVE else (case.gate,)
    for gate in gates:
        rig.hold(gate)
    seen.bull += [await rig.add(id, order) for id, order in orders.items()]
    if not await until(lambda: rig.reached(gates[0]), _REACH_S, 0.01):
        seen.problems.append(f"{gates[0]} was not reached in {_REACH_S:.0f} s")
        return
    if case.gate == IN_PROVE:
        await _in_the_middle(rig, seen)
    seen.killed = await rig.kill("temporal" if case.fault == EMPTIED else case.fault)
    rig.release()
    if case.fault == EMPTIED:
        for file in (rig.home / "temporal").iterdir():
            file.unlink()
    await asyncio.sleep(REVIVAL_S)
    seen.orphans += await rig.orphans()
    await rig.mend()


async def _in_the_middle(rig: Rig, seen: Seen) -> None:
    """Let the prove stage begin, and wait until its child has computed for a moment."""
    before = processes.cpu_ticks(processes.provers(rig.home))
    (rig.gates / "hold-before-prove").unlink()

    def computes() -> bool:
        spent = processes.cpu_ticks(processes.provers(rig.home)) - before
        return spent >= _BUSY_TICKS or rig.reached("mid-prove")

    if not await until(computes, _REACH_S, 0.005) or rig.reached("mid-prove"):
        seen.problems.append("the proof was over before the kill")


async def _redeliver(rig: Rig, case: Case, orders: Mapping[str, Mapping[str, Json]], seen: Seen) -> None:
    """Add the same jobs again: while they are proved, or when they are done."""
    running = case.boundary == "while running"
    if running:
        rig.hold("before-prove")
    seen.bull += [await rig.add(id, order) for id, order in orders.items()]
    if running:
        await until(lambda: rig.reached("before-prove"), _REACH_S)
    else:
        await until(lambda: _ended(rig, seen), _DONE_S)
    seen.bull += [await rig.add(id, order) for id, order in orders.items()]
    if running:
        await asyncio.sleep(1.0)
        rig.release()


async def _ended(rig: Rig, seen: Seen) -> bool:
    """Whether all jobs have their results and have left Redis."""
    held = await rig.held(seen.bull)
    if held is None or held:
        return False
    return all([await rig.status(id) in ("done", "failed") for id in seen.ids])


async def _prover_there(rig: Rig) -> None:
    """Have a prover child with its key loaded, so that there is one to kill."""
    if processes.provers(rig.home):
        return
    job = f"warm-{next(_numbers)}"
    await rig.add(job, {"circuit": "chain", "inputs": {"seed": "3"}})
    if not await until(lambda: _is_done(rig, job), _DONE_S, 0.1):
        raise ProveryError(f"the rig proves nothing; see {rig.home / 'logs'}")


async def _is_done(rig: Rig, job: str) -> bool:
    return await rig.status(job) == "done"
