"""What an operator's order changes in the ledger: in the same transaction that looks whether it fits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, update

from provery.core.errors import InvalidInput
from provery.core.lane_records import (
    CANCEL,
    PAUSE,
    RAISE_CAP,
    RESUME,
    RETRY,
    SKIP,
    LaneOrder,
    Phase,
    Submission,
    Wait,
)
from provery.stores.rows import clean
from provery.stores.tables import LANE_SUBMISSIONS, LANES


def obey(connection: Connection, order: LaneOrder, found: Sequence[Submission]) -> str:
    """Write down what an order changes; what became of it, for people.

    Args:
        connection: The transaction.
        order: What is wanted.
        found: The submissions of the unit that the order names.

    Raises:
        InvalidInput: it does not fit as things stand.
    """
    if not order.unit:
        return _lane(connection, order)
    open_ = [s for s in found if not s.phase.settled]
    if not open_:
        raise InvalidInput(
            "the unit is not in the lane" if not found else f"the unit has left the lane: {found[-1].phase}",
            value=order.unit,
            action="`provery lane show` lists what is in it",
        )
    return _submission(connection, order, open_[-1])


def _lane(connection: Connection, order: LaneOrder) -> str:
    values: dict[str, Any]
    if order.name == PAUSE:
        values, said = {"paused": True, "reason": clean(order.reason or "an operator's order")}, "paused"
    elif order.name == RESUME:
        values, said = {"paused": False, "reason": ""}, "resumed"
    elif order.name == RAISE_CAP:
        values, said = {"max_fee": _fee(order)}, f"the cap is {order.max_fee} wei per gas"
    else:
        raise InvalidInput(f"{order.name} is for one unit", expected="a unit", action="name it")
    mine = update(LANES).where(LANES.c.id == order.lane)
    connection.execute(mine.values(**values, updated_at=time.time()))
    return said


def _submission(connection: Connection, order: LaneOrder, s: Submission) -> str:
    values: dict[str, Any]
    ends = {"settled_at": time.time(), "reason": clean(order.reason or "an operator's order")}
    if order.name == RAISE_CAP:
        values, said = {"max_fee": _fee(order)}, f"the cap is {order.max_fee} wei per gas"
    elif order.name == RETRY:
        values, said = {"waits_for": Wait.TURN.value, "reason": "tried again"}, "tried again"
        if s.phase is not Phase.WAITING:
            raise InvalidInput(f"the unit is {s.phase} and follows its course", value=order.unit)
    elif order.name == SKIP and s.phase is Phase.WAITING:
        values, said = {**ends, "phase": Phase.SKIPPED.value}, "skipped"
    elif order.name == CANCEL and s.phase is Phase.WAITING:
        values, said = {**ends, "phase": Phase.CANCELLED.value}, "cancelled"
    elif order.name == CANCEL and s.phase is Phase.SENT:
        values = {"want": "cancel"}
        said = "a transaction to oneself will take its nonce, above the cap by a tenth where it must"
    elif order.name in (SKIP, CANCEL):
        action = "cancel it" if s.phase is Phase.SENT else "it is in a block: wait for its confirmations"
        raise InvalidInput(f"the unit is {s.phase} and cannot be taken out", value=order.unit, action=action)
    else:
        raise InvalidInput(f"{order.name} is for a whole lane", action="name no unit")
    mine = update(LANE_SUBMISSIONS).where(LANE_SUBMISSIONS.c.request_key == s.request_key)
    connection.execute(mine.values(**values))
    return said


def _fee(order: LaneOrder) -> str:
    if not order.max_fee.isdecimal() or len(order.max_fee) > 30:
        raise InvalidInput("not a cap", value=order.max_fee, expected="wei per gas, as decimal digits")
    return order.max_fee
