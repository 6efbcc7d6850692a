"""Whether a proving key was made for a constraint system, as far as the files can tell.

A key repeats the system's left and right sides (its section 4), so a key of another circuit of the same shape shows. It
does not repeat the right-hand results: only a ceremony's transcript, or a proof, tells about these.
"""

from __future__ import annotations

import hashlib
import mmap
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from provery.core.errors import InvalidInput, InvalidKey
from provery.provers.formats import FIELD, R1cs, check_wasm, read_r1cs, read_zkey, sections

_SCALE = pow(2, 512, FIELD)
"""A key stores a coefficient times R², so that one multiplication with a plain witness value gives Montgomery form."""
_ENTRY = struct.Struct("<III32s")


def check_files(name: str, r1cs: Path, wasm: Path, zkey: Path) -> R1cs:
    """Check that a circuit's files are whole and belong together.

    Args:
        name: Circuit, for errors.
        r1cs: Constraint system.
        wasm: Witness program; only that it is one.
        zkey: Proving key.

    Raises:
        InvalidKey: the key is damaged, or was made for another circuit.
        InvalidInput: another file is damaged.
    """
    check_wasm(wasm)
    shape, key = read_r1cs(r1cs), read_zkey(zkey)
    for what, got, expected in (
        ("signals", key.n_vars, shape.n_vars),
        ("public signals", key.n_public, shape.n_public),
        ("domain", key.domain, shape.domain),
    ):
        if got != expected:
            raise InvalidKey(
                f"the key does not belong to circuit {name}: {what}", value=got, expected=str(expected)
            )
    if _of_key(zkey) != _of_system(r1cs, shape):
        raise InvalidKey(f"the key does not belong to circuit {name}: its coefficients are another circuit's")
    return shape


def _of_key(path: Path) -> int:
    """Digest of a key's coefficients, whatever their order: it is the writer's choice."""
    at, size = sections(path, b"zkey", InvalidKey).get(4, (0, 0))
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if size < 4 or size != 4 + 44 * struct.unpack_from("<I", data, at)[0]:
            raise InvalidKey(f"{path.name} is damaged: section 4", value=size)
        return _digest(data[i : i + 44] for i in range(at + 4, at + size, 44))


def _of_system(path: Path, shape: R1cs) -> int:
    """What ``_of_key`` gives for a key of this system: both sides of each row, then a row per public signal."""
    at, size = sections(path, b"r1cs", InvalidInput).get(2, (0, 0))
    end = at + size

    def entries(data: mmap.mmap) -> Iterator[bytes]:
        here = at
        for row in range(shape.n_constraints):
            for matrix in range(3):
                (count,) = struct.unpack_from("<I", data, here)
                here += 4
                if here + 36 * count > end:
                    raise InvalidInput(f"{path.name} is damaged: row {row}")
                if matrix < 2:
                    for term in range(here, here + 36 * count, 36):
                        (wire,) = struct.unpack_from("<I", data, term)
                        yield _ENTRY.pack(matrix, row, wire, _scaled(data[term + 4 : term + 36]))
                here += 36 * count
        for signal in range(shape.n_public + 1):
            yield _ENTRY.pack(0, shape.n_constraints + signal, signal, _scaled(b"\1".ljust(32, b"\0")))

    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return _digest(entries(data))
    except struct.error:
        raise InvalidInput(f"{path.name} is cut off") from None


def _scaled(value: bytes) -> bytes:
    return (int.from_bytes(value, "little") * _SCALE % FIELD).to_bytes(32, "little")


def _digest(entries: Iterable[bytes]) -> int:
    return sum(int.from_bytes(hashlib.blake2b(entry, digest_size=16).digest(), "little") for entry in entries)
