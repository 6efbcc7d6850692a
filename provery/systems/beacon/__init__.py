"""The beacon system: sync-committee periods of an Ethereum consensus chain."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from provery.core.ports import Deps, Starter
    from provery.core.types import Json, Work
    from provery.systems.beacon.ingress import BeaconIngress
    from provery.systems.beacon.system import BeaconSystem

NAME = "beacon"


def build(deps: Deps) -> BeaconSystem:
    """The system, from what the workers inject. Heavy imports wait until a worker asks for it."""
    from provery.systems.beacon.system import BeaconSystem

    return BeaconSystem.from_deps(deps)


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The unit of a period that was asked for by hand."""
    from provery.systems.beacon.system import work_for as make

    return await make(stream, request, deps)


async def build_ingress(
    deps: Deps, stream: str, starter: Starter, metrics: CollectorRegistry
) -> BeaconIngress:
    """The period store of ``beacon/<stream>`` over HTTP, with its figures and alarms."""
    from provery.systems.beacon.ingress import from_deps

    return from_deps(deps, stream, metrics)


def look_every_s(stream: str, env: Mapping[str, str]) -> float:
    """Seconds between the looks of a schedule that is made without an interval: CHECK_INTERVAL_MS."""
    from pathlib import Path

    from provery.systems.beacon.settings import BeaconSettings

    return BeaconSettings.load(stream, env, Path.cwd()).check_interval_ms / 1000
