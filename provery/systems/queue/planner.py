"""From an order to a unit of work: finds the circuit, pins its version, moves large inputs out of the way."""

from __future__ import annotations

import time

from provery.core.errors import InvalidInput
from provery.core.ports import ArtifactStore, CircuitResolver, Deps
from provery.core.types import Json, Unit, Work, canonical_json, check_key, digest_json
from provery.systems.queue.model import Order
from provery.systems.queue.plan import plan_for
from provery.systems.queue.settings import QueueSettings
from provery.systems.queue.spec import Shape
from provery.systems.queue.wire import check
from provery.systems.queue.witness import circuit_inputs

SYSTEM = "queue"
FRESH_S = 2.0
"""How long a circuit's newest version is taken for the newest; one look per job would be most of a job's cost."""


class Planner:
    """Makes works of orders.

    Args:
        settings: Of the queue system.
        circuits: Where circuits are registered.
        artifacts: Where inputs go that are too large for a workflow's input.
    """

    def __init__(self, settings: QueueSettings, circuits: CircuitResolver, artifacts: ArtifactStore) -> None:
        self._settings = settings
        self._circuits = circuits
        self._artifacts = artifacts
        self._shapes: dict[str, tuple[float, Shape]] = {}

    async def work(self, order: Order) -> Work:
        """The unit and plan of an order. The same order always makes the same unit while its circuit stands.

        Raises:
            UnknownCircuit: no such circuit is registered.
            InvalidInput: inputs do not fit the circuit.
        """
        shape = await self._shape(order.circuit)
        circuit_inputs(order, shape)  # refuses what does not fit before anything is started
        params: dict[str, Json] = {"circuit": order.circuit, "version": shape.version}
        body = canonical_json(dict(order.request))
        if len(body) <= self._settings.inline_bytes:
            params["request"] = dict(order.request)
        else:
            ref = await self._artifacts.put_bytes(body, name="request.json")
            params["artifact"] = {"uri": ref.uri, "sha256": ref.sha256, "size": ref.size}
        unit = Unit(SYSTEM, self._settings.queue_name, order.id, params, title=f"{order.circuit} {order.id}")
        return Work(unit, plan_for(shape, self._settings))

    async def _shape(self, circuit: str) -> Shape:
        known = self._shapes.get(circuit)
        now = time.monotonic()
        if known and now - known[0] < FRESH_S:
            return known[1]
        shape = Shape.of(await self._circuits.manifest(circuit, ""))
        if len(self._shapes) > 1_000:  # names come from senders
            self._shapes.clear()
        self._shapes[circuit] = (now, shape)
        return shape


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The unit of a request that no queue brought.

    The same request is the same unit: without an ``id`` it is named by the digest of its content.

    Raises:
        InvalidInput: the request cannot be proved as it stands.
        UnknownCircuit: no such circuit is registered.
    """
    settings = QueueSettings.load(deps.env, deps.home).model_copy(update={"queue_name": stream})
    body = {name: value for name, value in request.items() if name != "id"}
    given = request.get("id", digest_json(body)[:32])
    if not isinstance(given, str):
        raise InvalidInput(
            "request.id is not text",
            value=given,
            expected="a string, or nothing",
            action="write it in quotes; on the command line --set 'id=\"7\"'",
        )
    order = check(check_key(given), body, default_circuit=settings.default_circuit)
    return await Planner(settings, deps.circuits, deps.artifacts).work(order)
