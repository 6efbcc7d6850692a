"""A system that takes requests, for tests of ``provery prove``."""

from __future__ import annotations

from provery.core.errors import InvalidInput
from provery.core.ports import Deps
from provery.core.types import Json, Plan, Stage, StagePlan, Unit, Work


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
