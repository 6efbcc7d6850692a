"""Lanes in the ledger: who may write, what is signed, what became of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, select, update

from provery.core.errors import HandedBack, InvalidInput, SpendingCapReached
from provery.core.lane_records import Change, Fate, Kind, LaneOrder, LaneRow, Phase, Submission, Transaction
from provery.core.lane_rules import DAY_S, put_back, spent
from provery.stores.database import LONG_PATIENCE_S, Database
from provery.stores.lane_orders import obey
from provery.stores.lane_queries import MOVES, OPEN, end, is_, lane_row, maybe, nonce_taken, one, submissions
from provery.stores.lane_rows import (
    lane_of,
    submission_of,
    submission_row,
    transaction_of,
    transaction_row,
)
from provery.stores.rows import clean
from provery.stores.sql import put_if_absent
from provery.stores.tables import EVENTS, LANE_SUBMISSIONS, LANE_TRANSACTIONS, LANES

_S, _T = LANE_SUBMISSIONS.c, LANE_TRANSACTIONS.c


class SqlLanes:
    """See :class:`provery.core.lane_records.LaneLedger`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._new_lane = put_if_absent(LANES, database.dialect)
        self._new_submission = put_if_absent(LANE_SUBMISSIONS, database.dialect)
        self._new_transaction = put_if_absent(LANE_TRANSACTIONS, database.dialect)
        self._locks = database.dialect == "postgresql"

    async def enter(self, submission: Submission, chain_id: int, sender: str) -> Submission:
        """Write an intent if there is none, or open it again; the one that stands."""

        def work(connection: Connection) -> Submission:
            lane = {
                "id": submission.lane, "chain_id": chain_id, "sender": sender, "holder": "", "paused": False,
                "reason": "", "max_fee": "", "updated_at": time.time(),
            }  # fmt: skip
            connection.execute(self._new_lane, [lane])
            self._lock(connection, submission.lane)
            self._lock(connection, submission.request_key)  # it may be another lane's until now
            row = submission_row(submission)
            if connection.execute(self._new_submission, [row]).scalars().all():
                self._event(connection, submission, "entered", submission.lane)
            stands = one(connection, submission.request_key)
            again = stands.phase.settled and stands.phase is not Phase.LANDED
            unsigned = stands.phase is Phase.WAITING and stands.nonce is None
            if stands.entered_by == submission.entered_by or not (again or unsigned):
                return stands
            if unsigned:
                row = {name: row[name] for name in ("call", "entered_by", "lane", "ordinal")}
            connection.execute(update(LANE_SUBMISSIONS).where(is_(submission)).values(**row))
            self._event(connection, submission, "entered again", submission.lane)
            return one(connection, submission.request_key)

        return await self._database.write(work)

    async def leave(self, request_key: str, phase: Phase, reason: str) -> bool:
        """Settle what was not signed; whether nothing of it will land."""

        def work(connection: Connection) -> bool:
            found = maybe(connection, request_key)
            if found is None or (found.phase.settled and found.phase is not Phase.LANDED):
                return True
            self._lock(connection, found.lane)
            self._lock(connection, request_key)
            found = one(connection, request_key)
            if found.phase is not Phase.WAITING:
                return False
            end(connection, found, phase, reason, told=True)
            self._event(connection, found, phase.value, reason)
            return True

        return await self._database.write(work)

    async def take(self, lane: str, holder: str) -> LaneRow | None:
        """Become the one who may write."""

        def work(connection: Connection) -> LaneRow | None:
            mine = update(LANES).where(LANES.c.id == lane)
            connection.execute(mine.values(holder=holder, updated_at=time.time()))
            return lane_row(connection, lane)

        return await self._database.write(work)

    async def lanes(self) -> list[LaneRow]:
        """Every lane, the one that changed last first."""
        query = select(LANES).order_by(LANES.c.updated_at.desc())
        return await self._database.read(lambda c: [lane_of(r) for r in c.execute(query).mappings()])

    async def row(self, lane: str) -> LaneRow | None:
        """One lane."""
        return await self._database.read(lambda c: lane_row(c, lane))

    async def find(self, request_key: str) -> Submission | None:
        """One submission."""
        return await self._database.read(lambda c: maybe(c, request_key))

    async def of_unit(self, unit: str) -> list[Submission]:
        """Submissions of a unit, ``<system>/<stream>/<key>``."""
        return await self._database.read(lambda c: submissions(c, _S.unit_id == unit))

    async def open(self, lane: str) -> list[Submission]:
        """Submissions that are not settled, in the order they entered."""
        return await self._database.read(lambda c: submissions(c, (_S.lane == lane) & _S.phase.in_(OPEN)))

    async def recent(self, lane: str, limit: int) -> list[Submission]:
        """Settled submissions, the newest first."""
        return await self._newest((_S.lane == lane) & _S.phase.not_in(OPEN), limit)

    async def landed(self, lane: str, limit: int) -> list[Submission]:
        """Submissions that have landed, the newest first."""
        return await self._newest((_S.lane == lane) & (_S.phase == Phase.LANDED.value), limit)

    async def _newest(self, which: ColumnElement[bool], limit: int) -> list[Submission]:
        def work(connection: Connection) -> list[Submission]:
            query = select(_S.request_key).where(which).order_by(_S.settled_at.desc()).limit(limit)
            keys = list(connection.execute(query).scalars())
            found = {s.request_key: s for s in submissions(connection, _S.request_key.in_(keys))}
            return [found[key] for key in keys]

        return await self._database.read(work)

    async def reopen(self, holder: str, request_key: str, reason: str, now: float) -> bool:
        """Make a landed submission sent again; whether it had landed. Waits long for an absent database."""

        def work(connection: Connection) -> bool:
            found = one(connection, request_key)
            self._hold(connection, found.lane, holder)
            again = put_back(one(connection, request_key), now)
            if again is None:
                return False
            self._moved(connection, again.lane, again.transactions)
            row = submission_row(replace(again, reason=reason))
            columns = ("phase", "waits_for", "reason", "nonce", "want", "settled_at", "told")
            values = {name: row[name] for name in columns}
            connection.execute(update(LANE_SUBMISSIONS).where(is_(again)).values(**values))
            self._event(connection, again, "undone", reason)
            return True

        return await self._database.write(work, patience=LONG_PATIENCE_S)

    def _moved(self, connection: Connection, lane: str, transactions: Sequence[Transaction]) -> None:
        for t in transactions:
            row = transaction_row(t, lane)
            now = {name: row[name] for name in MOVES}
            connection.execute(update(LANE_TRANSACTIONS).where(_T.hash == t.hash).values(**now))

    async def untold(self, lane: str) -> list[Submission]:
        """Settled submissions whose units were not told, without transactions."""
        ended = (_S.lane == lane) & _S.phase.not_in(OPEN) & _S.told.is_(False)
        query = select(LANE_SUBMISSIONS).where(ended).order_by(_S.settled_at)
        return await self._database.read(lambda c: [submission_of(r) for r in c.execute(query).mappings()])

    async def told(self, request_keys: Sequence[str]) -> None:
        """Their units know."""

        def work(connection: Connection) -> None:
            mine = update(LANE_SUBMISSIONS).where(_S.request_key.in_(request_keys))
            connection.execute(mine.values(told=True))

        if request_keys:
            await self._database.write(work)

    async def sign(
        self, holder: str, submission: Submission, transaction: Transaction, *, budget: int | None
    ) -> bool:
        """Keep a signed transaction; False where things are no longer as the caller saw them."""

        def work(connection: Connection) -> bool:
            self._hold(connection, submission.lane, holder)
            self._lock(connection, submission.request_key)
            stands = one(connection, submission.request_key)
            fresh = submission.nonce is None
            if (stands.lane, stands.phase, stands.nonce, stands.want) != (
                submission.lane, submission.phase, submission.nonce, submission.want,
            ) or (stands.phase is Phase.WAITING) != fresh:  # fmt: skip
                return False
            if fresh and nonce_taken(connection, submission.lane, transaction.nonce):
                return False
            if budget is not None:
                self._afford(connection, submission, transaction, budget)
            row = transaction_row(transaction, submission.lane)
            if not connection.execute(self._new_transaction, [row]).scalars().all():
                known = next((t for t in stands.transactions if t.hash == transaction.hash), None)
                if known is None:
                    return False  # another submission's: nothing may land for two
                # The chain was set back further than anybody waits: what was given up may land again.
                alive = {name: row[name] for name in MOVES} | {"signed_at": row["signed_at"]}
                connection.execute(update(LANE_TRANSACTIONS).where(_T.hash == row["hash"]).values(**alive))
            reason = f"nonce {transaction.nonce}, {transaction.hash}"
            if transaction.kind is Kind.FILL:
                self._event(connection, submission, "gap filled", reason)
                return True
            change = {"phase": Phase.SENT.value, "nonce": transaction.nonce, "waits_for": "block"}
            connection.execute(
                update(LANE_SUBMISSIONS).where(is_(submission)).values(**change, reason=reason)
            )
            event = {"call": "signed" if fresh else "bumped", "cancel": "cancel signed"}
            self._event(connection, submission, event[transaction.kind.value], reason)
            return True

        return await self._database.write(work)

    async def change(self, holder: str, request_key: str, change: Change) -> None:
        """Write down what a round found out. Waits long for an absent database."""

        def work(connection: Connection) -> None:
            found = one(connection, request_key)
            self._hold(connection, found.lane, holder)
            found = one(connection, request_key)
            if found.phase.settled:
                return
            self._moved(connection, found.lane, change.transactions)
            named = {
                "phase": change.phase and change.phase.value,
                "waits_for": change.waits_for and change.waits_for.value,
                "reason": change.reason if change.reason is None else clean(change.reason),
                "nonce": change.nonce,
                "want": change.want,
                "tries": change.tries,
            }
            values: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
            if change.clear_nonce:
                values["nonce"] = None
            if change.phase is not None and change.phase.settled:
                values["settled_at"] = time.time()
            if values:
                connection.execute(
                    update(LANE_SUBMISSIONS).where(_S.request_key == request_key).values(**values)
                )
            if change.event:
                self._event(connection, found, change.event, change.reason or "")

        await self._database.write(work, patience=LONG_PATIENCE_S)

    async def order(self, order: LaneOrder) -> str:
        """Obey an operator.

        Raises:
            InvalidInput: it does not fit as things stand.
        """

        def work(connection: Connection) -> str:
            row = lane_row(connection, order.lane)
            if row is None:
                raise InvalidInput("no such lane", value=order.lane, action="`provery lane list`")
            self._lock(connection, order.lane)
            mine = (_S.unit_id == order.unit) & (_S.lane == order.lane)
            found = submissions(connection, mine) if order.unit else []
            said = obey(connection, order, found)
            for s in found:
                by = f" (by {order.by})" if order.by else ""
                self._event(connection, s, f"lane: {order.name}", f"{order.reason or said}{by}")
            return said

        return await self._database.write(work)

    def _lock(self, connection: Connection, lane: str) -> None:
        """One transaction at a time decides about a lane; SQLite has one writer anyway."""
        if self._locks:
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(f"provery {lane}"))))

    def _hold(self, connection: Connection, lane: str, holder: str) -> None:
        self._lock(connection, lane)
        found = connection.execute(select(LANES.c.holder).where(LANES.c.id == lane)).scalar()
        if found != holder:
            raise HandedBack("another worker drives the lane now", value=lane)

    def _afford(self, connection: Connection, s: Submission, t: Transaction, budget: int) -> None:
        if self._locks:  # a stream may submit from several lanes
            name = f"provery lanes {s.stream_id}"
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))
        since = time.time() - DAY_S
        mine = select(_S.request_key).where(_S.system == s.system, _S.stream == s.stream)
        counted = _T.request_key.in_(mine) & (
            (_T.signed_at > since) | _T.fate.in_((Fate.LIVE.value, Fate.INCLUDED.value))
        )
        by_key: dict[str, list[Transaction]] = {s.request_key: [t]}
        for row in connection.execute(select(LANE_TRANSACTIONS).where(counted)).mappings():
            by_key.setdefault(row["request_key"], []).append(transaction_of(row))
        total = spent(by_key.values(), since)
        if total > budget:
            raise SpendingCapReached(
                f"{s.stream_id} would spend too much in 24 hours",
                value=f"{total} wei",
                expected=f"at most {budget} wei",
                action="raise the stream's budget, or wait",
            )

    def _event(self, connection: Connection, s: Submission, event: str, detail: str) -> None:
        row = {"unit_id": s.name, "at": time.time(), "event": event, "detail": clean(detail)}
        connection.execute(insert(EVENTS), [row])
