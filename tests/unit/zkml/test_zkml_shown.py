"""What a verified proof shows beside what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provery.core.errors import ProofRejected
from provery.core.models import Shown
from provery.systems.zkml import hashes
from provery.systems.zkml.proving import Inputs, check_shown
from provery.systems.zkml.quantised.graph import Graph
from provery.systems.zkml.quantised.ops import Relu
from tests.support.zkml_served import sealed, served, version_of_spending

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


async def test_inputs_of_a_proof_from_elsewhere_have_the_models_scale(tmp_path: Path) -> None:
    version = version_of_spending("other", scale=7)  # the outputs' scale is another, as ezkl's is
    values = [0.5, -1.25, 3.0, 0.0, 1.0, 2.0, 0.75, 0.5]
    instance = json.dumps({"inputs": [round(value * 2**7) for value in values], "outputs": [1, 2, 3]})
    claim = {
        "proof": "0x" + sealed(version, instance).hex(),
        "program_io": "0x" + instance.encode().hex(),
        "model_id": "other",
        "input_hash": hashes.input_hash(values),
    }
    async with served(tmp_path) as at, at.client() as http:
        await at.ledger.models.add(version)
        said = (await http.post("/verify", json=claim)).json()
        assert said["valid"] is True, said
        claim["input_hash"] = hashes.input_hash([value / 2**5 for value in values])
        said = (await http.post("/verify", json=claim)).json()
        assert (said["valid"], said["code"]) == (False, "input_hash_mismatch")
