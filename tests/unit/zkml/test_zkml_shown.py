"""What a verified proof shows beside what was asked for."""

from __future__ import annotations

import pytest

from provery.core.errors import ProofRejected
from provery.core.models import Shown
from provery.systems.zkml.proving import Inputs, check_shown
from provery.systems.zkml.quantised.graph import Graph
from provery.systems.zkml.quantised.ops import Relu

ASKED = Inputs((0.5, -1.0), (8, -16), "")
GRAPH = Graph("0" * 64, 4, 8, "public", (1, 2), (1, 2), (Relu((0,), (1, 2)),), 1)


@pytest.mark.parametrize("graph", [GRAPH, None], ids=["native", "a prover with rules of its own"])
async def test_a_proof_of_other_inputs_is_refused(graph: Graph | None) -> None:
    await check_shown(graph, ASKED, Shown((8, 0), (8, -16), output_scale=4))
    await check_shown(graph, ASKED, Shown((8, 0), commitment="0x" + "12" * 32, output_scale=4))
    with pytest.raises(ProofRejected, match="other inputs"):
        await check_shown(graph, ASKED, Shown((8, 0), (8, -15), output_scale=4))


async def test_a_proof_of_other_outputs_than_the_twins_is_refused() -> None:
    with pytest.raises(ProofRejected, match="other outputs"):
        await check_shown(GRAPH, ASKED, Shown((8, 1), (8, -16), output_scale=4))
    await check_shown(None, ASKED, Shown((8, 1), (8, -16), output_scale=4))
