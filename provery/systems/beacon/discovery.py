"""Which periods are due: every one up to the next that has no valid proof in the period store.

A chain whose newest finalised epoch lies in period P has finalised who signs in P + 1: that is the newest period to
prove, and it has to be there before P ends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from provery.core.errors import InvalidInput, SourceUnavailable
from provery.core.ports import Ledger
from provery.core.types import Json, Plan, Stage, Unit, UnitStatus, Work
from provery.systems.beacon.inspection import Standing, Verdict
from provery.systems.beacon.plan import LIVE, OLD, URGENT, backfill_name, plan_for
from provery.systems.beacon.status import Record
from provery.systems.beacon.streams import Stream
from provery.systems.beacon.witness import circuit_name, first_period

log = logging.getLogger(__name__)
SYSTEM = "beacon"
LOOK = 64
"""Periods that one look may find: they travel in a workflow's history, and the next look finds the rest."""
BACKFILL = 256
"""Periods that one backfill may name."""


async def discover(stream: Stream, ledger: Ledger, first: int | None, last: int | None) -> list[Work]:
    """The periods that are due, ascending.

    Args:
        stream: Where to look.
        ledger: Tells which units are done although their period has to be published again.
        first: Backfill: first period wanted.
        last: Backfill: last period wanted.

    Raises:
        SourceUnavailable: no node says what is finalised.
        SinkUnavailable: the period store cannot be read.
        InvalidInput: a backfill names periods that cannot be proved.
        ConfigurationError: a setting is wrong.
    """
    try:
        newest = await target(stream)
    except SourceUnavailable:
        await asyncio.to_thread(stream.status.count, failed_checks=1)
        await stream.show()
        raise
    wanted = range(await _first(stream, newest), newest + 1)
    backfill = first is not None or last is not None
    if backfill:
        wanted = await _named(stream, first, last, newest)
    verdicts = await _inspect(stream, wanted)
    due = [period for period, verdict in verdicts.items() if verdict.due]
    if not backfill:
        await _note(stream, newest, verdicts)
        if len(due) > LOOK:  # the newest is the one that must not be late
            log.warning("%s: %d periods are due, %d are taken now", stream.id, len(due), LOOK)
            due = [*due[: LOOK - 1], due[-1]]
    fairness = backfill_name(stream.id, first, last) if backfill else ""
    works, keys = [], Keys(stream)
    for period in due:
        priority = OLD if backfill else URGENT if period == newest else LIVE
        works.append(await work_of(stream, period, keys, ledger=ledger, priority=priority, fairness=fairness))
    await stream.show()
    return works


async def target(stream: Stream) -> int:
    """The newest period that can be proved: the one after that of the finalised epoch."""
    chain = await stream.chain(again=True)
    nodes = await stream.nodes()
    foreign = await nodes.check_genesis()
    for reason in foreign.values():
        log.warning("%s: %s", stream.id, reason)
    if len(foreign) == len(nodes.health):
        raise SourceUnavailable(
            f"no node of {stream.id} is known to be of {chain.name}: " + " | ".join(foreign.values())
        )
    try:
        finality = await nodes.finality()
    finally:
        await stream.disagreed(nodes.contradictions)
    for name in finality.stale:
        log.warning("%s: beacon node %s is behind the others' finality", stream.id, name)
    return finality.finalized.epoch // chain.preset.epochs_per_period + 1


class Keys:
    """Verifying keys of a stream's provers, asked for once per circuit.

    Args:
        stream: Whose.
    """

    def __init__(self, stream: Stream) -> None:
        self.provers = {name: stream.prover(name) for name in stream.settings.provers}
        self._found: dict[str, dict[str, str]] = {}

    async def of(self, circuit: str) -> dict[str, str]:
        """Digest by prover, in the provers' order."""
        if circuit not in self._found:
            self._found[circuit] = {
                name: await prover.verifying_key(circuit) for name, prover in self.provers.items()
            }
        return self._found[circuit]


