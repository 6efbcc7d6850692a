"""rapidsnark as a prover, where a C compiler has built it. It only proves; the native program does the rest."""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.ports import CircuitFiles, ItemResult, Progress, VerifyItem, WitnessItem
from provery.provers.circom import PoolSettings, ResidentProver
from provery.provers.native import NativeProver
from provery.provers.process import Command
from provery.provers.tools import Tools


class RapidsnarkProver(ResidentProver):
    """Drives the rapidsnark program; shares its witness and verify steps with the native prover."""

    name = "rapidsnark"

    def __init__(self, tools: Tools, settings: PoolSettings, native: NativeProver) -> None:
        def command() -> Command:
            tools.need("rapidsnark")
            return Command("rapidsnark", (str(tools.rapidsnark), "serve"))

        super().__init__(settings.pool(command))
        self._native = native

    async def witness(
        self, circuit: CircuitFiles, items: Sequence[WitnessItem], progress: Progress
    ) -> list[ItemResult]:
        """Compute witnesses with the native prover."""
        return await self._native.witness(circuit, items, progress)

    async def verify(self, circuit: CircuitFiles, items: Sequence[VerifyItem]) -> list[ItemResult]:
        """Check proofs with the native prover."""
        return await self._native.verify(circuit, items)
