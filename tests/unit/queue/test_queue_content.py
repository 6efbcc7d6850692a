"""What a job may say: field elements, shapes, whole contents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provery.core.errors import InvalidInput
from provery.systems.queue.model import Order, Refusal
from provery.systems.queue.spec import MODULUS, Shape, check_public, element, elements
from provery.systems.queue.wire import check, parse, storable
from provery.systems.queue.witness import circuit_inputs
from tests.support.queue import MANIFEST, REQUEST


@pytest.mark.parametrize(
    ("value", "decimal"),
    [
        (0, "0"),
        ("007", "7"),
        ("0x2A", "42"),
        ("0x000000000000000000000000000000000000dEaD", "57005"),
        (str(MODULUS - 1), str(MODULUS - 1)),
        (hex(MODULUS - 1), str(MODULUS - 1)),
        (2**53 - 1, str(2**53 - 1)),
    ],
)
def test_numbers_that_are_field_elements(value: object, decimal: str) -> None:
    assert element(value, "x") == decimal


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (str(MODULUS), "not below the field modulus"),
        (hex(MODULUS), "not below the field modulus"),
        (-1, "negative"),
        ("-1", "negative"),
        (2**53, "cannot hold exactly"),
        (-(2**60), "cannot hold exactly"),
        pytest.param(10**5000, "cannot hold exactly", id="5001 digits"),
        (1.5, "not a field element"),
        (True, "not a field element"),
        (None, "not a field element"),
        ("", "not a field element"),
        ("0x", "not a field element"),
        ("0x" + "f" * 65, "not a field element"),
        ("9" * 10_000, "not a field element"),
        ("1e3", "not a field element"),
        (" 1", "not a field element"),
        ("1\n", "not a field element"),
        ("\u0661", "not a field element"),
        ({}, "not a field element"),
    ],
)
def test_numbers_that_are_not(value: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said) as caught:
        element(value, "request.root")
    assert str(caught.value).startswith("request.root is ")
    assert len(str(caught.value)) < 1_000


def test_lists_of_elements_are_bounded_in_depth() -> None:
    assert elements([["1"], [2]], "x") == [["1"], ["2"]]
    deep: Any = "1"
    for _ in range(9):
        deep = [deep]
    with pytest.raises(InvalidInput, match="nested too deeply"):
        elements(deep, "x")


def content(**changes: Any) -> bytes:
    return json.dumps({"jobId": "job-1", "request": REQUEST} | changes).encode()


def test_a_good_job_becomes_an_order() -> None:
    order = parse(content(), 500)
    assert isinstance(order, Order)
    assert (order.id, order.circuit, order.request) == ("job-1", "membership", REQUEST)
    assert order.public == {"root": "42", "user": REQUEST["user"], "epoch": 1}
    assert order.inputs["pathIndices"] == ["0", "1", "0", "1"]
    assert circuit_inputs(order, Shape.of(MANIFEST)).keys() == dict(MANIFEST["inputs"]).keys()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"jobId": NaN}', "not JSON"),
        (b'{"jobId": "a", "request": ' + b"9" * 10_000 + b"}", "not JSON"),
        (b"[]", "not an object"),
        (b"null", "not an object"),
        (content(jobId=""), "jobId is missing"),
        (content(jobId=7), "jobId is not text"),
        (content(jobId="../x"), "not a usable unit key"),
        (content(jobId="a/b"), "not a usable unit key"),
        (content(jobId="x" * 10_000), "10000 characters"),
        (content(request=None), "request is not an object; got 'nothing'"),
        (content(request={}), "request.root is missing"),
        (content(request=REQUEST | {"circuit": "No/Such"}), "not a usable circuit name"),
        (content(request=REQUEST | {"circuit": ["x"]}), "request.circuit is not a name"),
        (content(request=REQUEST | {"circuit": "other"}), "request.inputs is missing"),
        (content(request=REQUEST | {"inputs": []}), "request.inputs is not an object"),
        (content(request={"inputs": {"a": [[1, -2]]}}), r"request.inputs.a\[0\]\[1\] is negative"),
        (content(request={"inputs": {"a" * 1_000_000: "x"}}), "is not a field element"),
        (content(request=REQUEST | {"pathIndices": [0, 1, 2, 0]}), r"request.pathIndices\[2\] is not a side"),
        (content(request=REQUEST | {"pathElements": "1234"}), "request.pathElements is not a path"),
        (content(request=REQUEST | {"note": "\ud800"}), "cannot be stored"),
    ],
)
def test_everything_else_is_refused_in_words(data: bytes, said: str) -> None:
    import re

    refusal = parse(data, len(data))
    assert isinstance(refusal, Refusal)
    assert re.search(said, str(refusal.error)), refusal.error
    assert len(str(refusal.error)) <= 4_000
    json.dumps(refusal.request).encode()


def test_what_was_left_in_redis_for_its_size_is_refused() -> None:
    refusal = parse(None, 100_000_000)
    assert isinstance(refusal, Refusal)
    assert "got '100000000 bytes'" in str(refusal.error)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text() | st.integers(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20))  # fmt: skip
def test_no_content_whatever_raises(value: Any) -> None:
    for whole in (
        value,
        {"jobId": value},
        {"jobId": "a", "request": value},
        {"jobId": "a", "request": {"inputs": value}},
    ):
        data = json.dumps(whole).encode()
        made = parse(data, len(data))
        kept = made.request
        json.dumps(kept, ensure_ascii=False, allow_nan=False).encode()
        assert "\x00" not in json.dumps(kept, ensure_ascii=False)


def test_what_cannot_be_stored_is_replaced_by_a_note() -> None:
    assert storable({"a": "\ud800"}) == {"unreadable": "not valid Unicode or not JSON"}
    assert storable({"a": "\x00"}) == {"unreadable": "holds NUL characters"}
    assert storable({"a": "\\u0000"}) == {"a": "\\u0000"}, "a backslash and letters are no NUL"
    assert storable("x" * 100_000) == {"unreadable": "100002 bytes"}
    assert storable({"a": 1}) == {"a": 1}


def test_explicit_inputs_must_fit_the_circuit() -> None:
    shape = Shape.of({"inputs": {"a": [], "b": [2, 2]}, "public": ["a"]})
    good = check("x", {"circuit": "c", "inputs": {"a": 1, "b": [["1", "2"], ["3", "4"]]}})
    assert circuit_inputs(good, shape) == {"a": "1", "b": [["1", "2"], ["3", "4"]]}
    for inputs, said in (
        ({"a": 1}, "input b of circuit c is missing"),
        ({"a": 1, "b": [1, 2, 3]}, "input b of circuit c has 3 elements"),
        ({"a": 1, "b": [1, 2, 3, 4], "d": 1}, "has no such input"),
    ):
        with pytest.raises(InvalidInput, match=said):
            circuit_inputs(check("x", {"circuit": "c", "inputs": inputs}), shape)


def test_a_proof_of_something_else_is_told_apart() -> None:
    order, shape = check("x", REQUEST), Shape.of(MANIFEST)
    assert check_public(["42", "57005", "1"], shape, order.inputs) == ""
    assert "epoch is 2" in check_public(["42", "57005", "2"], shape, order.inputs)
    assert "2 public signals" in check_public(["42", "57005"], shape, order.inputs)
    arrays = Shape.of({"public": ["out", "a[0]", "a[1]"]})
    assert check_public(["9", "1", "2"], arrays, {"a": ["1", "2"]}) == ""
    assert "a[1] is 3" in check_public(["9", "1", "3"], arrays, {"a": ["1", "2"]})
