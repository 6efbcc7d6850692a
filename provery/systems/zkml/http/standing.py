"""How a proof stands, as ``/v1/proofs/{id}``, its events and its webhook tell it."""

from __future__ import annotations

from provery.core.ports import UnitState
from provery.core.types import Json, UnitStatus
from provery.systems.zkml.http.answers import Finished, result
from provery.systems.zkml.http.proofs import failure

STAGES = ("witness", "prove", "verify", "submit")


def standing(digest: str, state: UnitState | None, finished: Finished | None) -> dict[str, Json]:
    """The document of a proof.

    Args:
        digest: Its id.
        state: Of its unit; None where only its answer is at hand.
        finished: Its answer, where there is one.
    """
    told: dict[str, Json] = {
        "id": digest,
        "status": status_of(state, finished),
        "stages": list(STAGES),
        "links": {
            "self": f"/v1/proofs/{digest}",
            "events": f"/v1/proofs/{digest}/events",
        },
    }
    if finished is not None:
        return {
            **told,
            "success": True,
            "model_id": finished.answer.model,
            "result": result(finished),
        }
    if state is None:
        return told
    told |= {"stage": state.stage, "step": state.step, "progress": round(state.done, 4)}
    if state.status.terminal:
        error = failure(digest, state)
        told |= {"success": False, "error": error.message, "code": error.code}
    return told


def status_of(state: UnitState | None, finished: Finished | None) -> str:
    """``running``, ``done``, ``failed`` or ``cancelled``; ``lost`` for one that is done and whose answer is gone."""
    if finished is not None:
        return UnitStatus.DONE.value
    if state is None:
        return "unknown"
    if state.status is UnitStatus.DONE:
        return "lost"
    if state.status is UnitStatus.SKIPPED:
        return UnitStatus.FAILED.value
    return state.status.value
