"""The beacon system on real Temporal: followed by a schedule, backfilled, steered, and proved natively."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import ScheduleOverlapPolicy, WorkflowFailureError
from temporalio.testing import WorkflowEnvironment

from provery.client import Schedules
from provery.core.errors import ProverCrashed
from provery.core.ports import Statement
from provery.core.types import Unit, UnitStatus
from provery.systems.beacon.chains import MAINNET
from provery.systems.beacon.inspection import Inspector, Standing
from provery.systems.beacon.store import PeriodStore
from provery.systems.beacon.system import work_for
from tests.support.beacon import devnet, devnet_updates, recorded
from tests.support.beacon_bench import bench
from tests.support.beacon_chain import ChainNode, checkpoints, environment, nodes, published, read
from tests.support.beacon_server import Asked, FakeNode, Reply, serving
from tests.support.engine import SPECS, Engine, engine
from tests.support.statements import Signer

pytestmark = pytest.mark.asyncio(loop_scope="session")
NATIVE = importlib.util.find_spec("provery.provers.statements") is not None
SP1 = NATIVE and importlib.util.find_spec("provery.provers.sp1_groth16") is not None


@asynccontextmanager
async def following(
    server: WorkflowEnvironment, home: Path, url: str, *provers: Signer, **more: str
) -> AsyncIterator[Engine]:
    async with engine(server, home, specs=SPECS, **environment(url, home, **more)) as made:
        made.environment.deps.statements = {prover.name: prover for prover in provers}
        yield made


async def until(check: Callable[[], Awaitable[Any] | Any], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        value = check()
        if isinstance(value, Awaitable):
            value = await value
        if value:
            return
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


def there(home: Path, period: int) -> bool:
    return str(period) in published(home)


async def attempts(made: Engine, stream: str, period: int) -> list[dict[str, Any]]:
    audit: Any = await made.environment.ledger.audit(Unit("beacon", stream, str(period)))
    found: list[dict[str, Any]] = audit["attempts"]
    return found


async def test_a_schedule_finds_every_period_once(server: WorkflowEnvironment, tmp_path: Path) -> None:
    node, prover = ChainNode(7), Signer()
    node.finalized = 3
    with nodes(node) as url:
        async with following(server, tmp_path, url, prover) as made:
            schedules = Schedules(made.client, made.env)
            await schedules.create("beacon", "live", every=timedelta(seconds=1))
            try:
                handle = made.client.get_schedule_handle("follow/beacon/live")
                policy = (await handle.describe()).schedule.policy
                assert policy.overlap is ScheduleOverlapPolicy.SKIP
                assert policy.catchup_window == timedelta(minutes=10)
                for period in (4, 5, 6, 7):
                    await until(partial(there, tmp_path, period))
                    node.finalized = min(period, 6)
                node.behaviour = lambda asked: Reply(status=503)
                await asyncio.sleep(2.5)
                node.behaviour = lambda asked: None
                await schedules.trigger("beacon", "live")
                before = (await schedules.show("beacon", "live")).looks or 0

                async def looked() -> bool:
                    return ((await schedules.show("beacon", "live")).looks or 0) > before

                await until(looked)
            finally:
                await schedules.delete("beacon", "live")
            for period in (4, 5, 6, 7):
                rows = await attempts(made, "live", period)
                proved = [row for row in rows if row["stage"] == "prove"]
                assert [row["outcome"] for row in proved] == ["done"], period
    assert sorted(published(tmp_path)) == ["4", "5", "6", "7"]
    assert prover.proved == ["4", "5", "6", "7"]


async def test_a_backfill_proves_side_by_side_and_publishes_in_order(
    server: WorkflowEnvironment, tmp_path: Path
) -> None:
    node, prover = ChainNode(7), Signer()
    delays = {"2": 1.5, "3": 0.6, "4": 0.2, "5": 0.0, "6": 0.0}
    order: list[str] = []
    seen = set[str]()

    async def prove(statement: Statement, *rest: Any) -> Any:
        await asyncio.sleep(delays[statement.params["period"]])
        return await original(statement, *rest)

    original = prover.prove
    prover.prove = prove  # type: ignore[method-assign, assignment]
    with nodes(node) as url:
        async with following(server, tmp_path, url, prover) as made:
            env = {**made.env, "PYTHONPATH": os.getcwd()}
            argv = ("backfill", "beacon/old", "2..6", "--parallel", "5", "--wait", "--json")
            running = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "provery.cli", *argv, env=env, stdout=asyncio.subprocess.PIPE
            )
            while running.returncode is None and len(order) < 5:
                for period in sorted(published(tmp_path)):
                    if period not in seen:
                        seen.add(period)
                        order.append(period)
                await asyncio.sleep(0.01)
            out, _ = await running.communicate()
            assert running.returncode == 0, out.decode()
            result = json.loads(out)["result"]
            assert result == {f"prove/beacon/old/{period}": "done" for period in range(2, 7)}
            told = []
            for number in range(2, 7):
                rows = await attempts(made, "old", number)
                told.append(max(row["ended_at"] for row in rows if row["stage"] == "submit"))
            assert told == sorted(told)
    assert order == ["2", "3", "4", "5", "6"]
    assert prover.proved != ["2", "3", "4", "5", "6"], "later periods were proved before the first"


async def test_the_next_prover_takes_over(server: WorkflowEnvironment, tmp_path: Path) -> None:
    node, first, second = ChainNode(4), Signer("native"), Signer("other", secret=9)
    first.fail = lambda statement: ProverCrashed("it always dies")
    with nodes(node) as url:
        async with following(
            server, tmp_path, url, first, second, PROVERY_BEACON_PROVERS="native,other"
        ) as made:
            outcome = await made.run(await work_for("moved", {"period": 4}, made.environment.deps))
    assert outcome.status is UnitStatus.DONE
    assert first.proved == ["4", "4"], "two attempts, as planned"
    manifest = read(tmp_path / "store/4/manifest.json")
    assert (manifest["prover"], manifest["verifying_key"]) == ("other", second.key)


async def test_a_cancelled_period_publishes_nothing_and_is_due_again(
    server: WorkflowEnvironment, tmp_path: Path
) -> None:
    node, prover = ChainNode(4), Signer(delay_s=60)
    with nodes(node) as url:
        async with following(server, tmp_path, url, prover) as made:
            work = await work_for("stopped", {"period": 4}, made.environment.deps)
            handle = await made.start(work)
            await until(lambda: prover.proved)
            await handle.cancel()
            with pytest.raises(WorkflowFailureError):
                await handle.result()
            assert published(tmp_path) == {}
            prover.delay_s = 0
            system = made.environment.system("beacon")
            (due,) = await system.discover("stopped", None, None)
            assert due.unit == work.unit
            assert (await made.run(due)).status is UnitStatus.DONE
    assert list(published(tmp_path)) == ["4"]


# ---------------------------------------------------------------- the native prover


@pytest.mark.long
@pytest.mark.skipif(not NATIVE, reason="the native prover of statements is not in this tree")
@pytest.mark.timeout(600)
async def test_a_recorded_devnet_period_is_proved_natively(
    server: WorkflowEnvironment, tmp_path: Path
) -> None:
    """A real chain's update, the real prover, keys made on the way."""
    node = FakeNode(devnet(), dict(enumerate(devnet_updates())))

    def behaviour(asked: Asked) -> Reply | None:
        if asked.path.endswith("/finality_checkpoints"):
            return Reply(checkpoints(3 * 8))
        if asked.path.endswith("/beacon/genesis"):
            return Reply(recorded("devnet/genesis.json"))
        return None

    node.behaviour = behaviour
    with serving(node):
        async with engine(server, tmp_path, specs=SPECS, **environment(node.url, tmp_path)) as made:
            assert "native" in made.environment.deps.statements
            (due,) = await made.environment.system("beacon").discover("recorded", None, None)
            outcome = await made.run(due)
            assert outcome.status is UnitStatus.DONE
            assert outcome.facts["circuit"] == "beacon-step-minimal-5"
            assert outcome.facts["prover"] == "native"
            assert await made.environment.system("beacon").discover("recorded", None, None) == []
            proof = tmp_path / "store/4/native_proof.bin"
            body = bytearray(proof.read_bytes())
            body[len(body) // 2] ^= 1
            proof.write_bytes(body)
            (again,) = await made.environment.system("beacon").discover("recorded", None, None)
            assert (await made.run(again)).status is UnitStatus.DONE
            rows = await attempts(made, "recorded", 4)
    assert [row["outcome"] for row in rows if row["stage"] == "prove"] == ["done"]
    assert list(published(tmp_path)) == ["4"]


# ---------------------------------------------------------------- the daemon's own proofs


@pytest.mark.skipif(not SP1, reason="the check of SP1 proofs is not in this tree")
async def test_the_daemons_directories_hold_and_no_others(tmp_path: Path) -> None:
    """Real proofs of mainnet in the layout that the daemon left: valid as they are, due when one byte is off."""
    program = recorded("sp1/program.txt").decode().strip()
    env = {**environment("http://127.0.0.1:9", tmp_path), "CHAIN": "mainnet", "PROVERY_SP1_PROGRAM": program}
    made = importlib.import_module("provery.provers.statements")
    for period in (1600, 1601):
        folder = tmp_path / "store" / str(period)
        folder.mkdir(parents=True)
        (folder / "sync.ssz").write_bytes(recorded(f"mainnet/sync_{period}.ssz"))
        (folder / "zk_pub.bin").write_bytes(recorded(f"mainnet/public_values_{period}.bin"))
        (folder / "zk_proof_g16.bin").write_bytes(recorded(f"sp1/proof_{period}.bin"))
    async with bench(tmp_path, env, {}) as it:
        provers = made.build_statement_provers(env, tmp_path, it.deps.ledger, 1)
        inspector = Inspector(PeriodStore(tmp_path / "store"), MAINNET, provers, ("native",))
        try:
            for period in (1600, 1601):
                verdict = await inspector.verdict(period)
                assert verdict.standing is Standing.VALID, verdict.reason
                for name in ("zk_proof_g16.bin", "zk_pub.bin"):
                    path = tmp_path / "store" / str(period) / name
                    good = path.read_bytes()
                    for at in (0, 5, len(good) // 2, len(good) - 1):
                        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
                        verdict = await inspector.verdict(period)
                        assert verdict.standing is Standing.INVALID, (name, at)
                    path.write_bytes(good)
                assert (await inspector.verdict(period)).standing is Standing.VALID
        finally:
            for prover in provers.values():
                await prover.close()
