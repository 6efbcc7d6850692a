"""The compiled contract of this slice, and generated verifiers as creation code."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

from provery.core import contracts
from provery.core.contracts import LARGEST_CODE, LARGEST_CREATION, CompileContracts
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.types import Json

FOLDER = Path(__file__).with_name("contract")
COMPILED = FOLDER / "compiled.json"
"""What ``provery contracts build`` makes of the sources beside it; a test compiles them again and compares."""
REGISTRY = "InferenceRegistry"
DEPLOYED = (REGISTRY,)
"""The contracts that are put on a chain."""
VERIFIER_CODE = "verifier.bin"
"""Artifact of an added model: creation code of its verifier."""
_CHECKS = re.compile(r"Verify\(bytes,uint256\[\]\)|verifyProof\(bytes,uint256\[[0-9]*\]\)")
"""What checks a proof: gnark's verifiers of PLONK and of Groth16, and ezkl's."""


def creation_code(name: str) -> bytes:
    """Creation code of one of :data:`DEPLOYED`; it takes no constructor arguments."""
    return contracts.creation_code(COMPILED, name)


def interface(name: str) -> Json:
    """ABI of one of :data:`DEPLOYED`."""
    return contracts.shipped(COMPILED)[name]["abi"]


async def compile_verifier(compile_contracts: CompileContracts | None, source: Path) -> bytes:
    """Creation code of the verifier in a generated ``verifier.sol``.

    The same source gives the same bytes on every machine, and so the same address.

    Args:
        compile_contracts: ``Deps.compile_contracts``; it runs the compiler in a child process.
        source: One Solidity file, of gnark (PLONK or Groth16) or ezkl (its Halo2 verifier).

    Raises:
        ConfigurationError: there is no compiler, or the file is not there.
        InvalidInput: it does not compile, has no verifier or several, or is too large for a contract.
    """
    if compile_contracts is None:
        raise ConfigurationError("this process has no Solidity compiler", action="run it in a worker")
    try:
        text = await asyncio.to_thread(source.read_text, encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError("the model has no verifier contract", value=source.name) from None
    made = await compile_contracts({source.name: text})
    found = [one for one in made.values() if _checks(one.abi)]
    if len(found) != 1:
        raise InvalidInput(
            "not one verifier of proofs",
            value=", ".join(one.name for one in found or made.values()) or "no contract",
            expected="one contract with Verify(bytes,uint256[]) or verifyProof(bytes,uint256[…])",
        )
    verifier = found[0]
    if verifier.size > LARGEST_CODE or len(verifier.creation) > LARGEST_CREATION:
        raise InvalidInput(
            "the verifier is too large for a contract",
            value=f"{verifier.size} bytes",
            expected=f"at most {LARGEST_CODE} bytes",
            action="verify off chain, or use a smaller model",
        )
    return verifier.creation


def _checks(abi: list[Json]) -> bool:
    """Whether a contract has a function that checks proofs."""
    return any(_CHECKS.fullmatch(_signature(entry)) for entry in abi if isinstance(entry, dict))


def _signature(entry: Mapping[str, Json]) -> str:
    inputs = entry.get("inputs")
    types = [str(i.get("type")) for i in inputs if isinstance(i, dict)] if isinstance(inputs, list) else []
    return f"{entry.get('name')}({','.join(types)})"
