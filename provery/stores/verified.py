"""Remember which large local files have been hashed, so that a 500 MB key is not hashed for each proof."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from provery.core.types import ArtifactRef
from provery.stores.address import Digest, hash_stream

REMEMBER_FROM = 1 << 20
"""Bytes; hashing anything smaller costs less than a millisecond, so it is hashed every time."""
ENTRIES = 4096

_Stamp = tuple[int, int, int, int]


class Verified:
    """Files whose digest this process has checked, until their inode, size or modification time changes."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, _Stamp], str] = OrderedDict()
        self._lock = threading.Lock()

    def holds(self, path: Path, ref: ArtifactRef) -> bool:
        """Whether the file has exactly the artifact's bytes.

        Raises:
            FileNotFoundError: if it is not there.
        """
        with path.open("rb", buffering=0) as stream:
            stamp = _stamp(stream.fileno())
            if stamp[2] != ref.size:
                return False
            memo = (str(path), stamp)
            if ref.size >= REMEMBER_FROM:
                with self._lock:
                    if self._seen.get(memo) == ref.sha256:
                        self._seen.move_to_end(memo)
                        return True
            if hash_stream(stream) != Digest(ref.sha256, ref.size):
                return False
        self._keep(memo, ref)
        return True

    def remember(self, path: Path, ref: ArtifactRef) -> None:
        """Take a file for checked whose bytes were hashed on their way into it."""
        with path.open("rb", buffering=0) as stream:
            self._keep((str(path), _stamp(stream.fileno())), ref)

    def _keep(self, memo: tuple[str, _Stamp], ref: ArtifactRef) -> None:
        if ref.size >= REMEMBER_FROM:
            with self._lock:
                self._seen[memo] = ref.sha256
                while len(self._seen) > ENTRIES:
                    self._seen.popitem(last=False)


def _stamp(fd: int) -> _Stamp:
    stat = os.fstat(fd)
    return stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns
