"""The hotshot circuit at the networks' capacity on a real certificate, by Groth16 and by PLONK, and its gas on chain.

Keys are made in ``$PROVERY_BENCH_KEYS`` and found there by the next run. What is measured is a proof with cached keys,
in a child of its own as the workers have it, loading and verification included, and a transaction that verifies this
proof by the exported verifier. CPU seconds count for more than wall time on a machine that is shared.
"""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic

from bench.hotshot_gas import verify_gas
from bench.results import Figures, figure
from provery.core.ports import Proof, Statement
from provery.core.types import Unit
from provery.provers.statement_native import PROOF, NativeStatements
from provery.provers.tools import ROOT

CIRCUITS = {"groth16": "hotshot-state-200", "plonk": "hotshot-state-200-plonk"}
EPOCH = 3
DOCUMENT = ROOT / "provery" / "systems" / "hotshot" / "vectors" / "circuit" / f"epoch-{EPOCH}.json"


async def run(home: Path) -> Figures:
    """Prove and verify under each scheme; a proof that does not verify raises."""
    keys = os.environ.get("PROVERY_BENCH_KEYS") or str(home / "circuits")
    env = {**os.environ, "PROVERY_STATEMENT_KEYS": keys}
    for name in ("PROVERY_ENV", "PROVERY_ALLOW_INSECURE_KEYS"):
        env.pop(name, None)
    figures: Figures = {}
    for scheme in CIRCUITS:
        native = NativeStatements(env, ROOT / ".provery", 1)
        try:
            figures |= await _measure(native, home, scheme)
        finally:
            await native.close()
    return figures


async def _measure(native: NativeStatements, home: Path, scheme: str) -> Figures:
    circuit = CIRCUITS[scheme]
    await native.reply("circuit_setup", circuit, _silent)
    proof = await _prove(native, home, circuit)
    constraints = {c.name: c.constraints for c in await native.circuits()}[circuit]
    said = (
        f"{circuit}, {constraints} constraints, certificate of epoch {EPOCH}, cached keys, loading included"
    )
    chain = home / f"{circuit}-gas"
    chain.mkdir()
    gas = await verify_gas(native, chain, circuit, scheme, DOCUMENT, proof.files[PROOF].read_bytes())
    print(f"{circuit}: {gas.transaction} gas, {gas.alone} alone")
    return {
        f"hotshot_200_{scheme}_cpu_s": figure(proof.usage.cpu_s, "s", said),
        f"hotshot_200_{scheme}_peak_mb": figure(
            proof.usage.peak_rss / 2**20, "MiB", "resident, mapped key files included"
        ),
        f"hotshot_verify_gas_{scheme}": figure(
            gas.transaction,
            "gas",
            f"{circuit}, a transaction to the exported verifier and nothing else, on anvil;"
            f" verification alone {gas.alone}, call data {gas.calldata}, 21000 for any transaction",
        ),
    }


async def _prove(native: NativeStatements, home: Path, circuit: str) -> Proof:
    begun = monotonic()
    into = home / circuit
    into.mkdir()
    unit = Unit("hotshot", "bench", str(EPOCH), {})
    statement = Statement(unit, circuit, {"state.json": DOCUMENT}, {}, str(EPOCH))
    proof = await native.prove(statement, into, _silent)
    await native.verify(statement, proof.files)
    print(f"{circuit}: {proof.usage.cpu_s:.1f} CPU-s, {monotonic() - begun:.1f} s")
    return proof


def _silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""
