"""What stores need of a file system beyond pathlib."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from pathlib import Path

from provery.core.errors import ConfigurationError, ProveryError, StoreUnavailable


def size_at(path: Path) -> int:
    """Size of a file, -1 where there is none."""
    with suppress(OSError):
        return path.stat().st_size
    return -1


def flush(path: Path) -> None:
    """Bring a file's bytes, or a directory's entries, to the device."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def explain(error: OSError, root: Path) -> ProveryError:
    """What an operating system error means for the store at ``root``, and what to do."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR):
        return ConfigurationError(
            f"artifact store {root} cannot be used: {error.strerror}",
            action="make the directory writable for this user, or set another store",
        )
    free = shutil.disk_usage(root).free if root.exists() else 0
    return StoreUnavailable(f"artifact store {root}: {error.strerror}; {free >> 20} MiB free")
