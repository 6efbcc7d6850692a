"""A small prover of statements: its proof is a BLS signature over the statement's files, which really has to verify.

It claims no knowledge, which is all that it lacks: a changed byte of statement, proof or key is found out.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from provery.core.errors import InvalidInput, ProofRejected, ProveryError
from provery.core.ports import Progress, Proof, Statement
from provery.systems.beacon import bls
from provery.systems.beacon.bls import DST

PROOF, PUBLIC = "native_proof.bin", "native_public.json"


class Signer:
    """A StatementProver.

    Args:
        name: Its name.
        secret: Its key.
        compresses: Whether the proof is made in two steps: first the long form, twice, then the short one.
        delay_s: Seconds that a proof takes.
    """

    def __init__(
        self, name: str = "native", secret: int = 7, *, compresses: bool = False, delay_s: float = 0.0
    ) -> None:
        self.name, self.compresses, self.delay_s = name, compresses, delay_s
        self.secret = secret
        self.proved: list[str] = []
        """Periods, in the order in which proving began."""
        self.given: dict[str, list[str]] = {}
        """Names of the statement's files by period."""
        self.fail: Callable[[Statement], ProveryError | None] = lambda statement: None
        self.spoil = False
        """Make proofs of which one byte is wrong."""

    @property
    def public(self) -> bytes:
        return (G1Point() * Scalar(self.secret)).to_compressed_bytes()

    @property
    def key(self) -> str:
        return hashlib.sha256(self.public).hexdigest()

    async def verifying_key(self, circuit: str) -> str:
        return self.key

    async def prove(self, statement: Statement, into: Path, progress: Progress) -> Proof:
        period = statement.params.get("period") or statement.unit.key
        self.proved.append(period)
        self.given[period] = sorted(statement.files)
        progress("sign", 0, 1)
        await asyncio.sleep(self.delay_s)
        error = self.fail(statement)
        if error is not None:
            raise error
        signature = (
            G2Point.hash_to_curve(_message(statement), DST) * Scalar(self.secret)
        ).to_compressed_bytes()
        if self.spoil:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        (into / PROOF).write_bytes(signature * (2 if self.compresses else 1))
        public = {"statement": _message(statement).hex(), "period": period}
        (into / PUBLIC).write_text(json.dumps(public))
        files = {name: into / name for name in (PROOF, PUBLIC)}
        return Proof(files, {"verifying_key": self.key, "insecure": "true"})

    async def compress(
        self, statement: Statement, proof: Mapping[str, Path], into: Path, progress: Progress
    ) -> Proof:
        (into / PROOF).write_bytes(proof[PROOF].read_bytes()[:96])
        return Proof({PROOF: into / PROOF})

    async def verify(self, statement: Statement, proof: Mapping[str, Path]) -> Mapping[str, str]:
        if PROOF not in proof or PUBLIC not in proof:
            raise InvalidInput("files are missing", value=sorted(proof), expected=f"{PROOF}, {PUBLIC}")
        try:
            said = json.loads(proof[PUBLIC].read_bytes())
            if said["statement"] != _message(statement).hex() or said["period"] != statement.params["period"]:
                raise ProofRejected("the proof is of another statement")
            bls.verify([self.public], _message(statement), proof[PROOF].read_bytes())
        except (InvalidInput, ValueError, KeyError, TypeError) as error:
            raise ProofRejected(f"the proof does not verify: {error}") from error
        return {"insecure": "true"}

    async def close(self) -> None:
        return None


def _message(statement: Statement) -> bytes:
    body = statement.files["update.json"].read_bytes()
    return hashlib.sha256(statement.circuit.encode() + b"\0" + body).digest()
