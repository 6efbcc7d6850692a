"""Validators of the network: keys from a seed, and which of them are in the stake table of an epoch. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from provery.core.errors import ConfigurationError
from provery.systems.hotshot import bls, schnorr, spec
from provery.systems.hotshot.model import BlsKey, StakeEntry, StakeTable, StakeTableState

STAKE_UNIT = 10**18
MOST_STAKE = 1_000
"""Units of stake; the fewest are a tenth of it."""
GENESIS_EPOCHS = 2
"""Epochs that the validators of the beginning sign, as in a real network: later ones follow the stake contract."""


class Changes(StrEnum):
    """What differs between the stake tables of two epochs."""

    NONE = "none"
    AMOUNTS = "amounts"
    """Every stake."""
    MEMBERS = "members"
    """One validator leaves, another one joins, and every stake."""


def draw(seed: str, *what: object, below: int) -> int:
    """A number that depends on nothing but its arguments."""
    text = "/".join(map(str, ("provery hotshot network", seed, *what)))
    return int.from_bytes(hashlib.sha512(text.encode()).digest(), "big") % below


@dataclass(frozen=True)
class Validators:
    """Everybody who is ever in a stake table.

    Args:
        seed: The same seed gives the same keys, stakes and states.
        count: Validators in a stake table.
        capacity: Rows that commitments are padded to.
        changes: How stake tables change from epoch to epoch.

    Raises:
        ConfigurationError: there is no validator, or more than the capacity.
    """

    seed: str
    count: int
    capacity: int
    changes: Changes = Changes.NONE

    def __post_init__(self) -> None:
        if not 0 < self.count <= self.capacity:
            raise ConfigurationError(
                "the number of validators does not fit", value=self.count, expected=f"1 to {self.capacity}"
            )

    def members(self, epoch: int) -> range:
        """Numbers of the validators in an epoch's stake table."""
        moved = self._age(epoch) if self.changes is Changes.MEMBERS else 0
        return range(moved, moved + self.count)

    def table(self, epoch: int) -> StakeTable:
        """The stake table of an epoch."""
        age = 0 if self.changes is Changes.NONE else self._age(epoch)
        return _table(self.seed, self.members(epoch), age)

    def commitment(self, epoch: int) -> StakeTableState:
        """The commitment to an epoch's stake table, at the network's capacity."""
        return spec.commitment(self.table(epoch), self.capacity)

    def secret(self, number: int) -> int:
        """The signing scalar of a validator."""
        return _secret(self.seed, number)

    def _age(self, epoch: int) -> int:
        return max(0, epoch - GENESIS_EPOCHS)


@lru_cache(maxsize=64)
def _table(seed: str, members: range, age: int) -> StakeTable:
    rows = []
    for number in members:
        units = MOST_STAKE // 10 + draw(seed, "stake", number, age, below=MOST_STAKE * 9 // 10)
        key = schnorr.public_key(_secret(seed, number))
        rows.append(StakeEntry(bls_key(seed, number), key, units * STAKE_UNIT))
    return tuple(rows)


def _secret(seed: str, number: int) -> int:
    return 1 + draw(seed, "schnorr", number, below=schnorr.ORDER - 1)


_STRIDE = 64
"""Keys that follow one another by additions; every so many one is computed anew."""


@lru_cache(maxsize=schnorr.CACHED_KEYS)
def bls_key(seed: str, number: int) -> BlsKey:
    """A validator's BLS key: multiples of the generator that follow one another, as most cost one addition then."""
    if number % _STRIDE == 0:
        return bls.multiple(2 + draw(seed, "bls", below=2**128) + number)
    return bls.add(bls_key(seed, number - 1), bls.GENERATOR)
