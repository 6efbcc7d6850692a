"""Hostile answers are told from good ones."""

import pytest

from provery.chain import shapes
from provery.chain.shapes import Malformed
from provery.core.lanes import Block


@pytest.mark.parametrize(
    ("text", "number"), [("0x0", 0), ("0x1", 1), ("0xfF", 255), ("0x" + "f" * 64, 2**256 - 1)]
)
def test_quantities(text: str, number: int) -> None:
    assert shapes.quantity(text) == number


@pytest.mark.parametrize(
    "value",
    ["", "0x", "0x00", "0x01", "1", 1, None, True, "0x-1", "0x1g", "0x1\n", " 0x1", "0x" + "f" * 65, [], {}],
)
def test_no_quantities(value: object) -> None:
    with pytest.raises(Malformed):
        shapes.quantity(value)


def test_a_quantity_may_be_too_large_for_its_place() -> None:
    assert shapes.quantity(hex(2**64 - 1), bits=64) == 2**64 - 1
    with pytest.raises(Malformed, match="more than 64 bits"):
        shapes.quantity(hex(2**64), bits=64)


def test_data() -> None:
    assert shapes.data("0x") == b""
    assert shapes.data("0x00fF") == b"\x00\xff"
    for value in ("", "0x1", "00", "0xzz", None, 5, b"0x00", "0x00\n"):
        with pytest.raises(Malformed):
            shapes.data(value)


def test_hashes_and_addresses() -> None:
    assert shapes.digest("0x" + "AB" * 32) == "0x" + "ab" * 32
    assert shapes.address("0x" + "AB" * 20) == b"\xab" * 20
    for value in ("0x" + "ab" * 31, "ab" * 32, None, 7, "0x" + "ab" * 32 + "\n"):
        with pytest.raises(Malformed):
            shapes.digest(value)
        with pytest.raises(Malformed):
            shapes.address(value)


def test_a_block() -> None:
    good = {
        "number": "0x5",
        "hash": "0x" + "1" * 64,
        "parentHash": "0x" + "2" * 64,
        "timestamp": "0x6",
        "more": [],
    }
    assert shapes.block(good) == Block(5, "0x" + "1" * 64, "0x" + "2" * 64, 6)
    for name in ("number", "hash", "parentHash", "timestamp"):
        for value in (None, "", "0x", 5):
            with pytest.raises(Malformed):
                shapes.block({**good, name: value})
    others: list[object] = [None, [], "0x5", 5]
    for other in others:
        with pytest.raises(Malformed):
            shapes.block(other)


def test_a_hostile_value_is_shown_in_part() -> None:
    with pytest.raises(Malformed) as caught:
        shapes.quantity("\x1b[31m" + "9" * 100_000)
    assert len(str(caught.value)) < 200
    assert "\x1b" not in str(caught.value)
