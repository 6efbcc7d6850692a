"""What a contract needs next, from what it holds and what validators have signed. Pure.

The contract takes states of growing height. It knows one stake table: the one of the epoch that it is in. Past the root
of an epoch (five blocks before its last) it goes only with that root's state, which is signed together with the next
epoch's stake table; so a contract that is n epochs behind needs n roots in order, and then the newest state.
"""

from __future__ import annotations

from dataclasses import dataclass

from provery.core.lanes import Standing, State
from provery.systems.hotshot.contract_rules import NOBODY, LightClientContract, Refused
from provery.systems.hotshot.epochs import (
    epoch_from_block_number,
    first_epoch,
    is_ge_epoch_root,
    voting_epoch,
)
from provery.systems.hotshot.model import LightClientState, StakeTableState

_EARLY = "MissingEpochRootUpdate"
"""The one refusal that passes by itself."""


@dataclass(frozen=True)
class Held:
    """What a contract holds, at one block of its chain."""

    finalized: LightClientState
    voting: StakeTableState
    """The stake table whose signatures it takes next."""
    blocks_per_epoch: int
    """0 where the contract has no epochs."""
    epoch_start_block: int
    """First block from which epochs count."""
    prover: str = ""
    """The only account that may submit, as 0x and lower-case digits; empty where everybody may."""
    block: int = 0
    """The block of its chain that this was read at."""

    @property
    def first_epoch(self) -> int | None:
        """The first epoch whose root the contract has to go over; None where it has no epochs."""
        if self.blocks_per_epoch == 0:
            return None
        return first_epoch(self.epoch_start_block, self.blocks_per_epoch)

    @property
    def epoch(self) -> int | None:
        """The epoch whose stake table it takes signatures of; None for the table that the network began with."""
        if self.blocks_per_epoch == 0:
            return None
        return voting_epoch(self.finalized.height, self.blocks_per_epoch, self.epoch_start_block)

    def epoch_at(self, height: int) -> int | None:
        """The epoch whose stake table signs the state of a height; None for the one that the network began with."""
        first, there = self.first_epoch, epoch_from_block_number(height, self.blocks_per_epoch)
        return None if first is None or there < first else there


@dataclass(frozen=True)
class Steps:
    """What is due, in the order in which the contract takes it."""

    epochs: tuple[int, ...] = ()
    """Epochs whose roots are due."""
    certain: int = 0
    """How many of them are behind the newest state, so that their certificates have to be there."""
    state: bool = False
    """Whether the newest state itself is due after them."""


def steps(held: Held, newest: LightClientState | None) -> Steps:
    """What brings a contract up to the newest state that enough validators have signed.

    Args:
        held: What the contract holds.
        newest: The state; None where it is not known.
    """
    if newest is None or newest.height <= held.finalized.height or newest.view <= held.finalized.view:
        return Steps()
    there, first = held.epoch_at(newest.height), held.first_epoch
    if there is None or first is None:
        return Steps(state=True)
    start = max(first, held.epoch or 0)
    behind = tuple(range(start, there))
    if is_ge_epoch_root(newest.height, held.blocks_per_epoch):
        # What lies past a root is signed by a table that the root replaces: the contract takes the root alone.
        due = there >= start
        return Steps((*behind, there) if due else behind, len(behind))
    return Steps(behind, len(behind), state=there >= start)


def standing(held: Held, state: LightClientState, next_stake: StakeTableState, sender: str) -> Standing:
    """What the contract would say of a state now, if its proof holds.

    Args:
        held: What it holds.
        state: The state of the call.
        next_stake: Stake table of the call.
        sender: Who would submit it.
    """
    last = held.finalized
    if state.height <= last.height:
        return Standing(State.SUPERSEDED, f"the contract has height {last.height} already")
    contract = LightClientContract(
        last, held.voting, held.blocks_per_epoch, held.epoch_start_block, held.prover or NOBODY
    )
    try:
        contract.submit(sender, state, next_stake)
    except Refused as refused:
        early = refused.error == _EARLY
        why = "roots of epochs before have to land first" if early else "the contract's rules"
        return Standing(State.EARLY if early else State.IMPOSSIBLE, f"{refused.error}: {why}")
    return Standing(State.READY)
