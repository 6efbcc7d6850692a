"""Epoch arithmetic of HotShot, its edge cases included. Pure.

Blocks of epoch e, counted from 1, are (e - 1)·E + 1 to e·E; block 0 counts as of epoch 1. The root of an epoch is the
block five before its last: its state is signed together with the stake table of the epoch after. A network without
epochs has E = 0, or E = ``U64_MAX`` once its configuration was read.
"""

from __future__ import annotations

ROOT_OFFSET = 5
"""Blocks from an epoch's root to its last block."""


def epoch_from_block_number(block: int, blocks_per_epoch: int) -> int:
    """Epoch of a block; 0 where there are no epochs."""
    if blocks_per_epoch == 0:
        return 0
    if block == 0:
        return 1
    return -(-block // blocks_per_epoch)


def is_epoch_root(block: int, blocks_per_epoch: int) -> bool:
    """Whether a block is an epoch's root."""
    if block == 0 or blocks_per_epoch == 0:
        return False
    return (block + ROOT_OFFSET) % blocks_per_epoch == 0


def is_ge_epoch_root(block: int, blocks_per_epoch: int) -> bool:
    """Whether a block is the root of its epoch or comes after it."""
    if block == 0 or blocks_per_epoch == 0:
        return False
    place = block % blocks_per_epoch
    return place == 0 or place >= max(0, blocks_per_epoch - ROOT_OFFSET)


def is_gt_epoch_root(block: int, blocks_per_epoch: int) -> bool:
    """Whether a block comes after the root of its epoch."""
    return is_ge_epoch_root(block, blocks_per_epoch) and not is_epoch_root(block, blocks_per_epoch)


def epoch_root_height(epoch: int, blocks_per_epoch: int) -> int:
    """Height of an epoch's root; 0 where there is none."""
    if epoch < 1:
        return 0
    return max(0, epoch * blocks_per_epoch - ROOT_OFFSET)


def first_epoch(epoch_start_block: int, blocks_per_epoch: int) -> int:
    """The epoch from which on epochs matter."""
    return epoch_from_block_number(epoch_start_block, blocks_per_epoch)


def voting_epoch(height: int, blocks_per_epoch: int, epoch_start_block: int) -> int | None:
    """The epoch whose stake table signs what comes after a finalised height; None where epochs do not matter yet.

    After an epoch's root, the next state may already be of the epoch after.
    """
    if height < epoch_start_block:
        return None
    return epoch_from_block_number(height, blocks_per_epoch) + is_epoch_root(height, blocks_per_epoch)
