"""The zkml system: inferences of ONNX models, each with a proof that anyone can check."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from prometheus_client import CollectorRegistry

    from provery.core.ports import Deps, Units
    from provery.core.types import Json, Work
    from provery.systems.zkml.ingress import ZkmlIngress
    from provery.systems.zkml.system import ZkmlSystem

NAME = "zkml"
OWN_PAGES = frozenset({"/health"})
"""Paths of every worker that the API answers in its own way, as its clients expect."""


def build(deps: Deps) -> ZkmlSystem:
    """The system, from what the workers inject. Heavy imports wait until a worker asks for it."""
    from provery.systems.zkml.system import ZkmlSystem

    return ZkmlSystem.from_deps(deps)


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The unit of an inference that was asked for by hand."""
    from provery.systems.zkml.system import work_for as make

    return await make(stream, request, deps)


async def due(stream: str, deps: Deps) -> list[Work]:
    """Models that are to be added, for `provery prove` without a request."""
    from provery.systems.zkml.system import ZkmlSystem

    return await ZkmlSystem.from_deps(deps).discover(stream, None, None)


async def addition(
    stream: str,
    deps: Deps,
    name: str,
    onnx: Path,
    settings: Mapping[str, Json],
    calibration: Path | None = None,
) -> Work:
    """The unit that adds a model's file under a name, for `provery zkml add`.

    Raises:
        InvalidInput: a name, a setting or a file that cannot be.
    """
    from provery.systems.zkml.system import addition_of

    return await addition_of(stream, deps, name, onnx, settings, calibration)


async def build_ingress(deps: Deps, stream: str, starter: Units, metrics: CollectorRegistry) -> ZkmlIngress:
    """The HTTP API of ``zkml/<stream>``, and the watch over its models."""
    from provery.systems.zkml.ingress import from_deps

    return from_deps(deps, stream, starter, metrics)


def api_port(stream: str, env: Mapping[str, str]) -> int | None:
    """Where the API's clients expect it: ``PORT``, or the upstream service's 3001 where nothing says otherwise."""
    from provery.systems.zkml.settings import port

    return port(env)
