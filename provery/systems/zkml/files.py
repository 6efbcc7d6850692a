"""A version's artifacts as checked local files, for the provers; and small files parsed once."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from provery.core.models import ModelFiles, ModelVersion
from provery.core.ports import ArtifactStore

T = TypeVar("T")


async def model_files(artifacts: ArtifactStore, version: ModelVersion) -> ModelFiles:
    """Every file of a version. The store checks digests, so a damaged model is never proved with.

    Raises:
        ArtifactMissing: one is gone.
        ArtifactCorrupt: one's bytes are others.
    """
    names = list(version.files)
    paths = await asyncio.gather(*(artifacts.local(version.files[name]) for name in names))
    return ModelFiles(version.settings, dict(zip(names, paths, strict=True)), version.facts)


class Kept(Generic[T]):
    """What was made of the newest few keys; of callers at once one makes it.

    Args:
        make: Makes what a key stands for.
        most: How many are kept.
    """

    def __init__(self, make: Callable[[str], Awaitable[T]], most: int) -> None:
        self._make, self._most = make, most
        self._held: OrderedDict[str, T] = OrderedDict()
        self._lock = asyncio.Lock()

    async def get(self, key: str) -> T:
        """What ``key`` stands for."""
        async with self._lock:
            if key not in self._held:
                self._held[key] = await self._make(key)
                if len(self._held) > self._most:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]

    def drop(self, key: str) -> None:
        """Forget what was made of a key."""
        self._held.pop(key, None)
