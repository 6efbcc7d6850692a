"""Shard references that are too many for a workflow's history: one artifact that lists them."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict

from provery.core.ports import ArtifactStore
from provery.core.types import ArtifactRef

INLINE_SHARDS = 32
"""Shard references that may ride in a workflow's history; more go into one manifest artifact."""
MANIFEST = "shards.json"
KEPT = 4
"""Manifests that a process keeps parsed: every shard of a unit asks for the same one."""


class Manifests:
    """Writes manifests, and reads each one once as long as its shards keep asking.

    Args:
        artifacts: Where they are. They are immutable, so what was read stays true.
    """

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self._parsed: OrderedDict[str, tuple[ArtifactRef, ...]] = OrderedDict()
        self._reading = asyncio.Lock()

    async def pack(self, shards: tuple[ArtifactRef, ...]) -> tuple[ArtifactRef, ...]:
        """The references as a workflow may carry them: themselves, or their manifest."""
        if len(shards) <= INLINE_SHARDS:
            return shards
        rows = json.dumps([vars(ref) for ref in shards]).encode()
        return (await self._artifacts.put_bytes(rows, name=MANIFEST),)

    async def entry(self, packed: tuple[ArtifactRef, ...], shard: int, shards: int) -> ArtifactRef:
        """The reference of one shard of ``shards``, out of what ``pack`` made."""
        return packed[shard] if len(packed) == shards else (await self._read(packed[0]))[shard]

    async def _read(self, ref: ArtifactRef) -> tuple[ArtifactRef, ...]:
        if ref.sha256 not in self._parsed:
            async with self._reading:
                if ref.sha256 not in self._parsed:
                    rows = json.loads(await self._artifacts.read(ref))
                    self._parsed[ref.sha256] = tuple(ArtifactRef(**row) for row in rows)
                    if len(self._parsed) > KEPT:
                        self._parsed.popitem(last=False)
        self._parsed.move_to_end(ref.sha256)
        return self._parsed[ref.sha256]
