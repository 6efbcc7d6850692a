"""What a node says of its own chain: for development networks, which nothing else knows."""

from __future__ import annotations

from provery.core.types import Json
from provery.systems.beacon import wire
from provery.systems.beacon.http import JSON, BeaconNode, Limits

LIMIT = 256 * 1024
"""Bytes that a chain's configuration may have."""


async def read_chain_data(url: str, limits: Limits | None = None) -> tuple[dict[str, Json], dict[str, Json]]:
    """Configuration and genesis of a trusted node's chain, for ``chains.chain_from_config``.

    Raises:
        SourceUnavailable: it did not answer.
        InvalidInput: its answer is malformed.
    """
    node = BeaconNode(url, limits)
    try:
        found = []
        for path in ("/eth/v1/config/spec", "/eth/v1/beacon/genesis"):
            answer = await node.get(path, accept=JSON, limit=LIMIT)
            if not answer.ok:
                raise node.unavailable(path, f"status {answer.status} {wire.error_text(answer.body)}".strip())
            found.append(wire.read_data(answer.body))
        return found[0], found[1]
    finally:
        await node.close()
