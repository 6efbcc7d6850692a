"""Local copies of remote artifacts: shared by all processes of a machine, bounded, each checked before use."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provery.core.types import ArtifactRef
from provery.stores.address import Digest, check, content_key
from provery.stores.verified import Verified
from provery.stores.workspace import Workspace

GRACE_S = 900.0
"""A file used within this many seconds is not evicted: its reader may have the path but not yet have opened it.
Once opened, eviction does not hurt a reader."""
LOCKS = 256
"""Lock files; two artifacts that share one merely wait for each other."""


class Cache:
    """A directory of artifacts that can be had again from elsewhere.

    Args:
        root: The directory; processes may share it.
        cap: Bytes kept; the least recently used go first.
    """

    def __init__(self, root: Path, cap: int) -> None:
        self._root = root.absolute()
        self._cap = cap
        self.workspace = Workspace(self._root)
        self._verified = Verified()
        self._added = cap  # so that the first addition looks at what earlier processes left
        self._guard = threading.Lock()

    def get(self, ref: ArtifactRef) -> Path | None:
        """The artifact's file if it is here and healthy; an unhealthy one is dropped."""
        path = self._root / content_key(ref.sha256)
        try:
            if self._verified.holds(path, ref):
                # File systems often record no reads, so say it ourselves; the modification time must stay as it is.
                os.utime(path, ns=(time.time_ns(), path.stat().st_mtime_ns))
                return path
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass
        return None

    def fetch(self, ref: ArtifactRef, pieces: Callable[[], Iterator[bytes]]) -> Path:
        """The artifact's file, filled from ``pieces`` if it is not here. Only one process downloads at a time.

        Raises:
            ArtifactCorrupt: if the pieces are not the artifact.
        """
        if (path := self.get(ref)) is not None:
            return path
        with self._locked(ref.sha256):
            if (path := self.get(ref)) is not None:
                return path
            temporary = self.workspace.new_path()
            try:
                hasher, size = hashlib.sha256(), 0
                with temporary.open("xb", buffering=0) as sink:
                    for piece in pieces():
                        hasher.update(piece)
                        size += len(piece)
                        sink.write(piece)
                check(ref, Digest(hasher.hexdigest(), size))
                adopted = self.adopt(temporary, ref)
                self._verified.remember(adopted, ref)
                return adopted
            finally:
                temporary.unlink(missing_ok=True)

    def adopt(self, path: Path, ref: ArtifactRef) -> Path:
        """Take a finished file on the cache's file system over by renaming it."""
        target = self._root / content_key(ref.sha256)
        os.chmod(path, 0o444)
        try:
            path.replace(target)
        except FileNotFoundError:
            target.parent.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        self._account(ref.size)
        return target

    def take(self, path: Path, ref: ArtifactRef) -> None:
        """Consume a file that has been stored: keep it as the local copy where that costs only a rename."""
        given = path.lstat()
        if (
            stat.S_ISREG(given.st_mode)
            and given.st_nlink == 1  # a second name could change the bytes
            and given.st_dev == self.workspace.directory().stat().st_dev
        ):
            self.adopt(path, ref)
        else:
            path.unlink()

    def drop(self, ref: ArtifactRef) -> None:
        """Forget a local copy."""
        (self._root / content_key(ref.sha256)).unlink(missing_ok=True)

    def _account(self, size: int) -> None:
        with self._guard:
            self._added += size
            if self._added < self._cap // 20:
                return
            self._added = 0
        self.evict()

    def evict(self) -> int:
        """Remove the least recently used files until the cap is kept; returns the bytes freed."""
        files: list[tuple[float, int, str]] = []
        for folder in (self._root / "sha256").glob("??"):
            with suppress(FileNotFoundError):
                for entry in os.scandir(folder):
                    with suppress(FileNotFoundError):
                        seen = entry.stat(follow_symlinks=False)
                        files.append((seen.st_atime, seen.st_size, entry.path))
        excess, freed, young = sum(size for _, size, _ in files) - self._cap, 0, time.time() - GRACE_S
        for used_at, size, path in sorted(files):
            if freed >= excess or used_at > young:
                break
            with suppress(FileNotFoundError):
                os.unlink(path)
                freed += size
        return freed

    @contextmanager
    def _locked(self, sha256: str) -> Iterator[None]:
        folder = self._root / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        fd = os.open(folder / str(int(sha256[:4], 16) % LOCKS), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)  # released by the kernel if this process is killed
            yield
        finally:
            os.close(fd)
