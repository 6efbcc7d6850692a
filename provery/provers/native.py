"""The default prover: our own Groth16 program in Go (``provery-prover serve``)."""

from __future__ import annotations

from pathlib import Path

from provery.provers.circom import PoolSettings, ResidentProver
from provery.provers.process import Command
from provery.provers.tools import Tools


class NativeProver(ResidentProver):
    """Drives ``provery-prover serve``.

    Args:
        tools: Where the program is.
        settings: How its children are kept.
        cache: Folder that keeps compiled witness programs from one child to the next.
    """

    name = "native"

    def __init__(self, tools: Tools, settings: PoolSettings, cache: Path) -> None:
        def command() -> Command:
            tools.need("native")
            cache.mkdir(parents=True, exist_ok=True)
            return Command("the native prover", (str(tools.native), "serve", "--wasm-cache", str(cache)))

        super().__init__(settings.pool(command))
