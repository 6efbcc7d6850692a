"""Whether the light client checks proofs with the key that they will be made with, found out before any is made.

A verifier that is generated from a key has the coordinates of the key's points in its code, as literals. No compiler
has a shorter way to write 32 random bytes, whatever its version and settings; so a code that has all of them is of this
key, and one that lacks any is of another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from provery.core.errors import ConfigurationError
from provery.core.ports import ExportsVerifier
from provery.systems.hotshot.errors import VerifierMismatch
from provery.systems.hotshot.streams import Stream

_POINT = re.compile(r"\bconstant\s+\w+_[XY](?:_[01])?\s*=\s*(0x[0-9a-fA-F]+|[0-9]+)\s*;")
"""A coordinate, as gnark (0.16) names it under both schemes. Places in memory are named alike, and are small."""
_LEAST = 2**200
"""Coordinates below this are not random: a generator's, or infinity's."""


def coordinates(source: str) -> tuple[bytes, ...]:
    """Coordinates of a verifying key's points, big-endian without leading zeros, in the source of its verifier."""
    values = (int(number, 0) for number in _POINT.findall(source))
    return tuple(v.to_bytes((v.bit_length() + 7) // 8, "big") for v in values if v >= _LEAST)


async def check_verifier(stream: Stream, keys: Mapping[str, str]) -> None:
    """Refuse a light client whose verifier is not of the keys in use; its answer to every proof would be InvalidProof.

    Nothing is said of a light client that names no verifier, as the deployed one does not, nor of a prover that has no
    verifier's source. Each key is compared once with each verifier.

    Args:
        stream: Whose contract and provers.
        keys: Digest of the verifying key by prover.

    Raises:
        VerifierMismatch: the verifier is of another key, and what to do.
        ContractError: the contract cannot be read.
        SinkUnavailable: no endpoint answers.
    """
    contract, circuit = await stream.contract(), stream.settings.circuit
    address = await contract.verifier()
    for name, key in keys.items():
        prover = stream.prover(name)
        if not address or (address, key) in stream.compared or not isinstance(prover, ExportsVerifier):
            continue
        wanted = coordinates(await prover.verifier(circuit, key))
        if not wanted:
            raise ConfigurationError("a verifier's source has no points of its key", value=f"{circuit} {key}")
        code = await contract.chain.code(address)
        lacking = sum(number not in code for number in wanted)
        if lacking:
            raise VerifierMismatch(
                f"the light client checks proofs with another verifying key than {name} proves with",
                value=f"the verifier {address} of the light client {contract.address}, whose code lacks {lacking} of "
                f"the key's {len(wanted)} coordinates",
                expected=f"one generated from the key {key} of {circuit}",
                action=f"put the key in use that it was deployed with (`provery circuits use {circuit} DIGEST`, with "
                "the PROVERY_HOME or PROVERY_STATEMENT_KEYS of the deployment), or deploy a light client of this key "
                "(`provery hotshot deploy`)",
            )
        stream.compared.add((address, key))
