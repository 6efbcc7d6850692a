"""The queue system: BullMQ jobs in, Groth16 proofs in the ``zkp_jobs`` table out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from provery.core.ports import Deps, Starter
    from provery.core.types import Json, Work
    from provery.systems.queue.ingress import QueueIngress
    from provery.systems.queue.system import QueueSystem

NAME = "queue"
CIRCUITS = {"membership": Path(__file__).parent / "circuit" / "membership.circom"}
"""Circuits that the system ships with: name → circom source."""


def build(deps: Deps) -> QueueSystem:
    """The system, from what the workers inject. Heavy imports wait until a worker asks for it."""
    from provery.systems.queue.system import QueueSystem

    return QueueSystem.from_deps(deps)


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """A unit of a request that came by hand: with ``id`` its own name, else named by its content."""
    from provery.systems.queue.planner import work_for as make

    return await make(stream, request, deps)


async def build_ingress(
    deps: Deps, stream: str, starter: Starter, metrics: CollectorRegistry
) -> QueueIngress:
    """The feed of ``queue/<stream>`` from the BullMQ queue of that name, with its HTTP API."""
    from provery.systems.queue.ingress import from_deps

    return from_deps(deps, stream, starter, metrics)
