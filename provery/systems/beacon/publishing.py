"""Submit: a verified proof becomes a period's directory, once, and in the order of the backfill that it belongs to."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

from provery.core.errors import ProveryError
from provery.core.ports import StageContext, StageOutput
from provery.core.types import Json
from provery.systems.beacon.fetching import in_turn
from provery.systems.beacon.inspection import Standing, Verdict
from provery.systems.beacon.plan import first_of
from provery.systems.beacon.spec import Chain
from provery.systems.beacon.status import Record
from provery.systems.beacon.streams import Stream
from provery.systems.beacon.units import check_unit, period_of
from provery.systems.beacon.witness import PREVIOUS

log = logging.getLogger(__name__)
TURN_S = 5.0
"""Seconds that a submit waits for its turn before it gives its place on the worker to others."""
_NOT_SAID = frozenset({"proved_at", "prove_s", "committee_from"})
"""Facts that a second proof of the same would not share; a manifest says nothing that moves."""


async def submit(stream: Stream, context: StageContext) -> StageOutput:
    """Publish a period; safe to repeat. A valid proof that is there stays, unless an operator had it proved again.

    Raises:
        OutOfTurn: the period before is of the same backfill and under way.
        SinkUnavailable: the period store cannot be written.
    """
    chain = await stream.chain()
    period = period_of(context.unit)
    check_unit(context.unit, chain)
    await _turn(context)
    inspector = await stream.inspector()
    verdict = await inspector.verdict(period)
    about = _about(stream, context, chain, period)
    destination = f"period_store/{stream.settings.stream}"
    intent = await context.ledger.intend(context.unit, destination, context.request_key, {"period": period})
    there = verdict.standing in (Standing.VALID, Standing.UNCHECKED)
    ours = there and await _is_ours(stream, context, period)
    kept = there and not ours and context.given.plan.generation == 0
    if kept:
        log.warning("%s: period %d has a valid proof already, which stays", stream.id, period)
    elif not ours:
        await _write(stream, context, period, about, verdict)
    await context.ledger.receipt(context.request_key, {"published": f"{period}/", "kept": kept})
    if not intent["receipt"]:  # else an earlier attempt has counted it
        change = partial(_published, context=context, period=period, kept=kept)
        await asyncio.to_thread(stream.status.change, change)
    await stream.show()
    return StageOutput(context.inputs, {"published": f"{period}/"})


async def _turn(context: StageContext) -> None:
    """Wait a moment for the period before; then let go of the worker's slot and come again."""
    row = await context.ledger.unit(context.unit.system, context.unit.stream, context.unit.key)
    first = first_of(row.plan.fairness) if row is not None and row.plan is not None else None
    if first is not None:
        await in_turn(context.ledger, context.unit, "is published in order", wait_s=TURN_S, first=first)


def _about(stream: Stream, context: StageContext, chain: Chain, period: int) -> dict[str, Json]:
    facts = context.given.facts
    said: dict[str, Json] = {name: value for name, value in sorted(facts.items()) if name not in _NOT_SAID}
    return {
        "format": 1,
        "stream": stream.id,
        "chain": chain.name,
        "genesis_validators_root": chain.genesis_validators_root.hex(),
        "period": period,
        "prover": facts.get("prover", ""),
        "verifying_key": facts.get("verifying_key", ""),
        "facts": said,
    }


async def _is_ours(stream: Stream, context: StageContext, period: int) -> bool:
    """Whether what is there is this very proof: an earlier attempt got as far as publishing it."""
    try:
        manifest = await asyncio.to_thread(stream.store.manifest, period)
    except ProveryError:
        return False
    listed = manifest.get("files") if manifest else None
    if not isinstance(listed, dict):
        return False
    ours = {ref.name: ref.sha256 for ref in context.inputs if ref.name not in PREVIOUS}
    theirs = {name: item.get("sha256") for name, item in listed.items() if isinstance(item, dict)}
    return ours == theirs


async def _write(
    stream: Stream, context: StageContext, period: int, about: dict[str, Json], verdict: Verdict
) -> None:
    files: dict[str, Path] = {}
    for ref in context.inputs:
        if ref.name not in PREVIOUS:
            files[ref.name] = await context.artifacts.local(ref)
    reason = verdict.reason or "an operator had the period proved again"
    await asyncio.to_thread(stream.store.publish, period, files, about, reason=reason)
    log.info("%s: period %d is published", stream.id, period)


def _published(record: Record, *, context: StageContext, period: int, kept: bool) -> Record:
    facts = context.given.facts
    ended = _number(facts.get("proved_at"))
    ours = ended >= record.last_run
    return replace(
        record,
        published=record.published + (not kept),
        last_run=max(record.last_run, ended),
        last_run_s=_number(facts.get("prove_s")) if ours else record.last_run_s,
        last_run_status=0.0 if ours else record.last_run_status,
        invalid=tuple(p for p in record.invalid if p != period),
        due=max(0, record.due - 1),
    )


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
