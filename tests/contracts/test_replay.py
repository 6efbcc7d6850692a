"""The light client agrees with the model of its rules, and the replay would show it if it did not."""

from __future__ import annotations

import pytest

from tests.contracts.replay import FAULTS, Fault, replay

SEQUENCES = 400
"""`make fuzz-contracts` takes 20,000, and every fault."""


@pytest.mark.slow
def test_contract_and_model_agree_on_random_sequences() -> None:
    replayed = replay(SEQUENCES, seed=20261121)

    assert replayed.agreed, replayed.said
    answers = replayed.drawn.answers
    rules = {
        "OutdatedState",
        "MissingEpochRootUpdate",
        "InvalidProof",
        "ProverNotPermissioned",
        "InvalidArgs",
    }
    assert min(answers[name] for name in ("", *rules, "WrongStakeTableUsed")) > 10
    assert replayed.drawn.switches > SEQUENCES


@pytest.mark.slow
@pytest.mark.parametrize("fault", [FAULTS[2], FAULTS[8], FAULTS[16]], ids=lambda fault: fault.name)
def test_a_faulty_contract_is_found_out(fault: Fault) -> None:
    replayed = replay(200, seed=7, fault=fault)

    assert not replayed.agreed
    assert "the model" in replayed.said
