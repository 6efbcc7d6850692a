"""Every registered system keeps to the house's interface. A new system needs nothing here but a sample request."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from fastapi import APIRouter
from prometheus_client import CollectorRegistry

from provery import registry
from provery.chain import open_chain
from provery.core.errors import InvalidInput, ProveryError
from provery.core.models import ModelSettings, ModelVersion
from provery.core.ports import Deps, Ingress, System
from provery.core.queues import ORCHESTRATE, QUEUES
from provery.core.types import (
    STAGES,
    Json,
    Stage,
    UnitOutcome,
    UnitStatus,
    Work,
    canonical_json,
    check_key,
    check_name,
    memo_key,
)
from provery.stores.artifacts import open_store
from provery.stores.ledger import open_ledger
from tests.support.beacon_chain import ChainNode, nodes
from tests.support.hotshot_servers import hotshot_servers
from tests.support.queue import MANIFEST, REQUEST, Circuits
from tests.support.statements import Signer

ROOT = Path(__file__).parents[2]
NAMES = sorted(registry.SYSTEMS)
SAMPLES: dict[str, dict[str, Json]] = {
    "beacon": {"period": 3},
    "hotshot": {"epoch": 3},
    "queue": REQUEST,
    "zkml": {"model_id": "sample", "inputs": [0.5, 1]},
}
"""System → a request that it accepts, for systems with ``work_for``."""
MODEL = ModelVersion(
    "sample", "0" * 64, "0x" + "0" * 64, ModelSettings(), (2,), (1,), {}, {"verifying_key": "k"}
)
"""A model that was added, for systems that prove with such."""
CIRCUITS = Circuits(MANIFEST)
"""As much of the circuit registry as the samples need."""
TAKEN = {"/health", "/ready", "/metrics", "/docs", "/openapi.json"}
"""Paths that every worker serves itself."""
HEAVY = ("boto3", "fastapi", "prometheus_client", "pydantic_settings", "redis", "sqlalchemy", "uvicorn")
"""What shell completion and ``provery --help`` must not wait for."""


class Nobody:
    """An engine that is never asked."""

    def run(self, works: Sequence[Work]) -> AsyncIterator[UnitOutcome]:
        raise AssertionError("an ingress must not start units before it runs")


@pytest.fixture(params=NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def module(name: str) -> ModuleType:
    return registry.load(name, {})


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings that lead to the sources of systems which look for their units themselves."""
    with nodes(ChainNode(3)) as url, hotshot_servers(tmp_path_factory.mktemp("hotshot")) as hotshot:
        yield {"RPC_URL": url, "CHAIN": "devnet", **hotshot}


@pytest.fixture
async def deps(tmp_path: Path, source: dict[str, str]) -> AsyncIterator[Deps]:
    """What workers inject, with real stores."""
    ledger = open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    artifacts = open_store((tmp_path / "artifacts").as_uri(), cache=tmp_path / "cache", env={})
    env = {"PROVERY_HOME": str(tmp_path), **source}
    made = Deps(
        artifacts, ledger, ledger.catalog, CIRCUITS, {}, env, tmp_path, {"native": Signer()}, open_chain
    )
    await ledger.models.add(MODEL)
    yield replace(made, registry=ledger.models, access=ledger.access)
    await artifacts.close()
    await ledger.close()


@pytest.fixture
async def system(module: ModuleType, deps: Deps) -> AsyncIterator[System]:
    made: System = module.build(deps)
    yield made
    await made.close()


async def sample(
    name: str,
    module: ModuleType,
    deps: Deps,
    *,
    stream: str = "stream",
    request: dict[str, Json] | None = None,
) -> Work:
    """A request as a unit, the system's sample by default."""
    if not hasattr(module, "work_for"):
        pytest.skip(f"{name} takes no requests")
    made = module.work_for(stream, SAMPLES[name] if request is None else request, deps)
    work: Work = await made if inspect.isawaitable(made) else made
    return work


def parameters(function: Any) -> list[str]:
    return [p for p in inspect.signature(function).parameters if p != "self"]


# ---------------------------------------------------------------- the module


def test_the_name_is_usable_and_the_folder_is_its_own(name: str) -> None:
    check_name(name)
    assert registry.SYSTEMS[name] == f"provery.systems.{name}"
    assert (ROOT / "provery/systems" / name / "README.md").is_file(), "newcomers start at its README"


def test_the_module_offers_what_the_engine_calls(module: ModuleType) -> None:
    assert parameters(module.build) == ["deps"]
    if hasattr(module, "work_for"):
        assert parameters(module.work_for) == ["stream", "request", "deps"]
    if hasattr(module, "build_ingress"):
        assert inspect.iscoroutinefunction(module.build_ingress)
        assert parameters(module.build_ingress) == ["deps", "stream", "starter", "metrics"]


def test_shipped_circuits_are_there(module: ModuleType) -> None:
    for circuit, source in getattr(module, "CIRCUITS", {}).items():
        check_name(circuit)
        assert source.is_file(), source


