"""Keys of circuits: development set-up, the verifying key of a proving key, the check of a ceremony."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import InvalidKey, ProverCrashed
from provery.core.types import Json
from provery.provers.process import Command, run
from provery.provers.tools import Tools

_TOOL = Path(__file__).with_name("node") / "circuit_tool.cjs"
_CONTRIBUTION = re.compile(r"contribution #(\d+)[ ]?([^:]*):\s*((?:[0-9a-f]{8}\s*){16})")


@dataclass(frozen=True)
class Transcript:
    """What the check of a ceremony's transcript found."""

    contributions: tuple[dict[str, Json], ...]
    """``{"number", "name", "hash"}`` of each, in order; hashes are BLAKE2b-512 in hex."""


async def development_setup(tools: Tools, r1cs: Path, zkey: Path, vkey: Path) -> None:
    """Make a key pair in one step on this machine. Whoever runs it could forge proofs: for development only.

    Args:
        tools: Where the native prover is.
        r1cs: Constraint system.
        zkey: Proving key to write.
        vkey: Verifying key to write.
    """
    tools.need("native")
    argv = (str(tools.native), "zkey", "setup", "--r1cs", str(r1cs), "--out", str(zkey))
    await run(Command("the set-up", argv))
    await export_vkey(tools, zkey, vkey)


async def export_vkey(tools: Tools, zkey: Path, vkey: Path) -> None:
    """Check a proving key down to its points, and write the verifying key that it holds.

    Raises:
        InvalidKey: the proving key is damaged.
    """
    tools.need("native")
    argv = (str(tools.native), "zkey", "export-vkey", str(zkey), "--out", str(vkey))
    await run(Command("the native prover", argv))


async def witness_size(tools: Tools, wasm: Path) -> int:
    """Signals that a witness program computes.

    Raises:
        InvalidKey: if it is not circom's.
    """
    size = (await _ask(tools, "witness-size", str(wasm))).get("size")
    return size if isinstance(size, int) else -1


async def check_transcript(
    tools: Tools, r1cs: Path, ptau: Path, zkey: Path, *, skip_ptau: bool = False
) -> Transcript:
    """Check that a key came out of a ceremony for this circuit, from the powers of tau to the last contribution.

    Args:
        tools: Where Node and snarkjs are.
        r1cs: The circuit.
        ptau: Phase-2 powers of tau that the key was made from.
        zkey: The key.
        skip_ptau: Believe the powers of tau, which take hours to check where they are large.

    Raises:
        InvalidKey: the transcript does not hold, or has no contribution: then the secrets of the key are known.
    """
    skip = ("skip-ptau",) if skip_ptau else ()
    answer = await _ask(tools, "verify-setup", str(r1cs), str(ptau), str(zkey), *skip)
    lines = answer.get("said")
    said = "\n".join(str(line) for line in lines) if isinstance(lines, list) else ""
    if answer.get("ok") is not True:
        raise InvalidKey(
            f"the key's transcript does not hold: {said[-1000:]}", action="get the key and ptau again"
        )
    found = tuple(
        {"number": int(number), "name": name.strip(), "hash": "".join(digest.split())}
        for number, name, digest in sorted(_CONTRIBUTION.findall(said), key=lambda item: int(item[0]))
    )
    if not found:
        raise InvalidKey(
            "nobody has contributed to the key", action="run `snarkjs zkey contribute` and a beacon first"
        )
    return Transcript(found)


async def _ask(tools: Tools, question: str, *arguments: str) -> dict[str, Json]:
    tools.need("node", "modules")
    argv = (str(tools.node), str(_TOOL), str(tools.modules), question, *arguments)
    try:
        done = await run(Command("snarkjs", argv))
    except ProverCrashed as error:
        if type(error) is ProverCrashed:  # it reads files that somebody gave us: its refusal is about them
            raise InvalidKey(f"snarkjs cannot use the file: {error}") from None
        raise
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer if isinstance(answer, dict) else {}
