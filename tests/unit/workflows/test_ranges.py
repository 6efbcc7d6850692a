from hypothesis import given
from hypothesis import strategies as st

from workflows.ranges import from_text, to_text


def test_reads_as_people_write_it() -> None:
    assert to_text([5, 0, 1, 2]) == "0-2,5"
    assert from_text("0-2,5") == {0, 1, 2, 5}
    assert to_text([]) == ""
    assert from_text("") == set()


@given(st.sets(st.integers(min_value=0, max_value=5_000)))
def test_round_trip(numbers: set[int]) -> None:
    assert from_text(to_text(numbers)) == numbers
