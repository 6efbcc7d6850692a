"""How artifacts are named and hashed: one rule for every store."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from provery.core.errors import ArtifactCorrupt, ArtifactMissing, InvalidInput
from provery.core.types import ArtifactRef

CHUNK = 1 << 20
"""Bytes read at a time when streaming."""
QUARANTINE = "quarantine"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ASIDE = re.compile(rf"{QUARANTINE}/[0-9a-f]{{64}}-[0-9a-f]{{16}}")


@dataclass(frozen=True)
class Digest:
    """What hashing a stream found."""

    sha256: str
    size: int


def content_key(sha256: str) -> str:
    """``sha256/ab/cdef…``: where content lives in any store. Two characters give 256 folders of even size."""
    return f"sha256/{sha256[:2]}/{sha256[2:]}"


def quarantine_key(claimed: str, actual: str) -> str:
    """Where bytes are kept that were stored as ``claimed`` and are ``actual``; the same bytes go to the same place."""
    return f"{QUARANTINE}/{claimed}-{actual[:16]}"


def key_of(ref: ArtifactRef, store_url: str) -> str:
    """The key that a reference names in the store at ``store_url``.

    Content is found by its digest alone, so references recorded before a store was moved or copied stay good; only
    quarantined bytes, whose digest is not their name, are found by address.

    Raises:
        InvalidInput: if the digest or size cannot be one. References come from databases and messages.
    """
    if not _DIGEST.fullmatch(ref.sha256) or ref.size < 0:
        raise InvalidInput(
            "not an artifact reference",
            value=f"{ref.sha256}/{ref.size}",
            expected="64 lower-case hex digits and a size in bytes",
        )
    tail = ref.uri.removeprefix(store_url + "/")
    if _ASIDE.fullmatch(tail):
        return tail
    return content_key(ref.sha256)


def chunks(stream: BinaryIO) -> Iterator[bytes]:
    """The stream in pieces of bounded size."""
    while piece := stream.read(CHUNK):
        yield piece


def hash_stream(stream: BinaryIO) -> Digest:
    """Digest and size of everything left in the stream, in bounded memory."""
    hasher, size = hashlib.sha256(), 0
    for piece in chunks(stream):
        hasher.update(piece)
        size += len(piece)
    return Digest(hasher.hexdigest(), size)


def check(ref: ArtifactRef, found: Digest) -> None:
    """Compare what was read with what was promised.

    Raises:
        ArtifactCorrupt: if digest or size differ.
    """
    if found != Digest(ref.sha256, ref.size):
        raise ArtifactCorrupt(
            f"artifact {ref.uri} does not hold its content",
            value=f"{found.sha256} of {found.size} bytes",
            expected=f"{ref.sha256} of {ref.size} bytes",
            action="it is computed again",
        )


def missing(ref: ArtifactRef) -> ArtifactMissing:
    """The error for an artifact that is not there."""
    return ArtifactMissing(f"artifact {ref.uri} is not in the store", action="it is computed again")


def check_size(ref: ArtifactRef, found: Digest) -> None:
    """For bytes whose digest is right: a differing size is the reference's fault, not the store's.

    Raises:
        InvalidInput: if the reference promises another size.
    """
    if found.size != ref.size:
        raise InvalidInput(
            f"artifact reference {ref.uri} has the wrong size", value=ref.size, expected=f"{found.size} bytes"
        )


def check_limit(ref: ArtifactRef, limit: int) -> None:
    """Refuse to hold an artifact in memory that is larger than the caller allows.

    Raises:
        InvalidInput: if it is larger than ``limit`` bytes.
    """
    if ref.size > limit:
        raise InvalidInput(
            f"artifact {ref.uri} is too large to read into memory",
            value=ref.size,
            expected=f"at most {limit} bytes",
            action="use a local file instead",
        )
