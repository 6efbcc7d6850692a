"""Transactions on units: who owns them and where they stand."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Double,
    Text,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    update,
)

from provery.core.ports import UnitRow
from provery.core.types import Plan, Unit, UnitStatus, Work
from provery.stores.rows import clean, unit_id, unit_of, unit_row
from provery.stores.sql import batches, put_if_absent
from provery.stores.tables import ATTEMPTS, EVENTS, UNITS

TERMINAL = tuple(status.value for status in UnitStatus if status.terminal)
_AGAIN = (UnitStatus.FAILED.value, UnitStatus.CANCELLED.value)
_NO_PLAN = Plan(stages=())
_REOPENED_COLUMNS = (
    "params", "params_sha256", "ordinal", "title", "status", "workflow_id", "reason", "error_kind", "stage",
    "generation", "plan", "updated_at",
)  # fmt: skip


def _one_of(statuses: Sequence[str]) -> ColumnElement[bool]:
    """``status in (…)`` written out: SQLAlchemy's expanding list does not go through ``executemany``."""
    return or_(*(UNITS.c.status == status for status in statuses))


class Units:
    """Statements, compiled once, and the transactions made of them. Batches go in key order, against deadlocks."""

    def __init__(self, dialect: str) -> None:
        self._insert = put_if_absent(UNITS, dialect)
        self._by_ids = select(UNITS).where(UNITS.c.id.in_(bindparam("ids", expanding=True)))
        may_reopen = and_(
            UNITS.c.id == bindparam("b_id"),
            or_(
                _one_of(_AGAIN),
                and_(
                    _one_of(TERMINAL),
                    or_(
                        UNITS.c.params_sha256 != bindparam("b_params_sha256"),
                        UNITS.c.generation < bindparam("b_generation"),
                    ),
                ),
            ),
        )
        self._note_reopened = _note(may_reopen)
        self._reopen = (
            update(UNITS)
            .where(may_reopen)
            .values({name: bindparam(f"b_{name}") for name in _REOPENED_COLUMNS})
        )
        # The digest of the parameters keeps a run of an earlier, different unit from ending its corrected successor.
        standing = and_(
            UNITS.c.id == bindparam("b_id"),
            UNITS.c.params_sha256 == bindparam("b_params_sha256"),
            UNITS.c.status != UnitStatus.DONE.value,
        )
        self._note_change = _note(and_(standing, UNITS.c.status != bindparam("b_status")))
        self._conclude = (
            update(UNITS)
            .where(standing)
            .values(
                {n: bindparam(f"b_{n}") for n in ("status", "reason", "error_kind", "stage", "updated_at")}
            )
        )
        self._generation = (
            update(UNITS)
            .where(UNITS.c.id == bindparam("b_id"), UNITS.c.generation < bindparam("b_generation"))
            .values(generation=bindparam("b_generation"))
        )
        self._adopt = (
            update(UNITS)
            .where(
                UNITS.c.id == bindparam("b_id"),
                UNITS.c.workflow_id == bindparam("b_owner"),
                UNITS.c.status.not_in(TERMINAL),
            )
            .values(workflow_id=bindparam("b_new_owner"), updated_at=bindparam("b_updated_at"))
        )

    def claim(self, connection: Connection, works: Sequence[Work], owner: str, reopen: bool) -> list[UnitRow]:
        """Insert new units, reopen ended ones that may be; returns every row as it stands, in order."""
        now = time.time()
        rows: dict[str, dict[str, Any]] = {}
        for number, work in enumerate(works):
            # A microsecond apart, so that paging by time neither repeats nor skips units of one batch.
            at = now + number * 1e-6
            rows.setdefault(
                unit_id(work.unit), unit_row(work.unit, work.plan, owner or work.unit.workflow_id, at)
            )
        fresh: set[str] = set()
        ordered = [rows[key] for key in sorted(rows)]
        for some in batches(ordered):
            fresh.update(connection.execute(self._insert, list(some)).scalars())
        self._events(connection, [(key, now, "claimed", rows[key]["workflow_id"]) for key in sorted(fresh)])
        again = [row for row in ordered if row["id"] not in fresh]
        if reopen and again:
            given = [{f"b_{name}": value for name, value in row.items()} for row in again]
            notes = [
                {
                    "b_id": g["b_id"],
                    "b_params_sha256": g["b_params_sha256"],
                    "b_generation": g["b_generation"],
                    "e_at": now,
                    "e_event": "reopened",
                    "e_detail": g["b_workflow_id"],
                }
                for g in given
            ]
            connection.execute(self._note_reopened, notes)
            names = {"b_id", *(f"b_{name}" for name in _REOPENED_COLUMNS)}
            connection.execute(self._reopen, [{n: g[n] for n in names} for g in given])
        found = self.by_ids(connection, list(rows))
        return [found[unit_id(work.unit)] for work in works]

    def by_ids(self, connection: Connection, ids: Sequence[str]) -> dict[str, UnitRow]:
        """Units by primary key."""
        found: dict[str, UnitRow] = {}
        for some in batches(ids):
            for row in connection.execute(self._by_ids, {"ids": list(some)}).mappings():
                found[row["id"]] = unit_of(row)
        return found

    def adopt(self, connection: Connection, unit: Unit, owner: str, new_owner: str) -> bool:
        """Change the owner if it is ``owner``, or say that it already is ``new_owner``."""
        now, key = time.time(), unit_id(unit)
        given = {"b_id": key, "b_owner": owner, "b_new_owner": new_owner, "b_updated_at": now}
        if connection.execute(self._adopt, given).rowcount == 1:
            if owner != new_owner:
                self._events(connection, [(key, now, "adopted", new_owner)])
            return True
        row = self.by_ids(connection, [key]).get(key)
        return row is not None and row.workflow_id == new_owner and not row.status.terminal

    def done(self, connection: Connection, units: Sequence[Unit]) -> None:
        """Mark units done."""
        if units:
            self._set(connection, units, UnitStatus.DONE, "", "", "")

    def conclude(
        self,
        connection: Connection,
        unit: Unit,
        status: UnitStatus,
        reason: str,
        error_kind: str,
        stage: str,
        generation: int | None,
    ) -> UnitStatus:
        """Set a status; returns the one that stands."""
        reason = clean(reason)
        if generation is not None:
            given = {"b_id": unit_id(unit), "b_generation": generation}
            if connection.execute(self._generation, given).rowcount == 1:
                self._events(
                    connection, [(unit_id(unit), time.time(), "re-proved", f"generation {generation}")]
                )
        self._set(connection, [unit], status, reason, error_kind, stage)
        return self.by_ids(connection, [unit_id(unit)])[unit_id(unit)].status

    def _set(
        self,
        connection: Connection,
        units: Sequence[Unit],
        status: UnitStatus,
        reason: str,
        error_kind: str,
        stage: str,
    ) -> None:
        now = time.time()
        by_id = {unit_id(unit): unit for unit in units}
        keys: list[dict[str, Any]] = [
            {"b_id": id_, "b_params_sha256": by_id[id_].params_sha256, "b_status": status.value}
            for id_ in sorted(by_id)
        ]
        note = {"e_at": now, "e_event": status.value, "e_detail": reason}
        change = {"b_reason": reason, "b_error_kind": error_kind, "b_stage": stage, "b_updated_at": now}
        connection.execute(self._note_change, [{**key, **note} for key in keys])
        changed = connection.execute(self._conclude, [{**key, **change} for key in keys]).rowcount
        if changed >= len(keys):
            return
        # Some were done before, or their rows were lost with an older copy of the database: what became of a unit is
        # still worth a row.
        there = self.by_ids(connection, list(by_id))
        rows = [
            {
                **unit_row(unit, _NO_PLAN, unit.workflow_id, now),
                "status": status.value,
                "reason": reason,
                "error_kind": error_kind,
                "stage": stage,
            }
            for id_, unit in sorted(by_id.items())
            if id_ not in there
        ]
        if rows:
            inserted = connection.execute(self._insert, rows).scalars().all()
            self._events(connection, [(id_, now, status.value, reason) for id_ in inserted])

    def listed(
        self,
        connection: Connection,
        system: str,
        stream: str,
        status: str,
        limit: int,
        before: float | None,
    ) -> list[UnitRow]:
        """Units, newest first."""
        query = select(UNITS).order_by(UNITS.c.created_at.desc()).limit(limit)
        for column, value in ((UNITS.c.system, system), (UNITS.c.stream, stream), (UNITS.c.status, status)):
            if value:
                query = query.where(column == value)
        if before is not None:
            query = query.where(UNITS.c.created_at < before)
        return self.with_progress(connection, [unit_of(row) for row in connection.execute(query).mappings()])

    def with_progress(self, connection: Connection, rows: list[UnitRow]) -> list[UnitRow]:
        """Fill in run and stage of the newest attempt.

        Read when somebody looks instead of written with each attempt: units are worked on more often than looked at.
        """
        if not rows:
            return rows
        newest = (
            select(ATTEMPTS.c.unit_id, func.max(ATTEMPTS.c.started_at).label("at"))
            .where(ATTEMPTS.c.unit_id.in_([unit_id(row.unit) for row in rows]))
            .group_by(ATTEMPTS.c.unit_id)
            .subquery()
        )
        query = select(ATTEMPTS.c.unit_id, ATTEMPTS.c.run_id, ATTEMPTS.c.stage).join(
            newest, and_(ATTEMPTS.c.unit_id == newest.c.unit_id, ATTEMPTS.c.started_at == newest.c.at)
        )
        found = {row.unit_id: (row.run_id, row.stage) for row in connection.execute(query)}
        return [_progressed(row, *found.get(unit_id(row.unit), ("", ""))) for row in rows]

    def _events(self, connection: Connection, events: list[tuple[str, float, str, str]]) -> None:
        if events:
            names = ("unit_id", "at", "event", "detail")
            connection.execute(_EVENT, [dict(zip(names, event, strict=True)) for event in events])


_EVENT = insert(EVENTS)


def _note(where: Any) -> Any:
    """Write an event for each unit that the change right after it will touch, so that a repeated call writes none."""
    source = select(
        UNITS.c.id,
        bindparam("e_at", type_=Double),
        bindparam("e_event", type_=Text),
        bindparam("e_detail", type_=Text),
    ).where(where)
    return insert(EVENTS).from_select(["unit_id", "at", "event", "detail"], source)


def _progressed(row: UnitRow, run_id: str, stage: str) -> UnitRow:
    return replace(row, run_id=run_id, stage=row.stage or ("" if row.status is UnitStatus.DONE else stage))
