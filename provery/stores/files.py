"""Artifacts as files of a local or shared file system."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ParamSpec, TypeVar

from provery.core.errors import ArtifactCorrupt
from provery.core.types import ArtifactRef
from provery.stores.address import (
    CHUNK,
    QUARANTINE,
    Digest,
    check,
    check_limit,
    check_size,
    content_key,
    hash_stream,
    key_of,
    missing,
    quarantine_key,
)
from provery.stores.disk import explain, flush, size_at
from provery.stores.verified import Verified
from provery.stores.workspace import Workspace

P = ParamSpec("P")
T = TypeVar("T")
THREADS = 8


class FileStore:
    """Content-addressed files under one directory.

    A file appears under its digest complete or not at all: it is written beside the store and linked into place.

    Args:
        root: The store's directory.
        fsync: Flush each artifact to the device before it is acknowledged. Off, a power cut (not a crash of the
            process) may lose the last seconds; readers notice by the digest and the stage is computed again.
    """

    def __init__(self, root: Path, *, fsync: bool = False) -> None:
        self.root = root.absolute()
        self.url = self.root.as_uri()
        self._fsync = fsync
        self._workspace = Workspace(self.root)
        self._verified = Verified()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="artifacts")

    async def put_bytes(self, data: bytes, *, name: str = "") -> ArtifactRef:
        """Store bytes; storing the same bytes twice is one artifact."""
        return await self._run(self._put_bytes, data, name)

    async def put_file(self, path: Path, *, name: str = "", move: bool = False) -> ArtifactRef:
        """Store a file by streaming it; with ``move`` from this file system it is renamed, not copied."""
        return await self._run(self._put_file, path, name, move)

    async def put_files(self, files: Sequence[tuple[Path, str]], *, move: bool = False) -> list[ArtifactRef]:
        """Store many small files in one visit to a thread."""
        return await self._run(lambda: [self._put_file(path, name, move) for path, name in files])

    async def read(self, ref: ArtifactRef, *, limit: int = 64 * 2**20) -> bytes:
        """Bytes of an artifact, checked."""
        check_limit(ref, limit)
        return await self._run(self._read, ref)

    async def local(self, ref: ArtifactRef) -> Path:
        """The artifact's own file, checked. Read-only: opening it for writing fails."""
        return await self._run(self._local, ref)

    async def exists(self, refs: Sequence[ArtifactRef]) -> list[bool]:
        """Whether each is present with its size."""
        return await self._run(lambda: [size_at(self._path(ref)) == ref.size for ref in refs])

    async def quarantine(self, ref: ArtifactRef, reason: str) -> ArtifactRef:
        """Move an artifact to ``quarantine/`` with the reason beside it. Safe to repeat."""
        return await self._run(self._quarantine, ref, reason)

    def scratch(self) -> AbstractAsyncContextManager[Path]:
        """A private directory on the store's file system."""
        return self._workspace.scratch()

    async def probe(self) -> None:
        """Write, read and remove a file.

        Raises:
            ConfigurationError: if the directory cannot be used, with what to do about it.
        """
        await self._run(self._probe)

    async def close(self) -> None:
        """Release threads and temporary files."""
        await asyncio.to_thread(self._threads.shutdown)
        await asyncio.to_thread(self._workspace.close)

    async def _run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        def guarded() -> T:
            try:
                return work(*args, **kwargs)
            except FileNotFoundError as error:
                # A file that the caller named is the caller's affair; a store that vanished (unmounted) is ours.
                if self.root.exists() or not str(error.filename).startswith(str(self.root)):
                    raise
                raise explain(error, self.root) from error
            except OSError as error:
                raise explain(error, self.root) from error

        return await asyncio.get_running_loop().run_in_executor(self._threads, guarded)

    def _path(self, ref: ArtifactRef) -> Path:
        return self.root / key_of(ref, self.url)

    def _put_bytes(self, data: bytes, name: str) -> ArtifactRef:
        found = Digest(hashlib.sha256(data).hexdigest(), len(data))
        target = self.root / content_key(found.sha256)
        if size_at(target) != found.size:
            temporary = self._workspace.new_path()
            temporary.write_bytes(data)
            self._place(temporary, target, found.size)
        return self._ref(found, target, name)

    def _put_file(self, path: Path, name: str, move: bool) -> ArtifactRef:
        with path.open("rb", buffering=0) as source:
            found = hash_stream(source)
        target = self.root / content_key(found.sha256)
        if size_at(target) == found.size:
            if move:
                path.unlink()
        elif move and self._may_take(path):
            self._place(path, target, found.size)
        else:
            self._copy(path, target, found)
            if move:
                path.unlink()
        return self._ref(found, target, name)

    def _copy(self, path: Path, target: Path, found: Digest) -> None:
        temporary = self._workspace.new_path()
        try:
            copied, size = hashlib.sha256(), 0
            with path.open("rb", buffering=0) as source, temporary.open("xb", buffering=0) as sink:
                while piece := source.read(CHUNK):
                    copied.update(piece)
                    size += len(piece)
                    sink.write(piece)
            # A file still being written by a stray child must not enter under the digest of an earlier moment.
            if Digest(copied.hexdigest(), size) != found:
                raise ArtifactCorrupt(
                    f"{path.name} changed while it was stored", action="it is computed again"
                )
            self._place(temporary, target, found.size)
        finally:
            temporary.unlink(missing_ok=True)

    def _place(self, temporary: Path, target: Path, size: int) -> None:
        """Make a finished temporary file visible under its digest; the first one there stays."""
        os.chmod(temporary, 0o444)
        if self._fsync:
            flush(temporary)
        try:
            self._link(temporary, target)
        except FileExistsError:
            if size_at(target) != size:  # truncated by an earlier power cut or by hand: heal it
                temporary.replace(target)
        temporary.unlink(missing_ok=True)
        if self._fsync:
            flush(target.parent)

    def _link(self, temporary: Path, target: Path) -> None:
        try:
            os.link(temporary, target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(temporary, target)
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EMLINK):
                raise
            # No hard links here. Renaming replaces, which is harmless: same digest, same bytes.
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.replace(target)

    def _read(self, ref: ArtifactRef) -> bytes:
        path = self._path(ref)
        data = self._load(path, ref)
        if Digest(hashlib.sha256(data).hexdigest(), len(data)) == Digest(ref.sha256, ref.size):
            return data
        self._set_corrupt_aside(ref, path)
        return self._load(path, ref)  # a healthy file had taken the corrupt one's place meanwhile

    def _load(self, path: Path, ref: ArtifactRef) -> bytes:
        try:
            with path.open("rb") as stream:
                return stream.read(ref.size + 1)
        except FileNotFoundError:
            raise missing(ref) from None

    def _local(self, ref: ArtifactRef) -> Path:
        path = self._path(ref)
        try:
            if self._verified.holds(path, ref):
                return path
        except FileNotFoundError:
            raise missing(ref) from None
        self._set_corrupt_aside(ref, path)
        return path

    def _set_corrupt_aside(self, ref: ArtifactRef, path: Path) -> None:
        """Quarantine a corrupt file; return only if the file that was there turned out to be healthy."""
        if path.parent.name == QUARANTINE:
            raise ArtifactCorrupt(f"quarantined artifact {ref.uri} changed", action="look at it by hand")
        # Taken away first, looked at second: a healthy file that a concurrent put has just placed is put back.
        taken = self._workspace.new_path()
        try:
            path.rename(taken)
        except FileNotFoundError:
            raise missing(ref) from None
        with taken.open("rb", buffering=0) as stream:
            found = hash_stream(stream)
        if found.sha256 == ref.sha256:
            self._place(taken, path, found.size)
            check_size(ref, found)
            return
        self._keep(taken, ref.sha256, found, "bytes do not match their digest")
        check(ref, found)

    def _quarantine(self, ref: ArtifactRef, reason: str) -> ArtifactRef:
        taken = self._workspace.new_path()
        try:
            self._path(ref).rename(taken)
        except FileNotFoundError:
            return self._already_aside(ref)
        with taken.open("rb", buffering=0) as stream:
            found = hash_stream(stream)
        return self._ref(found, self._keep(taken, ref.sha256, found, reason), ref.name)

    def _keep(self, taken: Path, claimed: str, found: Digest, reason: str) -> Path:
        target = self.root / quarantine_key(claimed, found.sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        note = {
            "at": time.time(),
            "reason": reason,
            "claimed": claimed,
            "sha256": found.sha256,
            "size": found.size,
        }
        target.with_suffix(".json").write_text(json.dumps(note, indent=1))
        taken.replace(target)
        return target

    def _already_aside(self, ref: ArtifactRef) -> ArtifactRef:
        for path in sorted((self.root / QUARANTINE).glob(f"{ref.sha256}-*")):
            if path.suffix != ".json":
                with path.open("rb", buffering=0) as stream:
                    return self._ref(hash_stream(stream), path, ref.name)
        raise missing(ref)

    def _ref(self, found: Digest, path: Path, name: str) -> ArtifactRef:
        return ArtifactRef(f"{self.url}/{path.relative_to(self.root)}", found.sha256, found.size, name)

    def _may_take(self, path: Path) -> bool:
        # A link's target or a file with a second name could still change after it was hashed.
        given = path.lstat()
        return (
            stat.S_ISREG(given.st_mode)
            and given.st_nlink == 1
            and given.st_dev == self._workspace.directory().stat().st_dev
        )

    def _probe(self) -> None:
        path = self._workspace.new_path()
        path.write_bytes(b"probe")
        path.unlink()
