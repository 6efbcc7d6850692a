"""The network's chain: states by height, who signs them, and the certificates of its epochs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from provery.core.errors import ConfigurationError
from provery.systems.hotshot import schnorr, spec
from provery.systems.hotshot.epochs import (
    ROOT_OFFSET,
    epoch_from_block_number,
    epoch_root_height,
    is_epoch_root,
)
from provery.systems.hotshot.model import (
    HotShotConfig,
    LightClientState,
    Signature,
    Signatures,
    StakeTable,
    StakeTableState,
    StateCertificate,
)
from provery.systems.hotshot.network.faults import NONE, Faults
from provery.systems.hotshot.network.validators import Validators, draw
from provery.systems.hotshot.roots import FIELD

REMEMBERED = 256
"""Signed states that are kept; signing one again takes a third of a second with 100 validators."""
STRANGERS = 10**6
"""Number of the first validator that is in no stake table."""


@dataclass(frozen=True)
class Voted:
    """A state, and who signed it."""

    state: LightClientState
    next_stake: StakeTableState
    signatures: Signatures


class Chain:
    """A chain that grows by the clock or on request.

    Args:
        validators: Who signs.
        blocks_per_epoch: Length of an epoch, more than five.
        epoch_start_block: First block from which epochs matter.
        height: Height in the beginning.
        last: Height at which the chain stops; None for never.
        pace: Blocks per second; 0 for a chain that only grows on request.
        participation: Percentage of the validators that sign a state, at random.
        clock: Seconds, monotonic.

    Raises:
        ConfigurationError: the epochs are too short, or the percentage is none.
    """

    def __init__(
        self,
        validators: Validators,
        *,
        blocks_per_epoch: int,
        epoch_start_block: int = 1,
        height: int = 0,
        last: int | None = None,
        pace: float = 0.0,
        participation: int = 90,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if blocks_per_epoch <= ROOT_OFFSET:
            raise ConfigurationError("the epochs are too short", value=blocks_per_epoch, expected="6 or more")
        if not 0 <= participation <= 100:
            raise ConfigurationError("the participation is none", value=participation, expected="0 to 100 %")
        self.validators, self.blocks_per_epoch = validators, blocks_per_epoch
        self.epoch_start_block, self.last, self.pace = epoch_start_block, last, pace
        self.faults: Faults = NONE
        self._participation = participation
        self._start, self._clock, self._began = height, clock, clock()
        self._voted: dict[tuple[int, int, bool, int], Voted] = {}
        self._growing, self._signing = threading.RLock(), threading.Lock()

    # ------------------------------------------------------------ growing

    @property
    def height(self) -> int:
        """Height of the latest decided block."""
        with self._growing:
            grown = self._start + int((self._clock() - self._began) * self.pace)
            return grown if self.last is None else min(grown, self.last)

    def advance(self, blocks: int) -> int:
        """Decide more blocks at once.

        Returns:
            The height afterwards.
        """
        with self._growing:
            self._start += blocks
            return self.height

    # ------------------------------------------------------------ what is true of it

    @property
    def config(self) -> HotShotConfig:
        """What its sequencer says of it."""
        return HotShotConfig(
            self.blocks_per_epoch,
            self.epoch_start_block,
            self.validators.capacity,
            self.validators.table(0),
        )

    def epoch(self, height: int) -> int:
        """Epoch of a block."""
        return epoch_from_block_number(height, self.blocks_per_epoch)

    def state(self, height: int) -> LightClientState:
        """State of a block. Every seventh view fails, so views run ahead of blocks."""
        root = 0 if height == 0 else draw(self.validators.seed, "root", height, below=FIELD)
        return LightClientState(height + height // 6, height, root)

    def next_stake(self, height: int) -> StakeTableState:
        """The stake table that is signed together with a block: the next epoch's at an epoch's root."""
        following = is_epoch_root(height, self.blocks_per_epoch)
        return self.validators.commitment(self.epoch(height) + following)

    # ------------------------------------------------------------ signing

    def vote(self, height: int, *, weak: bool = False) -> Voted:
        """Sign a block, or remember who has.

        Args:
            height: Height of the block.
            weak: Let too little stake sign.
        """
        faults = self.faults
        asked = (height, faults.invalid_signatures, weak, faults.unknown_signers)
        with self._signing:
            if asked not in self._voted:
                self._voted[asked] = self._sign(height, weak, faults)
            while len(self._voted) > REMEMBERED:
                del self._voted[next(iter(self._voted))]
            return self._voted[asked]

    def certificate(self, epoch: int) -> StateCertificate | None:
        """The certificate of an epoch; None before its root is decided, or where the faults have it missing."""
        height = epoch_root_height(epoch, self.blocks_per_epoch)
        early = epoch < self.epoch(self.epoch_start_block) or height > self.height
        if epoch < 1 or early or epoch in self.faults.missing_certificates:
            return None
        weak = self.faults.weak_certificates
        voted = self.vote(height, weak=weak)
        if not weak and not self.ready(voted):
            return None
        return StateCertificate(epoch, voted.state, voted.next_stake, voted.signatures)

    def claimed_weight(self, voted: Voted) -> int:
        """Stake of those who are said to have signed."""
        signers = {key for key, _ in voted.signatures}
        table = self.validators.table(self.epoch(voted.state.height))
        return sum(entry.stake for entry in table if entry.schnorr in signers)

    def ready(self, voted: Voted) -> bool:
        """Whether enough stake is said to have signed."""
        table = self.validators.table(self.epoch(voted.state.height))
        return self.claimed_weight(voted) >= spec.threshold(table)

    def served_table(self, epoch: int) -> StakeTable | None:
        """The stake table of an epoch as the sequencer gives it; None where it is not known yet."""
        if epoch > self.epoch(self.height) + 1:
            return None
        table = self.validators.table(epoch)
        if self.faults.wrong_stake_table:
            return (replace(table[0], stake=table[0].stake + 1), *table[1:])
        return table

    def _sign(self, height: int, weak: bool, faults: Faults) -> Voted:
        state, following = self.state(height), self.next_stake(height)
        message = spec.message_v2(state, following)
        numbers = self._signers(height, weak)
        found = [self._signature(number, message) for number in numbers]
        for at in range(min(faults.invalid_signatures, len(found))):
            key, good = found[at]
            found[at] = key, Signature((good.s + 1) % schnorr.ORDER, good.rx, good.ry)
        found += [self._signature(STRANGERS + number, message) for number in range(faults.unknown_signers)]
        return Voted(state, following, tuple(found))

    def _signers(self, height: int, weak: bool) -> list[int]:
        """Who signs a block: some at random, but never too few, unless that is asked for."""
        members, table = (
            self.validators.members(self.epoch(height)),
            self.validators.table(self.epoch(height)),
        )
        stakes = dict(zip(members, (entry.stake for entry in table), strict=True))
        wanted = spec.threshold(table)
        shuffled = sorted(members, key=lambda n: draw(self.validators.seed, "order", height, n, below=2**64))
        count = -(-len(shuffled) * self._participation // 100)
        signers: list[int] = []
        weight = 0
        for number in shuffled:
            if weak and weight + stakes[number] >= wanted:
                continue
            if not weak and len(signers) >= count and (weight >= wanted or self._participation == 0):
                break
            signers.append(number)
            weight += stakes[number]
        return sorted(signers)

    def _signature(self, number: int, message: Sequence[int]) -> tuple[tuple[int, int], Signature]:
        secret = self.validators.secret(number)
        return schnorr.public_key(secret), schnorr.sign(secret, message)
