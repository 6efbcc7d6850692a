"""Nothing of a prover outlives its worker, and nothing of a cancelled call outlives the call; with the real provers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from pathlib import Path

import pytest

from provery.core.errors import ProverCrashed
from provery.core.ports import ProveItem, WitnessItem
from provery.provers import build_provers
from provery.provers.resident import ResidentPool
from tests.e2e.provers_support import HOME, jobs, membership

WORKER = """
import asyncio, json, os, sys
from pathlib import Path
from provery.core.ports import ProveItem, WitnessItem
from provery.provers import build_provers
from tests.e2e.provers_support import HOME, jobs, membership
async def main(name, folder):
    circuit = await membership()
    prover = build_provers(os.environ, 1, HOME)[name]
    quiet = lambda *step: None
    wtns = folder / "w"
    await prover.witness(circuit, [WitnessItem(jobs()[0], wtns)], quiet)
    items = [ProveItem(wtns, folder / f"{i}.p", folder / f"{i}.u") for i in range(2000)]
    print(json.dumps(prover.pool.state()["pids"]), flush=True)
    await prover.prove(circuit, items, quiet)
asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
"""


def silent(step: str, done: float, total: float) -> None:
    """Nobody watches."""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def until_gone(pids: list[int]) -> float:
    began = time.monotonic()
    while any(map(alive, pids)) and time.monotonic() - began < 10:
        await asyncio.sleep(0.02)
    return time.monotonic() - began


@pytest.mark.parametrize("name", ["native", "snarkjs"])
async def test_a_killed_worker_takes_its_prover_along_in_mid_prove(tmp_path: Path, name: str) -> None:
    worker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WORKER, name, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert worker.stdout is not None
        pids = [int(word) for word in (await worker.stdout.readline()).decode().strip("[]\n ").split(",")]
        await asyncio.sleep(0.7)  # some proofs are under way
        assert all(map(alive, pids))
        worker.send_signal(signal.SIGKILL)
        assert await until_gone(pids) < 2
    finally:
        if worker.returncode is None and alive(worker.pid):
            worker.kill()
        await worker.wait()


def pids_of(pool: ResidentPool) -> list[int]:
    found = pool.state()["pids"]
    assert isinstance(found, list)
    return [int(str(pid)) for pid in found]


@pytest.mark.parametrize("name", ["native", "snarkjs"])
async def test_a_cancelled_proof_ends_within_two_seconds_and_the_next_succeeds(
    tmp_path: Path, name: str
) -> None:
    circuit = await membership()
    prover = build_provers(os.environ, 1, HOME)[name]
    pool: ResidentPool = prover.pool  # type: ignore[attr-defined]
    try:
        wtns = tmp_path / "w"
        await prover.witness(circuit, [WitnessItem(jobs()[0], wtns)], silent)
        pids = pids_of(pool)
        items = [ProveItem(wtns, tmp_path / f"{i}.p", tmp_path / f"{i}.u") for i in range(2000)]
        steps: list[float] = []
        task = asyncio.create_task(
            prover.prove(circuit, items, lambda _, done, total: steps.append(done / total))
        )
        while not steps:
            await asyncio.sleep(0.05)
        began = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert time.monotonic() - began < 2
        assert await until_gone(pids) < 0.5
        (again,) = await prover.prove(circuit, items[:1], silent)
        assert again.error is None
    finally:
        await prover.close()
    assert await until_gone(pids_of(pool)) < 0.5


async def test_a_killed_prover_child_is_a_crash_and_the_next_call_succeeds(tmp_path: Path) -> None:
    circuit = await membership()
    prover = build_provers(os.environ, 1, HOME)["native"]
    pool: ResidentPool = prover.pool  # type: ignore[attr-defined]
    try:
        wtns = tmp_path / "w"
        await prover.witness(circuit, [WitnessItem(jobs()[0], wtns)], silent)
        items = [ProveItem(wtns, tmp_path / f"{i}.p", tmp_path / f"{i}.u") for i in range(2000)]
        task = asyncio.create_task(prover.prove(circuit, items, silent))
        await asyncio.sleep(0.3)
        (pid,) = pids_of(pool)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ProverCrashed, match="signal 9"):
            await task
        (again,) = await prover.prove(circuit, items[:1], silent)
        assert again.error is None
    finally:
        await prover.close()
