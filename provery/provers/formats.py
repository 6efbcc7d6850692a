"""Headers of the files that circom and snarkjs write: r1cs, zkey, sym. Numbers are little-endian.

Only what is needed to tell whether files are whole and belong together; the provers check the rest.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import InvalidInput, InvalidKey

FIELD = 21888242871839275222246405745257275088548364400416034343698204186575808495617
"""Order of BN254's groups: circuit signals live in [0, FIELD)."""
BASE_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Modulus of BN254's coordinates."""


@dataclass(frozen=True)
class R1cs:
    """Shape of a constraint system."""

    n_vars: int
    n_outputs: int
    n_public_inputs: int
    n_private_inputs: int
    n_constraints: int

    @property
    def n_public(self) -> int:
        """Public signals: outputs first, then public inputs."""
        return self.n_outputs + self.n_public_inputs

    @property
    def domain(self) -> int:
        """Size of the evaluation domain of a Groth16 key for it: constraints plus one row per public signal and one."""
        return 1 << (self.n_constraints + self.n_public).bit_length()


@dataclass(frozen=True)
class Zkey:
    """Shape of a Groth16 proving key."""

    n_vars: int
    n_public: int
    domain: int


@dataclass(frozen=True)
class Signals:
    """Names that a circuit's users see, from its ``.sym`` file."""

    public: tuple[str, ...]
    """Names of the public signals in the order of ``public.json``."""
    inputs: dict[str, list[int]]
    """Input name to its dimensions; empty for a single number."""


def sections(path: Path, magic: bytes, error: type[InvalidInput]) -> dict[int, tuple[int, int]]:
    """Section table of an iden3 container, checked against the file's size.

    Args:
        path: File.
        magic: Its first four bytes.
        error: Class to raise.

    Returns:
        Section type to (offset, size); of a repeated type the first.
    """
    kind = magic.decode()
    size = path.stat().st_size
    found: dict[int, tuple[int, int]] = {}
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[:4] != magic:
            raise error(f"{path.name} is not a {kind} file", value=head[:4].decode("latin-1"), expected=kind)
        at = 12
        for _ in range(struct.unpack("<I", head[8:])[0]):
            file.seek(at)
            entry = file.read(12)
            number, length = struct.unpack("<IQ", entry) if len(entry) == 12 else (0, size)
            if at + 12 + length > size:
                raise error(
                    f"{path.name} is cut off", value=f"{size} bytes", expected=f"at least {at + 12 + length}"
                )
            found.setdefault(number, (at + 12, length))
            at += 12 + length
    return found


def read_r1cs(path: Path) -> R1cs:
    """Shape of an ``.r1cs`` file.

    Raises:
        InvalidInput: if it is cut off, not an r1cs file, or over another field.
    """
    header = _header(path, b"r1cs", 1, 64, InvalidInput)
    if struct.unpack_from("<I", header)[0] != 32 or int.from_bytes(header[4:36], "little") != FIELD:
        raise InvalidInput(
            f"{path.name} is over another field", expected="BN254", action="compile with --prime bn128"
        )
    wires, outputs, public, private, _, constraints = struct.unpack_from("<IIIIQI", header, 36)
    return R1cs(wires, outputs, public, private, constraints)


def read_zkey(path: Path) -> Zkey:
    """Shape of a Groth16 ``.zkey`` file.

    Raises:
        InvalidKey: if it is cut off, not a zkey, of another proof system or curve, or its sections have wrong sizes.
    """
    table = sections(path, b"zkey", InvalidKey)
    protocol = _part(path, table, 1, InvalidKey)
    if struct.unpack_from("<I", protocol.ljust(4))[0] != 1:
        raise InvalidKey(
            f"{path.name} is not a Groth16 key", action="make the key with `snarkjs groth16 setup`"
        )
    header = _part(path, table, 2, InvalidKey)
    if len(header) < 84 or int.from_bytes(header[4:36], "little") != BASE_FIELD:
        raise InvalidKey(f"{path.name} is over another curve", expected="BN254")
    n_vars, n_public, domain = struct.unpack_from("<III", header, 72)
    # G1 points take 64 bytes, G2 points 128: the sizes say whether header and body are of one circuit.
    expected = {3: 64 * (n_public + 1), 5: 64 * n_vars, 6: 64 * n_vars, 7: 128 * n_vars,
                8: 64 * (n_vars - n_public - 1), 9: 64 * domain}  # fmt: skip
    for number, size in expected.items():
        got = table.get(number, (0, -1))[1]
        if got != size:
            raise InvalidKey(f"{path.name} is damaged: section {number}", value=got, expected=f"{size} bytes")
    return Zkey(n_vars, n_public, domain)


def read_signals(path: Path, r1cs: R1cs) -> Signals:
    """Names and dimensions from a ``.sym`` file: lines of label, wire, component, name; main's signals come first."""
    count = r1cs.n_public + r1cs.n_private_inputs
    names: list[str] = []
    with path.open(encoding="utf-8") as file:
        for line in file:
            names.append(line.rstrip("\n").split(",", 3)[3].removeprefix("main."))
            if len(names) == count:
                break
    inputs: dict[str, list[int]] = {}
    for name in names[r1cs.n_outputs :]:
        indices = [int(i) + 1 for i in re.findall(r"\[(\d+)\]", name)]
        stem = name.split("[", 1)[0]
        inputs[stem] = [max(pair) for pair in zip(inputs.get(stem, indices), indices, strict=True)]
    return Signals(tuple(names[: r1cs.n_public]), inputs)


def check_wasm(path: Path) -> None:
    """Check that a file is a WebAssembly module.

    Raises:
        InvalidInput: if it is not.
    """
    with path.open("rb") as file:
        if file.read(8) != b"\0asm\x01\0\0\0":
            raise InvalidInput(
                f"{path.name} is not a WebAssembly module", expected="circom's witness program"
            )


def _header(path: Path, magic: bytes, number: int, least: int, error: type[InvalidInput]) -> bytes:
    part = _part(path, sections(path, magic, error), number, error)
    if len(part) < least:
        raise error(
            f"{path.name} is damaged: section {number}", value=len(part), expected=f"{least} bytes or more"
        )
    return part


def _part(path: Path, table: dict[int, tuple[int, int]], number: int, error: type[InvalidInput]) -> bytes:
    if number not in table:
        raise error(f"{path.name} is damaged: no section {number}")
    at, size = table[number]
    with path.open("rb") as file:
        file.seek(at)
        return file.read(min(size, 4_096))
