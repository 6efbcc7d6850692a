"""Builds what a worker process needs, from its environment: stores, ledger, provers, systems, Temporal client."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector
from temporalio.client import Client
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from activities.lane_metrics import LaneMetrics
from activities.lane_round import Rounds
from activities.lanes import Lanes, submitter
from activities.memo import Memo, Rates, Where
from activities.metrics import StageMetrics
from provery import registry
from provery.chain import metrics as chain_metrics
from provery.chain import open_chain
from provery.chain.solidity import Solidity
from provery.client import connect
from provery.core.errors import ConfigurationError
from provery.core.ports import Deps, System
from provery.core.queues import ORCHESTRATE, task_queue
from provery.local import toolchain
from provery.provers import build_provers
from provery.provers.circuits import CircuitRegistry
from provery.provers.models import build_model_provers
from provery.provers.sp1 import metrics as network_metrics
from provery.provers.statements import build_statement_provers
from provery.provers.tools import Tools
from provery.stores.artifacts import open_store
from provery.stores.ledger import SqlLedger, open_ledger
from workers import tracing
from workers.devices import Gpu
from workers.health import free_port
from workers.waiting import Waiting


@dataclass
class Environment:
    """Everything a worker process holds; ``close`` releases it."""

    client: Client
    ledger: SqlLedger
    deps: Deps
    metrics: CollectorRegistry
    sdk_metrics: str
    """Loopback address of the SDK's Prometheus listener."""
    env: Mapping[str, str]
    identity: str
    device: str = ""
    """The leased devices, for the audit trail."""
    _systems: dict[str, System] = field(default_factory=dict)

    def system(self, name: str) -> System:
        """A system's adapter, built at first use.

        Raises:
            ConfigurationError: no such system.
        """
        if name not in self._systems:
            self._systems[name] = registry.load(name, self.env).build(self.deps)
        return self._systems[name]

    @cached_property
    def memo(self) -> Memo:
        """The memoised step over this process's adapters."""
        rates = Rates(_rate(self.env, "PROVERY_CPU_HOUR_COST"), _rate(self.env, "PROVERY_GPU_HOUR_COST"))
        return Memo(self.deps.artifacts, self.ledger, self.system, rates, StageMetrics(self.metrics))

    def lanes(self, where: Callable[[], Where]) -> Lanes:
        """Activities of lanes."""
        ledger = self.ledger.lanes
        rounds = Rounds(ledger, submitter(self.system), self.lane_metrics)
        return Lanes(self.memo, ledger, self.lane_metrics, task_queue(ORCHESTRATE, self.env), where, rounds)

    @cached_property
    def lane_metrics(self) -> LaneMetrics:
        """What lanes count."""
        return LaneMetrics(self.metrics)

    async def close(self) -> None:
        """End children, close connections, flush traces."""
        for system in self._systems.values():
            await system.close()
        for prover in self.deps.provers.values():
            await prover.close()
        for statement_prover in self.deps.statements.values():
            await statement_prover.close()
        await self.deps.artifacts.close()
        await self.ledger.close()
        tracing.stop()


async def build(
    env: Mapping[str, str],
    role: str,
    prover_slots: int,
    gpus: Sequence[Gpu] = (),
    waiting: Waiting | None = None,
) -> Environment:
    """Connect to everything, for as long as it takes.

    Args:
        env: The process environment; see ``docs/configuration.md``.
        role: The worker's queues, for identity and traces.
        prover_slots: Resident prover children this process may have at a time.
        gpus: Leased devices, one per slot, where the slots have devices.
        waiting: Told of what is away meanwhile.

    Raises:
        ConfigurationError: a setting is wrong; the message names it.
    """
    waiting = waiting or Waiting()
    home = _home(env)
    sdk_metrics = f"127.0.0.1:{free_port()}"
    runtime = Runtime(telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=sdk_metrics)))
    identity = f"{role}@{socket.gethostname()}:{os.getpid()}"
    interceptors = tracing.start(env, role)
    client = await waiting(
        "temporal", lambda: connect(env, runtime=runtime, identity=identity, interceptors=interceptors)
    )
    ledger_url = env.get("PROVERY_LEDGER_URL") or f"sqlite:///{home / 'ledger.db'}"
    ledger = await waiting("ledger", lambda: asyncio.to_thread(open_ledger, ledger_url))
    artifacts = open_store(
        env.get("PROVERY_ARTIFACTS_URL") or (home / "artifacts").as_uri(),
        cache=home / "cache" / "artifacts",
        env=env,
    )
    circuits = CircuitRegistry(ledger.catalog, artifacts, env=env, home=home)
    metrics = CollectorRegistry()
    ProcessCollector(registry=metrics)
    deps = Deps(
        artifacts=artifacts,
        ledger=ledger,
        catalog=ledger.catalog,
        circuits=circuits,
        provers=build_provers(env, prover_slots, home, devices=[gpu.device for gpu in gpus]),
        env=env,
        home=home,
        statements=build_statement_provers(env, home, ledger, prover_slots),
        open_chain=open_chain,
        compile_contracts=Solidity(Tools.find(env, home).node, toolchain.evm_modules()).contracts,
        metrics=metrics,
        models=build_model_provers(env, home, prover_slots),
        registry=ledger.models,
        access=ledger.access,
    )
    network_metrics.register(metrics)
    chain_metrics.register(metrics)
    return Environment(
        client,
        ledger,
        deps,
        metrics,
        sdk_metrics,
        env,
        identity,
        ", ".join(gpu.label for gpu in gpus),
    )


def _home(env: Mapping[str, str]) -> Path:
    home = toolchain.home(env)
    home.mkdir(parents=True, exist_ok=True)
    return home


def _rate(env: Mapping[str, str], name: str) -> float:
    text = env.get(name, "0") or "0"
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{name} is not a number", value=text, expected="a price per hour") from None
