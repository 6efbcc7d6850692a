"""The beacon circuits on real updates: set-up once, then two mainnet periods and one of a minimal devnet.

Keys are made in ``$PROVERY_BENCH_KEYS`` and found there by the next run, whose figures then lack those of the set-up.
A child per proof, as the workers do it; CPU seconds count for more than wall time on a machine that is shared.
"""

from __future__ import annotations

import os
import statistics
from pathlib import Path
from time import monotonic

from bench.results import Figures, figure
from provery.core.ports import Proof, Statement
from provery.core.types import Unit
from provery.provers.statement_native import NativeStatements
from provery.provers.tools import ROOT

MAINNET = "beacon-step-mainnet-6"
MINIMAL = "beacon-step-minimal-5"
PERIODS = ("1600", "1601")
VECTORS = ROOT / "vectors" / "beacon" / "mainnet"
DEVNET = ROOT / "provery" / "systems" / "beacon" / "circuit" / "testdata" / "minimal.json"


async def run(home: Path) -> Figures:
    """Prove and verify each; a proof that does not verify raises."""
    keys = os.environ.get("PROVERY_BENCH_KEYS") or str(home / "circuits")
    env = {**os.environ, "PROVERY_STATEMENT_KEYS": keys}
    for name in ("PROVERY_ENV", "PROVERY_ALLOW_INSECURE_KEYS"):
        env.pop(name, None)
    native = NativeStatements(env, ROOT / ".provery", 1)
    try:
        constraints = {c.name: c.constraints for c in await native.circuits()}
        figures: Figures = {
            "beacon_mainnet_constraints": figure(constraints[MAINNET], "", f"R1CS, {MAINNET}")
        }
        figures |= await _set_up(native)
        mainnet = [await _prove(native, home, MAINNET, VECTORS / f"sync_{p}.ssz") for p in PERIODS]
        minimal = await _prove(native, home, MINIMAL, DEVNET)
        said = f"mean of periods {' and '.join(PERIODS)} of mainnet, cached keys, loading included"
        return figures | {
            "beacon_mainnet_prove_cpu_s": figure(statistics.fmean(p.usage.cpu_s for p in mainnet), "s", said),
            "beacon_mainnet_prove_wall_s": figure(
                statistics.fmean(p.usage.wall_s for p in mainnet), "s", said
            ),
            "beacon_mainnet_peak_mb": figure(
                max(p.usage.peak_rss for p in mainnet) / 2**20, "MiB", "resident, mapped key files included"
            ),
            "beacon_minimal_prove_cpu_s": figure(minimal.usage.cpu_s, "s", "a recorded update of 32 keys"),
        }
    finally:
        await native.close()


async def _set_up(native: NativeStatements) -> Figures:
    taken: Figures = {}
    for name in (MAINNET, MINIMAL):
        reply = await native.reply("circuit_setup", name, _silent)
        result = reply.result.get("result")
        if name == MAINNET and isinstance(result, dict) and result.get("made") is True:
            taken["beacon_mainnet_setup_cpu_s"] = figure(
                reply.usage.cpu_s, "s", f"compiling included; peak {reply.usage.peak_rss >> 20} MiB"
            )
    return taken


async def _prove(native: NativeStatements, home: Path, circuit: str, source: Path) -> Proof:
    begun = monotonic()
    into = home / f"{circuit}-{source.stem}"
    into.mkdir()
    unit = Unit("beacon", "bench", source.stem, {})
    name = "sync.ssz" if source.suffix == ".ssz" else "update.json"
    statement = Statement(unit, circuit, {name: source}, {}, source.stem)
    proof = await native.prove(statement, into, _silent)
    await native.verify(statement, proof.files)
    print(f"{circuit} {source.stem}: {proof.usage.cpu_s:.1f} CPU-s, {monotonic() - begun:.1f} s")
    return proof


def _silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""
