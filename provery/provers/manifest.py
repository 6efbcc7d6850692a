"""What a circuit's manifest says of its files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from provery.core.errors import InvalidInput
from provery.core.types import ArtifactRef, Json

ROLES = ("r1cs", "wasm", "zkey", "vkey")
"""Files of every version; ``version`` is the digest over theirs."""


def refs_of(manifest: Mapping[str, Json]) -> dict[str, ArtifactRef]:
    """The files of a version by role.

    Raises:
        InvalidInput: the manifest does not name them all.
    """
    found = manifest.get("artifacts")
    if not isinstance(found, dict):
        raise InvalidInput("a circuit's manifest names no artifacts", value=manifest.get("name"))
    refs: dict[str, ArtifactRef] = {}
    for role in ROLES:
        entry = found.get(role)
        if not isinstance(entry, dict):
            raise InvalidInput(f"a circuit's manifest names no {role}", value=manifest.get("name"))
        size = entry.get("size")
        refs[role] = ArtifactRef(
            str(entry.get("uri")),
            str(entry.get("sha256")),
            size if isinstance(size, int) else -1,
            str(entry.get("name", "")),
        )
    return refs


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
