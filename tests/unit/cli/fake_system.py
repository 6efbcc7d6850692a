"""A system that takes requests, for tests of ``provery prove``."""

from __future__ import annotations

from collections import Counter

from provery.core.errors import InvalidInput
from provery.core.ports import Deps
from provery.core.types import Json, Plan, Stage, StagePlan, Unit, Work

_LOOKS: Counter[str] = Counter()


async def due(stream: str, deps: Deps) -> list[Work]:
    """One unit; nothing in a stream ``idle``; one that fails at first in a stream ``unsteady-…``."""
    _LOOKS[stream] += 1
    if stream == "idle":
        return []
    unsteady = stream.startswith("unsteady-") and _LOOKS[stream] == 1
    return [
        await work_for(stream, {"id": f"due-{_LOOKS[stream]}", "mode": "fail" if unsteady else None}, deps)
    ]


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The field ``id`` names the unit."""
    if "id" not in request:
        raise InvalidInput("a request without an id", expected='a field "id"')
    params = {"mode": request.get("mode"), "value": request.get("value")}
    plan = Plan(
        (
            StagePlan(Stage.FETCH, "io"),
            StagePlan(Stage.PROVE, "cpu", prover="native", verifying_key="ab" * 32),
        )
    )
    return Work(Unit("fake", stream, str(request["id"]), params=params, title="a fake"), plan)
