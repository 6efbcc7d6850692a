"""What a light client of a network starts from, by the network's own word or the operator's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from provery.core.errors import InvalidInput
from provery.systems.hotshot import spec, tagged
from provery.systems.hotshot.model import LightClientState, StakeTableState
from provery.systems.hotshot.sequencer import Sequencer

BEGINNING = LightClientState(0, 0, 0)
"""Before a network's first block."""


@dataclass(frozen=True)
class Genesis:
    """A state, the stake table that signs after it, and the network's epochs."""

    state: LightClientState
    stake_table: StakeTableState
    blocks_per_epoch: int
    epoch_start_block: int


async def genesis(
    sequencers: Sequence[str],
    capacity: int,
    *,
    state: str = "",
    stake_table: str = "",
    blocks_per_epoch: int | None = None,
    epoch_start_block: int | None = None,
) -> Genesis:
    """Put together where a light client starts. The sequencer is asked only for what is not given.

    Args:
        sequencers: Base URLs.
        capacity: Rows that the stake table is padded to: the circuit's.
        state: ``LIGHT_CLIENT_STATE~…``; the network's beginning without.
        stake_table: ``STAKE_TABLE_STATE~…``; the commitment to the network's first validators without.
        blocks_per_epoch: The network's setting without.
        epoch_start_block: The network's setting without.

    Raises:
        InvalidInput: a text is malformed, or a state is given without its table.
        InvalidState: the validators do not fit into the capacity.
        SequencerCommunicationError: no sequencer gave a usable answer.
    """
    if state and not stake_table:
        raise InvalidInput(
            "a state is given without the stake table that signs after it",
            expected="both, or neither for the network's beginning",
        )
    table = tagged.parse_stake_state(stake_table) if stake_table else None
    start = tagged.parse_state(state) if state else BEGINNING
    if table is None or blocks_per_epoch is None or epoch_start_block is None:
        sequencer = Sequencer(sequencers)
        try:
            config = await sequencer.config()
        finally:
            await sequencer.close()
        table = table or spec.commitment(config.nodes, capacity)
        blocks_per_epoch = config.blocks_per_epoch if blocks_per_epoch is None else blocks_per_epoch
        epoch_start_block = config.epoch_start_block if epoch_start_block is None else epoch_start_block
    return Genesis(start, table, blocks_per_epoch, epoch_start_block)
