"""Stake tables, compared with what the contract or the certificate before says of them, before anything is proved."""

from __future__ import annotations

from dataclasses import dataclass

from provery.core.errors import Superseded
from provery.systems.hotshot.advance import Held
from provery.systems.hotshot.errors import SequencerCommunicationError
from provery.systems.hotshot.model import StakeTable, StakeTableState
from provery.systems.hotshot.spec import check_table
from provery.systems.hotshot.streams import Stream


@dataclass(frozen=True)
class Electorate:
    """Who signs, and the commitment to them that the contract has, or will have by then."""

    table: StakeTable
    commitment: StakeTableState


async def electorate(stream: Stream, held: Held, epoch: int | None) -> Electorate:
    """Who signs the states of an epoch.

    Args:
        stream: Whose sequencers are asked.
        held: What the contract holds.
        epoch: The epoch; None for the table that the network began with.

    Raises:
        StakeTableMismatch: the sequencers' table is not the one that the contract knows, or will know.
        Superseded: the contract is past that epoch.
        SequencerCommunicationError: a table or certificate cannot be had.
    """
    capacity = stream.settings.stake_table_capacity
    now, first = held.epoch, held.first_epoch
    if epoch is None or (now is None and epoch == first):
        if now is not None:
            raise Superseded(f"the contract is in epoch {now} already")
        nodes = (await stream.config()).nodes
        check_table(nodes, capacity, held.voting)
        return Electorate(nodes, held.voting)
    current = first if now is None else now
    if current is None or epoch < current:
        raise Superseded(f"the contract is past epoch {epoch}", value=current)
    expected = held.voting
    if epoch > current:
        before = await stream.sequencer.state_certificate(epoch - 1)
        if before is None:
            raise SequencerCommunicationError(
                f"no sequencer has the state certificate of epoch {epoch - 1} yet",
                action="the network has to sign its root first; it is tried again",
            )
        expected = before.next_stake
    table = await stream.sequencer.stake_table(epoch, lambda found: check_table(found, capacity, expected))
    return Electorate(table, expected)
