"""Group commit: what is asked for while a transaction runs waits for the next one, and shares it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")
GROUP = 256
"""Items of one transaction at most."""


class Grouped(Generic[A, B]):
    """Runs ``commit`` for many callers at once, one group at a time, in the order they came.

    Args:
        commit: Answers a group, item by item; what it raises goes to all of them.
    """

    def __init__(self, commit: Callable[[Sequence[A]], Awaitable[Sequence[B]]]) -> None:
        self._commit = commit
        self._waiting: list[tuple[A, asyncio.Future[B]]] = []
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, item: A) -> B:
        """The answer to an item, once its group is committed. A caller that is cancelled leaves its item behind."""
        answer: asyncio.Future[B] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, answer))
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await answer

    async def close(self) -> None:
        """Let what was given be committed."""
        if self._worker is not None:
            await asyncio.wait([self._worker])

    async def _work(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting[:GROUP], self._waiting[GROUP:]
            try:
                answers = await self._commit([item for item, _ in group])
            except BaseException as error:
                for _, answer in group:
                    if not answer.done():
                        answer.set_exception(error)
                if not isinstance(error, Exception):
                    raise
            else:
                for (_, answer), given in zip(group, answers, strict=True):
                    if not answer.done():  # else its caller is gone
                        answer.set_result(given)
