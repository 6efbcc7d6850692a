"""Epoch arithmetic: tables of known answers, edge cases, and that the functions agree."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.systems.hotshot.epochs import (
    epoch_from_block_number,
    epoch_root_height,
    first_epoch,
    is_epoch_root,
    is_ge_epoch_root,
    is_gt_epoch_root,
    voting_epoch,
)
from provery.systems.hotshot.model import U64_MAX

blocks = st.integers(0, U64_MAX)
lengths = st.integers(6, 10_000)


@pytest.mark.parametrize(
    ("block", "length", "epoch"),
    [
        (0, 10, 1), (1, 10, 1), (9, 10, 1), (10, 10, 1), (11, 10, 2), (20, 10, 2), (21, 10, 3),
        (0, 0, 0), (5, 0, 0), (0, U64_MAX, 1), (5, U64_MAX, 1), (U64_MAX, U64_MAX, 1), (U64_MAX, 1, U64_MAX),
        (395, 200, 2), (995, 200, 5),
    ],
)  # fmt: skip
def test_epochs_of_blocks(block: int, length: int, epoch: int) -> None:
    assert epoch_from_block_number(block, length) == epoch


@pytest.mark.parametrize(
    ("block", "length", "root", "ge"),
    [
        (4, 10, False, False), (5, 10, True, True), (6, 10, False, True), (10, 10, False, True),
        (11, 10, False, False), (15, 10, True, True), (0, 10, False, False), (0, 0, False, False),
        (7, 0, False, False), (0, 5, False, False), (5, 5, True, True), (0, U64_MAX, False, False),
        (5, U64_MAX, False, False), (U64_MAX - 5, U64_MAX, True, True), (3, 3, False, True), (1, 3, True, True),
    ],
)  # fmt: skip
def test_roots(block: int, length: int, root: bool, ge: bool) -> None:
    assert is_epoch_root(block, length) == root
    assert is_ge_epoch_root(block, length) == ge
    assert is_gt_epoch_root(block, length) == (ge and not root)


@settings(deadline=None)
@given(blocks, lengths)
def test_the_functions_agree(block: int, length: int) -> None:
    epoch = epoch_from_block_number(block, length)
    root = epoch_root_height(epoch, length)
    assert is_epoch_root(root, length)
    assert epoch_from_block_number(root, length) == epoch
    assert is_epoch_root(block, length) == (block == root)
    assert is_ge_epoch_root(block, length) == (block >= root)


@settings(deadline=None)
@given(st.integers(1, 10**6), lengths)
def test_an_epochs_blocks_end_five_after_its_root(epoch: int, length: int) -> None:
    last = epoch_root_height(epoch, length) + 5
    assert epoch_from_block_number(last, length) == epoch
    assert epoch_from_block_number(last + 1, length) == epoch + 1


@pytest.mark.parametrize(
    ("epoch", "length", "height"), [(0, 10, 0), (-1, 10, 0), (1, 0, 0), (1, 3, 0), (2, 10, 15)]
)
def test_roots_that_are_not_there_have_height_zero(epoch: int, length: int, height: int) -> None:
    assert epoch_root_height(epoch, length) == height


@pytest.mark.parametrize(
    ("height", "start", "epoch"),
    [
        (0, 1, None),
        (1, 1, 1),
        (4, 1, 1),
        (5, 1, 2),
        (6, 1, 1),
        (15, 1, 3),
        (320, 321, None),
        (395, U64_MAX, None),
    ],
)
def test_who_votes_next(height: int, start: int, epoch: int | None) -> None:
    assert voting_epoch(height, 10, start) == epoch


def test_the_first_epoch_is_that_of_the_start_block() -> None:
    assert first_epoch(321, 200) == 2
    assert first_epoch(1, 10) == 1
    assert first_epoch(0, 10) == 1
