"""Whose word on the chain's head counts, and for how long."""

from provery.chain.heads import MEMORY_S, OWN_MEMORY_S, TOLERANCE, Heads


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
