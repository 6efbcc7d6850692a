"""The beacon circuits with their real keys: ``make test-circuits``. Keys are kept in ``.provery/circuits``."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from provery.core.errors import InvalidWitness, ProofRejected
from provery.core.ports import Statement
from provery.core.types import Unit
from provery.provers.process import Limits, limits
from provery.provers.statement_native import PROOF, NativeStatements
from provery.provers.tools import ROOT
from tests.e2e.test_statements_native import env, gone, silent, started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(
        os.environ.get("PROVERY_TEST_CIRCUITS") != "1", reason="make test-circuits runs these"
    ),
]

HOME = ROOT / ".provery"
KEYS = os.environ.get("PROVERY_STATEMENT_KEYS") or str(HOME / "circuits")
MAINNET = "beacon-step-mainnet-6"
VECTORS = ROOT / "vectors" / "beacon" / "mainnet"
DEVNET = ROOT / "provery" / "systems" / "beacon" / "circuit" / "testdata" / "minimal.json"


@pytest_asyncio.fixture
async def native() -> AsyncIterator[NativeStatements]:
    made = NativeStatements(env(PROVERY_STATEMENT_KEYS=KEYS), HOME, 1)
    yield made
    await made.close()


def statement(circuit: str, name: str, source: Path) -> Statement:
    return Statement(Unit("beacon", "mainnet", "1", {}), circuit, {name: source}, {}, "request")


def period(number: int) -> Statement:
    return statement(MAINNET, "sync.ssz", VECTORS / f"sync_{number}.ssz")


@pytest.mark.parametrize("number", [1600, 1601])
async def test_a_real_mainnet_period(native: NativeStatements, tmp_path: Path, number: int) -> None:
    await native.prepare(MAINNET, silent)
    limits.set(Limits(memory=4 << 30))
    proof = await native.prove(period(number), tmp_path, silent)
    assert proof.usage.cpu_s < 60
    facts = await native.verify(period(number), proof.files)
    assert int(facts["period"], 16) == number
    with pytest.raises(ProofRejected, match="public value"):
        await native.verify(period(3201 - number), proof.files)
    good = proof.files[PROOF].read_bytes()
    for at in range(0, len(good), 4):
        proof.files[PROOF].write_bytes(good[:at] + bytes([good[at] ^ 4]) + good[at + 1 :])
        with pytest.raises(ProofRejected):
            await native.verify(period(number), proof.files)


async def test_a_devnet_period_and_a_forgery_of_it(native: NativeStatements, tmp_path: Path) -> None:
    honest = statement("beacon-step-minimal-5", "update.json", DEVNET)
    proof = await native.prove(honest, tmp_path, silent)
    await native.verify(honest, proof.files)
    forged = json.loads(DEVNET.read_text())
    header = forged["update"]["attested_header"]["beacon"]
    header["proposer_index"] = str(int(header["proposer_index"]) + 1)
    (tmp_path / "forged.json").write_text(json.dumps(forged))
    with pytest.raises(InvalidWitness):
        await native.prove(
            statement("beacon-step-minimal-5", "update.json", tmp_path / "forged.json"), tmp_path, silent
        )


async def test_a_proof_cancelled_half_way_leaves_nothing(native: NativeStatements, tmp_path: Path) -> None:
    await native.prepare(MAINNET, silent)
    seen: list[tuple[str, float]] = []
    work = asyncio.create_task(
        native.prove(period(1600), tmp_path, lambda step, done, total: seen.append((step, done / total)))
    )
    while not any(step == "prove" for step, _ in seen):
        await asyncio.sleep(0.1)
        assert not work.done()
    children = await started(os.getpid())
    began = time.monotonic()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert time.monotonic() - began < 2
    await native.close()
    assert await gone(children) < 2
    assert list(tmp_path.iterdir()) == []
    fractions = [fraction for _, fraction in seen]
    assert fractions == sorted(fractions)


WORKER = """
import asyncio, os, sys
from pathlib import Path
from provery.provers.statement_native import NativeStatements
from tests.e2e.test_beacon_circuits import HOME, period
told = lambda step, *share: print(step, flush=True)
asyncio.run(NativeStatements(os.environ, HOME, 1).prove(period(1601), Path(sys.argv[1]), told))
"""


async def test_a_worker_killed_half_way_leaves_nothing(native: NativeStatements, tmp_path: Path) -> None:
    await native.prepare(MAINNET, silent)
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        env={**os.environ, **env(PROVERY_STATEMENT_KEYS=KEYS)},
    )  # fmt: skip
    assert worker.stdout is not None
    while (line := await worker.stdout.readline()) != b"prove\n":
        assert line
    children = await started(worker.pid)
    worker.send_signal(signal.SIGKILL)
    await worker.wait()
    assert await gone(children) < 2
    assert list(tmp_path.iterdir()) == []


async def test_every_circuit_compiles_to_its_recorded_id(tmp_path: Path) -> None:
    recorded = json.loads((ROOT / "bench/results/circuits.json").read_text())["ids"]
    for name, id_ in recorded.items():
        made = await asyncio.create_subprocess_exec(
            env()["PROVERY_PROVER_BIN"],
            "circuit",
            "compile",
            "--circuit",
            name,
            stdout=asyncio.subprocess.PIPE,
        )
        said, _ = await made.communicate()
        assert made.returncode == 0
        assert json.loads(said)["result"]["circuit_id"] == id_
