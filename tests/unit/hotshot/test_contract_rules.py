"""What always holds of the contract's rules: there is a next state, and the network's own states are taken."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.systems.hotshot.contract_rules import LightClientContract, Refused
from provery.systems.hotshot.epochs import (
    epoch_from_block_number,
    epoch_root_height,
    first_epoch,
    is_gt_epoch_root,
)
from provery.systems.hotshot.model import U64_MAX, LightClientState, StakeTableState

TABLE = StakeTableState(1, 2, 3, 4)
ANYBODY = "0x" + 39 * "0" + "1"


def contract(blocks_per_epoch: int, start: int, height: int = 0, **other: str) -> LightClientContract:
    return LightClientContract(LightClientState(0, height, 0), TABLE, blocks_per_epoch, start, **other)


def refusal(
    client: LightClientContract,
    height: int,
    *,
    view: int = 1,
    table: StakeTableState = TABLE,
    who: str = ANYBODY,
) -> str:
    """The rule that refuses a state; empty if it is taken."""
    try:
        client.submit(who, LightClientState(client.finalized.view + view, height, 0), table)
    except Refused as refused:
        return refused.error
    return ""


@given(st.integers(6, 300), st.integers(0, 900), st.lists(st.integers(1, 400), min_size=1, max_size=30))
@settings(max_examples=300, deadline=None)
def test_from_every_state_that_is_reached_the_root_to_come_is_taken(
    length: int, start: int, steps: list[int]
) -> None:
    client = contract(length, start)
    for step in steps:
        state = LightClientState(client.finalized.view + 1, client.finalized.height + step, 0)
        try:
            client = client.submit(ANYBODY, state, TABLE)
        except Refused:
            continue
        at = client.finalized.height
        epoch = max(epoch_from_block_number(at, length), first_epoch(start, length))
        root = epoch_root_height(epoch, length)
        if at >= root:
            root += length
        assert refusal(client, root) == ""
        assert not (client.epoch >= client.first_epoch and is_gt_epoch_root(at, length))


@given(st.integers(6, 300), st.integers(0, 900), st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_a_network_that_proves_its_roots_changes_tables_from_the_start_block_on(
    length: int, start: int, epochs: int
) -> None:
    client = contract(length, start)
    first = first_epoch(start, length)
    for epoch in range(first, first + epochs):
        root = epoch_root_height(epoch, length)
        new = replace(TABLE, bls=100 + epoch)
        if root >= start:
            client = client.submit(ANYBODY, LightClientState(root, root, 0), new)
            assert client.voting == new
        else:
            assert refusal(client, root, view=root, table=new) == "WrongStakeTableUsed"
            client = client.submit(ANYBODY, LightClientState(root, root, 0), TABLE)


def test_each_rule_by_name() -> None:
    client = contract(10, 21, height=25)  # epoch 3, at its root
    other = replace(TABLE, amount=9)
    assert refusal(client, 25) == "OutdatedState"
    assert refusal(client, 26, view=0) == "OutdatedState"
    assert refusal(client, 26) == "InvalidArgs"  # past the root of epoch 3
    assert refusal(client, 30) == "InvalidArgs"
    assert refusal(client, 31) == ""
    assert refusal(client, 31, table=other) == "WrongStakeTableUsed"
    assert refusal(client, 35, table=other) == ""
    for column in ("threshold", "schnorr", "amount"):
        assert refusal(client, 35, table=replace(TABLE, **{column: 0})) == "InvalidArgs"  # a quorum of nobody
        assert refusal(client, 31, table=replace(TABLE, **{column: 0})) == "WrongStakeTableUsed"
    assert refusal(client, 36) == "InvalidArgs"
    assert refusal(client, 41) == "MissingEpochRootUpdate"
    within = client.submit(ANYBODY, LightClientState(1, 31, 0), TABLE)
    assert refusal(within, 41) == "MissingEpochRootUpdate"
    only = contract(10, 21, permissioned_prover="0x" + 40 * "a")
    assert refusal(only, 5) == "ProverNotPermissioned"
    assert refusal(only, 5, who="0x" + 40 * "A") == ""
    with pytest.raises(Refused, match="InvalidProof"):
        client.submit(ANYBODY, LightClientState(1, 31, 0), TABLE, proved=False)


@pytest.mark.parametrize("length", [0, U64_MAX])
def test_without_epochs_any_height_follows_and_no_table_changes(length: int) -> None:
    client = contract(length, U64_MAX)
    client.check_setup()
    for height in (1, 5, 10**12):
        assert refusal(client, height) == ""
        assert refusal(client, height, table=replace(TABLE, bls=9)) == "WrongStakeTableUsed"


@pytest.mark.parametrize(
    "client",
    [
        contract(5, 0),
        contract(10, 0, 6),
        contract(10, 0, 10),
        replace(contract(10, 0), voting=replace(TABLE, threshold=0)),
    ],
)
def test_set_ups_without_a_future_are_refused(client: LightClientContract) -> None:
    with pytest.raises(Refused, match="InvalidArgs"):
        client.check_setup()
