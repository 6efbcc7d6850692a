"""What a contract needs next, against the model of the contract's own rules."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.core.lanes import State
from provery.systems.hotshot.advance import Held, Steps, standing, steps
from provery.systems.hotshot.contract_rules import LightClientContract, Refused
from provery.systems.hotshot.epochs import epoch_from_block_number, epoch_root_height, is_epoch_root
from provery.systems.hotshot.model import LightClientState, StakeTableState

SENDER = "0x" + "ab" * 20


def table(epoch: int) -> StakeTableState:
    """A commitment that tells epochs apart."""
    return StakeTableState(epoch + 1, epoch + 2, epoch + 3, 1)


def held(height: int, *, blocks: int = 10, start: int = 0, voting: int = 0, prover: str = "") -> Held:
    return Held(LightClientState(height, height, 1), table(voting), blocks, start, prover)


def at(height: int) -> LightClientState:
    return LightClientState(height, height, 1)


@pytest.mark.parametrize(
    ("contract", "newest", "due"),
    [
        (held(0), None, Steps()),
        (held(7), at(7), Steps()),
        (held(7), at(6), Steps()),
        (held(0), at(3), Steps(state=True)),
        (held(0), at(5), Steps((1,), 0)),
        (held(0), at(8), Steps((1,), 0)),
        (held(0), at(12), Steps((1,), 1, state=True)),
        (held(5), at(12), Steps((), 0, state=True)),
        (held(5), at(8), Steps()),
        (held(5), at(47), Steps((2, 3, 4, 5), 3)),
        (held(12), at(41), Steps((2, 3, 4), 3, state=True)),
        # Before epochs, and over their beginning at block 321 of epochs of 200.
        (held(10, blocks=200, start=321), at(100), Steps(state=True)),
        (held(10, blocks=200, start=321), at(390), Steps(state=True)),
        (held(10, blocks=200, start=321), at(600), Steps((2, 3), 1)),
        (held(10, blocks=200, start=321), at(430), Steps((2,), 1, state=True)),
        # A contract without epochs.
        (held(10, blocks=0), at(4_000), Steps(state=True)),
    ],
)
def test_what_is_due(contract: Held, newest: LightClientState | None, due: Steps) -> None:
    assert steps(contract, newest) == due


def test_a_state_of_an_older_view_is_not_due() -> None:
    assert steps(held(3), LightClientState(2, 8, 1)) == Steps()


@settings(max_examples=500)
@given(st.integers(6, 40), st.integers(0, 120), st.integers(0, 200), st.integers(1, 200), st.booleans())
def test_the_contract_takes_what_is_due_in_that_order(
    blocks: int, start: int, height: int, more: int, epochs: bool
) -> None:
    """Every step is taken by the contract's rules, and afterwards nothing but what waits for a certificate is due."""
    blocks = blocks if epochs else 0
    if blocks:  # epochs begin to count before the root of one, or that root would bring no stake table
        start = min(start, epoch_root_height(epoch_from_block_number(start, blocks), blocks))
    contract = LightClientContract(at(height), table(0), blocks, start)
    try:
        contract.check_setup()
    except Refused:  # no contract starts there
        return
    newest = at(height + more)
    now = Held(contract.finalized, contract.voting, blocks, start)
    due = steps(now, newest)
    assert due.certain <= len(due.epochs) <= due.certain + 1
    order = [(at(epoch_root_height(e, blocks)), table(e + 1)) for e in due.epochs]
    for state, following in order:
        assert standing(now, state, following, SENDER).state in (State.READY, State.EARLY)
        assert state.height <= newest.height
        contract = contract.submit(SENDER, state, following)
        now = replace(now, finalized=contract.finalized, voting=contract.voting)
    if due.state:
        contract = contract.submit(SENDER, newest, contract.voting)
    left = steps(replace(now, finalized=contract.finalized, voting=contract.voting), newest)
    assert left == Steps()


def test_standing_follows_the_contract() -> None:
    two = held(5, voting=2)
    assert standing(two, at(15), table(3), SENDER).state is State.READY
    assert standing(two, at(12), table(2), SENDER).state is State.READY
    assert standing(two, at(25), table(4), SENDER).state is State.EARLY
    assert standing(two, at(5), table(2), SENDER).state is State.SUPERSEDED
    assert standing(two, at(4), table(2), SENDER).state is State.SUPERSEDED
    within = standing(two, at(12), table(9), SENDER)
    assert (within.state, within.reason.split(":")[0]) == (State.IMPOSSIBLE, "WrongStakeTableUsed")
    past = standing(two, at(16), table(2), SENDER)
    assert (past.state, past.reason.split(":")[0]) == (State.IMPOSSIBLE, "InvalidArgs")
    stale = standing(two, LightClientState(4, 12, 1), table(2), SENDER)
    assert (stale.state, stale.reason.split(":")[0]) == (State.IMPOSSIBLE, "OutdatedState")


def test_a_contract_with_one_prover_takes_no_other() -> None:
    mine = held(5, voting=2, prover=SENDER)
    assert standing(mine, at(12), table(2), SENDER.upper().replace("0X", "0x")).state is State.READY
    other = standing(mine, at(12), table(2), "0x" + "cd" * 20)
    assert (other.state, other.reason.split(":")[0]) == (State.IMPOSSIBLE, "ProverNotPermissioned")


def test_the_epoch_that_signs_next() -> None:
    assert held(0, start=12).epoch is None
    assert held(12, start=12).epoch == 2
    assert held(15, start=12).epoch == 3
    assert held(16, start=12).epoch == 2
    assert held(16, blocks=0).epoch is None
    assert is_epoch_root(15, 10)
