"""Contracts agree with the models of their rules, and the replay would show it if they did not."""

from __future__ import annotations

import pytest

from tests.contracts.replay import FAULTS, LIGHT_CLIENT, REGISTRY, Fault, replay

SEQUENCES = 400
"""`make fuzz-contracts` takes 20,000, and every fault."""


@pytest.mark.slow
def test_contract_and_model_agree_on_random_sequences() -> None:
    replayed = replay(LIGHT_CLIENT, SEQUENCES, seed=20261121)

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
    replayed = replay(LIGHT_CLIENT, 200, seed=7, fault=fault)

    assert not replayed.agreed
    assert "the model" in replayed.said


@pytest.mark.slow
def test_registry_and_model_agree_on_random_sequences() -> None:
    replayed = replay(REGISTRY, SEQUENCES, seed=20261122)

    assert replayed.agreed, replayed.said
    assert (
        min(replayed.drawn.answers[name] for name in ("", "DeploymentFailed", "NoVerifier", "ProofRejected"))
        > 100
    )
    assert replayed.drawn.inferences > SEQUENCES


@pytest.mark.slow
@pytest.mark.parametrize(
    "fault", [REGISTRY.faults[0], REGISTRY.faults[2], REGISTRY.faults[7]], ids=lambda fault: fault.name
)
def test_a_faulty_registry_is_found_out(fault: Fault) -> None:
    replayed = replay(REGISTRY, 200, seed=7, fault=fault)

    assert not replayed.agreed
    assert "the model" in replayed.said
