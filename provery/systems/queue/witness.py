"""From a checked order to the inputs of its circuit. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from provery.core.types import Json
from provery.systems.queue.model import DEPTH, Order
from provery.systems.queue.spec import Shape, check_shape

MEMBERSHIP_FIELDS = ("root", "user", "epoch", "leaf", "nonce", "pathElements", "pathIndices")
"""Request schema of the membership circuit. Upstream had the first four and nothing to prove them with."""
LISTS = {"pathElements": DEPTH, "pathIndices": DEPTH}


def circuit_inputs(order: Order, shape: Shape) -> dict[str, Json]:
    """The inputs to hand to the witness calculator.

    A membership request says more than a circuit may take (its leaf follows from user and nonce), so only what the
    circuit knows is passed on. Explicit ``inputs`` must fit exactly.

    Raises:
        InvalidInput: inputs do not fit the circuit.
    """
    inputs = dict(order.inputs)
    if not shape.inputs:
        return inputs
    if explicit(order.request):
        check_shape(inputs, shape, order.circuit)
        return inputs
    chosen = {name: value for name, value in inputs.items() if name in shape.inputs}
    check_shape(chosen, shape, order.circuit)
    return chosen


def explicit(request: Mapping[str, Json]) -> bool:
    """Whether the sender wrote circuit inputs, not a membership request."""
    return "inputs" in request
