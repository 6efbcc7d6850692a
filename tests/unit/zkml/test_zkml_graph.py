"""``graph.json``: written and read the same, and nothing else is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.core.errors import InvalidInput
from provery.core.types import canonical_json
from provery.systems.zkml.quantised.graph import Graph, commitment, read, write
from provery.systems.zkml.quantised.ops import Add, Affine, Dense, Gather, Node, Relu, Shift, Softmax, Table
from tests.support import zkml_vectors

DOCUMENTS = {name: json.loads(text)["graph"] for name, text in zkml_vectors.documents().items()}
constants = st.integers(1 - 2**62, 2**62 - 1)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    width = draw(st.integers(1, 6))
    nodes: list[Node] = []
    for place in range(draw(st.integers(1, 8))):
        source = (draw(st.integers(0, place)),)
        full = st.lists(constants, min_size=width, max_size=width).map(tuple)
        heights = st.lists(st.integers(1, 2**43), min_size=5, max_size=5).map(tuple)
        shape = (1, width)
        matrix = st.lists(constants, min_size=width * width, max_size=width * width).map(tuple)
        index = st.lists(st.integers(0, width - 1), min_size=width, max_size=width).map(tuple)
        made: Node = draw(
            st.one_of(
                st.builds(
                    Dense, st.just(source), st.just(shape), st.just(width), st.just(width), matrix, full
                ),
                st.builds(Affine, st.just(source), st.just(shape), full, full),
                st.builds(Shift, st.just(source), st.just(shape), full),
                st.builds(Relu, st.just(source), st.just(shape)),
                st.builds(Add, st.just(source * 2), st.just(shape)),
                st.builds(Table, st.just(source), st.just(shape), constants, st.integers(0, 40), heights),
                st.builds(
                    Softmax, st.just(source), st.just(shape), st.just(width), st.integers(0, 40), heights
                ),
                st.builds(Gather, st.just(source), st.just(shape), index),
            )
        )
        nodes.append(made)
    output = draw(st.integers(0, len(nodes)))
    return Graph(
        draw(st.text("0123456789abcdef", min_size=64, max_size=64)),
        draw(st.integers(1, 24)),
        draw(st.integers(2, 48)),
        draw(st.sampled_from(["public", "hashed", "commitment"])),
        (1, width),
        (width,),
        tuple(nodes),
        output,
    )


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_a_graph_comes_back(graph: Graph) -> None:
    assert read(write(graph)) == graph


def test_a_commitment_fits_the_field() -> None:
    top = max(commitment(bytes([n])) for n in range(200))
    assert 2**252 < top < 2**253


def _set(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        found: Any = document
        *parts, last = (int(part) if part.isdigit() else part for part in path.split("."))
        for part in parts:
            found = found[part]
        found[last] = value

    return change


def _drop(path: str) -> Callable[[dict[str, Any]], None]:
    def change(document: dict[str, Any]) -> None:
        found: Any = document
        *parts, last = (int(part) if part.isdigit() else part for part in path.split("."))
        for part in parts:
            found = found[part]
        del found[last]

    return change


WRONG = [
    ("dense", _set("format", "provery-graph-2"), "another format"),
    ("dense", _set("extra", 1), "other fields"),
    ("dense", _drop("visibility"), "other fields"),
    ("dense", _set("visibility", "secret"), "another visibility"),
    ("dense", _set("model", "AB" * 32), "names no model"),
    ("dense", _set("scale", 0), "no usable scale"),
    ("dense", _set("scale", True), "no usable scale"),
    ("dense", _set("scale", 25), "no usable scale"),
    ("dense", _set("input_bits", 49), "no usable input_bits"),
    ("dense", _set("input_shape", [1, 0]), "input_shape is no shape"),
    ("dense", _set("input_shape", [2**11, 2**11]), "input_shape is no shape"),
    ("dense", _set("input_shape", [1] * 9), "input_shape is no shape"),
    ("dense", _set("input_shape", "1,7"), "no list of whole numbers"),
    ("dense", _set("output_shape", [1, 6]), "output_shape does not fit"),
    ("dense", _set("output", 2), "no such output"),
    ("dense", _set("output", -1), "no such output"),
    ("dense", _set("output", True), "no such output"),
    ("dense", _set("nodes", []), "no list of nodes"),
    ("dense", _set("nodes", {}), "no list of nodes"),
    ("dense", _set("nodes.0", 7), "node 0 has no known op"),
    ("dense", _set("nodes.0.op", "erf"), "node 0 has no known op"),
    ("dense", _set("nodes.0.op", None), "node 0 has no known op"),
    ("dense", _set("nodes.0.extra", 1), "unknown ..extra"),
    ("dense", _drop("nodes.0.bias"), "lacks ..bias"),
    ("dense", _set("nodes.0.in", [1]), "node 0 .dense. reads what is not made yet"),
    ("dense", _set("nodes.0.in", [-1]), "reads what is not made yet"),
    ("dense", _set("nodes.0.in", [0, 0]), "node 0 .dense.: in does not fit"),
    ("dense", _set("nodes.0.in", []), "in does not fit"),
    ("dense", _set("nodes.0.inputs", 6), "modulo inputs"),
    ("dense", _set("nodes.0.inputs", 0), "inputs is out of range"),
    ("dense", _set("nodes.0.outputs", 4), "out of range|does not fit"),
    ("dense", _set("nodes.0.outputs", 10**9), "outputs is out of range"),
    ("dense", _set("nodes.0.weights", [1] * 34), "number of weights"),
    ("dense", _set("nodes.0.weights.3", 2**62), "weights has too large"),
    ("dense", _set("nodes.0.weights.3", 0.5), "no JSON of whole numbers"),
    ("dense", _set("nodes.0.weights.3", True), "no list of whole numbers"),
    ("dense", _set("nodes.0.bias", 5), "no list of whole numbers"),
    ("dense", _set("nodes.0.shape", [1, 6]), "shape does not fit"),
    ("affine", _set("nodes.0.weights", [1] * 5), "number of weights"),
    ("shift", _set("nodes.0.bias", []), "number of bias"),
    ("add", _set("nodes.0.shape", [4]), "shape does not fit"),
    ("gather", _set("nodes.0.index.0", 6), "index is out of range"),
    ("gather", _set("nodes.0.index.0", -1), "index is out of range"),
    ("gather", _set("nodes.0.index", [0]), "number of index"),
    ("conv", _set("nodes.0.kernel", [3]), "number of kernel"),
    ("conv", _set("nodes.0.kernel", [0, 2]), "kernel is out of range"),
    ("conv", _set("nodes.0.kernel", [9, 2]), "output positions"),
    ("conv", _set("nodes.0.strides", [0, 1]), "strides is out of range"),
    ("conv", _set("nodes.0.pads", [0, 0, 0, -1]), "pads is out of range"),
    ("conv", _set("nodes.0.pads", [0, 0, 60_000, 60_000]), "out of range"),
    ("conv", _set("nodes.0.groups", 2), "channels modulo groups"),
    ("conv", _set("nodes.0.groups", 0), "groups is out of range"),
    ("conv", _set("nodes.0.channels", [1, 3]), "number of weights"),
    ("conv", _set("nodes.0.size", [5, 5]), "tensor's length|shape"),
    ("maxpool", _set("nodes.0.channels", 3), "tensor's length"),
    ("maxpool", _set("nodes.0.pads", [2, 0, 0, 0]), "all padding"),
    ("avgpool", _set("nodes.0.factors", [1]), "number of factors"),
    ("table-step-0", _set("nodes.0.values", [1, 2, 3, 4]), "number of values"),
    ("table-step-0", _set("nodes.0.values", [1]), "number of values"),
    ("table-step-0", _set("nodes.0.values", [0] * 8193), "number of values"),
    ("table-step-0", _set("nodes.0.values.1", 2**44), "values is out of range"),
    ("table-step-0", _set("nodes.0.step", 41), "step is out of range"),
    ("table-step-0", _set("nodes.0.step", -1), "step is out of range"),
    ("softmax", _set("nodes.0.length", 3), "modulo length"),
    ("softmax", _set("nodes.0.table", {"step": 1}), "softmax. has no table"),
    ("softmax", _set("nodes.0.table.values", [0, 0, 0]), "values begin with 0"),
    ("softmax", _set("nodes.0.table.values", [4, -1, 0]), "values is out of range"),
    ("softmax", _set("nodes.0.table.extra", 1), "softmax. has no table"),
    ("softmax", _set("nodes.0.step", 1), "softmax. has no table"),
]


@pytest.mark.parametrize(("name", "change", "said"), WRONG)
def test_wrong_documents_are_refused(name: str, change: Callable[[dict[str, Any]], None], said: str) -> None:
    document = json.loads(json.dumps(DOCUMENTS[f"{name}.json"]))
    read(canonical_json(document))
    change(document)
    with pytest.raises(InvalidInput, match=said):
        read(canonical_json(document))


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"null", b"[]", b"\xff", b'"x"', b"[" * 100_000, b'{"format":"provery-graph-1"}',
        b'{"a":1,"a":2}', b"NaN", b"1" * 5_000,
    ],
    ids=range(11),
)  # fmt: skip
def test_other_texts_are_refused(text: bytes) -> None:
    with pytest.raises(InvalidInput):
        read(text)


def test_another_form_of_the_same_document_is_refused() -> None:
    with pytest.raises(InvalidInput, match="canonical"):
        read(json.dumps(DOCUMENTS["dense.json"]).encode())


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(DOCUMENTS)), st.data())
def test_changed_bytes_give_a_graph_or_a_refusal(name: str, data: st.DataObject) -> None:
    text = bytearray(canonical_json(DOCUMENTS[name]))
    for _ in range(data.draw(st.integers(1, 3))):
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(st.integers(0, 255))
    try:
        graph = read(bytes(text))
    except InvalidInput:
        return
    assert write(graph) == bytes(text)
