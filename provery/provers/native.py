"""The default prover: our own Groth16 program in Go (``provery-prover serve``)."""

from __future__ import annotations

from provery.provers.circom import PoolSettings, ResidentProver
from provery.provers.process import Command
from provery.provers.tools import Tools


class NativeProver(ResidentProver):
    """Drives ``provery-prover serve``."""

    name = "native"

    def __init__(self, tools: Tools, settings: PoolSettings) -> None:
        def command() -> Command:
            tools.need("native")
            return Command("the native prover", (str(tools.native), "serve"))

        super().__init__(settings.pool(command))
