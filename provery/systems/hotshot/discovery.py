"""What is due: every epoch's root between the contract and the newest signed state, in order, and then that state."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import replace

from provery.core.errors import ConfigurationError, Superseded
from provery.core.lane_records import Phase
from provery.core.ports import ArtifactStore, Ledger
from provery.core.types import Json, Stage, Unit, UnitStatus, Work, canonical_json
from provery.systems.hotshot import wire
from provery.systems.hotshot.advance import Held, steps
from provery.systems.hotshot.epochs import is_ge_epoch_root
from provery.systems.hotshot.errors import EpochAlreadyStarted, InvalidState
from provery.systems.hotshot.model import U64_MAX, Bundle
from provery.systems.hotshot.plan import LIVE, OLD, backfill_name, plan_for
from provery.systems.hotshot.spec import check_bundle
from provery.systems.hotshot.streams import Stream
from provery.systems.hotshot.tables import Electorate, electorate
from provery.systems.hotshot.units import SYSTEM, epoch_unit, state_unit
from provery.systems.hotshot.verifier import check_verifier

log = logging.getLogger(__name__)
LOOK = 64
"""Units that one look may find: they travel in a workflow's history, and the next look finds the rest."""
BUNDLE = "bundle.json"
_NOT_COMPARED: dict[str, Json] = {"bundle": None, "again": None}
"""Parameters in which two units of one state may differ."""


async def discover(
    stream: Stream,
    ledger: Ledger,
    artifacts: ArtifactStore,
    first: int | None = None,
    last: int | None = None,
) -> list[Work]:
    """The units that are due, ascending.

    Args:
        stream: Where to look.
        ledger: Tells what is known of units.
        artifacts: Keeps a state's signatures, which its relay server forgets.
        first: Backfill: lowest height wanted.
        last: Backfill: highest height wanted.

    Raises:
        RelayServerError: no relay server answers.
        SequencerCommunicationError: no sequencer answers.
        ContractError: the contract cannot be read.
        StakeTableMismatch: the sequencers' stake table is not the contract's.
        InvalidState: too little stake has signed the newest state.
        VerifierMismatch: the contract checks proofs with another key.
        ConfigurationError: a setting is wrong, or the contract does not take states from this account.
    """
    units = await due_units(stream, ledger, artifacts)
    low, high = first or 0, U64_MAX if last is None else last
    wanted = [unit for unit in units if low <= (unit.ordinal or 0) <= high]
    if len(wanted) > LOOK:
        log.warning("%s: %d states are due, the first %d are taken now", stream.id, len(wanted), LOOK)
    backfill = first is not None or last is not None
    fairness = backfill_name(stream.id, first, last) if backfill else ""
    if not wanted:
        return []
    keys = await keys_of(stream)
    await check_verifier(stream, keys)
    return [
        work_of(stream, unit, keys, priority=OLD if backfill else LIVE, fairness=fairness)
        for unit in wanted[:LOOK]
    ]


async def due_units(stream: Stream, ledger: Ledger, artifacts: ArtifactStore) -> list[Unit]:
    """Read contract, relay servers and sequencers, and compare what they say before anything is proved."""
    contract = await stream.contract()
    held = await contract.held()
    _check_permission(held, contract.chain.sender)
    newest = await stream.relay.bundle()
    due = steps(held, newest.state if newest is not None else None)
    if newest is None or not (due.epochs or due.state):
        why = "no relay server has enough signatures yet" if newest is None else "no update needed"
        log.info("%s: %s; the contract is at height %d", stream.id, why, held.finalized.height)
        return []
    await _check_network(stream, held, newest)
    voters = await electorate(stream, held, held.epoch)
    units = await _epochs(stream, held, due.epochs, due.certain)
    if due.state and len(units) == len(due.epochs):
        bundle = await stream.relay.bundle(lambda found: _check(found, held, voters))
        if bundle is not None and (unit := await _state(stream, ledger, artifacts, held, bundle)) is not None:
            units.append(unit)
    units = [
        found for unit in units if (found := await _unless_landed(stream, ledger, held, unit)) is not None
    ]
    stream.figures.due(len(units))
    return units