def test_importing_the_module_is_cheap(name: str) -> None:
    code = (
        "import sys; from provery import registry; "
        f"registry.load({name!r}, {{}}); print(*(m for m in {HEAVY!r} if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == [], "import it where it is first needed"


# ---------------------------------------------------------------- the system


async def test_the_system_has_the_ports_methods(name: str, system: System) -> None:
    assert system.name == name
    for method in ("run_stage", "conclude", "discover", "close"):
        assert inspect.iscoroutinefunction(getattr(system, method)), method
        assert parameters(getattr(system, method)) == parameters(getattr(System, method)), method


async def test_a_stage_of_no_units_has_no_outcomes(
    name: str, module: ModuleType, deps: Deps, system: System
) -> None:
    work = await sample(name, module, deps)
    for plan in work.plan.stages:
        assert await system.run_stage(plan.stage.value, []) == [], plan.stage


async def test_a_stage_that_no_plan_has_is_refused(system: System) -> None:
    with pytest.raises(ProveryError):
        await system.run_stage("frobnicate", [])


async def test_what_is_discovered_belongs_to_the_stream(name: str, system: System) -> None:
    for work in await system.discover("stream", 0, 3):
        assert (work.unit.system, work.unit.stream) == (name, "stream")
        check_key(work.unit.key)


async def test_an_end_may_be_told_twice(name: str, module: ModuleType, deps: Deps, system: System) -> None:
    work = await sample(name, module, deps)
    for _ in range(2):
        await system.conclude(work.unit, UnitStatus.FAILED, "told twice", "InvalidInput")


async def test_closing_twice_is_closing_once(system: System) -> None:
    await system.close()
    await system.close()


# ------------------------------------------------------------ units and plans


def test_every_system_that_takes_requests_has_a_sample() -> None:
    taking = {name for name in NAMES if hasattr(registry.load(name, {}), "work_for")}
    assert taking == set(SAMPLES)


async def test_the_same_request_is_the_same_work(name: str, module: ModuleType, deps: Deps) -> None:
    first = await sample(name, module, deps)
    assert await sample(name, module, deps) == first, "a request given twice must attach, not start anew"
    assert (first.unit.system, first.unit.stream) == (name, "stream")
    check_key(first.unit.key)
    other = await sample(name, module, deps, stream="other")
    assert other.unit.workflow_id != first.unit.workflow_id


async def test_a_unit_is_small_plain_data(name: str, module: ModuleType, deps: Deps) -> None:
    work = await sample(name, module, deps)
    assert len(canonical_json(work.unit.params)) < 100_000, "large inputs belong into the artifact store"
    assert "\n" not in work.unit.title


async def test_a_request_that_is_none_is_refused(name: str, module: ModuleType, deps: Deps) -> None:
    with pytest.raises(InvalidInput):
        await sample(name, module, deps, request={"frobnicate": [None]})


async def test_a_plan_can_be_carried_out(name: str, module: ModuleType, deps: Deps) -> None:
    plan = (await sample(name, module, deps)).plan
    stages = [s.stage for s in plan.stages]
    assert stages == sorted(set(stages), key=STAGES.index), "each stage once, in the engine's order"
    assert {Stage.PROVE, Stage.VERIFY} <= set(stages), "nothing is proved without being verified"
    workable = set(QUEUES) - {ORCHESTRATE}
    for stage in plan.stages:
        assert stage.queue in workable, stage.stage
        assert stage.fallback_queue in workable | {""}, stage.stage
        assert stage.fallback_queue != stage.queue, stage.stage
        assert 0 < stage.timeout_s <= stage.give_up_s, stage.stage
        assert 0 < stage.heartbeat_s <= stage.timeout_s, stage.stage
        assert stage.attempts >= 1, stage.stage
        assert stage.generation == 0, "a generation is an operator's to raise"
    assert plan.express_queue in workable
    assert 1 <= plan.priority <= 5
    assert plan.parallel >= 1
    assert len(plan.fairness.encode()) <= 64


async def test_the_verifying_key_is_pinned(name: str, module: ModuleType, deps: Deps) -> None:
    plan = (await sample(name, module, deps)).plan
    last = plan.of(Stage.VERIFY)
    assert last is not None
    assert last.verifying_key, "verify must name the key that it accepts proofs by"
    for stage in plan.stages:
        assert stage.verifying_key in ("", last.verifying_key), stage.stage


async def test_each_stage_has_a_memo_key_of_its_own(name: str, module: ModuleType, deps: Deps) -> None:
    work = await sample(name, module, deps)
    keys = [memo_key(work.unit, stage, ()) for stage in work.plan.stages]
    assert len(set(keys)) == len(keys)
    for stage, key in zip(work.plan.stages, keys, strict=True):
        moved = replace(stage, queue="cpu-large", timeout_s=1.0, give_up_s=2.0, attempts=9, memory_mb=7)
        assert memo_key(work.unit, moved, ()) == key, "where and how long must not count"
        assert memo_key(work.unit, replace(stage, generation=1), ()) != key
        assert memo_key(replace(work.unit, params={"other": True}), stage, ()) != key


# ---------------------------------------------------------------- the ingress


async def test_an_ingress_can_be_built_and_closed_without_its_source(
    name: str, module: ModuleType, deps: Deps
) -> None:
    if not hasattr(module, "build_ingress"):
        pytest.skip(f"{name} has no ingress")
    metrics = CollectorRegistry()
    feed: Ingress = await module.build_ingress(deps, "stream", Nobody(), metrics)
    try:
        for method in ("run", "stop", "waiting", "close"):
            assert inspect.iscoroutinefunction(getattr(feed, method)), method
            assert parameters(getattr(feed, method)) == [], method
        assert feed.routes is None or isinstance(feed.routes, APIRouter)
        if isinstance(feed.routes, APIRouter):
            paths = {str(getattr(route, "path", "")) for route in feed.routes.routes}
            assert paths
            assert not paths & TAKEN - getattr(module, "OWN_PAGES", frozenset())
        assert list(metrics.collect()), "what it counts is there from the start"
    finally:
        await feed.close()
