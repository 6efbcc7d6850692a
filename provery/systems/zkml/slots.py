"""How many proofs one worker makes at a time: as many as cores, and as the memory holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

RESERVED = 2 * 2**30
"""Bytes that are left to everything else, as upstream's formula has it."""


class Slots:
    """Admits proofs in the order they came.

    Args:
        most: Proofs at a time; 0: as many as cores.
        memory: Bytes that proofs may take together; what the machine or its container has, less ``RESERVED``, by
            default. A proof that needs more than all of it is admitted alone.
    """

    def __init__(self, most: int = 0, memory: int = 0) -> None:
        self.most = most or cores()
        self.memory = memory or max(total_memory() - RESERVED, RESERVED // 2)
        self.active = 0
        self._taken = 0
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def hold(self, peak: int) -> AsyncIterator[None]:
        """Wait for a place, and keep it for the block.

        Args:
            peak: Bytes that the proof takes at most, as measured when its model was added; 0 where nobody knows.
        """
        async with (
            self._turn,
            self._changed,
        ):  # one waits at the head: a large proof is not overtaken for ever
            await self._changed.wait_for(lambda: self._fits(peak))
            self.active += 1
            self._taken += peak
        try:
            yield
        finally:
            async with self._changed:
                self.active -= 1
                self._taken -= peak
                self._changed.notify_all()

    def _fits(self, peak: int) -> bool:
        return self.active == 0 or (self.active < self.most and self._taken + peak <= self.memory)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) or 1


def total_memory() -> int:
    """Bytes that this process may use: the machine's, or its control group's where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = Path(name).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            return min(total, int(text))
    return total