async def _epochs(stream: Stream, held: Held, epochs: tuple[int, ...], certain: int) -> list[Unit]:
    place, found = await stream.place(), []
    for at, epoch in enumerate(epochs):
        # The newest root may be decided, and its certificate not collected yet: then it is due at a later look.
        if at >= certain and await stream.sequencer.state_certificate(epoch) is None:
            log.info("%s: epoch %d has no state certificate yet", stream.id, epoch)
            break
        found.append(epoch_unit(stream.settings.stream, place, epoch, held.blocks_per_epoch))
    return found


async def _state(
    stream: Stream, ledger: Ledger, artifacts: ArtifactStore, held: Held, bundle: Bundle
) -> Unit | None:
    """The unit of the newest state; None where the network has moved on meanwhile, and another look is due."""
    if not steps(held, bundle.state).state:
        return None
    place = await stream.place()
    ref = await artifacts.put_bytes(canonical_json(wire.write_bundle(bundle)), name=BUNDLE)
    epoch = held.epoch_at(bundle.state.height)
    unit = state_unit(stream.settings.stream, place, epoch, bundle.state.height, ref)
    row = await ledger.unit(SYSTEM, unit.stream, unit.key)
    if row is None or row.status in (UnitStatus.FAILED, UnitStatus.CANCELLED, UnitStatus.SKIPPED):
        return unit
    # More signatures of the same state have come: what is under way, or proved, was enough.
    same = {**row.unit.params, **_NOT_COMPARED} == {**unit.params, **_NOT_COMPARED}
    return row.unit if same else unit


def _check(bundle: Bundle, held: Held, voters: Electorate) -> None:
    """Refuse a bundle that the contract's present stake table has not signed; later tables are the fetch's to check."""
    height = bundle.state.height
    there = held.epoch_at(height)
    now = held.epoch if held.epoch is not None or there is None else held.first_epoch
    if height <= held.finalized.height or there != now:
        return
    if there is not None and is_ge_epoch_root(height, held.blocks_per_epoch):
        return
    check_state(bundle, voters)


def check_state(bundle: Bundle, voters: Electorate) -> None:
    """Refuse signatures of a state within an epoch that are too light, or of another stake table.

    Raises:
        InvalidState: they are.
    """
    check_bundle(bundle, voters.table)
    if bundle.next_stake != voters.commitment:
        raise InvalidState(
            f"the state at height {bundle.state.height} is signed together with another stake table",
            value=f"schnorr {bundle.next_stake.schnorr:#x}",
            expected=f"schnorr {voters.commitment.schnorr:#x}, which the contract keeps within an epoch",
            action="check that relay server, sequencer and contract are of the same network",
        )


def _check_permission(held: Held, sender: str) -> None:
    if held.prover and held.prover != sender.lower():
        raise ConfigurationError(
            "ProverNotPermissioned: the light-client contract takes states from one account only",
            value=sender,
            expected=held.prover,
            action="sign with that account, or have the contract's owner permit this one",
        )


async def _check_network(stream: Stream, held: Held, newest: Bundle) -> None:
    """Contract and network have to agree on what an epoch is."""
    config = await stream.config()
    network = 0 if config.blocks_per_epoch == U64_MAX else config.blocks_per_epoch
    if network == held.blocks_per_epoch:
        return
    if held.blocks_per_epoch == 0 and newest.state.height < config.epoch_start_block:
        return
    if held.blocks_per_epoch == 0:
        raise EpochAlreadyStarted(
            "the network has epochs, and the light-client contract has none",
            value=f"epochs from block {config.epoch_start_block} on",
            action="have the contract's owner set its epochs",
        )
    raise ConfigurationError(
        "contract and network have epochs of different length",
        value=f"{held.blocks_per_epoch} blocks in the contract",
        expected=f"{network} blocks",
        action="check that sequencer and contract are of the same network",
    )


