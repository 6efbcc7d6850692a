"""Real proofs of a small HotShot network's states, and what it costs to verify them on chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provery.core.abi import Function, selector
from provery.core.lanes import Call, Chain
from provery.core.ports import Statement
from provery.core.types import Unit
from provery.provers.statement_native import PROOF, NativeStatements
from provery.systems.hotshot import abi, spec, witness
from provery.systems.hotshot.model import LightClientState, StakeTableState
from provery.systems.hotshot.network.chain import Chain as Network

CHECKS = {
    "groth16": Function("verifyProof", ("bytes", "uint256[11]"), ()),
    "plonk": Function("Verify", ("bytes", "uint256[]"), ("bool",)),
}
"""The generated verifiers' function, by scheme."""
PROOF_INVALID = selector("ProofInvalid()")


def circuit(capacity: int, scheme: str) -> str:
    """Name of the native circuit."""
    return f"hotshot-state-{capacity}" + ("-plonk" if scheme == "plonk" else "")


@dataclass(frozen=True)
class Proved:
    """A state with its proof."""

    state: LightClientState
    voting: StakeTableState
    next_stake: StakeTableState
    proof: bytes

    @property
    def inputs(self) -> tuple[int, ...]:
        """The eleven public inputs."""
        return abi.public_inputs(self.state, self.voting, self.next_stake)

    @property
    def call(self) -> str:
        """What submits it."""
        return abi.submit_call(self.state, self.next_stake, self.proof)


async def prove(native: NativeStatements, network: Network, height: int, scheme: str, folder: Path) -> Proved:
    """Prove a state that the network signs.

    Args:
        native: The native prover.
        network: Who signs, at one of the circuits' capacities.
        height: Of the state.
        scheme: groth16 or plonk.
        folder: To work in.
    """
    voted = network.vote(height)
    table = network.validators.table(network.epoch(height))
    voting = network.validators.commitment(network.epoch(height))
    counted = spec.tally(spec.message_v2(voted.state, voted.next_stake), voted.signatures, table)
    assert counted.weight >= counted.threshold
    given = folder / f"state-{height}.json"
    given.write_bytes(witness.document(voted.state, voting, voted.next_stake, table, counted.signatures))
    into = folder / f"proof-{scheme}-{height}"
    into.mkdir()
    name = circuit(network.validators.capacity, scheme)
    params = {"circuit": name, "view": str(voted.state.view), "height": str(height)}
    unit = Unit("hotshot", "test", f"state-{height}", {})
    made = await native.prove(
        Statement(unit, name, {"state.json": given}, params, f"{name}/{height}"), into, lambda *_: None
    )
    return Proved(voted.state, voting, voted.next_stake, made.files[PROOF].read_bytes())


def check_call(scheme: str, proof: bytes, inputs: tuple[int, ...]) -> str:
    """Call data of the generated verifier."""
    return CHECKS[scheme].call(proof, list(inputs))


async def verify_gas(chain: Chain, scheme: str, verifier: str, proved: Proved) -> int:
    """Gas of a transaction that does nothing but verify: its 21,000 and its call data included."""
    return await chain.estimate(Call(verifier, check_call(scheme, proved.proof, proved.inputs)))
