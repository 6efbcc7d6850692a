"""Transactions on outward calls, and everything recorded of a unit in one answer."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, func, select, update

from provery.core.errors import SpendingCapReached
from provery.core.lane_records import Phase
from provery.core.lane_rules import in_turn
from provery.core.ports import Budget
from provery.core.types import Json, Unit
from provery.stores.lane_queries import submissions as lane_submissions
from provery.stores.lane_rows import shown
from provery.stores.rows import dump, submission_of, unit_id, unit_of
from provery.stores.sql import put_if_absent
from provery.stores.tables import ATTEMPTS, EVENTS, LANE_SUBMISSIONS, RESULTS, SUBMISSIONS, UNITS


class Submissions:
    """Intents and receipts of outward calls."""

    def __init__(self, dialect: str) -> None:
        self._insert = put_if_absent(SUBMISSIONS, dialect)
        self._locks = dialect == "postgresql"

    def intend(
        self,
        connection: Connection,
        unit: Unit,
        destination: str,
        request_key: str,
        detail: Mapping[str, Json],
        cost: float = 0.0,
        budget: Budget | None = None,
    ) -> dict[str, Json]:
        """Record an intent if there is none under this key; returns the one that stands."""
        if budget is not None:
            self._afford(connection, unit, destination, request_key, cost, budget)
        row = _intent(request_key, unit_id(unit), destination, detail, cost)
        fresh = connection.execute(self._insert, [row]).scalars().all()
        found = connection.execute(select(SUBMISSIONS).where(SUBMISSIONS.c.request_key == request_key))
        return {**submission_of(found.mappings().one()), "new": bool(fresh)}

    def _afford(
        self,
        connection: Connection,
        unit: Unit,
        destination: str,
        request_key: str,
        cost: float,
        budget: Budget,
    ) -> None:
        """Refuse a new intent that the budget does not cover. Two at once must not both fit into what is left."""
        if self._locks:  # SQLite has one writer anyway
            name = f"provery budget {destination} {unit.system}/{unit.stream}"
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))
        known = select(SUBMISSIONS.c.request_key).where(SUBMISSIONS.c.request_key == request_key)
        if connection.execute(known).first() is not None:
            return
        spent = connection.execute(
            select(func.coalesce(func.sum(SUBMISSIONS.c.cost), 0.0)).where(
                SUBMISSIONS.c.destination == destination,
                SUBMISSIONS.c.intended_at > time.time() - budget.window_s,
                SUBMISSIONS.c.unit_id.startswith(f"{unit.system}/{unit.stream}/", autoescape=True),
            )
        ).scalar_one()
        # Sums of floats end a little beside the sum that people make.
        if spent + cost > budget.limit * (1 + 1e-9):
            raise SpendingCapReached(
                f"{unit.system}/{unit.stream} would spend too much at {destination}",
                value=f"{spent:.6g} in the last {budget.window_s / 3600:g} h, and now {cost:.6g}",
                expected=f"at most {budget.limit:.6g}",
                action="raise the cap, or wait",
            )

    def receipt(
        self, connection: Connection, request_key: str, receipt: Mapping[str, Json], cost: float
    ) -> None:
        """Record a receipt; the first one stays."""
        # Without its intent, which only a database put back from a backup can lack, a receipt is still kept.
        connection.execute(self._insert, [_intent(request_key, "", "", {}, cost)])
        connection.execute(
            update(SUBMISSIONS)
            .where(SUBMISSIONS.c.request_key == request_key, SUBMISSIONS.c.receipt.is_(None))
            .values(receipt=dump(dict(receipt)), received_at=time.time(), cost=cost)
        )

    def settle(
        self, connection: Connection, request_key: str, outcome: Mapping[str, Json], cost: float
    ) -> None:
        """Add an outcome to a receipt."""
        self.receipt(connection, request_key, {}, cost)
        mine = SUBMISSIONS.c.request_key == request_key
        before = connection.execute(select(SUBMISSIONS.c.receipt).where(mine)).scalar_one()
        merged = dump({**json.loads(before), **outcome})
        connection.execute(update(SUBMISSIONS).where(mine).values(receipt=merged, cost=cost))


def audit(connection: Connection, unit: Unit) -> dict[str, Json]:
    """Everything recorded of a unit."""
    key = unit_id(unit)
    found = connection.execute(select(UNITS).where(UNITS.c.id == key)).mappings().first()
    attempts = _rows(
        connection, select(ATTEMPTS).where(ATTEMPTS.c.unit_id == key).order_by(ATTEMPTS.c.started_at)
    )
    results = _rows(
        connection, select(RESULTS).where(RESULTS.c.unit_id == key).order_by(RESULTS.c.recorded_at)
    )
    for result in results:
        result["outputs"], result["facts"] = json.loads(result["outputs"]), json.loads(result["facts"])
    calls = connection.execute(
        select(SUBMISSIONS).where(SUBMISSIONS.c.unit_id == key).order_by(SUBMISSIONS.c.intended_at)
    )
    submissions = [submission_of(row) for row in calls.mappings()]
    events = _rows(connection, select(EVENTS).where(EVENTS.c.unit_id == key).order_by(EVENTS.c.id))
    unit_part: dict[str, Any] | None = None
    if found is not None:
        row = unit_of(found)
        unit_part = {
            **{name: value for name, value in found.items() if name not in ("params", "plan")},
            "params": row.unit.params,
            "plan": json.loads(found["plan"]),
        }
    return {
        "unit": unit_part,
        "attempts": list(attempts),
        "results": list(results),
        "submissions": list(submissions),
        "lane": _in_lanes(connection, key),
        "events": [{name: value for name, value in e.items() if name != "unit_id"} for e in events],
        "costs": _costs(attempts, submissions),
    }


def _in_lanes(connection: Connection, key: str) -> list[Json]:
    found = lane_submissions(connection, LANE_SUBMISSIONS.c.unit_id == key)
    lanes = {s.lane for s in found if not s.phase.settled}
    sent = LANE_SUBMISSIONS.c.lane.in_(lanes) & (LANE_SUBMISSIONS.c.phase == Phase.SENT.value)
    return [shown(s) for s in in_turn(found, lane_submissions(connection, sent) if lanes else ())]


def _costs(attempts: list[dict[str, Any]], submissions: list[dict[str, Json]]) -> dict[str, Json]:
    computing = sum(a["cost"] for a in attempts)
    calls = sum(float(str(s["cost"])) for s in submissions)
    outcomes = [a["outcome"] or "open" for a in attempts]
    return {
        "total": computing + calls,
        "computing": computing,
        "submissions": calls,
        "cpu_s": sum(a["cpu_s"] for a in attempts),
        "wall_s": sum(a["ended_at"] - a["started_at"] for a in attempts if a["ended_at"] is not None),
        "peak_rss": max((a["peak_rss"] for a in attempts), default=0),
        "attempts": {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))},
    }


def _intent(
    request_key: str, unit: str, destination: str, detail: Mapping[str, Json], cost: float
) -> dict[str, Any]:
    return {
        "request_key": request_key,
        "unit_id": unit,
        "destination": destination,
        "detail": dump(dict(detail)),
        "intended_at": time.time(),
        "cost": cost,
    }


def _rows(connection: Connection, query: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(query).mappings()]
