"""Vectors of quantised graphs, one file an operation and more: ``python -m tests.support.zkml_vectors`` writes them.

Outputs are by ``zkml_reference``; the twin and the native circuit must agree. Numbers are drawn by a fixed seed,
besides edges: halves of both signs, the ends of ranges, padding, groups.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provery.core.types import canonical_json
from provery.systems.zkml.quantised.graph import Graph, commitment, write
from provery.systems.zkml.quantised.ops import (
    Add,
    Affine,
    AvgPool,
    Conv,
    Dense,
    Gather,
    MaxPool,
    Mul,
    Node,
    Relu,
    Shift,
    Softmax,
    Table,
)
from provery.systems.zkml.quantised.tables import table
from tests.support.zkml_reference import evaluate

FOLDER = Path("provery/systems/zkml/vectors/graph/cases")
MODEL = "ab" * 32
DRAWN = 4


def ints(draw: random.Random, count: int, limit: int) -> tuple[int, ...]:
    return tuple(draw.randint(-limit, limit) for _ in range(count))


def graph(
    nodes: Sequence[Node],
    inputs: int,
    scale: int = 8,
    bits: int = 16,
    shape: tuple[int, ...] = (),
    visibility: str = "public",
) -> Graph:
    output = nodes[-1].shape
    return Graph(MODEL, scale, bits, visibility, shape or (1, inputs), output, tuple(nodes), len(nodes))


def conv(
    draw: random.Random, channels: tuple[int, int], size: tuple[int, int], kernel: tuple[int, int],
    strides: tuple[int, int] = (1, 1), pads: tuple[int, int, int, int] = (0, 0, 0, 0),
    dilations: tuple[int, int] = (1, 1), groups: int = 1,
) -> Conv:  # fmt: skip
    bare = Conv((0,), (), kernel, strides, pads, dilations, size, channels, groups, (), ())
    taps = channels[0] // groups * kernel[0] * kernel[1]
    shape = (1, channels[1], bare.places(0), bare.places(1))
    return Conv(
        (0,), shape, kernel, strides, pads, dilations, size, channels, groups,
        ints(draw, channels[1] * taps, 300), ints(draw, channels[1], 70_000),
    )  # fmt: skip


def pool(
    kind: str, channels: int, size: tuple[int, int], kernel: tuple[int, int],
    strides: tuple[int, int], pads: tuple[int, int, int, int] = (0, 0, 0, 0), dilations: tuple[int, int] = (1, 1),
) -> MaxPool | AvgPool:  # fmt: skip
    bare = MaxPool((0,), (), kernel, strides, pads, dilations, size, channels)
    places = (bare.places(0), bare.places(1))
    if kind == "maxpool":
        return MaxPool((0,), (1, channels, *places), kernel, strides, pads, dilations, size, channels)
    # Padding does not count: the factor is that of the cells inside.
    counts = []
    for y in range(places[0]):
        for x in range(places[1]):
            rows = sum(0 <= y * strides[0] - pads[0] + i * dilations[0] < size[0] for i in range(kernel[0]))
            columns = sum(
                0 <= x * strides[1] - pads[1] + j * dilations[1] < size[1] for j in range(kernel[1])
            )
            counts.append(rows * columns)
    factors = tuple((512 + count) // (2 * count) for count in counts)
    return AvgPool((0,), (1, channels, *places), kernel, strides, pads, dilations, size, channels, factors)


def halves(scale: int) -> tuple[int, ...]:
    """Numbers that weights of 1/2 and 1 unit bring to halves of both signs, and beside them."""
    half = 1 << (scale - 1)
    return tuple(k * half + d for k in (-5, -3, -2, -1, 0, 1, 2, 3, 5) for d in (-1, 0, 1))


def graphs() -> dict[str, tuple[Graph, list[tuple[int, ...]]]]:
    """By name: a graph, and inputs that are added to those that are drawn."""
    draw = random.Random(6)
    edge = halves(8)
    n = len(edge)
    found: dict[str, tuple[Graph, list[tuple[int, ...]]]] = {}

    def plain(
        name: str, node: Node, inputs: int, *more: tuple[int, ...], shape: tuple[int, ...] = ()
    ) -> None:
        found[name] = (graph([node], inputs, shape=shape), list(more))

    plain("dense", Dense((0,), (1, 5), 7, 5, ints(draw, 35, 500), ints(draw, 5, 90_000)), 7)
    plain(
        "dense-batch", Dense((0,), (3, 2), 4, 2, ints(draw, 8, 500), ints(draw, 2, 90_000)), 12, shape=(3, 4)
    )
    one = Dense((0,), (n, 1), 1, 1, (1,), (0,))
    plain("dense-halves", one, n, edge, shape=(n, 1))
    plain("dense-zero", Dense((0,), (1, 2), 3, 2, (0,) * 6, (-128, 128)), 3)
    plain("conv", conv(draw, (2, 3), (5, 6), (3, 2)), 60, shape=(1, 2, 5, 6))
    plain("conv-pads", conv(draw, (1, 2), (4, 4), (3, 3), (2, 1), (1, 0, 2, 1)), 16, shape=(1, 1, 4, 4))
    plain("conv-groups", conv(draw, (4, 6), (3, 3), (2, 2), groups=2), 36, shape=(1, 4, 3, 3))
    plain(
        "conv-depthwise",
        conv(draw, (3, 3), (4, 4), (3, 3), pads=(1, 1, 1, 1), groups=3),
        48,
        shape=(1, 3, 4, 4),
    )
    plain(
        "conv-dilations",
        conv(draw, (1, 1), (6, 7), (2, 3), dilations=(3, 2), pads=(1, 1, 1, 1)),
        42,
        shape=(1, 1, 6, 7),
    )
    plain("conv-line", conv(draw, (2, 2), (1, 9), (1, 3), (1, 2), (0, 1, 0, 1)), 18, shape=(1, 2, 9))
    plain("affine", Affine((0,), (1, 6), ints(draw, 6, 500), ints(draw, 6, 90_000)), 6)
    plain("affine-halves", Affine((0,), (1, n), (1,) * n, (0,) * n), n, edge)
    plain("affine-minus-halves", Affine((0,), (1, n), (-1,) * n, (0,) * n), n, edge)
    plain("affine-select", Affine((0,), (1, 4), (256, 0, -256, 0), (0, 0, 65_536, -65_536)), 4)
    plain("shift", Shift((0,), (1, 5), ints(draw, 5, 70_000)), 5)
    plain("add", Add((0, 0), (1, 4)), 4)
    plain("mul", Mul((0, 0), (1, n)), n, edge)
    plain("relu", Relu((0,), (1, n)), n, edge)
    plain("gather", Gather((0,), (3, 2), (5, 0, 4, 1, 3, 2)), 6, shape=(2, 3))
    plain("gather-repeat", Gather((0,), (1, 5), (2, 2, 0, 1, 2)), 3)
    plain("maxpool", pool("maxpool", 2, (4, 5), (2, 2), (2, 1)), 40, shape=(1, 2, 4, 5))
    low = tuple([-65_535] * 9)
    plain(
        "maxpool-pads", pool("maxpool", 1, (3, 3), (2, 2), (2, 2), (1, 1, 1, 1)), 9, low, shape=(1, 1, 3, 3)
    )
    plain(
        "maxpool-dilations",
        pool("maxpool", 1, (5, 5), (2, 2), (1, 1), (0, 0, 0, 0), (2, 3)),
        25,
        shape=(1, 1, 5, 5),
    )
    plain("avgpool", pool("avgpool", 2, (4, 4), (3, 2), (1, 2)), 32, shape=(1, 2, 4, 4))
    plain("avgpool-pads", pool("avgpool", 1, (3, 4), (2, 2), (1, 1), (1, 1, 0, 1)), 12, shape=(1, 1, 3, 4))
    for function, name in (("sigmoid", "table-sigmoid"), ("tanh", "table-tanh")):
        values = table(function, 8)
        ends = [values.low, values.low + ((len(values.values) - 1) << values.step)]
        beside = (*(end + d for end in ends for d in (-1, 0, 1)), -65_535, 65_535, -1, 0, 1)
        plain(name, Table((0,), (1, 11), values.low, values.step, values.values), 11, beside)
    plain(
        "table-step-0",
        Table((0,), (1, 6), -2, 0, (5, -7, 0, 3, 9)),
        6,
        (-3, -2, -1, 0, 1, 2),
        (3, 2, 1, 65_535, -65_535, 0),
    )
    plain("table-halves", Table((0,), (1, 9), -4, 1, (1, 0, 1, -2, 5)), 9, (-5, -4, -3, -2, -1, 0, 1, 2, 3))
    exp = table("exp", 8)
    soft = Softmax((0,), (2, 4), 4, exp.step, exp.values)
    flat = (7,) * 8
    plain("softmax", soft, 8, flat, (65_535, -65_535, 0, 1, 256, 0, -256, 128), shape=(2, 4))
    plain("softmax-one", Softmax((0,), (3, 1), 1, exp.step, exp.values), 3, shape=(3, 1))
    found.update(_networks(draw))
    return found


def _networks(draw: random.Random) -> dict[str, tuple[Graph, list[tuple[int, ...]]]]:
    """Several nodes; every visibility; an output that is not the last tensor."""
    first = Dense((0,), (1, 6), 4, 6, ints(draw, 24, 500), ints(draw, 6, 90_000))
    nodes: list[Node] = [
        first,
        Relu((1,), (1, 6)),
        Shift((2,), (1, 6), ints(draw, 6, 300)),
        Mul((2, 3), (1, 6)),
        Add((4, 1), (1, 6)),
        Dense((5,), (1, 3), 6, 3, ints(draw, 18, 500), ints(draw, 3, 90_000)),
    ]
    exp = table("exp", 8)
    soft = [*nodes, Softmax((6,), (1, 3), 3, exp.step, exp.values)]
    image: list[Node] = [
        conv(draw, (1, 2), (6, 6), (3, 3), pads=(1, 1, 1, 1)),
        Relu((1,), (1, 2, 6, 6)),
        MaxPool((2,), (1, 2, 3, 3), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), (6, 6), 2),
        Gather((3,), (1, 18), tuple(range(17, -1, -1))),
        Dense((4,), (1, 2), 18, 2, ints(draw, 36, 500), ints(draw, 2, 90_000)),
    ]
    early = graph(soft, 4)
    return {
        "network-public": (graph(soft, 4), []),
        "network-hashed": (graph(soft, 4, visibility="hashed"), []),
        "network-commitment": (graph(soft, 4, visibility="commitment"), []),
        "network-early-output": (
            Graph(MODEL, early.scale, early.input_bits, "public", (1, 4), (1, 3), early.nodes, 6), []
        ),
        "network-image": (graph(image, 36, shape=(1, 1, 6, 6)), []),
        "network-scale-1": (graph(nodes, 4, scale=1, bits=2), []),
        "network-scale-24": (graph(nodes, 4, scale=24, bits=40), []),
    }  # fmt: skip


def documents() -> dict[str, bytes]:
    """Every vector file by its name."""
    draw = random.Random(7)
    found = {}
    for name, (made, more) in graphs().items():
        text = write(made)
        document: dict[str, Any] = json.loads(text)
        limit = (1 << made.input_bits) - 1
        count = 1
        for size in made.input_shape:
            count *= size
        rows = [(limit,) * count, (-limit,) * count, (0,) * count, *more]
        rows += [ints(draw, count, limit >> (4 * place)) for place in range(DRAWN)]
        cases = [{"inputs": list(row), "outputs": evaluate(document, row)} for row in rows]
        digest = f"0x{commitment(text):064x}"
        found[f"{name}.json"] = (
            canonical_json({"graph": document, "commitment": digest, "cases": cases}) + b"\n"
        )
    return found


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_bytes(text)


if __name__ == "__main__":
    main()
