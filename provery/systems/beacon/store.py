"""The period store: one directory per period, with the upstream daemon's file names, complete or absent.

    <root>/<period>/            what is published
    <root>/.replaced/           what was there before and did not hold, with the reason
    <root>/.provery/            the lock, directories in the making, the stream's status

A directory is written beside its place, flushed to the disk and renamed. Other programs keep files of their own in the
same directories (``blocks.ssz``, ``lcu.ssz``, …): a directory that is replaced takes them along.
"""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import InvalidInput, ProveryError, SinkUnavailable
from provery.core.types import Json
from provery.systems.beacon.files import carry, digest, exchange, flush, mend, remove, write_atomically

MANIFEST = "manifest.json"
OURS = frozenset(
    {
        MANIFEST, "sync.ssz", "update.json", "native_proof.bin", "native_public.json", "zk_proof.bin", "zk_vk_raw.bin",
        "zk_vk.bin", "zk_groth16.bin", "zk_proof_g16.bin", "zk_pub.bin", "zk_proof.ssz",
    }
)  # fmt: skip
"""Files that belong to a proof: they are replaced together. ``zk_proof.ssz`` is made by a server from the others."""
PROOFS = ("native_proof.bin", "zk_proof_g16.bin")
"""Files of which one is there where a period has a proof."""
PERIOD = re.compile(r"0|[1-9][0-9]{0,11}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
MANIFEST_LIMIT = 256 * 1024
REASON = "reason.txt"
"""Beside what is kept aside: why."""


@dataclass(frozen=True)
class Entry:
    """A file of a period."""

    name: str
    size: int
    modified_ns: int


class PeriodStore:
    """The directory of one stream. Every method blocks: call it in a thread.

    Args:
        root: Where it is; made at the first publication.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.inner = root / ".provery"

    def periods(self) -> list[int]:
        """Periods that have a directory, ascending.

        Raises:
            SinkUnavailable: the store cannot be read.
        """
        with _reading(self.root):
            if not self.root.exists():
                return []
            names = [entry.name for entry in os.scandir(self.root) if entry.is_dir(follow_symlinks=False)]
        return sorted(int(name) for name in names if PERIOD.fullmatch(name))

    def folder(self, period: int) -> Path:
        """Directory of a period, whether it is there or not."""
        return self.root / str(period)

    def files(self, period: int) -> list[Entry]:
        """Regular files of a period by name; none where it has no directory.

        Raises:
            SinkUnavailable: the store cannot be read.
        """
        found = []
        with _reading(self.root):
            try:
                with os.scandir(self.folder(period)) as entries:
                    for entry in entries:
                        if entry.is_file(follow_symlinks=False):
                            stat = entry.stat(follow_symlinks=False)
                            found.append(Entry(entry.name, stat.st_size, stat.st_mtime_ns))
            except (FileNotFoundError, NotADirectoryError):
                return []
        return sorted(found, key=lambda entry: entry.name)

    def has_proof(self, period: int) -> bool:
        """Whether a period has a proof's file that is not empty; whether it holds is another matter."""
        return any(entry.name in (*PROOFS, MANIFEST) and entry.size for entry in self.files(period))

    def first_proof(self) -> int | None:
        """The first period that has a proof, as :meth:`has_proof` says.

        Raises:
            SinkUnavailable: the store cannot be read.
        """
        return next((period for period in self.periods() if self.has_proof(period)), None)

    def manifest(self, period: int) -> dict[str, Json] | None:
        """A period's manifest; None where it has none.

        Raises:
            InvalidInput: it is malformed.
            SinkUnavailable: the store cannot be read.
        """
        path = self.folder(period) / MANIFEST
        with _reading(self.root):
            try:
                if path.stat().st_size > MANIFEST_LIMIT:
                    raise InvalidInput(f"{MANIFEST} of period {period} is too large")
                value = json.loads(path.read_bytes())
            except (FileNotFoundError, NotADirectoryError):
                return None
            except (ValueError, RecursionError) as error:
                raise InvalidInput(f"{MANIFEST} of period {period} is malformed: {error}") from error
        if not isinstance(value, dict):
            raise InvalidInput(f"{MANIFEST} of period {period} is no object")
        return value

    def publish(
        self, period: int, files: Mapping[str, Path], about: Mapping[str, Json], *, reason: str
    ) -> dict[str, Json]:
        """Make a period's directory, whatever was there before. Publishing the same again changes nothing.

        Args:
            period: The period.
            files: Name → file to copy.
            about: What the manifest says besides the files and their digests.
            reason: Why a directory that is there does not hold; goes beside what is kept aside.

        Returns:
            The manifest.

        Raises:
            SinkUnavailable: the disk is full, read-only or away.
        """
        listed: dict[str, Json] = {name: dict(_described(path)) for name, path in sorted(files.items())}
        manifest: dict[str, Json] = {**about, "files": listed}
        target, making = self.folder(period), self._making(period)
        owned = OURS | set(listed) | {REASON}
        with _writing(self.root), self.locked():
            self._finish(period)
            with suppress(ProveryError):
                before = self.manifest(period)
                if before == manifest and all(_is(target / name, what) for name, what in listed.items()):
                    return manifest
                had = before.get("files") if before else None
                owned |= set(had) if isinstance(had, dict) else set()
            remove(making)  # left by a process that was killed here
            making.mkdir(parents=True)
            for name, path in files.items():
                shutil.copyfile(path, making / name)
            text = json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=True)
            (making / MANIFEST).write_text(text + "\n")
            carry(target, making, owned)
            for entry in making.iterdir():
                flush(entry)
            flush(making)
            if target.exists():
                self._replace(period, owned, reason)
            else:
                making.rename(target)
            flush(self.root)
        return manifest

    def _replace(self, period: int, owned: frozenset[str], reason: str) -> None:
        """Exchange what was made with what is there, and keep that aside; a kill at any moment loses neither."""
        target, making = self.folder(period), self._making(period)
        note = {"inode": making.stat().st_ino, "owned": sorted(owned), "reason": reason}
        write_atomically(self._note(period), json.dumps(note), durable=True)
        exchange(making, target)
        self._finish(period)

    def _finish(self, period: int) -> None:
        """End a replacement, this process's or one that was killed; nothing where none had begun."""
        target, making, note = self.folder(period), self._making(period), self._note(period)
        try:
            said = json.loads(note.read_bytes())
        except FileNotFoundError:
            return
        mend(making, target)
        if target.exists() and target.stat().st_ino == said["inode"]:
            carry(making, target, frozenset(said["owned"]))  # what another program wrote in between
            self._put_aside(period, making, said["reason"])
        note.unlink()

    def _making(self, period: int) -> Path:
        return self.inner / f"new-{period}"

    def _note(self, period: int) -> Path:
        return self.inner / f"replacing-{period}.json"

    def _put_aside(self, period: int, old: Path, reason: str) -> None:
        """Keep what was replaced, unless nothing of a proof was in it."""
        if not any((old / name).exists() for name in OURS):
            remove(old)
            return
        kept = self.root / ".replaced"
        kept.mkdir(exist_ok=True)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        numbered = (kept / f"{period}-{stamp}-{number}" for number in itertools.count(1))
        place = next(path for path in numbered if not path.exists())
        (old / REASON).write_text(reason + "\n")
        old.rename(place)
        flush(kept)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """One writer at a time among all processes that share the directory."""
        self.inner.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.inner / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _described(path: Path) -> dict[str, Json]:
    return {"size": path.stat().st_size, "sha256": digest(path)}


def _is(path: Path, described: Json) -> bool:
    return path.is_file() and _described(path) == described


@contextmanager
def _reading(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkUnavailable(
            f"the period store cannot be read: {error.strerror}",
            value=error.filename or root,
            action="check OUTPUT_DIR and its permissions",
        ) from error


@contextmanager
def _writing(root: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkUnavailable(
            f"the period store cannot be written: {error.strerror}",
            value=error.filename or root,
            action="check OUTPUT_DIR, its permissions and free space; the proof is kept and published later",
        ) from error
