"""Temporary files that cannot be mistaken for artifacts, and that vanish with the process that made them.

Each process owns one directory ``tmp/<random>`` and holds a lock on it. A killed process loses its lock, so the next
one to start removes what it left: no age has to be guessed, and a proof that runs for a day keeps its scratch files.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from provery.core.errors import StoreUnavailable

_LOCK_NAME = ".lock"


class Workspace:
    """The temporary directory of this process under ``root``.

    Args:
        root: A directory on the file system where finished files will live, so that they arrive by rename.
    """

    def __init__(self, root: Path) -> None:
        self._parent = root / "tmp"
        self._own: Path | None = None
        self._lock_fd = -1
        self._pid = 0
        self._guard = threading.Lock()

    def directory(self) -> Path:
        """This process's directory, made and locked at first use."""
        with self._guard:
            if self._own is None or self._pid != os.getpid() or not self._own.is_dir():
                self._parent.mkdir(parents=True, exist_ok=True)
                self._sweep()
                self._own, self._lock_fd = self._claim()
                self._pid = os.getpid()
            return self._own

    def new_path(self) -> Path:
        """A path for a temporary file that nobody else uses."""
        return self.directory() / secrets.token_hex(12)

    @asynccontextmanager
    async def scratch(self) -> AsyncIterator[Path]:
        """A private directory, removed at the end whatever happens."""
        path = await asyncio.to_thread(self._new_directory)
        try:
            yield path
        finally:
            # Shielded by running in a thread: a cancelled stage must not leave gigabytes behind.
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, path, True))

    def close(self) -> None:
        """Remove the directory and give up the lock."""
        with self._guard:
            if self._own is not None and self._pid == os.getpid():
                shutil.rmtree(self._own, ignore_errors=True)
                with suppress(OSError):
                    os.close(self._lock_fd)
            self._own = None

    def _new_directory(self) -> Path:
        path = self.new_path()
        path.mkdir(mode=0o700)
        return path

    def _claim(self) -> tuple[Path, int]:
        for _ in range(100):
            path = self._parent / f"{os.getpid()}-{secrets.token_hex(6)}"
            path.mkdir(mode=0o700)
            try:
                fd = os.open(path / _LOCK_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            except FileNotFoundError:  # a sweeper was faster than our lock
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.fstat(fd).st_nlink and path.exists():
                    return path, fd
            except OSError:
                pass
            os.close(fd)
        raise StoreUnavailable(f"no temporary directory could be locked under {self._parent}")

    def _sweep(self) -> None:
        for entry in os.scandir(self._parent):
            if not entry.is_dir(follow_symlinks=False):
                continue
            try:
                fd = os.open(
                    os.path.join(entry.path, _LOCK_NAME), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600
                )
            except OSError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry.path, ignore_errors=True)
            except OSError as error:
                if error.errno not in (errno.EWOULDBLOCK, errno.EACCES):
                    raise
            finally:
                os.close(fd)
