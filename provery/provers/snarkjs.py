"""snarkjs as a prover: the reference that the others are compared with (``node/snarkjs_serve.cjs``)."""

from __future__ import annotations

from provery.provers.circom import PoolSettings, ResidentProver
from provery.provers.process import Command
from provery.provers.tools import SERVE, Tools


class SnarkjsProver(ResidentProver):
    """Drives snarkjs in a resident Node process."""

    name = "snarkjs"

    def __init__(self, tools: Tools, settings: PoolSettings) -> None:
        def command() -> Command:
            tools.need("node", "modules")
            return Command("snarkjs", (str(tools.node), str(SERVE), str(tools.modules)))

        super().__init__(settings.pool(command))
