"""The command line against real workers: what an operator sees and does."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from typing import Any

import pytest

from bench.noop import noop_work
from provery.client import Provery
from provery.core.types import UnitStatus
from tests.support.engine import Engine

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Operator:
    """Runs ``provery`` in processes of its own."""

    def __init__(self, noop: Engine) -> None:
        self._env = {**noop.env, "PYTHONPATH": os.getcwd()}

    async def __call__(self, *args: str, code: int = 0) -> Any:
        """The JSON that a command prints."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "provery.cli",
            *args,
            "--json",
            env=self._env,
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
        assert process.returncode == code, out.decode()
        return json.loads(out)

    async def until(self, unit: str, status: str) -> Any:
        """Look until the unit's workflow or its ledger row says ``status``."""
        seen: Any = None
        for _ in range(60):
            seen = await self("show", unit)
            if status in ((seen["progress"] or {}).get("status"), seen["unit"]["status"]):
                return seen
            await asyncio.sleep(0.1)
        raise AssertionError(f"{unit} never was {status}: {seen}")


async def test_explain_of_a_real_unit_names_every_stage_and_artifact(noop: Engine) -> None:
    operator, work = Operator(noop), noop_work("told", params={"bytes": 64})
    engine = Provery(noop.client, noop.environment.ledger, noop.env)
    (outcome,) = await engine.run([work])
    unit = f"{work.unit.stream_id}/{work.unit.key}"
    story = await operator("explain", unit)
    assert [a["stage"] for a in story["attempts"]] == [s.stage.value for s in work.plan.stages]
    assert {a["outcome"] for a in story["attempts"]} == {"done"}
    assert story["run"]["status"] == "COMPLETED"
    final = next(r for r in story["results"] if r["stage"] == "submit")
    assert final["outputs"][0]["sha256"] == outcome.outputs[0].sha256
    assert (await operator("artifacts", "verify", unit))["ok"] is True
    (again,) = await engine.run_batch([work])
    assert (again.status, again.outputs, again.facts) == (outcome.status, outcome.outputs, outcome.facts)


async def test_an_operator_pauses_resumes_and_proves_again(noop: Engine) -> None:
    operator = Operator(noop)
    work = noop_work("steered", params={"log": str(noop.log()), "sleep": {"witness": 3.0}})
    engine = Provery(noop.client, noop.environment.ledger, noop.env)
    unit = f"{work.unit.stream_id}/{work.unit.key}"
    await engine.start([work])
    assert (await operator("pause", unit, "--reason", "a look at it"))["how"] == "updated"
    paused = await operator.until(unit, "paused")
    assert "a look at it" in paused["progress"]["reason"]
    await operator("resume", unit)
    (outcome,) = await engine.run([work])
    assert outcome.status is UnitStatus.DONE
    for generation in (1, 2):
        assert (await operator("reprove", unit, "--stage", "verify"))["how"] == "restarted"
        await noop.client.get_workflow_handle(work.unit.workflow_id).result()
        again = [line for line in noop.computed() if line.endswith(f" {generation}")]
        assert [line.split()[1] for line in again] == ["verify", "submit"]


async def test_a_cancelled_unit_ends_as_cancelled_and_runs_again_when_asked(noop: Engine) -> None:
    operator = Operator(noop)
    work = noop_work("stopped", params={"sleep": {"prove": 30.0}})
    engine = Provery(noop.client, noop.environment.ledger, noop.env)
    unit = f"{work.unit.stream_id}/{work.unit.key}"
    waiting = asyncio.create_task(engine.run([work]))
    await operator.until(unit, "running")
    await operator("cancel", unit, "--reason", "not needed")
    (outcome,) = await waiting
    assert (outcome.status, outcome.reason) == (UnitStatus.CANCELLED, "not needed")
    assert (await operator("list", "noop", "--status", "cancelled"))["units"][0]["unit"] == unit
    (started,) = await engine.start([work])
    assert started.how == "started"
    await operator("skip", unit, "--reason", "enough of it")
    seen = await operator.until(unit, "skipped")
    assert seen["unit"]["reason"] == "enough of it"


async def test_a_failing_unit_tells_why(noop: Engine) -> None:
    operator = Operator(noop)
    work = noop_work("broken", params={"fail": {"prove": ["InvalidWitness", -1]}})
    engine = Provery(noop.client, noop.environment.ledger, noop.env)
    (outcome,) = await engine.run([work])
    assert (outcome.status, outcome.error_kind, outcome.stage) == (
        UnitStatus.FAILED,
        "InvalidWitness",
        "prove",
    )
    story = await operator("explain", f"{work.unit.stream_id}/{work.unit.key}")
    assert story["attempts"][-1]["error_kind"] == "InvalidWitness"
    assert story["costs"]["attempts"]["failed"] == 1


async def test_batch_of_express_units_through_the_client(noop: Engine) -> None:
    works = [noop_work(f"small{i}", params={"bytes": 8}) for i in range(10)]
    works = [replace(w, plan=replace(w.plan, express=True)) for w in works]
    engine = Provery(noop.client, noop.environment.ledger, noop.env)
    outcomes = await engine.run_batch(works)
    assert {o.status for o in outcomes} == {UnitStatus.DONE}
    again = await asyncio.wait_for(engine.run_batch(works), 20)
    assert [o.outputs for o in again] == [o.outputs for o in outcomes]
    assert [o.facts for o in again] == [o.facts for o in outcomes]


async def test_backfill_proves_a_range(noop: Engine) -> None:
    done = await Operator(noop)("backfill", "noop/range", "3", "5", "--wait")
    assert done["result"] == {f"prove/noop/range/u{i}": "done" for i in (3, 4, 5)}
