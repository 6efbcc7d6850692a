"""Who has to sign in a period: the committee that an update is checked against, from the best source there is.

In this order: what the period store proved for the period before; a checkpoint that the operator trusts, followed
update by update; the finalised block that the nodes agree on, where it lies in the period; and for a first period that
is older than all of these, what the nodes agree on for the period before.
"""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass

from provery.core.errors import InvalidInput, ProveryError, SourceUnavailable
from provery.systems.beacon import syncfile
from provery.systems.beacon.checks import (
    Follower,
    check_header,
    check_next_committee,
    check_participation,
    check_period,
)
from provery.systems.beacon.inspection import Standing
from provery.systems.beacon.model import PUBKEY_BYTES, CheckedPeriod, SyncCommittee, Update
from provery.systems.beacon.nodes import BeaconNodes
from provery.systems.beacon.spec import Chain
from provery.systems.beacon.streams import Stream
from provery.systems.beacon.updates import MOST_UPDATES, Found
from provery.systems.beacon.witness import SYNC, UPDATE, check_form, read_document

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Anchor:
    """A committee, and why it is believed."""

    committee: SyncCommittee
    source: str
    """``period store``, ``checkpoint``, ``finalised block`` or ``nodes``."""


async def committee_of(stream: Stream, period: int) -> Anchor:
    """The committee that signs in a period.

    Raises:
        SourceUnavailable: no source has it now.
        ConfigurationError: the stream's nodes are misconfigured.
    """
    stored = await _stored(stream, period)
    if stored is not None:
        return Anchor(stored, "period store")
    nodes = await stream.nodes()
    tried: list[str] = []
    for source, find in (("checkpoint", _checkpoint), ("finalised block", _finalised), ("nodes", _before)):
        try:
            found = await find(stream, nodes, period)
        except (SourceUnavailable, InvalidInput) as error:
            tried.append(f"{source}: {error}")
            continue
        if found is not None:
            return Anchor(found, source)
    raise SourceUnavailable(
        f"nobody says who signs in period {period} of {nodes.chain.name}: " + " | ".join(tried),
        action="check the nodes, or set the stream's CHECKPOINT to a trusted block of an earlier period",
    )


async def _stored(stream: Stream, period: int) -> SyncCommittee | None:
    """What the proof of this period in the store says of the committee after it: who signs in ``period``."""
    try:
        verdict = await (await stream.inspector()).verdict(period)
        if verdict.standing is not Standing.VALID:
            return None
        return await asyncio.to_thread(_read_stored, stream, await stream.chain(), period)
    except ProveryError as error:
        log.warning("%s: period %d of the store is of no use: %s", stream.id, period, error)
        return None


def _read_stored(stream: Stream, chain: Chain, period: int) -> SyncCommittee | None:
    folder = stream.store.folder(period)
    if (folder / UPDATE).exists():
        update, _, _ = read_document(chain, (folder / UPDATE).read_bytes())
        return update.next_committee
    if (folder / SYNC).exists():
        file = syncfile.read((folder / SYNC).read_bytes(), chain.preset)
        return SyncCommittee(file.next_keys, bytes(PUBKEY_BYTES))
    return None


async def _checkpoint(stream: Stream, nodes: BeaconNodes, period: int) -> SyncCommittee | None:
    """Follow the updates from the operator's checkpoint on."""
    if not stream.settings.checkpoint:
        return None
    trusted = await nodes.bootstrap(bytes.fromhex(stream.settings.checkpoint[2:]))
    start = nodes.chain.period_of(trusted.header.slot)
    if start > period:
        raise InvalidInput(f"the checkpoint is of period {start}", expected=f"<= {period}")
    if start == period:
        return trusted.committee
    follower = Follower(nodes.chain, trusted.committee, start, _now(nodes.chain))
    for first in range(start, period, MOST_UPDATES):
        count = min(MOST_UPDATES, period - first)
        _all_there(await nodes.updates(first, count, follower), nodes)
    return follower.checked[period - 1].update.next_committee


async def _finalised(stream: Stream, nodes: BeaconNodes, period: int) -> SyncCommittee | None:
    """The committee in the state of the newest finalised block, where that is of the period."""
    finality = await nodes.finality()
    epochs = nodes.chain.preset.epochs_per_period
    if finality.finalized.epoch // epochs != period:
        return None
    block = await nodes.bootstrap(finality.finalized.root)
    return block.committee if nodes.chain.period_of(block.header.slot) == period else None


async def _before(stream: Stream, nodes: BeaconNodes, period: int) -> SyncCommittee | None:
    """What the update of the period before names, as long as no node contradicts it.

    Its own signers are not known here. A forger would have to be every node at once, and the keys of the chain's own
    history: what is proved from here on says which committee it began with.
    """
    chain = nodes.chain

    def plausible(update: Update) -> None:
        check_period(chain, update, period - 1, None)
        check_participation(update, update.next_committee)
        check_header(chain, update.fork, update.attested, "attested header")
        check_next_committee(update)

    if period < 1:
        return None
    found = _all_there(await nodes.updates(period - 1, 1, plausible), nodes)
    contradiction = await nodes.compare(period - 1, plausible)
    if contradiction is not None:
        await stream.disagreed([contradiction])
        raise SourceUnavailable(
            str(contradiction), action="find out which node is wrong and take it out of the configuration"
        )
    return found.updates[period - 1].next_committee


def _all_there(found: Found, nodes: BeaconNodes) -> Found:
    if found.missing:
        listed = ", ".join(map(str, found.missing))
        raise SourceUnavailable(
            f"no beacon node of {nodes.chain.name} gave a usable update of period {listed}: "
            + " | ".join(found.failures.values()),
            action="check the nodes; it is tried again later",
        )
    return found


def _now(chain: Chain) -> int:
    return chain.slot_at(time.time_ns() // 1_000_000)


async def update_of(stream: Stream, period: int, anchor: Anchor) -> CheckedPeriod:
    """The update of a period, checked against its committee; whoever gives a bad one is passed over.

    Raises:
        SourceUnavailable: no node has a usable one.
    """
    nodes = await stream.nodes()
    follower = Follower(nodes.chain, anchor.committee, period, _now(nodes.chain))

    def provable(update: Update) -> None:
        check_form(nodes.chain, update, period + 1)
        follower(update)

    _all_there(await nodes.updates(period, 1, provable), nodes)
    if len(nodes.health) > 1:
        try:
            contradiction = await nodes.compare(period)
        except SourceUnavailable as error:
            log.warning("%s: %s", stream.id, error)
        else:
            await stream.disagreed([contradiction] if contradiction else [])
    return follower.checked[period]
