"""A prover, a ledger and a network, wired up for a test."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from provery.core.ports import Proof, Statement
from provery.core.types import Unit
from provery.provers.sp1_network import Sp1Network
from provery.stores.ledger import SqlLedger, open_ledger
from tests.support import sp1
from tests.support.sp1_network import VK_HASH, Network, running

HELPER = """
import os, pathlib, sys
sync = pathlib.Path(sys.argv[sys.argv.index("--input-file") + 1])
assert sync.stat().st_size == 49711
period = sync.stem.rpartition("_")[2]
pathlib.Path(sys.argv[sys.argv.index("--output") + 1]).write_text(f"stdin of period {period}" + " " * 50_000)
pathlib.Path(__file__).with_name("stdin-environment").write_text(repr((sys.argv, dict(os.environ))))
"""
"""Stands for the program that makes SP1's stdin: says which period, and leaves behind what it was given."""


def environment(folder: Path, network: Network, **changes: str) -> dict[str, str]:
    """Settings of a prover: short times, the network's address and a program."""
    helper, elf = folder / "stdin.py", folder / "program.elf"
    helper.write_text(HELPER)
    elf.write_bytes(b"\x7fELF of nothing")
    return {
        "SP1_PRIVATE_KEY": sp1.KEY,
        "PROVERY_SP1_RPC_URL": network.url,
        "PROVERY_SP1_PROGRAM": sp1.PROGRAM,
        "PROVERY_SP1_VK_HASH": VK_HASH.hex(),
        "PROVERY_SP1_VK": str(sp1.VECTORS / "sp1/vk.bin"),
        "PROVERY_SP1_ELF": str(elf),
        "PROVERY_SP1_STDIN_COMMAND": f"{sys.executable} -I -S {helper}",
        "PROVERY_SP1_POLL_S": "0.05",
        "PROVERY_SP1_LOOK_S": "1",
        "PROVERY_SP1_SETTLE_S": "2",
        **changes,
    }


@dataclass
class Rig:
    """Hands on a prover."""

    folder: Path
    network: Network
    ledger: SqlLedger
    prover: Sp1Network
    env: dict[str, str]
    steps: list[str] = field(default_factory=list)
    _numbers: Any = field(default_factory=itertools.count)

    def told(self, step: str, done: float, total: float) -> None:
        """Progress."""
        self.steps.append(step)

    def into(self) -> Path:
        """A new directory for outputs."""
        made = self.folder / f"into-{os.getpid()}-{next(self._numbers)}"
        made.mkdir()
        return made

    def statement(self, period: int, *, request_key: str = "", key: str = "") -> Statement:
        """The statement of a period; ``key`` puts it into another unit."""
        made = sp1.statement(self.folder, period, request_key=request_key)
        if not key:
            return made
        unit = Unit(made.unit.system, made.unit.stream, key)
        return Statement(unit, made.circuit, made.files, made.params, request_key or key)

    async def prove(
        self, period: int, *, request_key: str = "", key: str = "", by: Sp1Network | None = None
    ) -> Proof:
        """Run the prove stage."""
        given = self.statement(period, request_key=request_key, key=key)
        return await (by or self.prover).prove(given, self.into(), self.told)

    async def compress(self, period: int, proof: Proof) -> Proof:
        """Run the compress stage."""
        return await self.prover.compress(self.statement(period), proof.files, self.into(), self.told)

    async def submissions(self, key: int | str) -> list[dict[str, Any]]:
        """What the ledger has of a unit's outward calls."""
        told = await self.ledger.audit(Unit("beacon", "mainnet", str(key)))
        return cast(list[dict[str, Any]], told["submissions"])

    def another(self) -> Sp1Network:
        """A second worker's prover."""
        return Sp1Network(self.env, self.folder, self.ledger)


@asynccontextmanager
async def rig(folder: Path, network: Network | None = None, /, **changes: str) -> AsyncIterator[Rig]:
    """A rig, until the block ends."""
    async with running(network or Network()) as made:
        env = environment(folder, made, **changes)
        ledger = open_ledger(f"sqlite:///{folder / 'ledger.db'}")
        prover = Sp1Network(env, folder, ledger)
        try:
            yield Rig(folder, made, ledger, prover, env)
        finally:
            await prover.close()
            await ledger.close()
