"""File headers, from hand-made files."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from provery.core.errors import InvalidInput, InvalidKey
from provery.provers.belong import check_files
from provery.provers.formats import BASE_FIELD, FIELD, R1cs, read_r1cs, read_signals, read_zkey

WASM = b"\0asm\x01\0\0\0"


def container(magic: bytes, parts: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(struct.pack("<IQ", number, len(part)) + part for number, part in parts)
    return magic + struct.pack("<II", 1, len(parts)) + body


def number(value: int) -> bytes:
    return value.to_bytes(32, "little")


def r1cs(
    constraints: list[tuple[dict[int, int], dict[int, int], dict[int, int]]],
    wires: int = 4,
    field: int = FIELD,
) -> bytes:
    """One output, one public input, one private input."""
    head = (
        struct.pack("<I", 32)
        + number(field)
        + struct.pack("<IIIIQI", wires, 1, 1, 1, wires, len(constraints))
    )
    rows = b"".join(
        struct.pack("<I", len(side))
        + b"".join(struct.pack("<I", wire) + number(value) for wire, value in side.items())
        for constraint in constraints
        for side in constraint
    )
    return container(b"r1cs", [(1, head), (2, rows)])


def zkey(entries: list[tuple[int, int, int, int]], wires: int = 4, public: int = 2, domain: int = 4) -> bytes:
    scale = pow(2, 512, FIELD)
    head = struct.pack("<I", 32) + number(BASE_FIELD) + struct.pack("<I", 32) + number(FIELD)
    head += struct.pack("<III", wires, public, domain) + bytes(576)
    table = struct.pack("<I", len(entries)) + b"".join(
        struct.pack("<III", matrix, row, signal) + number(value * scale % FIELD)
        for matrix, row, signal, value in entries
    )
    sizes = {
        3: 64 * (public + 1),
        5: 64 * wires,
        6: 64 * wires,
        7: 128 * wires,
        8: 64 * (wires - public - 1),
        9: 64 * domain,
    }
    parts = [
        (1, struct.pack("<I", 1)),
        (2, head),
        (4, table),
        *((k, bytes(size)) for k, size in sizes.items()),
    ]
    return container(b"zkey", parts)


SYSTEM = [({3: 1}, {3: 1}, {1: 1})]
ENTRIES = [(0, 0, 3, 1), (1, 0, 3, 1), (0, 1, 0, 1), (0, 2, 1, 1), (0, 3, 2, 1)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {name: tmp_path / f"c.{name}" for name in ("r1cs", "wasm", "zkey")}
    found["r1cs"].write_bytes(r1cs(SYSTEM))
    found["wasm"].write_bytes(WASM)
    found["zkey"].write_bytes(zkey(ENTRIES))
    return found


def test_files_that_belong_together_are_taken(files: dict[str, Path]) -> None:
    assert check_files("c", **files) == R1cs(4, 1, 1, 1, 1)
    files["zkey"].write_bytes(zkey(ENTRIES[::-1]))
    check_files("c", **files)  # the order of the coefficients is the writer's choice


@pytest.mark.parametrize(
    "key",
    [
        zkey(ENTRIES, wires=5),
        zkey(ENTRIES, public=1),
        zkey(ENTRIES, domain=8),
        zkey(ENTRIES[1:]),
        zkey([(0, 0, 2, 1), *ENTRIES[1:]]),
        zkey([(0, 0, 3, 2), *ENTRIES[1:]]),
        zkey([*ENTRIES, ENTRIES[0]]),
        zkey(ENTRIES)[:-1],
        zkey(ENTRIES)[:50],
        b"",
        b"zkey",
        b"zkey" + struct.pack("<II", 1, 2**32 - 1),
        b"zkey" + struct.pack("<IIIQ", 1, 1, 1, 2**64 - 1),
        container(b"zkey", [(1, struct.pack("<I", 2))]),
        container(b"zkey", [(1, struct.pack("<I", 1)), (2, bytes(900))]),
        container(b"zkey", []),
    ],
)
def test_a_foreign_or_damaged_key_is_refused(files: dict[str, Path], key: bytes) -> None:
    files["zkey"].write_bytes(key)
    with pytest.raises(InvalidKey):
        check_files("c", **files)


@pytest.mark.parametrize(
    "system",
    [
        b"",
        b"r1cs",
        r1cs(SYSTEM, field=BASE_FIELD),
        r1cs(SYSTEM)[:60],
        container(b"r1cs", [(1, b"")]),
        zkey(ENTRIES),
    ],
)
def test_a_damaged_constraint_system_is_refused(files: dict[str, Path], system: bytes) -> None:
    files["r1cs"].write_bytes(system)
    with pytest.raises(InvalidInput):
        check_files("c", **files)


def test_rows_that_run_past_their_section_are_refused(files: dict[str, Path]) -> None:
    data = r1cs(SYSTEM)
    at = data.index(struct.pack("<I", 1) + struct.pack("<I", 3))
    files["r1cs"].write_bytes(data[:at] + struct.pack("<I", 10_000) + data[at + 4 :])
    with pytest.raises(InvalidInput, match="damaged"):
        check_files("c", **files)


def test_a_witness_program_must_be_one(files: dict[str, Path]) -> None:
    files["wasm"].write_bytes(b"\0elf")
    with pytest.raises(InvalidInput, match="WebAssembly"):
        check_files("c", **files)


def test_domain_counts_a_row_per_public_signal_and_one() -> None:
    assert [R1cs(9, 1, 1, 1, n).domain for n in (1, 5, 6, 13, 14)] == [4, 8, 16, 16, 32]


def test_shapes_are_read(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(r1cs(SYSTEM))
    (tmp_path / "b").write_bytes(zkey(ENTRIES))
    assert read_r1cs(tmp_path / "a").n_public == 2
    assert read_zkey(tmp_path / "b").domain == 4


def test_signals_and_their_dimensions(tmp_path: Path) -> None:
    names = ["out", "root", "path[0][0]", "path[0][1]", "path[1][0]", "path[1][1]", "inner.x", "tail"]
    path = tmp_path / "c.sym"
    path.write_text("".join(f"{i},{i},1,main.{name}\n" for i, name in enumerate(names, 1)))
    found = read_signals(path, R1cs(20, 1, 1, 4, 9))
    assert found.public == ("out", "root")
    assert found.inputs == {"root": [], "path": [2, 2]}
