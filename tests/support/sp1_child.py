"""``python -m tests.support.sp1_child FOLDER PERIOD``: one period proved on a prover network, by a process to kill."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from provery.provers.sp1_network import Sp1Network
from provery.stores.ledger import open_ledger
from tests.support import sp1


async def main(folder: Path, period: int) -> None:
    """Prove with the ledger, the settings and the statement of a test."""
    ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    prover = Sp1Network(os.environ, folder, ledger)
    into = folder / f"into-{os.getpid()}"
    into.mkdir()
    await prover.prove(sp1.statement(folder, period), into, lambda *told: None)
    await prover.close()
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
