"""Transactions on stages: attempts and the results that are never computed twice."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from sqlalchemy import Connection, bindparam, delete, func, select, update

from provery.core.errors import Retry, error_classes
from provery.core.ports import Attempt, AttemptEnd
from provery.core.types import StageResult, Unit
from provery.stores.rows import Row, attempt_row, clean, end_row, result_of, result_row, unit_id
from provery.stores.sql import batches, put_if_absent
from provery.stores.tables import ATTEMPTS, RESULTS

_END_COLUMNS = (
    "ended_at",
    "outcome",
    "error_kind",
    "error",
    "exit_code",
    "signal",
    "cpu_s",
    "peak_rss",
    "cost",
)
LOST = "lost"


class Memo:
    """Statements, compiled once, and the transactions made of them. Batches go in key order, against deadlocks."""

    def __init__(self, dialect: str) -> None:
        self._insert_result = put_if_absent(RESULTS, dialect)
        self._insert_attempt = put_if_absent(ATTEMPTS, dialect)
        self._lookup = select(RESULTS).where(RESULTS.c.memo_key.in_(bindparam("keys", expanding=True)))
        self._lose = (
            update(ATTEMPTS)
            .where(
                ATTEMPTS.c.memo_key.in_(bindparam("keys", expanding=True)),
                ATTEMPTS.c.ended_at.is_(None),
                ATTEMPTS.c.id.not_in(bindparam("ids", expanding=True)),
            )
            .values(outcome=LOST, ended_at=bindparam("b_now"))
        )
        self._attempts = select(
            ATTEMPTS.c.id,
            ATTEMPTS.c.unit_id,
            ATTEMPTS.c.params_sha256,
            ATTEMPTS.c.shard,
            ATTEMPTS.c.generation,
        ).where(ATTEMPTS.c.id.in_(bindparam("ids", expanding=True)))
        # A lost attempt was only presumed dead; if it reports after all, what it says is the truth.
        self._close = (
            update(ATTEMPTS)
            .where(
                ATTEMPTS.c.id == bindparam("b_id"),
                (ATTEMPTS.c.ended_at.is_(None)) | (ATTEMPTS.c.outcome == LOST),
            )
            .values({name: bindparam(f"b_{name}") for name in _END_COLUMNS})
        )

    def lookup(self, connection: Connection, keys: Sequence[str]) -> dict[str, StageResult]:
        """Recorded results, marked as reused."""
        found: dict[str, StageResult] = {}
        for some in batches(list(dict.fromkeys(keys))):
            for row in connection.execute(self._lookup, {"keys": list(some)}).mappings():
                found[row["memo_key"]] = replace(result_of(row), reused=True, seconds=0.0)
        return found

    def begin(self, connection: Connection, attempts: Sequence[Attempt]) -> dict[str, StageResult]:
        """Look up, then open attempts for what was not found; what their predecessors left open is lost."""
        found = self.lookup(connection, [attempt.memo_key for attempt in attempts])
        opened = sorted((a for a in attempts if a.memo_key not in found), key=lambda a: a.id)
        digests: dict[str, str] = {}
        for some in batches(opened):
            keys, ids = sorted({a.memo_key for a in some}), [a.id for a in some]
            connection.execute(self._lose, {"keys": keys, "ids": ids, "b_now": time.time()})
            rows = []
            for attempt in some:
                key = unit_id(attempt.unit)
                if key not in digests:
                    digests[key] = attempt.unit.params_sha256
                rows.append(attempt_row(attempt, digests[key]))
            connection.execute(self._insert_attempt, rows)
        return found

    def finish(self, connection: Connection, ends: Sequence[AttemptEnd]) -> dict[str, StageResult]:
        """Record results put-if-absent and close attempts; returns the winners."""
        now = time.time()
        given = [(end.id, end.result) for end in ends if end.result is not None]
        winners: dict[str, StageResult] = {}
        if given:
            known: dict[str, Row] = {}
            for some in batches([id_ for id_, _ in given]):
                for row in connection.execute(self._attempts, {"ids": list(some)}).mappings():
                    known[row["id"]] = row
            rows = {r.memo_key: result_row(r, id_, known.get(id_, {}), now) for id_, r in reversed(given)}
            recorded: set[str] = set()
            ordered = [rows[key] for key in sorted(rows)]
            for few in batches(ordered):
                recorded.update(connection.execute(self._insert_result, list(few)).scalars())
            winners = {r.memo_key: r for _, r in reversed(given) if r.memo_key in recorded}
            winners.update(self.lookup(connection, [key for key in rows if key not in recorded]))
        if ends:
            connection.execute(self._close, [end_row(end) for end in sorted(ends, key=lambda e: e.id)])
        return winners

    def forget(self, connection: Connection, memo_key: str, attempt: str, reason: str) -> bool:
        """Drop the result of an attempt, which keeps the reason; one that was recorded since stays."""
        seen = (RESULTS.c.memo_key == memo_key) & (RESULTS.c.attempt_id == attempt)
        if connection.execute(delete(RESULTS).where(seen)).rowcount == 0:
            return False
        note = clean(f"result forgotten: {reason}")
        connection.execute(update(ATTEMPTS).where(ATTEMPTS.c.id == attempt).values(note=note))
        return True

    def bounded_failures(
        self, connection: Connection, unit: Unit, stage: str, run_id: str, activity_id: str
    ) -> int:
        """Attempts at a stage that failed with a bounded error in this dispatch."""
        kinds = [name for name, cls in error_classes().items() if cls.retry is Retry.BOUNDED]
        query = select(func.count()).where(
            ATTEMPTS.c.unit_id == unit_id(unit),
            ATTEMPTS.c.stage == str(stage),
            ATTEMPTS.c.run_id == run_id,
            ATTEMPTS.c.activity_id == activity_id,
            ATTEMPTS.c.outcome == "failed",
            ATTEMPTS.c.error_kind.in_(kinds),
        )
        return int(connection.execute(query).scalar_one())

    def results(
        self, connection: Connection, unit: Unit, stage: str, generation: int
    ) -> Mapping[int, StageResult]:
        """Results of a fanned-out stage by shard; where a shard has several, the newest.

        A shard has several when its witness was computed anew after an artifact was lost, or another prover took over.
        """
        query = (
            select(RESULTS)
            .where(
                RESULTS.c.unit_id == unit_id(unit),
                RESULTS.c.stage == str(stage),
                RESULTS.c.generation == generation,
                RESULTS.c.params_sha256 == unit.params_sha256,
                RESULTS.c.shard.is_not(None),
            )
            .order_by(RESULTS.c.recorded_at)
        )
        return {row["shard"]: result_of(row) for row in connection.execute(query).mappings()}
