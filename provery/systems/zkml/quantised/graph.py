"""The quantised graph, and ``graph.json`` written and read. Pure.

Tensor 0 is the input, node i (from 0) makes tensor i + 1; ``ops`` has the nodes.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from math import prod
from typing import NoReturn

from provery.core.errors import InvalidInput
from provery.core.types import canonical_json
from provery.systems.zkml.quantised.checks import CONSTANT_BITS, check_node
from provery.systems.zkml.quantised.ops import NODES, Node, Softmax

FORMAT = "provery-graph-1"
SIZE_LIMIT = 64 * 2**20
"""Bytes of ``graph.json``."""
ELEMENTS_LIMIT = 2**20
"""Numbers in one tensor."""
TOTAL_LIMIT = 2**22
"""Numbers in all tensors; also constants in the document."""
NODES_LIMIT = 4_096
RANK_LIMIT = 8
MODEL_BITS = 253
"""Of the digest of a graph, as a field element."""
SCALES, INPUT_BITS = range(1, 25), range(2, 49)
VISIBILITIES = ("public", "hashed", "commitment")


@dataclass(frozen=True)
class Graph:
    """A quantised model."""

    model: str
    """SHA-256 of the ONNX file, 64 hexadecimal digits."""
    scale: int
    """Bits of fraction."""
    input_bits: int
    """An input q has -2^input_bits < q < 2^input_bits."""
    visibility: str
    """``public``, ``hashed`` or ``commitment``."""
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    nodes: tuple[Node, ...]
    output: int
    """The tensor that is the output."""

    def shape_of(self, tensor: int) -> tuple[int, ...]:
        """Shape of a tensor by its number."""
        return self.nodes[tensor - 1].shape if tensor else self.input_shape


def write(graph: Graph) -> bytes:
    """As canonical JSON.

    Raises:
        InvalidInput: it is larger than ``SIZE_LIMIT``.
    """
    document = canonical_json(
        {
            "format": FORMAT,
            **{name: getattr(graph, name) for name in _HEAD},
            "nodes": [_node_document(node) for node in graph.nodes],
        }
    )
    if len(document) > SIZE_LIMIT:
        raise InvalidInput("the quantised model is too large", value=len(document), expected=_SIZE)
    return document


def _node_document(node: Node) -> dict[str, object]:
    found = {field.name: getattr(node, field.name) for field in fields(node)}
    document = {"op": node.op, "in": found.pop("sources"), **found}
    if isinstance(node, Softmax):
        document["table"] = {"step": document.pop("step"), "values": document.pop("values")}
    return document


def read(data: bytes) -> Graph:
    """From what :func:`write` made, and nothing else.

    Raises:
        InvalidInput: it is something else; the message names the node.
    """
    if len(data) > SIZE_LIMIT:
        raise InvalidInput("graph.json is too large", value=len(data), expected=_SIZE)
    try:
        said = json.loads(data, object_pairs_hook=_once, parse_float=_no_number, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"graph.json is no JSON of whole numbers: {error}") from None
    if not isinstance(said, dict) or set(said) != {"format", "nodes", *_HEAD}:
        names = sorted(said) if isinstance(said, dict) else type(said).__name__
        raise InvalidInput("graph.json has other fields", value=names, expected=", ".join(_HEAD))
    if said["format"] != FORMAT:
        raise InvalidInput("graph.json has another format", value=said["format"], expected=FORMAT)
    model, visibility = said["model"], said["visibility"]
    if not (isinstance(model, str) and re.fullmatch(r"[0-9a-f]{64}", model)):
        raise InvalidInput("graph.json names no model", value=model, expected="64 hexadecimal digits")
    if visibility not in VISIBILITIES:
        expected = ", ".join(VISIBILITIES)
        raise InvalidInput("graph.json has another visibility", value=visibility, expected=expected)
    for name, allowed in (("scale", SCALES), ("input_bits", INPUT_BITS)):
        if type(said[name]) is not int or said[name] not in allowed:
            expected = f"{allowed[0]} to {allowed[-1]}"
            raise InvalidInput(f"graph.json has no usable {name}", value=said[name], expected=expected)
    if not isinstance(said["nodes"], list) or not 1 <= len(said["nodes"]) <= NODES_LIMIT:
        raise InvalidInput("graph.json has no list of nodes", expected=f"1 to {NODES_LIMIT} nodes")
    shapes = [_shape(said["input_shape"], "input_shape")]
    nodes: list[Node] = []
    total = prod(shapes[0])
    for number, found in enumerate(said["nodes"]):
        node = _read_node(found, number)
        if any(not 0 <= source <= number for source in node.sources):
            expected = f"tensors 0 to {number}"
            raise InvalidInput(f"node {number} ({node.op}) reads what is not made yet", expected=expected)
        check_node(node, [shapes[source] for source in node.sources], number)
        shapes.append(node.shape)
        nodes.append(node)
        if (total := total + node.count) > TOTAL_LIMIT:
            expected = f"at most {TOTAL_LIMIT} numbers in all tensors"
            raise InvalidInput(f"node {number} ({node.op}) is one too many", value=total, expected=expected)
    output, output_shape = said["output"], _shape(said["output_shape"], "output_shape")
    if type(output) is not int or not 0 <= output < len(shapes):
        raise InvalidInput("graph.json has no such output", value=output, expected=f"0 to {len(nodes)}")
    if prod(output_shape) != prod(shapes[output]):
        raise InvalidInput(
            "output_shape does not fit", value=output_shape, expected=f"{prod(shapes[output])} numbers"
        )
    graph = Graph(
        model, said["scale"], said["input_bits"], visibility, shapes[0], output_shape, tuple(nodes), output
    )
    if write(graph) != data:
        raise InvalidInput("graph.json is not in its canonical form", action="write it with graph.write")
    return graph


def _read_node(found: object, number: int) -> Node:
    op = found.get("op") if isinstance(found, dict) else None
    kind = NODES.get(op) if isinstance(op, str) else None
    if kind is None or not isinstance(found, dict):
        expected = ", ".join(sorted(NODES))
        raise InvalidInput(f"node {number} has no known op", value=op, expected=expected)
    said = dict(found)
    del said["op"]
    if kind is Softmax:
        table = said.pop("table", None)
        if not isinstance(table, dict) or set(table) != {"step", "values"} or set(said) & set(table):
            raise InvalidInput(f"node {number} (softmax) has no table", expected="step and values")
        said |= table
    said["sources"] = said.pop("in", None)
    wanted = {field.name: str(field.type) for field in fields(kind)}
    if set(said) != set(wanted):
        missing, unknown = sorted(set(wanted) - set(said)), sorted(set(said) - set(wanted))
        raise InvalidInput(f"node {number} ({op}) has other fields: lacks {missing}, unknown {unknown}"[:400])
    values: dict[str, object] = {}
    for name, type_ in wanted.items():
        where = f"node {number} ({op}), {name}"
        if name == "shape":
            values[name] = _shape(said[name], where)
        else:
            values[name] = _READERS[type_](said[name], where)
    make: Callable[..., Node] = kind
    return make(**values)


def _shape(value: object, where: str) -> tuple[int, ...]:
    shape = _numbers(value, where)
    if len(shape) > RANK_LIMIT or any(size < 1 for size in shape) or prod(shape) > ELEMENTS_LIMIT:
        expected = f"at most {RANK_LIMIT} sizes from 1, together at most {ELEMENTS_LIMIT} numbers"
        raise InvalidInput(f"{where} is no shape", value=shape, expected=expected)
    return shape


def _numbers(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list) or any(type(entry) is not int for entry in value):
        raise InvalidInput(f"{where} is no list of whole numbers", value=str(value)[:80])
    if any(abs(entry) >> CONSTANT_BITS for entry in value):
        expected = f"a magnitude below 2^{CONSTANT_BITS}"
        raise InvalidInput(f"{where} has too large a number", expected=expected)
    return tuple(value)


def _number(value: object, where: str) -> int:
    return _numbers([value], where)[0]


_READERS: Mapping[str, Callable[[object, str], object]] = {"int": _number, "tuple[int, ...]": _numbers}
_HEAD = tuple(field.name for field in fields(Graph) if field.name != "nodes")
_SIZE = f"at most {SIZE_LIMIT} bytes"


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is there twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text[:40]} is not a whole number")


def commitment(document: bytes) -> int:
    """What a native proof names its model by: SHA-256 of ``graph.json`` without its three highest bits.

    Args:
        document: The file's bytes.
    """
    return int.from_bytes(hashlib.sha256(document).digest()) & ((1 << MODEL_BITS) - 1)
