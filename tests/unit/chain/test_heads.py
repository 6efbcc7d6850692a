"""Whose word on the chain's head counts, and for how long."""

import pytest

from provery.chain.heads import BLOCKS_PER_S, BURST, MEMORY_S, OWN_MEMORY_S, TOLERANCE, Heads

HUGE = 10**12


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def heads() -> tuple[Heads, Clock]:
    clock = Clock()
    return Heads(clock), clock


def test_a_node_far_behind_another_does_not_count() -> None:
    known, _ = heads()
    assert known.note("a", 1_000)
    assert known.note("b", 1_000 - TOLERANCE)
    assert not known.note("b", 1_000 - TOLERANCE - 1)


def test_nor_one_that_went_back_behind_itself() -> None:
    known, clock = heads()
    known.note("a", 1_000)
    clock.now += 1
    assert not known.note("a", 900)
    assert known.highest == 1_000


def test_an_address_of_several_nodes_is_held_to_the_newest() -> None:
    known, clock = heads()
    for _ in range(100):
        clock.now += 10
        assert known.note("balanced", 1_000)
        assert not known.note("balanced", 990)


def test_a_chain_that_was_set_back_is_believed_after_a_while() -> None:
    known, clock = heads()
    known.note("a", 1_000)
    clock.now += OWN_MEMORY_S - 1
    assert not known.note("a", 5)
    clock.now += 2
    assert known.note("a", 5)
    assert known.highest == 5


def test_the_word_of_a_silent_endpoint_counts_for_a_while() -> None:
    known, clock = heads()
    known.note("dead", 1_000)
    clock.now += MEMORY_S - 1
    assert not known.note("stale", 900)
    clock.now += 2
    assert known.note("stale", 900)


def test_a_short_reorg_is_no_lag() -> None:
    known, _ = heads()
    known.note("a", 100)
    assert known.note("a", 97)
    assert known.note("a", 101)
    assert known.highest == 101


@pytest.mark.parametrize("order", [("liar", "a", "b"), ("a", "liar", "b"), ("a", "b", "liar")])
def test_one_liar_of_three_silences_nobody(order: tuple[str, ...]) -> None:
    known, clock = heads()
    words = {"liar": HUGE, "a": 1_000, "b": 1_001}
    for name in order:
        known.note(name, words[name])
    for n in range(100):
        clock.now += 12
        known.note("liar", HUGE + n)
        assert known.note("a", 1_001 + n)
        assert known.note("b", 1_002 + n)
        assert known.highest == 1_002 + n
    assert not known.likely(HUGE)


def test_not_even_a_patient_one() -> None:
    known, clock = heads()
    for n in range(100):
        clock.now += 12
        known.note("liar", 1_000 + 2 * n)
        assert known.note("a", 1_000 + n)
        assert known.note("b", 1_000 + n)


def test_one_of_three_that_lags_is_noticed() -> None:
    known, _ = heads()
    known.note("a", 1_000)
    known.note("b", 1_000)
    assert not known.note("stale", 1_000 - TOLERANCE - 1)
    assert known.note("stale", 1_000 - TOLERANCE)


def test_of_two_an_absurd_jump_is_not_believed() -> None:
    known, clock = heads()
    known.note("liar", 1_000)
    known.note("a", 1_000)
    for n in range(100):
        clock.now += 12
        known.note("liar", HUGE)
        assert known.note("a", 1_001 + n)
        assert not known.likely(HUGE)
    clock.now += 2 * MEMORY_S
    known.note("liar", HUGE)
    assert known.note("a", 1_200)


def test_unless_the_other_confirms_it() -> None:
    known, clock = heads()
    known.note("a", 1_000)
    known.note("b", 1_000)
    clock.now += 1
    far = 1_000 + 10 * BURST
    assert known.note("a", far)
    assert known.note("b", 1_001)
    assert known.note("b", far)
    assert known.highest == far
    clock.now += 1
    assert known.note("a", far + 10)
    assert not known.note("b", far)


def test_or_time_makes_it_possible() -> None:
    known, clock = heads()
    known.note("a", 1_000)
    known.note("stale", 1_000)
    clock.now += 1
    far = 1_000 + 2 * BURST
    known.note("a", far)
    assert known.note("stale", 1_000)
    clock.now += BURST / BLOCKS_PER_S
    known.note("a", far)
    assert not known.note("stale", 1_000)


def test_of_two_a_chain_that_mines_at_request_still_shows_who_lags() -> None:
    known, clock = heads()
    known.note("a", 0)
    known.note("stale", 0)
    clock.now += 0.1
    known.note("a", BURST)
    assert not known.note("stale", 0)
