"""The provers of statements, by name: the one place that builds them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from provery.core.ports import Ledger, StatementProver
from provery.provers.command import Command
from provery.provers.sp1_network import Sp1Network
from provery.provers.statement_native import NativeStatements


def build_statement_provers(
    env: Mapping[str, str], home: Path, ledger: Ledger, slots: int
) -> dict[str, StatementProver]:
    """Every prover of statements. None starts a child or opens a connection before its first call.

    Args:
        env: The process environment; see ``docs/configuration.md``.
        home: Working directory of the installation.
        ledger: Where provers that cost money write their intents.
        slots: Proofs at a time, of each prover that works on this machine.
    """
    provers: list[StatementProver] = [
        NativeStatements(env, home, slots),
        Sp1Network(env, home, ledger),
        Command(env, home),
    ]
    return {prover.name: prover for prover in provers}
