"""What the light-client contract takes, as a model of its rules. Pure.

``contract/LightClient.sol`` must agree with it on every sequence of calls (``tests/contracts``), and whoever wants to
know beforehand what the contract will say asks here. It says nothing of proofs: in the contract a proof is the last
thing that is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from provery.systems.hotshot import epochs
from provery.systems.hotshot.model import LightClientState, StakeTableState

NOBODY = "0x" + 40 * "0"
"""The zero address: no permissioned prover."""


class Refused(Exception):
    """The contract reverts.

    Args:
        error: Name of its custom error.
    """

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True)
class LightClientContract:
    """A light client's storage, as far as the rules look at it."""

    finalized: LightClientState
    voting: StakeTableState
    blocks_per_epoch: int
    """0 where there are no epochs."""
    epoch_start_block: int
    permissioned_prover: str = NOBODY

    @property
    def first_epoch(self) -> int:
        """The epoch from which every root has to be proved."""
        return epochs.first_epoch(self.epoch_start_block, self.blocks_per_epoch)

    @property
    def epoch(self) -> int:
        """Epoch of the finalised state."""
        return epochs.epoch_from_block_number(self.finalized.height, self.blocks_per_epoch)

    def check_setup(self) -> None:
        """Whether a light client can start from this.

        Raises:
            Refused: no state could ever follow, or the epochs are too short to have roots.
        """
        if 0 < self.blocks_per_epoch <= epochs.ROOT_OFFSET:
            raise Refused("InvalidArgs")
        height = self.finalized.height
        if self._in_epochs(height) and epochs.is_gt_epoch_root(height, self.blocks_per_epoch):
            raise Refused("InvalidArgs")
        _check_quorum(self.voting)

    def switches_table(self, height: int) -> bool:
        """Whether a state of this height, coming next, brings the next epoch's stake table.

        Raises:
            Refused: it may not come next.
        """
        if not self._in_epochs(height):
            return False
        if epochs.is_gt_epoch_root(height, self.blocks_per_epoch):
            raise Refused("InvalidArgs")
        epoch = epochs.epoch_from_block_number(height, self.blocks_per_epoch)
        if self.epoch < self.first_epoch:
            reachable = self.first_epoch
        else:
            reachable = self.epoch + epochs.is_epoch_root(self.finalized.height, self.blocks_per_epoch)
        if epoch > reachable:
            raise Refused("MissingEpochRootUpdate")
        return height >= self.epoch_start_block and epochs.is_epoch_root(height, self.blocks_per_epoch)

    def submit(
        self, sender: str, state: LightClientState, next_stake: StakeTableState, *, proved: bool = True
    ) -> LightClientContract:
        """The contract after a call of ``newFinalizedState``.

        Args:
            sender: Who calls.
            state: The new state.
            next_stake: The next stake table, as submitted.
            proved: Whether the proof holds.

        Raises:
            Refused: the call reverts.
        """
        if self.permissioned_prover != NOBODY and sender.lower() != self.permissioned_prover.lower():
            raise Refused("ProverNotPermissioned")
        if state.view <= self.finalized.view or state.height <= self.finalized.height:
            raise Refused("OutdatedState")
        switches = self.switches_table(state.height)
        if not switches and next_stake != self.voting:
            raise Refused("WrongStakeTableUsed")
        if switches:
            _check_quorum(next_stake)
        if not proved:
            raise Refused("InvalidProof")
        return replace(self, finalized=state, voting=next_stake)

    def _in_epochs(self, height: int) -> bool:
        per_epoch = self.blocks_per_epoch
        return per_epoch != 0 and epochs.epoch_from_block_number(height, per_epoch) >= self.first_epoch


def _check_quorum(table: StakeTableState) -> None:
    """Refuse a table whose quorum is nobody: whatever it signs would need no signature."""
    if not (table.threshold and table.schnorr and table.amount):
        raise Refused("InvalidArgs")
