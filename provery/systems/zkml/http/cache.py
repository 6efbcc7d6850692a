"""Finished answers by request digest: a little memory before a folder of bounded size.

A digest names model version, inputs and statement, so an entry never becomes wrong: a changed model has other digests,
and a retired one is refused before anything is looked up. Entries of versions that nobody asks for age out. Several
replicas may share the folder.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
import secrets
from collections import OrderedDict
from pathlib import Path

from provery.core.errors import ArtifactCorrupt
from provery.systems.zkml.http.answers import Finished
from provery.systems.zkml.http.metrics import FROM_DISK, FROM_MEMORY, HttpMetrics

log = logging.getLogger(__name__)
_NAME = re.compile(r"[0-9a-f]{64}")
_SHARE = 8
"""An entry that takes more than this part of the memory is not kept there."""


class Cache:
    """Answers that were given before.

    Args:
        folder: Where they are kept.
        disk: Bytes there at most; 0 for none.
        memory: Bytes in memory at most.
        metrics: Of this process.
    """

    def __init__(self, folder: Path, disk: int, memory: int, metrics: HttpMetrics) -> None:
        self._folder, self._disk, self._memory = folder, disk, memory
        self._metrics = metrics
        self._held: OrderedDict[str, tuple[Finished, int]] = OrderedDict()
        self._held_bytes = 0
        self._files: OrderedDict[str, int] = OrderedDict()
        self._file_bytes = 0
        self._lock = asyncio.Lock()

    async def open(self) -> None:
        """See what is there. A folder that cannot be written is done without."""
        if not self._disk:
            return
        try:
            found = await asyncio.to_thread(self._scan)
        except OSError as error:
            log.warning("CACHE_DIR cannot be used, answers are kept in memory only: %s", error)
            self._disk = 0
            return
        for name, size in found:
            self._count(name, size)
        await asyncio.to_thread(self._remove, self._surplus())

    async def get(self, digest: str) -> Finished | None:
        """An answer, if it is here and whole."""
        held = self._held.get(digest)
        if held is not None:
            self._held.move_to_end(digest)
            self._metrics.looked_up(FROM_MEMORY)
            return held[0]
        if not self._disk or not _NAME.fullmatch(digest):
            return None
        try:
            text = await asyncio.to_thread(self._read, digest)
        except FileNotFoundError:
            self._forget(digest)
            return None
        except OSError as error:
            log.warning("a cached answer cannot be read: %s", error)
            return None
        mark, _, body = text.partition(b"\n")
        try:
            if hashlib.sha256(body).hexdigest().encode() != mark:
                raise ArtifactCorrupt("a cached answer is damaged", value=digest)
            finished = Finished.read(body)
        except ArtifactCorrupt as error:
            log.warning("%s; it is made again", error)
            self._metrics.corrupt()
            await self.drop(digest)
            return None
        self._count(digest, len(text))
        self._keep(digest, finished, len(body))
        self._metrics.looked_up(FROM_DISK)
        return finished

    async def put(self, digest: str, finished: Finished) -> None:
        """Keep an answer. A folder that is full or away costs time later, nothing else."""
        body = finished.write()
        self._keep(digest, finished, len(body))
        if not self._disk or not _NAME.fullmatch(digest):
            return
        text = hashlib.sha256(body).hexdigest().encode() + b"\n" + body
        if len(text) > self._disk:
            return
        async with self._lock:
            try:
                await asyncio.to_thread(self._write, digest, text)
                self._count(digest, len(text))
                await asyncio.to_thread(self._remove, self._surplus())
            except OSError as error:
                log.warning("an answer cannot be kept: %s", error)

    async def drop(self, digest: str) -> None:
        """Forget an answer."""
        self._forget(digest)
        held = self._held.pop(digest, None)
        if held is not None:
            self._held_bytes -= held[1]
        await asyncio.to_thread(self._remove, [digest])

    def _keep(self, digest: str, finished: Finished, size: int) -> None:
        if size * _SHARE > self._memory or digest in self._held:
            return
        self._held[digest] = (finished, size)
        self._held_bytes += size
        while self._held_bytes > self._memory:
            _, (_, gone) = self._held.popitem(last=False)
            self._held_bytes -= gone

    def _count(self, name: str, size: int) -> None:
        self._file_bytes += size - self._files.pop(name, 0)
        self._files[name] = size
        self._metrics.cache_size(self._file_bytes)

    def _forget(self, name: str) -> None:
        self._file_bytes -= self._files.pop(name, 0)
        self._metrics.cache_size(self._file_bytes)

    def _surplus(self) -> list[str]:
        """Least recently used files that are too many."""
        found = []
        while self._file_bytes > self._disk:
            name = next(iter(self._files))
            self._forget(name)
            found.append(name)
        return found

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / f"{name}.json"

    def _scan(self) -> list[tuple[str, int]]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f".{secrets.token_hex(8)}").open("wb") as probe:
            Path(probe.name).unlink()
        found = []
        for path in self._folder.glob("*/*.json"):
            if _NAME.fullmatch(path.stem):
                seen = path.stat()
                found.append((seen.st_mtime, path.stem, seen.st_size))
        return [(name, size) for _, name, size in sorted(found)]

    def _read(self, name: str) -> bytes:
        path = self._path(name)
        text = path.read_bytes()
        os.utime(path)  # the order of use survives a restart
        return text

    def _write(self, name: str, text: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{name}.{secrets.token_hex(8)}")
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(text)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            try:
                self._path(name).unlink(missing_ok=True)
            except OSError as error:
                log.warning("a cached answer cannot be removed: %s", error)
