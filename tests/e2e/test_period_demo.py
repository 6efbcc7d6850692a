"""The demo's mainnet period on a real server, from recorded answers; the proof is one that SP1 made of it."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from temporalio.testing import WorkflowEnvironment

from bench.noop import noop_work
from provery.client import Address, Provery
from provery.core.types import UnitStatus
from provery.local.config import DEFAULT_FILE, load_topology
from provery.local.period_demo import ID, follow, prove, with_recorded
from provery.local.recorded import PERIOD, recorded_node
from tests.support import sp1
from tests.support.engine import Engine, engine

pytestmark = pytest.mark.asyncio(loop_scope="session")
PROGRAM = f"""#!{sys.executable}
# Stands for run_zk_proof.sh: hands out the recorded proofs of a period.
import pathlib, shutil, sys
period = sys.argv[sys.argv.index("--period") + 1]
folder, vectors = pathlib.Path(sys.argv[sys.argv.index("--output") + 1]) / period, pathlib.Path({str(sp1.VECTORS)!r})
shutil.copy(vectors / f"sp1/proof_{{period}}.bin", folder / "zk_proof_g16.bin")
shutil.copy(vectors / f"mainnet/public_values_{{period}}.bin", folder / "zk_pub.bin")
"""


def daemons_period(store: Path, period: int) -> None:
    """What the daemon left of a period."""
    folder = store / str(period)
    folder.mkdir(parents=True)
    shutil.copy(sp1.VECTORS / f"mainnet/sync_{period}.ssz", folder / "sync.ssz")
    shutil.copy(sp1.VECTORS / "sp1/vk.bin", folder / "zk_vk_raw.bin")
    (folder / "zk_proof.bin").write_bytes(sp1.compressed(period))
    (folder / "zk_proof_g16.bin").write_bytes(sp1.onchain(period))
    (folder / "zk_pub.bin").write_bytes(sp1.public(period))


async def test_the_period_is_asked_for_followed_and_published(
    server: WorkflowEnvironment, tmp_path: Path
) -> None:
    program, store = tmp_path / "program", tmp_path / "period_store/recorded"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    daemons_period(store, PERIOD - 1)
    topology = load_topology(DEFAULT_FILE).model_copy(update={"home": str(tmp_path)})
    (stream,) = [stream for stream in with_recorded(topology).streams if stream.id == ID]
    more: dict[str, Any] = {
        **stream.env,
        "PROVERY_BEACON_PROVERS": "command",
        "PROVERY_COMMAND_PROVER": str(program),
        "PROVERY_SP1_PROGRAM": sp1.PROGRAM,
        "PROVERY_LEDGER_URL": f"sqlite:///{tmp_path / 'ledger.db'}",
        "PROVERY_ARTIFACTS_URL": (tmp_path / "artifacts").as_uri(),
    }
    console = Console(file=io.StringIO(), width=200)
    with recorded_node(stream.env["RPC_URL"]):
        async with engine(server, tmp_path, **more) as made:
            env = {**made.env, "PYTHONPATH": os.getcwd()}
            outcome = await prove(env, console)
            again = await prove(env, console)
    assert outcome.status is UnitStatus.DONE, outcome.reason
    assert outcome.facts["committee_from"] == "period store"
    assert outcome.facts["program"] == sp1.PROGRAM
    assert (again.status, again.facts) == (outcome.status, outcome.facts)
    assert "had been proved before" in console.file.getvalue()  # type: ignore[attr-defined]
    manifest = json.loads((store / f"{PERIOD}/manifest.json").read_text())
    assert (manifest["period"], manifest["prover"], manifest["chain"]) == (PERIOD, "command", "mainnet")
    assert (store / f"{PERIOD}/zk_proof_g16.bin").read_bytes() == sp1.onchain(PERIOD)


async def test_a_unit_that_fails_or_stands_still_ends_the_demo(noop: Engine) -> None:
    console = Console(file=io.StringIO(), width=200)
    client = Provery(noop.client, noop.environment.ledger, noop.env)
    failing = noop_work("fails", params={"fail": {"prove": ["InvalidWitness", -1]}})
    await client.start([failing])
    outcome = await follow(client, Address.parse(failing.unit.workflow_id), "period", console)
    assert outcome.status is UnitStatus.FAILED
    assert "told to fail" in outcome.reason
    slow = noop_work("slow", params={"sleep": {"prove": 30}})
    await client.start([slow])
    outcome = await follow(client, Address.parse(slow.unit.workflow_id), "period", console, longest_s=1.5)
    assert (outcome.status, outcome.reason) == (UnitStatus.RUNNING, "no proof within 1.5 s")
    await noop.client.get_workflow_handle(slow.unit.workflow_id).terminate()
