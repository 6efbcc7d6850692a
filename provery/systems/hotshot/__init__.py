"""The hotshot system: light-client states of an Espresso network, signed by its validators, proved for L1."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from provery.core.controls import Again
    from provery.core.ports import Deps, Starter
    from provery.core.types import Json, Work
    from provery.systems.hotshot.ingress import HotShotIngress
    from provery.systems.hotshot.system import HotShotSystem

NAME = "hotshot"


def build(deps: Deps) -> HotShotSystem:
    """The system, from what the workers inject. Heavy imports wait until a worker asks for it."""
    from provery.systems.hotshot.system import HotShotSystem

    return HotShotSystem.from_deps(deps)


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The unit of an epoch's root that was asked for by hand."""
    from provery.systems.hotshot.system import work_for as make

    return await make(stream, request, deps)


async def due(stream: str, deps: Deps) -> list[Work]:
    """What is due now, for `provery prove` without a request."""
    from provery.systems.hotshot.system import due as find

    return await find(stream, deps)


async def build_ingress(
    deps: Deps, stream: str, starter: Starter, metrics: CollectorRegistry
) -> HotShotIngress:
    """The HTTP API of ``hotshot/<stream>`` and its figures."""
    from provery.systems.hotshot.ingress import from_deps

    return from_deps(deps, stream, metrics)


def look_every_s(stream: str, env: Mapping[str, str]) -> float:
    """Seconds between the looks of a schedule that is made without an interval: the update interval."""
    from provery.systems.hotshot.settings import HotShotSettings

    return HotShotSettings.load(stream, env).update_interval


def look_again(stream: str, env: Mapping[str, str]) -> Again:
    """How a look that failed is repeated: after the retry interval, so many times."""
    from provery.core.controls import Again
    from provery.systems.hotshot.settings import HotShotSettings

    settings = HotShotSettings.load(stream, env)
    return Again(settings.retries, settings.retry_interval)


def service_port(stream: str, env: Mapping[str, str]) -> int | None:
    """Port of the stream's HTTP API, where it is started by itself; None for none.

    Raises:
        ConfigurationError: the stream cannot be started: no contract, no account, or a malformed setting.
    """
    from provery.systems.hotshot.settings import HotShotSettings

    settings = HotShotSettings.load(stream, env)
    _ = settings.contract, settings.account
    return settings.port
