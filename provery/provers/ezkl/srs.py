"""Structured reference strings (SRS) of KZG over BN254, as halo2 writes them.

A file holds: k (4 bytes, little-endian), 2^k points of G1 (64 bytes each, in powers of the secret), as many in Lagrange
form, and two points of G2 (128 bytes each). Whoever knows the secret forges proofs.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import ezkl

from provery.provers.ezkl.faults import Refused

INSECURE = "insecure-"
"""Names of development files begin with it; they are never taken for an operator's."""
MAX_ROWS = 26
HINT = (
    "set PROVERY_ZKML_EZKL_SRS to a file of a ceremony with at least {rows} logrows, or to a folder of such files"
    " (docs/zkml-ezkl.md)"
)


def rows_of(path: Path) -> int:
    """The k of an SRS file; 0 for any other file."""
    try:
        with path.open("rb") as file:
            rows = int.from_bytes(file.read(4), "little")
        size = path.stat().st_size
    except OSError:
        return 0
    return rows if 0 < rows <= MAX_ROWS and size == 4 + 2 * 64 * 2**rows + 256 else 0


def take(rows: int, operator: str, cache: str, into: Path, tell: Callable[[str], None]) -> bool:
    """Put a fitting SRS at ``into``.

    Args:
        rows: Logarithm of the rows that the circuit has.
        operator: File or folder that the operator names; empty for none.
        cache: Folder of development files; empty where they are refused.
        into: The file to write.
        tell: Told that one is being made.

    Returns:
        Whether it is a development file, whose secret this machine had.

    Raises:
        Refused: there is none.
    """
    if operator:
        shutil.copyfile(_operators(rows, Path(operator)), into)
        return False
    if not cache:
        raise Refused("invalid_key", f"there is no SRS for {rows} logrows; {HINT.format(rows=rows)}")
    shutil.copyfile(_development(rows, Path(cache), tell), into)
    return True


def _operators(rows: int, place: Path) -> Path:
    files = sorted(place.iterdir()) if place.is_dir() else [place]
    usable = [(rows_of(file), file) for file in files if not file.name.startswith(INSECURE)]
    # A larger one serves too, but ezkl cuts it down for every proof.
    fitting = [(have, file) for have, file in usable if have >= rows]
    if not fitting:
        have = ", ".join(str(k) for k, _ in usable if k) or "none"
        raise Refused(
            "invalid_key",
            f"no SRS in {place} is large enough: found logrows {have}; {HINT.format(rows=rows)}",
        )
    return min(fitting)[1]


def _development(rows: int, cache: Path, tell: Callable[[str], None]) -> Path:
    """Made once for all processes of a machine."""
    cache.mkdir(parents=True, exist_ok=True)
    wanted = cache / f"{INSECURE}{rows}.srs"
    with (cache / f"{INSECURE}{rows}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases it when its holder is killed
        if rows_of(wanted) != rows:
            tell("development SRS")
            partial = wanted.with_suffix(".part")
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
            ezkl.gen_srs(partial, rows)
            os.replace(partial, wanted)
    return wanted
