"""What it costs on chain to verify a hotshot proof: a transaction to the generated verifier and nothing else."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from provery.chain.solidity import Solidity
from provery.core.lanes import Call, Policy
from provery.core.sending import send
from provery.local.toolchain import evm_modules, find
from provery.provers.statement_native import NativeStatements
from provery.systems.hotshot import abi
from provery.systems.hotshot.contracts import client_for
from provery.systems.hotshot.model import LightClientState, StakeTableState
from tests.support.anvil import Anvil
from tests.support.hotshot_proofs import CHECKS, check_call

BASE = 21_000
"""Gas of any transaction."""
ZERO, NONZERO = 4, 16
"""Gas of a byte of call data (EIP-2028); the floor of EIP-7623 is below what a verification costs."""


@dataclass(frozen=True)
class VerifyGas:
    """Gas of one verification on chain."""

    transaction: int
    """Of the whole transaction."""
    calldata: int
    """Of its call data, which is part of it."""

    @property
    def alone(self) -> int:
        """Of what the verifier executes."""
        return self.transaction - BASE - self.calldata


async def verify_gas(
    native: NativeStatements, home: Path, circuit: str, scheme: str, document: Path, proof: bytes
) -> VerifyGas:
    """Export the verifier of a circuit's key, put it on a chain of its own, and have it verify a proof.

    Args:
        native: Has the keys.
        home: Empty directory for the verifier and the chain.
        circuit: Its name.
        scheme: groth16 or plonk.
        document: The circuit's input, as ``witness.document`` writes it: the states that the proof shows.
        proof: As the contract takes it.

    Raises:
        Reverted: the verifier rejects the proof.
    """
    key = await native.prepare(circuit, _silent)
    await native.order("circuit_export", circuit, _silent, setup=key, out=str(home))
    source = (home / "verifier.sol").read_text(encoding="utf-8")
    build = await Solidity(find("node"), evm_modules()).compile({"verifier.sol": source})
    name, _ = client_for({n: c.abi for n, c in build.contracts.items()})
    data = check_call(scheme, proof, public_inputs(document))
    async with Anvil(home / "anvil") as anvil:
        verifier = await anvil.deploy("0x" + build.contracts[name].creation.hex())
        chain = await anvil.open(0)
        try:
            # PLONK's answers by a boolean, Groth16's by reverting.
            assert all(CHECKS[scheme].read(await chain.read(verifier, data))), (
                "the verifier rejects the proof"
            )
            receipt = await send(chain, Call(verifier, data, method="verify"), Policy(), lambda _: None)
        finally:
            await chain.close()
    given = bytes.fromhex(data[2:])
    zeros = given.count(0)
    return VerifyGas(receipt.gas_used, zeros * ZERO + (len(given) - zeros) * NONZERO)


def public_inputs(document: Path) -> tuple[int, ...]:
    """The eleven public inputs of a circuit's input."""
    given = json.loads(document.read_text(encoding="utf-8"))
    state, voting, following = (
        {name: int(value, 16) for name, value in given[part].items()} for part in ("state", "voting", "next")
    )
    return abi.public_inputs(
        LightClientState(**state), StakeTableState(**voting), StakeTableState(**following)
    )


def _silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""
