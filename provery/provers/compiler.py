"""circom sources to r1cs, witness program and symbols, with the npm compiler (circom2, circom in WebAssembly)."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import InvalidInput, ProverCrashed
from provery.core.types import digest_json
from provery.provers.process import Command, run
from provery.provers.tools import Tools

OPTIONS = ("--O2",)
"""Full simplification: for circuits of Poseidon hashes it halves wires and domain, and with them proving time."""
_COMMENT = re.compile(r'"[^"\n]*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_INCLUDE = re.compile(r'\binclude\s+"([^"\n]*)"\s*;')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_FILES = 10_000
"""Files that one circuit may include."""


@dataclass(frozen=True)
class Source:
    """A circuit's source and all it includes."""

    main: str
    """The main file, as a path in ``files``."""
    files: dict[str, Path]
    """Where each file goes in a compilation's folder: ``src/…`` or ``lib/…``."""
    sha256: str
    """Digest of all contents and their places, and of the compiler's options."""


@dataclass(frozen=True)
class Compiled:
    """What the compiler wrote."""

    r1cs: Path
    wasm: Path
    sym: Path
    compiler: str


def gather(main: Path, library: Path) -> Source:
    """Find a circuit's included files: beside the including file, else in the library folder.

    Args:
        main: Path of the file with the main component.
        library: Folder of installed libraries, such as circomlib.

    Raises:
        InvalidInput: a file is missing, or an include is absolute.
    """
    main, library = main.resolve(), library.resolve()
    if not main.is_file():
        raise InvalidInput("there is no such circuit source", value=main, expected="a .circom file")
    own: set[Path] = set()
    libraries: set[Path] = set()
    pending = [main]
    while pending:
        path = pending.pop()
        seen = libraries if path.is_relative_to(library) else own
        if path in seen:
            continue
        seen.add(path)
        if len(own) + len(libraries) > _FILES:
            raise InvalidInput("the circuit includes too many files", expected=f"at most {_FILES}")
        pending += [_included(path, name, library) for name in _includes(path)]
    root = Path(os.path.commonpath([path.parent for path in own]))
    files = {f"src/{path.relative_to(root).as_posix()}": path for path in own}
    files |= {f"lib/{path.relative_to(library).as_posix()}": path for path in libraries}
    digests = [[name, hashlib.sha256(files[name].read_bytes()).hexdigest()] for name in sorted(files)]
    name = f"src/{main.relative_to(root).as_posix()}"
    return Source(name, files, digest_json([name, digests, list(OPTIONS)]))


def _includes(path: Path) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"cannot read the circuit source: {error}", value=path) from None
    bare = _COMMENT.sub(lambda found: found[0] if found[0].startswith('"') else " ", text)
    return _INCLUDE.findall(bare)


def _included(path: Path, name: str, library: Path) -> Path:
    if name.startswith("/"):
        raise InvalidInput(
            "an include is absolute", value=name, expected="a path relative to the file or a library"
        )
    for folder in (path.parent, library):
        found = (folder / name).resolve()
        if found.is_file():
            return found
    raise InvalidInput(f"{path.name} includes a file that is not there", value=name, expected=f"in {library}")


async def compile_source(source: Source, tools: Tools, folder: Path) -> Compiled:
    """Compile a circuit.

    Args:
        source: From :func:`gather`.
        tools: Where Node and circom2 are.
        folder: Empty folder to work in.

    Raises:
        InvalidInput: the source does not compile; the message holds the compiler's.
    """
    tools.need("node", "modules")
    for name, path in source.files.items():
        # Copies, because the compiler runs in a sandbox that sees no files above the folder it is started in.
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (folder / "lib").mkdir(exist_ok=True)
    (folder / "out").mkdir()
    program = tools.modules / "circom2" / "cli.js"
    argv = (
        str(tools.node),
        str(program),
        source.main,
        "--r1cs",
        "--wasm",
        "--sym",
        *OPTIONS,
        "-l",
        "lib",
        "-o",
        "out",
    )
    try:
        done = await run(Command("the circom compiler", argv, cwd=folder))
    except ProverCrashed as error:
        if type(error) is ProverCrashed:
            raise InvalidInput(_COLOUR.sub("", str(error)), action="correct the circuit") from None
        raise
    stem = Path(source.main).stem
    out = folder / "out"
    compiled = Compiled(
        out / f"{stem}.r1cs", out / f"{stem}_js" / f"{stem}.wasm", out / f"{stem}.sym", _version(tools)
    )
    if not (compiled.r1cs.is_file() and compiled.wasm.is_file()):
        words = _COLOUR.sub("", done.stderr + done.stdout)
        raise InvalidInput(
            f"the circom compiler wrote no circuit; it said: {words[-2000:]}", action="correct the circuit"
        )
    return compiled


def _version(tools: Tools) -> str:
    text = (tools.modules / "circom2" / "package.json").read_text(encoding="utf-8")
    found = re.search(r'"version"\s*:\s*"([^"]+)"', text)
    return f"circom2 {found[1] if found else 'unknown'} {' '.join(OPTIONS)}"
