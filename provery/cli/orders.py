"""``provery pause|resume|cancel|skip|reprove|move``: an operator's orders to one unit."""

from __future__ import annotations

from typing import Annotated

import typer

from provery.cli import equivalents
from provery.cli.options import JsonOption, PrintTemporal, ReasonOption, StageOption, UnitArgument, order
from provery.cli.output import emit, say
from provery.cli.session import Session, run
from provery.client import Address, ui_link
from provery.core.controls import (
    UPDATE_CANCEL,
    UPDATE_MOVE,
    UPDATE_PAUSE,
    UPDATE_REPROVE,
    UPDATE_RESUME,
    UPDATE_SKIP,
    Order,
)

_WORDS = {"updated": "its workflow took the order", "restarted": "started again", "recorded": "written down"}


def pause(
    unit: UnitArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Start no further stage of a unit; a running stage goes on.

    JSON: {"unit", "order", "how": "updated|restarted|recorded", "workflow_id", "run_id", "ui"}
    """
    _give(UPDATE_PAUSE, unit, order(reason), json_, print_temporal)


def resume(
    unit: UnitArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Go on with a paused unit, or try a parked unit's stage again.

    JSON: as for `pause`.
    """
    _give(UPDATE_RESUME, unit, order(reason), json_, print_temporal)


def cancel(
    unit: UnitArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Stop a unit: its prover is killed and it ends as cancelled. What is finished stays recorded.

    JSON: as for `pause`.
    """
    _give(UPDATE_CANCEL, unit, order(reason), json_, print_temporal)


def skip(
    unit: UnitArgument,
    reason: Annotated[str, typer.Option(help="Why there will be no proof; required.")],
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """End a unit without a proof, for a reason.

    JSON: as for `pause`.
    """
    _give(UPDATE_SKIP, unit, order(reason), json_, print_temporal)


def reprove(
    unit: UnitArgument,
    stage: StageOption = "prove",
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Compute a unit again from a stage on, ignoring earlier results; an ended unit starts again.

    JSON: as for `pause`.
    """
    _give(UPDATE_REPROVE, unit, order(reason, stage=stage), json_, print_temporal)


def move(
    unit: UnitArgument,
    queue: Annotated[str, typer.Option(help="The queue to move to: io, cpu, cpu-large, gpu.")],
    stage: StageOption = "prove",
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Run a stage of a unit on another queue.

    JSON: as for `pause`.
    """
    _give(UPDATE_MOVE, unit, order(reason, stage=stage, queue=queue), json_, print_temporal)


def _give(name: str, unit: str, given: Order, json_: bool, print_temporal: bool) -> None:
    address = Address.parse(unit)

    async def go(session: Session) -> None:
        if print_temporal:
            equivalents.show(*equivalents.for_order(session.env, address, name, given))
        done = await (await session.engine()).order(name, address, given)
        link = ui_link(session.env, done.workflow_id, done.run_id)
        if json_:
            emit(
                {
                    "unit": done.unit,
                    "order": done.order,
                    "how": done.how,
                    "workflow_id": done.workflow_id,
                    "run_id": done.run_id,
                    "ui": link,
                }
            )
        else:
            say(f"{name} {done.unit}: {_WORDS[done.how]}")

    run(go)
