"""Fetch: the update that proves a period, checked, and what else a prover needs of the outside."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from provery.core.errors import OutOfTurn
from provery.core.ports import Ledger, StageContext, StageOutput
from provery.core.types import ArtifactRef, Unit, UnitStatus, canonical_json
from provery.systems.beacon.committee import committee_of, update_of
from provery.systems.beacon.inspection import Standing
from provery.systems.beacon.streams import Stream
from provery.systems.beacon.units import check_unit, period_of
from provery.systems.beacon.witness import CHAIN, PREVIOUS, UPDATE, document

_TURN_S = 30.0
"""Seconds that a fetch waits for the proof before."""
_LOOK_S = 0.25
_RUNNING = 1_000
"""Units of one stream that are looked through; a look and a backfill have some hundreds at most."""


async def fetch(stream: Stream, context: StageContext) -> StageOutput:
    """The statement's inputs, in the artifact store.

    Raises:
        SourceUnavailable: no node has a usable update.
        OutOfTurn: the proof of the period before is under way, and a prover of the stream continues it.
        InvalidInput: the unit is of another chain.
    """
    chain = await stream.chain()
    period = period_of(context.unit)
    check_unit(context.unit, chain)
    previous = await _previous(stream, context, period) if stream.settings.recursive else []
    anchor = await committee_of(stream, period - 1)
    checked = await update_of(stream, period - 1, anchor)
    body = await asyncio.to_thread(document, chain, checked)
    outputs = [await context.artifacts.put_bytes(body, name=UPDATE), *previous]
    said = stream.chain_document()
    if said is not None:
        outputs.append(await context.artifacts.put_bytes(canonical_json(said), name=CHAIN))
    return StageOutput(tuple(outputs), {"committee_from": anchor.source})


async def _previous(stream: Stream, context: StageContext, period: int) -> list[ArtifactRef]:
    """Files of the proof before, for provers that continue it; none where a chain of proofs begins."""
    verdict = await (await stream.inspector()).verdict(period - 1)
    if verdict.standing not in (Standing.VALID, Standing.UNCHECKED):
        await in_turn(context.ledger, context.unit, "continues a proof", wait_s=_TURN_S)
        verdict = await (await stream.inspector()).verdict(period - 1)
        if verdict.standing is not Standing.VALID:
            return []

    def there() -> list[tuple[Path, str]]:
        folder = stream.store.folder(period - 1)
        return [(folder / theirs, ours) for ours, theirs in PREVIOUS.items() if (folder / theirs).is_file()]

    files = await asyncio.to_thread(there)
    return await context.artifacts.put_files(files) if len(files) == len(PREVIOUS) else []


async def in_turn(ledger: Ledger, unit: Unit, why: str, *, wait_s: float, first: int | None = None) -> None:
    """Let earlier periods go first while they are under way; one that failed or was parked holds nobody up.

    Args:
        ledger: Knows the units.
        unit: Whose turn it may be.
        why: What it needs the others for.
        wait_s: How long to wait here before giving the place on the worker to others.
        first: The first period that counts; None for the one before alone.

    Raises:
        OutOfTurn: its turn has not come.
    """
    period, deadline = period_of(unit), time.monotonic() + wait_s
    earlier = range(period - 1 if first is None else first, period)
    while True:
        running = await ledger.units(
            system=unit.system, stream=unit.stream, status=UnitStatus.RUNNING.value, limit=_RUNNING
        )
        before = [row for row in running if row.unit.ordinal in earlier]
        if not before:
            return
        if time.monotonic() > deadline:
            row = min(before, key=lambda row: row.unit.ordinal or 0)
            raise OutOfTurn(f"period {period} {why}: period {row.unit.key} is under way", value=row.stage)
        await asyncio.sleep(_LOOK_S)
