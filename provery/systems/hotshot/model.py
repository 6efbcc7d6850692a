"""Frozen records of the hotshot system.

Everything is an integer: elements of BN254's scalar field (the base field of the Schnorr curve), scalars of that
curve, heights and epochs. A record says nothing about being valid: ``wire`` bounds what it reads, ``spec`` checks it.
"""

from __future__ import annotations

from dataclasses import dataclass

U64_MAX = 2**64 - 1

BlsKey = tuple[int, int, int, int]
"""A point of BN254's G2: x0, x1, y0, y1 with x = x0 + x1·u."""
SchnorrKey = tuple[int, int]
"""An affine point x, y of the twisted Edwards curve over BN254's scalar field."""


@dataclass(frozen=True)
class LightClientState:
    """What a light client knows of the chain: one decided block."""

    view: int
    """Consensus view in which the block was decided, uint64."""
    height: int
    """Block number, uint64."""
    block_comm_root: int
    """Root of the block commitments' Merkle tree."""


@dataclass(frozen=True)
class StakeTableState:
    """Commitments to the three columns of a stake table padded to a capacity, and its threshold."""

    bls: int
    schnorr: int
    amount: int
    threshold: int
    """Least stake whose signatures count: a third of the total, rounded down, plus one."""


@dataclass(frozen=True)
class StakeEntry:
    """A validator in a stake table."""

    bls: BlsKey
    schnorr: SchnorrKey
    stake: int


StakeTable = tuple[StakeEntry, ...]
"""Validators in the network's order, unpadded."""


@dataclass(frozen=True)
class Signature:
    """A Schnorr signature: the scalar s and the affine point R."""

    s: int
    rx: int
    ry: int


Signatures = tuple[tuple[SchnorrKey, Signature], ...]
"""Who is said to have signed, and how."""


@dataclass(frozen=True)
class StateCertificate:
    """An epoch root's state, signed together with the stake table of the epoch after."""

    epoch: int
    """The epoch that ends with the state's height, and whose stake table signs."""
    state: LightClientState
    next_stake: StakeTableState
    """Stake table of ``epoch + 1``."""
    signatures: Signatures


@dataclass(frozen=True)
class Bundle:
    """What a relay server has collected for the latest state."""

    state: LightClientState
    next_stake: StakeTableState
    signatures: Signatures
    weight: int
    """Stake that the relay server claims to have counted; nothing rests on it."""


@dataclass(frozen=True)
class HotShotConfig:
    """What a sequencer says of its network."""

    blocks_per_epoch: int
    """``U64_MAX`` where the network has no epochs."""
    epoch_start_block: int
    """First block from which epochs matter; ``U64_MAX`` where the network has none."""
    stake_table_capacity: int
    """Rows that the commitments are padded to."""
    nodes: StakeTable
    """Validators that the network began with."""
