"""The graphs and vectors that the circuit package wrote: the twin reads them and gives the same outputs."""

from __future__ import annotations

import json

import pytest

from provery.provers.tools import ROOT
from provery.systems.zkml.quantised.graph import read
from provery.systems.zkml.quantised.spec import infer

GRAPHS = ROOT / "provery" / "systems" / "zkml" / "vectors" / "graph"
VECTORS = json.loads((GRAPHS / "vectors.json").read_bytes())


@pytest.mark.parametrize("name", sorted(VECTORS))
def test_outputs(name: str) -> None:
    graph = read((GRAPHS / f"{name}.json").read_bytes())
    assert VECTORS[name]
    for one in VECTORS[name]:
        assert list(infer(graph, one["inputs"])) == one["outputs"]


def test_every_graph_has_vectors() -> None:
    assert {path.stem for path in GRAPHS.glob("*.json")} - {"vectors"} == set(VECTORS)
