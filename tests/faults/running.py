"""Running one case on a rig, and judging it."""

from __future__ import annotations

import itertools

from provery.core.errors import ProveryError
from tests.faults import calls, inferences, periods, processes
from tests.faults.accounting import burned, recovered
from tests.faults.acts import act
from tests.faults.cases import LIMIT_S, Case, Row, requests
from tests.faults.rig import Rig, until
from tests.faults.seen import DONE_S, Seen, watched

_numbers = itertools.count(1)


async def run(rig: Rig, case: Case, limit_s: float = LIMIT_S) -> Row:
    """Run a case on a rig that has nothing else to do; work must have gone on within ``limit_s``."""
    if case.period:
        return _judged(case, await periods.run(rig, case), limit_s)
    if case.call:
        return _judged(case, await calls.run(rig, case), limit_s)
    if case.inference:
        return _judged(case, await inferences.run(rig, case), limit_s)
    await rig.use(express=case.express)
    await _prover_there(rig)
    orders = requests(case)
    async with watched(rig, list(orders)) as seen:
        await act(rig, case, orders, seen)
    return _judged(case, seen, limit_s)


def _judged(case: Case, seen: Seen, limit_s: float) -> Row:
    counts, evidence, broken = seen.counts, seen.evidence, seen.broken or seen.began
    problems = [*counts.why, *seen.problems]
    if case.fault != "prover":
        problems += burned(evidence)
    last = max((e["at"] for e in evidence.events if e["event"] in ("completed", "failed")), default=0.0)
    sign = recovered(evidence, broken)
    after = -1.0 if sign is None else sign - broken
    if not 0 <= after <= limit_s:
        said = f"after {after:.1f} s" if sign is not None else "never"
        problems.append(f"work went on {said}; expected within {limit_s:.0f} s")
    return Row(
        case.fault,
        case.boundary,
        counts.recomputed,
        counts.lost,
        counts.duplicated,
        counts.orphans,
        round(after, 2),
        round(max(last - broken, -1.0), 2),
        tuple(problems),
    )


async def _prover_there(rig: Rig) -> None:
    """Have a prover child with its key loaded, so that there is one to kill."""
    if processes.provers(rig.home):
        return
    job = f"warm-{next(_numbers)}"
    await rig.add(job, {"circuit": "chain", "inputs": {"seed": "3"}})
    if not await until(lambda: _is_done(rig, job), DONE_S, 0.1):
        raise ProveryError(f"the rig proves nothing; see {rig.home / 'logs'}")


async def _is_done(rig: Rig, job: str) -> bool:
    return await rig.status(job) == "done"
