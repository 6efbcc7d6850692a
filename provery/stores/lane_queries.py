"""Lookups that every transaction on a lane starts with."""

from __future__ import annotations

import time

from sqlalchemy import ColumnElement, Connection, select, update

from provery.core.errors import InvalidInput
from provery.core.lane_records import Fate, LaneRow, Phase, Submission, Transaction
from provery.stores.lane_rows import lane_of, submission_of, transaction_of
from provery.stores.rows import clean
from provery.stores.tables import LANE_SUBMISSIONS, LANE_TRANSACTIONS, LANES

OPEN = tuple(phase.value for phase in Phase if not phase.settled)
"""Phases of submissions that are not settled."""
_S, _T = LANE_SUBMISSIONS.c, LANE_TRANSACTIONS.c
MOVES = ("sent_at", "fate", "block", "block_hash", "gas_used", "gas_price")
"""Columns of a transaction that change after it is signed."""


def submissions(connection: Connection, where: ColumnElement[bool]) -> list[Submission]:
    """Submissions with their transactions, in the order they entered."""
    query = select(LANE_SUBMISSIONS).where(where).order_by(_S.entered_at, _S.request_key)
    rows = list(connection.execute(query).mappings())
    by_key: dict[str, list[Transaction]] = {row["request_key"]: [] for row in rows}
    signed = select(LANE_TRANSACTIONS).where(_T.request_key.in_(list(by_key))).order_by(_T.signed_at, _T.hash)
    for row in connection.execute(signed).mappings() if rows else ():
        by_key[row["request_key"]].append(transaction_of(row))
    return [submission_of(row, tuple(by_key[row["request_key"]])) for row in rows]


def end(connection: Connection, s: Submission, phase: Phase, reason: str, *, told: bool) -> None:
    """Settle a submission."""
    values = {"phase": phase.value, "reason": clean(reason), "settled_at": time.time(), "told": told}
    connection.execute(update(LANE_SUBMISSIONS).where(is_(s)).values(**values))


def is_(s: Submission) -> ColumnElement[bool]:
    """This submission's row."""
    return _S.request_key == s.request_key


def maybe(connection: Connection, request_key: str) -> Submission | None:
    """One submission, if it is there."""
    return next(iter(submissions(connection, _S.request_key == request_key)), None)


def one(connection: Connection, request_key: str) -> Submission:
    """One submission.

    Raises:
        InvalidInput: there is none.
    """
    found = maybe(connection, request_key)
    if found is None:
        raise InvalidInput("no such submission", value=request_key)
    return found


def lane_row(connection: Connection, lane: str) -> LaneRow | None:
    """One lane, if it is there."""
    row = connection.execute(select(LANES).where(LANES.c.id == lane)).mappings().first()
    return None if row is None else lane_of(row)


def nonce_taken(connection: Connection, lane: str, nonce: int) -> bool:
    """Whether something of the lane may land at this nonce, or is under way without being in a block."""
    live = (_T.lane == lane) & (_T.nonce == nonce) & _T.fate.in_((Fate.LIVE.value, Fate.INCLUDED.value))
    pending = (_S.lane == lane) & (_S.phase == Phase.SENT.value)
    queries = (select(_T.hash).where(live).limit(1), select(_S.request_key).where(pending).limit(1))
    return any(connection.execute(query).first() is not None for query in queries)
