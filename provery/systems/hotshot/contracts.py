"""The compiled contracts of this slice, and which light client goes with a generated verifier."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provery.core import contracts
from provery.core.errors import InvalidInput
from provery.core.types import Json

FOLDER = Path(__file__).with_name("contract")
COMPILED = FOLDER / "compiled.json"
"""What ``provery contracts build`` makes of the sources beside it; a test compiles them again and compares."""
GROTH16 = "Groth16LightClient"
PLONK = "PlonkLightClient"
PROXY = "Proxy"
DEPLOYED = (GROTH16, PLONK, PROXY)
"""The contracts that are put on a chain."""
_GENERATED: dict[tuple[str, tuple[str, ...]], str] = {
    ("verifyProof", ("bytes", "uint256[11]")): GROTH16,
    ("Verify", ("bytes", "uint256[]")): PLONK,
}
"""Functions of the verifiers that gnark generates, and the light client that calls each."""


def creation_code(name: str) -> bytes:
    """Creation code of one of :data:`DEPLOYED`, without constructor arguments."""
    return contracts.creation_code(COMPILED, name)


def interface(name: str) -> Json:
    """ABI of one of :data:`DEPLOYED`."""
    return contracts.shipped(COMPILED)[name]["abi"]


def client_for(verifiers: Mapping[str, Json]) -> tuple[str, str]:
    """Which compiled contract is the verifier, and which light client calls it.

    Args:
        verifiers: ABIs by contract, of the file that was generated from a verifying key.

    Returns:
        Names of the verifier and of the light client.

    Raises:
        InvalidInput: none of them verifies proofs with eleven public inputs.
    """
    for name, abi in verifiers.items():
        for entry in abi if isinstance(abi, list) else []:
            if isinstance(entry, dict) and (client := _GENERATED.get(_signature(entry))):
                return name, client
    raise InvalidInput(
        "no verifier of light-client states",
        value=", ".join(verifiers),
        expected="a contract generated from a key of a circuit with eleven public inputs and no commitments",
    )


def _signature(entry: Mapping[str, Json]) -> tuple[str, tuple[str, ...]]:
    inputs = entry.get("inputs")
    types = [str(i.get("type")) for i in inputs if isinstance(i, dict)] if isinstance(inputs, list) else []
    return str(entry.get("name")), tuple(types)
