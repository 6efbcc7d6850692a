"""Cases of the beacon system: a period on its way from the node to the period store."""

from __future__ import annotations

import asyncio
import itertools
import time

from provery.client import Schedules, connect
from provery.core.errors import ProveryError
from provery.core.types import Unit, UnitStatus
from provery.local.servers import TemporalServer
from provery.systems.beacon.files import digest
from provery.systems.beacon.store import PeriodStore
from tests.faults.accounting import Evidence, count
from tests.faults.cases import NODE, Case
from tests.faults.rig import REVIVAL_S, Rig, until
from tests.faults.seen import DONE_S, Seen
from tests.support.beacon_server import Reply

PERIODS = (3, 4)
REACH_S = 90.0
SILENT_S = 3.0
_numbers = itertools.count(1)


async def run(rig: Rig, case: Case) -> Seen:
    """Backfill two periods, break something at the boundary, wait for both."""
    stream = f"case-{next(_numbers)}"
    units = [Unit("beacon", stream, str(period)) for period in PERIODS]
    seen = Seen([unit.key for unit in units], "-")
    rig.hold(case.gate)
    server = rig.servers["temporal"]
    assert isinstance(server, TemporalServer)
    schedules = Schedules(await connect(server.env), server.env)
    if case.fault == NODE:
        assert rig.node is not None
        rig.node.behaviour = lambda asked: Reply(status=503) if "updates" in asked.path else None
    try:
        await schedules.backfill_units("beacon", stream, PERIODS[0], PERIODS[-1])
        if not await until(lambda: rig.reached(case.gate), REACH_S, 0.01):
            seen.problems.append(f"{case.gate} was not reached in {REACH_S:.0f} s")
        await _break(rig, case, seen)
    finally:
        rig.release()
        await rig.mend()
        if rig.node is not None:
            rig.node.behaviour = lambda asked: None
    if not await until(lambda: _ended(rig, units), DONE_S, 0.1):
        seen.problems.append(f"not ended in {DONE_S:.0f} s")
    seen.evidence = await _gather(rig, units, seen)
    seen.counts = count(seen.evidence)
    if (rig.home / "period_store" / stream / ".replaced").exists():
        seen.problems.append("a period was published over itself")
    for name in rig.collapsed:
        seen.problems.append(f"{name} ended by itself: {rig.process(name).log_tail()[-600:]}")
    return seen


async def _break(rig: Rig, case: Case, seen: Seen) -> None:
    if case.fault == NODE:
        rig.release()
        await asyncio.sleep(SILENT_S)
        seen.broken = time.time()
        return
    await rig.kill(case.fault)
    seen.broken = time.time()
    rig.release()
    await asyncio.sleep(REVIVAL_S)
    seen.orphans += await rig.orphans()


async def _ended(rig: Rig, units: list[Unit]) -> bool:
    try:
        rows = [await rig.ledger.unit(unit.system, unit.stream, unit.key) for unit in units]
    except ProveryError:
        return False
    return all(row is not None and row.status.terminal for row in rows)


async def _gather(rig: Rig, units: list[Unit], seen: Seen) -> Evidence:
    """As for jobs: the published directory is the row, the ledger's end of the unit is the event."""
    store = PeriodStore(rig.home / "period_store" / units[0].stream)
    rows, events, audits = {}, [], {}
    for unit in units:
        audits[unit.key] = await rig.ledger.audit(unit)
        row = await rig.ledger.unit(unit.system, unit.stream, unit.key)
        whole = _whole(store, int(unit.key))
        rows[unit.key] = {
            "status": row.status.value if row else "lost",
            "proof": whole,
            "error": row and row.reason,
        }
        if row is not None and row.status is UnitStatus.DONE:
            events.append({"event": "completed", "jobId": unit.key, "at": row.updated_at})
    return Evidence(
        audits=audits,
        rows=rows,
        events=events,
        orphans=seen.orphans or await rig.orphans(),
        deliveries={unit.key: unit.key for unit in units},
    )


def _whole(store: PeriodStore, period: int) -> bool:
    """Whether a period's directory is what its manifest says."""
    manifest = store.manifest(period) or {}
    files = manifest.get("files")
    return isinstance(files, dict) and all(
        isinstance(said, dict) and digest(store.folder(period) / name) == said.get("sha256")
        for name, said in files.items()
    )