async def _unless_landed(stream: Stream, ledger: Ledger, held: Held, unit: Unit) -> Unit | None:
    """The unit; anew where what had landed was undone; None where only a node does not show it yet.

    A lane takes a block with enough confirmations for final, and sends again what a deeper reorganisation undid while
    it still looks. What is undone later the contract could never go on without.
    """
    row = await ledger.unit(SYSTEM, unit.stream, unit.key)
    if row is None or {**row.unit.params, **_NOT_COMPARED} != {**unit.params, **_NOT_COMPARED}:
        return unit
    again = {name: value for name, value in row.unit.params.items() if name == "again"}
    times = int(str(again.get("again", "0")))
    anew = replace(unit, params={**unit.params, "again": str(times + 1)})
    if row.status is UnitStatus.SKIPPED and row.error_kind == Superseded.__name__:
        return anew  # somebody else's landing is gone; what an operator skipped stays skipped
    if row.status is not UnitStatus.DONE:
        return replace(unit, params={**unit.params, **again})
    audit = await ledger.audit(row.unit)
    landing = _landing(audit)
    if landing is None:
        return unit
    if _in_lane(audit, stream.settings.watch_s, time.time()):
        log.warning("%s: %s has landed, and its lane sees to it that it stays so", stream.id, unit.key)
        return None
    transaction, block = landing
    chain = await stream.chain()
    if held.block <= block + stream.settings.confirmations or await chain.receipt(transaction) is not None:
        log.warning("%s: %s has landed, and a node does not show it yet", stream.id, unit.key)
        return None
    log.error(
        "%s: %s had landed in block %d and was undone by a reorganisation: it is submitted anew; more confirmations "
        "than %d make that rarer",
        stream.id, unit.key, block, stream.settings.confirmations,
    )  # fmt: skip
    return anew


def _in_lane(audit: Mapping[str, Json], watch_s: float, now: float) -> bool:
    """Whether the call of a unit that is done is under way again, or landed so short a time ago that it is watched."""
    lane = audit.get("lane")
    for submission in lane if isinstance(lane, list) else []:
        if not isinstance(submission, dict):
            continue
        ended = submission.get("settled_at")
        if ended is None:
            return True
        if submission.get("phase") == Phase.LANDED and isinstance(ended, float) and now - ended < watch_s:
            return True
    return False


def _landing(audit: Mapping[str, Json]) -> tuple[str, int] | None:
    """Transaction and block that a unit's record says it landed by."""
    results = audit.get("results")
    for result in reversed(results if isinstance(results, list) else []):
        facts = (
            result.get("facts") if isinstance(result, dict) and result.get("stage") == Stage.SUBMIT else None
        )
        if isinstance(facts, dict) and str(facts.get("block", "")).isdigit():
            return str(facts.get("transaction")), int(str(facts["block"]))
    return None


# ------------------------------------------------------------ plans


async def keys_of(stream: Stream) -> dict[str, str]:
    """Digest of the verifying key by prover, in the provers' order.

    Raises:
        InvalidKey: a prover has no usable key.
        ConfigurationError: a prover is not there.
    """
    circuit = stream.settings.circuit
    return {name: await stream.prover(name).verifying_key(circuit) for name in stream.settings.provers}


def work_of(
    stream: Stream, unit: Unit, keys: Mapping[str, str], *, priority: int = LIVE, fairness: str = ""
) -> Work:
    """A unit with its plan."""
    compresses = any(stream.prover(name).compresses for name in keys)
    plan = plan_for(stream.settings, keys, compresses=compresses, priority=priority, fairness=fairness)
    return Work(unit, plan)


async def epoch_work(stream: Stream, epoch: int) -> Work:
    """The work of an epoch's root, asked for by hand."""
    held = await (await stream.contract()).held()
    if held.first_epoch is None or epoch < held.first_epoch:
        raise ConfigurationError(
            "the light-client contract has no such epoch",
            value=epoch,
            expected="a contract with epochs" if held.first_epoch is None else f">= {held.first_epoch}",
        )
    unit = epoch_unit(stream.settings.stream, await stream.place(), epoch, held.blocks_per_epoch)
    keys = await keys_of(stream)
    await check_verifier(stream, keys)
    return work_of(stream, unit, keys)


def requested(request: Mapping[str, Json]) -> int | None:
    """The epoch that a request ``{"epoch": 3}`` names; None where it is no such request."""
    epoch = request.get("epoch")
    if isinstance(epoch, str) and epoch.isascii() and epoch.isdigit() and len(epoch) <= 12:
        epoch = int(epoch)
    fits = set(request) == {"epoch"} and isinstance(epoch, int) and not isinstance(epoch, bool)
    return epoch if fits and isinstance(epoch, int) and epoch >= 1 else None
