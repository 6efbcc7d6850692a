"""The client against the real dev server, with stand-in workflows of the engine's names."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
import pytest_asyncio
from temporalio.testing import WorkflowEnvironment

from provery.client import DATA_CONVERTER, Address, NotFound, Provery, connect
from provery.client.batching import owner_of
from provery.core.controls import Order, ProveInput
from provery.core.details import NBSP
from provery.core.errors import ConfigurationError, InvalidInput, TransientError
from provery.core.ports import Ledger
from provery.core.types import Json, UnitStatus
from provery.local.process import free_port
from tests.unit.cli.server import dev_server, stand_ins
from tests.unit.cli.standins import PROOF, MemoryLedger, work

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[WorkflowEnvironment]:
    async with dev_server() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def env(server: WorkflowEnvironment) -> AsyncIterator[dict[str, str]]:
    found = {
        "TEMPORAL_ADDRESS": server.client.service_client.config.target_host,
        "PROVERY_TASK_QUEUE_PREFIX": f"c{uuid.uuid4().hex[:8]}-",
    }
    async with stand_ins(server, found):
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def engine(env: dict[str, str]) -> Provery:
    return Provery(await connect(env), cast(Ledger, MemoryLedger()), env, grace_s=0.2)


def ledger_of(engine: Provery) -> MemoryLedger:
    assert isinstance(engine.ledger, MemoryLedger)
    return engine.ledger


def fresh() -> str:
    return f"k{uuid.uuid4().hex[:10]}"


# Starting and attaching


async def test_run_returns_the_workflows_outcome_and_explains_the_unit(engine: Provery) -> None:
    one = work(fresh())
    (outcome,) = await engine.run([one])
    assert outcome.status is UnitStatus.DONE
    assert outcome.outputs == (PROOF,)
    view = await engine.view(Address.parse(f"queue/prove/{one.unit.key}"))
    assert view.run is not None
    assert (view.run.system, view.run.stream, view.run.unit, view.run.prover) == (
        "queue",
        "prove",
        one.unit.key,
        "native",
    )
    seen = await engine.client.get_workflow_handle(one.unit.workflow_id).describe()
    assert await seen.static_summary() == f"job {one.unit.key}"
    assert "| prove | cpu | native |" in (await seen.static_details() or "").replace(NBSP, "")
    assert seen.raw_description.workflow_execution_info.priority.priority_key == 3
    assert seen.raw_description.workflow_execution_info.priority.fairness_key == "queue/prove"


async def test_starting_twice_attaches(engine: Provery) -> None:
    one = work(fresh(), mode="hold")
    (first,), (second,) = await engine.start([one]), await engine.start([one])
    assert first.run_id == second.run_id
    waiting = asyncio.create_task(engine.run([one, one]))
    await asyncio.sleep(0.3)
    await engine.order("resume", Address.parse(one.unit.workflow_id), Order())
    assert [o.status for o in await waiting] == [UnitStatus.DONE] * 2


async def test_done_unit_is_answered_from_the_ledger(engine: Provery) -> None:
    one = work(fresh())
    proof: Json = {"uri": PROOF.uri, "sha256": PROOF.sha256, "size": PROOF.size, "name": PROOF.name}
    ledger_of(engine).done(
        one,
        [
            {"stage": "submit", "outputs": [proof], "facts": {"row": "1"}},
            {"stage": "fetch", "outputs": [], "facts": {"epoch": "7"}},
        ],
    )
    (outcome,) = await engine.run_batch([one])
    assert outcome.outputs == (PROOF,)
    assert outcome.facts == {"row": "1", "epoch": "7"}
    (started,) = await engine.start([one])
    assert started.how == "recorded"
    with pytest.raises(NotFound):
        await engine.schedules.show("queue", one.unit.key)
    assert (await engine.view(Address.parse(f"queue/prove/{one.unit.key}"))).run is None


async def test_failed_workflow_is_written_down_with_its_kind(engine: Provery) -> None:
    one = work(fresh(), mode="fail")
    (outcome,) = await engine.run([one])
    assert (outcome.status, outcome.error_kind) == (UnitStatus.FAILED, "UnknownCircuit")
    assert ledger_of(engine).rows[one.unit.workflow_id].status is UnitStatus.FAILED


async def test_terminated_workflow_ends_the_unit(engine: Provery) -> None:
    one = work(fresh(), mode="hold")
    await engine.start([one])
    waiting = asyncio.create_task(engine.run([one]))
    await asyncio.sleep(0.2)
    await engine.client.get_workflow_handle(one.unit.workflow_id).terminate(reason="by hand")
    (outcome,) = await waiting
    assert outcome.status is UnitStatus.FAILED
    assert "by hand" in outcome.reason


# Batches


async def test_batch_is_one_workflow_and_one_claim(engine: Provery) -> None:
    works = [work(fresh(), express=True) for _ in range(20)]
    outcomes = await engine.run_batch(works)
    assert [o.unit for o in outcomes] == [w.unit.workflow_id for w in works]
    assert {o.facts["by"] for o in outcomes} == {w.unit.key for w in works}
    assert ledger_of(engine).claims == 1
    owners = {row.workflow_id for row in ledger_of(engine).rows.values()}
    assert owners == {owner_of(works)}


async def test_batch_waits_for_a_unit_that_another_workflow_has(engine: Provery) -> None:
    held, free = work(fresh(), mode="hold", express=True), work(fresh(), express=True)
    await engine.start([held])
    waiting = asyncio.create_task(engine.run_batch([held, free]))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await engine.order("resume", Address.parse(held.unit.workflow_id), Order())
    assert [o.facts["by"] for o in await waiting] == [held.unit.key, free.unit.key]


async def test_outcomes_come_as_soon_as_each_is_known(engine: Provery) -> None:
    held, free, done = (work(fresh(), mode=m, express=True) for m in ("hold", "", "x"))
    ledger_of(engine).done(done)
    await engine.start([held])
    seen = []
    async for outcome in engine.outcomes([held, free, done]):
        seen.append(outcome.unit)
        if len(seen) == 2:
            await engine.order("resume", Address.parse(held.unit.workflow_id), Order())
    assert seen == [done.unit.workflow_id, free.unit.workflow_id, held.unit.workflow_id]


async def test_redelivered_unit_attaches_to_its_running_batch(engine: Provery) -> None:
    works = [work(fresh(), mode="hold", express=True) for _ in range(2)]
    waiting = asyncio.create_task(engine.run_batch(works))
    await asyncio.sleep(0.3)
    again = asyncio.create_task(engine.run_batch(works[1:]))
    await asyncio.sleep(0.2)
    await engine.client.get_workflow_handle(owner_of(works)).signal("release")
    assert (await again)[0].facts == {"by": works[1].unit.key}
    assert len(await waiting) == 2


async def test_unit_of_a_dead_owner_is_taken_over_after_the_grace(engine: Provery) -> None:
    works = [work(fresh(), express=True) for _ in range(2)]
    await ledger_of(engine).claim(works[:1], "prove-batch/queue/prove/gone")
    outcomes = await engine.run_batch(works)
    assert [o.status for o in outcomes] == [UnitStatus.DONE] * 2
    assert "gone" not in ledger_of(engine).rows[works[0].unit.workflow_id].workflow_id


async def test_same_name_with_other_inputs_runs_after_the_running_one(engine: Provery) -> None:
    key = fresh()
    old, new = work(key, mode="hold", express=True), work(key, express=True)
    await engine.start([old])
    waiting = asyncio.create_task(engine.run_batch([new]))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await engine.order("cancel", Address.parse(old.unit.workflow_id), Order())
    (outcome,) = await waiting
    assert outcome.status is UnitStatus.DONE
    assert ledger_of(engine).rows[new.unit.workflow_id].unit.params == new.unit.params


# Orders


async def test_orders_reach_the_running_workflow(engine: Provery) -> None:
    one, unit = work(fresh(), mode="hold"), None
    await engine.start([one])
    unit = Address.parse(one.unit.workflow_id)
    assert (await engine.order("pause", unit, Order(reason="lunch"))).how == "updated"
    progress = await engine.progress(unit)
    assert progress is not None
    assert progress.notes == ("pause lunch",)
    with pytest.raises(ConfigurationError, match="no queue moon"):
        await engine.order("move", unit, Order(stage="prove", queue="moon"))
    with pytest.raises(InvalidInput, match="reason"):
        await engine.order("skip", unit, Order())
    waiting = asyncio.create_task(engine.run([one]))
    await asyncio.sleep(0.3)
    await engine.order("skip", unit, Order(reason="not wanted"))
    (outcome,) = await waiting
    assert outcome.status is UnitStatus.SKIPPED


async def test_reprove_of_an_ended_unit_starts_a_new_generation(engine: Provery) -> None:
    one = work(fresh())
    ledger_of(engine).done(one)
    unit = Address.parse(one.unit.workflow_id)
    obeyed = await engine.order("reprove", unit, Order(stage="prove"))
    assert obeyed.how == "restarted"
    handle = engine.client.get_workflow_handle(one.unit.workflow_id)
    await handle.result()
    history = await handle.fetch_history()
    payloads = history.events[0].workflow_execution_started_event_attributes.input.payloads
    (given,) = await DATA_CONVERTER.decode(list(payloads), [ProveInput])
    assert [s.generation for s in given.work.plan.stages] == [0, 1, 1]


async def test_orders_without_a_workflow(engine: Provery) -> None:
    one = work(fresh())
    unit = Address.parse(one.unit.workflow_id)
    with pytest.raises(NotFound):
        await engine.order("pause", unit, Order())
    await ledger_of(engine).claim([one])
    with pytest.raises(InvalidInput, match="no running workflow"):
        await engine.order("pause", unit, Order())
    assert (await engine.order("cancel", unit, Order(by="me"))).how == "recorded"
    ledger_of(engine).done(one)
    with pytest.raises(InvalidInput, match="done and stays so"):
        await engine.order("skip", unit, Order(reason="x"))


async def test_order_to_a_unit_of_a_running_batch_is_refused(engine: Provery) -> None:
    works = [work(fresh(), mode="hold", express=True) for _ in range(2)]
    waiting = asyncio.create_task(engine.run_batch(works))
    await asyncio.sleep(0.3)
    with pytest.raises(InvalidInput, match="running batch"):
        await engine.order("pause", Address.parse(works[0].unit.workflow_id), Order())
    await engine.client.get_workflow_handle(owner_of(works)).signal("release")
    await waiting


# Lists, schedules, waiting


async def test_runs_are_listed_by_search_attribute(engine: Provery) -> None:
    one = work(fresh())
    await engine.run([one])
    found = []
    for _ in range(50):
        found = await engine.runs(system="queue", stream="prove", query=f"ProveryUnit = '{one.unit.key}'")
        if found and found[0].status == "COMPLETED":
            break
        await asyncio.sleep(0.1)
    assert [(r.unit, r.status) for r in found] == [(one.unit.key, "COMPLETED")]
    with pytest.raises(InvalidInput):
        await engine.runs(status="sleepy")
    with pytest.raises(InvalidInput):
        await engine.runs(stream="x' OR 1=1")


async def test_wait_never_starts(engine: Provery) -> None:
    one = work(fresh(), mode="hold")
    unit = Address.parse(one.unit.workflow_id)
    with pytest.raises(NotFound):
        await engine.wait(unit)
    await ledger_of(engine).claim([one])
    with pytest.raises(NotFound, match="does not run"):
        await engine.wait(unit)


async def test_schedule_from_creation_to_deletion(engine: Provery) -> None:
    stream = f"s{uuid.uuid4().hex[:8]}"
    schedules = engine.schedules
    name = await schedules.create("beacon", stream, every=timedelta(hours=1), note="periods")
    assert name == f"follow/beacon/{stream}"
    with pytest.raises(InvalidInput, match="already"):
        await schedules.create("beacon", stream, cron="0 * * * *")
    with pytest.raises(InvalidInput, match="one of the two"):
        await schedules.create("beacon", "other")
    described = await engine.client.get_schedule_handle(name).describe()
    assert described.schedule.policy.catchup_window == timedelta(minutes=10)
    assert described.schedule.policy.overlap.name == "SKIP"
    await schedules.trigger("beacon", stream)
    await schedules.pause("beacon", stream, "maintenance")
    view = await schedules.show("beacon", stream)
    assert (view.paused, view.note, view.next_at) == (True, "maintenance", "")
    await schedules.resume("beacon", stream, "back")
    now = datetime.now(UTC)
    await schedules.backfill("beacon", stream, now - timedelta(hours=2), now)
    for _ in range(50):
        if name in {s.id for s in await schedules.list()}:
            break
        await asyncio.sleep(0.1)
    else:
        pytest.fail("not listed")
    await schedules.delete("beacon", stream)
    with pytest.raises(NotFound, match="no schedule"):
        await schedules.pause("beacon", stream)


async def test_backfill_twice_is_one_workflow(engine: Provery) -> None:
    stream = f"s{uuid.uuid4().hex[:8]}"
    name, _ = await engine.schedules.backfill_units("beacon", stream, 3, 9)
    assert name == f"backfill/beacon/{stream}/3-9"
    assert await engine.client.get_workflow_handle(name).result() == {"first": "3", "last": "9"}
    with pytest.raises(InvalidInput):
        await engine.schedules.backfill_units("beacon", stream, 9, 3)


# Connecting and outages


async def test_connection_settings_are_explained() -> None:
    with pytest.raises(TransientError, match="provery up"):
        await connect({"TEMPORAL_ADDRESS": "127.0.0.1:1"}, timeout=2)
    for env, words in (
        ({"TEMPORAL_TLS": "ja"}, "TEMPORAL_TLS"),
        ({"TEMPORAL_CONFIG_FILE": "/no/such.toml"}, "TEMPORAL_CONFIG_FILE"),
        ({"TEMPORAL_PROFILE": "nobody"}, "Profile"),
        ({"TEMPORAL_TLS_CLIENT_CERT_PATH": "/no/cert", "TEMPORAL_TLS_CLIENT_KEY_PATH": "/no/key"}, "TLS"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            await connect(env, timeout=2)


async def test_unknown_namespace_is_a_configuration_error(env: dict[str, str]) -> None:
    wrong = {**env, "TEMPORAL_NAMESPACE": "elsewhere"}
    engine = Provery(await connect(wrong), cast(Ledger, MemoryLedger()), wrong)
    with pytest.raises(ConfigurationError, match="TEMPORAL_NAMESPACE"):
        await engine.start([work(fresh())])


async def test_a_waiting_caller_survives_the_servers_restart(tmp_path: Path) -> None:
    fixed = {"dev_server_database_filename": str(tmp_path / "temporal.db"), "port": free_port()}
    env = {"TEMPORAL_ADDRESS": f"127.0.0.1:{fixed['port']}"}
    one, late = work(fresh(), mode="hold"), work(fresh())
    async with dev_server(**fixed):
        engine = Provery(await connect(env), cast(Ledger, MemoryLedger()), env, grace_s=0.2)
        waiting = asyncio.create_task(engine.run([one]))
        await asyncio.sleep(0.5)
    starting = asyncio.create_task(engine.run([late]))
    await asyncio.sleep(1.0)
    async with dev_server(**fixed) as server, stand_ins(server, env):
        (started,) = await asyncio.wait_for(starting, 30)
        assert started.status is UnitStatus.DONE
        await engine.order("resume", Address.parse(one.unit.workflow_id), Order())
        (outcome,) = await asyncio.wait_for(waiting, 30)
        assert outcome.status is UnitStatus.DONE
