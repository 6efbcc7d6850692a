"""Verification of SP1's Groth16 proofs, by ``provery-prover sp1-verify``: one start takes five milliseconds.

Source: the verifier contracts of SP1, release by release. The pairing check is gnark-crypto's (``prover/sp1``).
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import InvalidKey, ProofRejected, ProverCrashed, ProverTimeout
from provery.core.redact import redact
from provery.provers.tools import ROOT, Tools

PROOF_BYTES = 260
"""Selector (4), A (64), B (128), C (64)."""
PUBLIC_BYTES = (72, 136)
"""Public values of the sync-committee program, before and after it learned to state header root and domain."""
PROGRAM_BYTES = 32
SELECTORS = {"v5.0.0": bytes.fromhex("a4594c59")}
"""First bytes of a proof, by release of SP1 whose wrapper can be checked here."""
_PATIENCE_S = 20.0
"""For one proof or a thousand, on a machine that is busy proving."""


@dataclass(frozen=True)
class Claim:
    """A proof and what it is to be a proof of."""

    proof: bytes
    public: bytes
    """Public values."""
    program: bytes
    """Hash of the program (SP1's ``vk.bytes32()``), 32 bytes, big-endian."""


def verify(proof: bytes, public: bytes, program: bytes, *, tools: Tools | None = None) -> None:
    """Check one proof. Blocks for about five milliseconds.

    Args:
        proof: 260 bytes.
        public: 72 or 136 bytes.
        program: Hash of the program, 32 bytes, big-endian.
        tools: Where ``provery-prover`` is; by default where the environment says.

    Raises:
        ProofRejected: it does not verify, or is not of a release in :data:`SELECTORS`.
        InvalidKey: ``program`` is not a program's hash.
        ConfigurationError: ``provery-prover`` is not there.
        ProverCrashed: it gave no answer.
    """
    (error,) = verdicts([Claim(proof, public, program)], tools=tools)
    if error is not None:
        raise error


def verdicts(claims: Sequence[Claim], *, tools: Tools | None = None) -> list[ProofRejected | None]:
    """Check many proofs with one start of the program, 1.5 milliseconds each.

    Returns:
        What is wrong with each, or None, in order.

    Raises:
        InvalidKey, ConfigurationError, ProverCrashed: as :func:`verify`.
    """
    found: list[ProofRejected | None] = []
    asked: list[int] = []
    for at, claim in enumerate(claims):
        if len(claim.program) != PROGRAM_BYTES:
            raise InvalidKey(
                "not the hash of a program", value=claim.program.hex(), expected=f"{PROGRAM_BYTES} bytes"
            )
        found.append(_malformed(claim))
        if found[-1] is None:
            asked.append(at)
    for at, reason in zip(asked, _ask([claims[at] for at in asked], tools or _tools()), strict=True):
        if reason:
            found[at] = ProofRejected(f"the SP1 proof does not verify: {reason}")
    return found


def _malformed(claim: Claim) -> ProofRejected | None:
    """Lengths and release: what needs no arithmetic."""
    if len(claim.proof) != PROOF_BYTES:
        return ProofRejected(
            "not an SP1 Groth16 proof", value=f"{len(claim.proof)} bytes", expected=f"{PROOF_BYTES}"
        )
    if len(claim.public) not in PUBLIC_BYTES:
        return ProofRejected(
            "not the public values of a sync-committee proof",
            value=f"{len(claim.public)} bytes",
            expected=" or ".join(map(str, PUBLIC_BYTES)),
        )
    if claim.proof[:4] not in SELECTORS.values():
        known = ", ".join(f"{selector.hex()} ({release})" for release, selector in SELECTORS.items())
        return ProofRejected(
            "the proof is of another release of SP1", value=claim.proof[:4].hex(), expected=known
        )
    return None


def _ask(claims: Sequence[Claim], tools: Tools) -> list[str]:
    """The program's answers: why each is rejected, empty where it is valid."""
    if not claims:
        return []
    tools.need("native")
    lines = [
        json.dumps({"proof": c.proof.hex(), "public": c.public.hex(), "program": c.program.hex()})
        for c in claims
    ]
    try:
        done = subprocess.run(
            [tools.native, "sp1-verify"],
            input="\n".join(lines) + "\n",
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            env={"PATH": os.environ.get("PATH", "")},
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ProverTimeout(
            "provery-prover sp1-verify gave no answer", expected=f"{_PATIENCE_S:g} s"
        ) from None
    try:
        answers = [json.loads(line) for line in done.stdout.splitlines()]
        reasons = [("" if a["valid"] is True else a.get("reason") or "no reason given") for a in answers]
    except (ValueError, TypeError, KeyError, AttributeError):
        reasons = []
    if done.returncode != 0 or len(reasons) != len(claims):
        raise ProverCrashed(
            f"provery-prover sp1-verify ended with status {done.returncode} and {len(reasons)} answers to"
            f" {len(claims)} proofs: {redact(done.stderr[-500:])}",
            action="run `make setup`: an older program lacks the command",
        )
    return reasons


def home_of(env: Mapping[str, str]) -> Path:
    """Working directory of the installation that the environment means."""
    return Path(env.get("PROVERY_HOME") or ROOT / ".provery")


def _tools() -> Tools:
    return Tools.find(os.environ, home_of(os.environ))
