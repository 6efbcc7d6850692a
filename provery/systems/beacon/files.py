"""Files and directories that change in one step, whatever happens meanwhile. Everything here blocks."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import uuid
from pathlib import Path

_RENAME_EXCHANGE = 2
_AT_FDCWD = -100


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, text: str, *, durable: bool = False) -> None:
    """Replace a small file: readers see the old text or the new one.

    Args:
        path: The file; its directory is made if need be.
        text: The new content.
        durable: Return only when the disk has it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex[:12]}")
    try:
        beside.write_text(text)
        if durable:
            flush(beside)
        beside.replace(path)
        if durable:
            flush(path.parent)
    finally:
        beside.unlink(missing_ok=True)


def remove(path: Path) -> None:
    """Remove a file, a link or a whole directory, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def carry(old: Path, new: Path, owned: frozenset[str]) -> None:
    """Take files along that nobody of ours owns; a link keeps them whole even while another program writes them.

    Args:
        old: A directory; whatever else it is holds nothing to take along.
        new: Where they go, unless something of their name is there.
        owned: Names that stay behind.
    """
    try:
        entries = list(os.scandir(old))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        place = new / entry.name
        if entry.name not in owned and entry.is_file(follow_symlinks=False) and not place.exists():
            try:
                os.link(entry.path, place)
            except OSError:
                shutil.copy2(entry.path, place)


def exchange(one: Path, other: Path) -> None:
    """Swap two directories in one step; in three where the system has no such call (see :func:`mend`)."""
    libc = ctypes.CDLL(None, use_errno=True)
    swap = getattr(libc, "renameat2", None)
    if swap is not None:
        done = swap(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE)
        if done == 0:
            return
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):  # the last two: NFS, for one
            raise OSError(number, os.strerror(number), str(other))
    other.rename(_between(one))
    mend(one, other)


def mend(one: Path, other: Path) -> None:
    """End an exchange in three steps that was interrupted; without one nothing happens."""
    between = _between(one)
    if not between.exists():
        return
    if not other.exists():
        one.rename(other)
    between.rename(one)


def _between(one: Path) -> Path:
    return one.with_name(one.name + ".swap")


def flush(path: Path) -> None:
    """Have the disk take a file or a directory."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
