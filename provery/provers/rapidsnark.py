"""rapidsnark as a prover, where a C compiler has built it. It only proves; the native program does the rest.

The library neither checks its key nor its own proof, so both are done around it: the key is parsed once by the native
program, and a proof is written under its name only after it has been verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from provery.core.errors import InvalidWitness, ProofRejected, ProverCrashed
from provery.core.ports import CircuitFiles, ItemResult, Progress, ProveItem, VerifyItem, WitnessItem
from provery.core.types import Json
from provery.provers.circom import PoolSettings, ResidentProver
from provery.provers.native import NativeProver
from provery.provers.process import Command
from provery.provers.tools import Tools


class RapidsnarkProver(ResidentProver):
    """Drives the rapidsnark program; shares its witness and verify steps with the native prover.

    Args:
        tools: Where the program is.
        settings: How its children are kept.
        native: Computes witnesses, checks keys and verifies.
    """

    name = "rapidsnark"

    def __init__(self, tools: Tools, settings: PoolSettings, native: NativeProver) -> None:
        def command() -> Command:
            tools.need("rapidsnark")
            return Command("rapidsnark", (str(tools.rapidsnark), "serve"))

        super().__init__(settings.pool(command))
        self._tools = tools
        self._native = native
        self._sound: set[str] = set()

    async def witness(
        self, circuit: CircuitFiles, items: Sequence[WitnessItem], progress: Progress
    ) -> list[ItemResult]:
        """Compute witnesses with the native prover."""
        return await self._native.witness(circuit, items, progress)

    async def prove(
        self, circuit: CircuitFiles, items: Sequence[ProveItem], progress: Progress
    ) -> list[ItemResult]:
        """Make proofs; each is verified before it is written."""
        self._tools.need("rapidsnark", "native")
        key = f"{circuit.zkey}:{circuit.zkey_sha256}"
        if key not in self._sound:
            request: dict[str, Json] = {"zkey": str(circuit.zkey), "zkey_sha256": circuit.zkey_sha256}
            await self._native.pool.call("inspect", request)
            self._sound.add(key)
        drafts = [replace(item, proof=_draft(item.proof), public=_draft(item.public)) for item in items]
        try:
            made = await super().prove(circuit, drafts, progress)
            good = [i for i, result in enumerate(made) if result.error is None]
            await asyncio.to_thread(_complete, [drafts[i].proof for i in good])
            checks = await self._native.verify(
                circuit, [VerifyItem(drafts[i].proof, drafts[i].public) for i in good]
            )
            for i, check in zip(good, checks, strict=True):
                if isinstance(check.error, ProofRejected):
                    why = "rapidsnark: the witness does not satisfy the circuit: its proof does not verify"
                    made[i] = replace(made[i], error=InvalidWitness(why), detail={})
                elif check.error is not None:
                    made[i] = replace(made[i], error=check.error, detail={})
                else:
                    detail = await asyncio.to_thread(_publish, drafts[i], items[i])
                    made[i] = replace(made[i], detail=detail)
            return made
        finally:
            for draft in drafts:
                for path in (draft.proof, draft.public):
                    with contextlib.suppress(OSError):
                        os.unlink(path)

    async def verify(self, circuit: CircuitFiles, items: Sequence[VerifyItem]) -> list[ItemResult]:
        """Check proofs with the native prover."""
        return await self._native.verify(circuit, items)


def _draft(path: Path) -> Path:
    return path.with_name(f"{path.name}.unverified")


def _complete(proofs: Sequence[Path]) -> None:
    """Write the curve into proofs: snarkjs's form has it, the library's lacks it."""
    for proof in proofs:
        try:
            found = json.loads(proof.read_bytes())
        except (OSError, ValueError) as error:
            raise ProverCrashed(f"rapidsnark's proof cannot be read: {error}") from None
        if isinstance(found, dict):
            proof.write_text(json.dumps({**found, "curve": "bn128"}))


def _publish(draft: ProveItem, item: ProveItem) -> dict[str, Json]:
    """Give a verified proof its name."""
    detail: dict[str, Json] = {"public": json.loads(draft.public.read_bytes())}
    for role, source, target in (
        ("public_file", draft.public, item.public),
        ("proof", draft.proof, item.proof),
    ):
        data = source.read_bytes()
        os.replace(source, target)
        detail[role] = {"path": str(target), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return detail