async def work_of(
    stream: Stream,
    period: int,
    keys: Keys,
    *,
    ledger: Ledger | None = None,
    priority: int = LIVE,
    fairness: str = "",
) -> Work:
    """Unit and plan of a period.

    Args:
        stream: Its stream.
        period: The period.
        keys: Of the stream's provers.
        ledger: Where given, a unit that is done gets a plan that publishes it again.
        priority: Among the units that wait.
        fairness: Names the backfill it belongs to.

    Raises:
        InvalidInput: the chain had no sync committees then.
        InvalidKey: a prover has no usable key.
        ConfigurationError: a prover is not there.
    """
    chain = await stream.chain()
    if period < first_period(chain):
        raise InvalidInput(
            f"{chain.name} has no proof of that period", value=period, expected=f">= {first_period(chain)}"
        )
    plan = plan_for(
        stream.settings,
        await keys.of(circuit_name(chain, period)),
        compresses=any(prover.compresses for prover in keys.provers.values()),
        priority=priority,
        fairness=fairness,
    )
    params: dict[str, Json] = {
        "chain": chain.name,
        "genesis": "0x" + chain.genesis_validators_root.hex(),
        "period": str(period),
    }
    title = f"period {period} of {chain.name}"
    unit = Unit(SYSTEM, stream.settings.stream, str(period), params, ordinal=period, title=title)
    return Work(unit, plan if ledger is None else await _again(ledger, unit, plan))


async def _again(ledger: Ledger, unit: Unit, plan: Plan) -> Plan:
    """The plan of a unit that is done, yet due: what was proved before is published again, in a new generation.

    Earlier stages keep the generations that an operator gave them, so that nothing is computed twice.
    """
    row = await ledger.unit(unit.system, unit.stream, unit.key)
    if row is None or row.status is not UnitStatus.DONE or row.unit.params_sha256 != unit.params_sha256:
        return plan
    stages = []
    for stage in plan.stages:
        before = row.plan.of(stage.stage) if row.plan else None
        generation = row.generation + 1 if stage.stage is Stage.SUBMIT else before.generation if before else 0
        stages.append(replace(stage, generation=generation))
    return replace(plan, stages=tuple(stages))


async def _first(stream: Stream, newest: int) -> int:
    """Where a look begins: as configured, or where the store began when the stream first looked.

    A backfill of older periods does not move it: what lies between may be many, and may have to be paid for.
    """
    lowest = first_period(await stream.chain())
    if stream.settings.first_period:
        return max(lowest, stream.settings.first_period)
    record = await asyncio.to_thread(stream.status.read)
    if record.first_period:
        return max(lowest, record.first_period)
    stored = await asyncio.to_thread(stream.store.first_proof)
    first = max(lowest, newest if stored is None else min(stored, newest))
    await asyncio.to_thread(stream.status.change, lambda record: replace(record, first_period=first))
    return first


async def _named(stream: Stream, first: int | None, last: int | None, newest: int) -> range:
    """The periods of a backfill."""
    lowest = first_period(await stream.chain())
    start = lowest if first is None else first
    end = newest if last is None else last
    if end > newest:
        raise InvalidInput(
            f"{stream.id} cannot prove that period yet",
            value=end,
            expected=f"at most {newest}",
            action="the chain has to finalise an epoch of the period before",
        )
    wanted = range(max(start, lowest), end + 1)
    if len(wanted) > BACKFILL:
        raise InvalidInput(
            "too many periods for one backfill", value=len(wanted), expected=f"at most {BACKFILL}"
        )
    return wanted


async def _inspect(stream: Stream, wanted: Sequence[int]) -> dict[int, Verdict]:
    inspector = await stream.inspector()
    found = {}
    for period in wanted:
        found[period] = verdict = await inspector.verdict(period)
        if verdict.standing is Standing.INVALID:
            log.error(
                "%s: the stored proof of period %d does not hold: %s", stream.id, period, verdict.reason
            )
        elif verdict.standing is Standing.UNCHECKED:
            log.warning("%s: period %d could not be checked: %s", stream.id, period, verdict.reason)
    return found


async def _note(stream: Stream, newest: int, verdicts: dict[int, Verdict]) -> None:
    invalid = tuple(p for p, verdict in verdicts.items() if verdict.standing is Standing.INVALID)
    due = sum(verdict.due for verdict in verdicts.values())

    def seen(record: Record) -> Record:
        fresh = len(set(invalid) - set(record.invalid))
        return replace(
            record,
            last_check=time.time(),
            current_period=newest,
            due=due,
            invalid=invalid,
            replaced=record.replaced + fresh,
        )

    await asyncio.to_thread(stream.status.change, seen)
