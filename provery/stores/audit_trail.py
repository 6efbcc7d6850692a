"""The audit trail in the ledger: appended in groups, chained by hashes, walked in constant memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from provery.core.access import AuditEntry, AuditFault, AuditRow
from provery.core.audit_chain import Chain, admit, line_of, next_row, row_of, row_text
from provery.core.errors import ConfigurationError, InvalidInput
from provery.stores.access_tables import AUDIT_HEAD, AUDIT_TRAIL
from provery.stores.database import Database
from provery.stores.grouped import Grouped

PAGE = 1_000
"""Rows read at once."""
_T, _H = AUDIT_TRAIL.c, AUDIT_HEAD.c
_HEAD = _H.name == "audit"


class SqlAudit:
    """See :class:`provery.core.access.Audit`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._append = Grouped(self._commit)

    async def append(self, entry: AuditEntry) -> AuditRow:
        """Record; returns once it is committed. A caller that is cancelled leaves its row to be written.

        Raises:
            LedgerUnavailable: the database stayed away; the row may or may not be there.
            ConfigurationError: the trail is damaged where it ends: nothing can follow.
        """
        return await self._append(admit(entry))

    async def _commit(self, entries: Sequence[AuditEntry]) -> list[AuditRow]:
        tried: list[list[AuditRow]] = []

        def work(connection: Connection) -> list[AuditRow]:
            # A connection that was lost while it committed may have done so.
            for rows in tried:
                last = select(_T.hash).where(_T.seq == rows[-1].seq)
                if connection.execute(last).scalar() == rows[-1].hash:
                    return rows
            head = connection.execute(select(_H.seq, _H.hash).where(_HEAD).with_for_update()).first()
            if head is None:
                raise _damaged("it has no head")
            rows, (seq, previous) = [], head
            for entry in entries:
                row = next_row(seq + 1, previous, entry)
                rows.append(row)
                seq, previous = row.seq, row.hash
            tried.append(rows)
            connection.execute(insert(AUDIT_TRAIL), [_record(row) for row in rows])
            connection.execute(update(AUDIT_HEAD).where(_HEAD).values(seq=seq, hash=previous))
            return rows

        try:
            return await self._database.write(work)
        except InvalidInput as error:  # the rows' numbers are taken: the head was set back
            raise _damaged(str(error)) from error

    async def rows(self, after: int = 0, limit: int | None = None) -> AsyncIterator[AuditRow]:
        """Rows in order.

        Raises:
            ConfigurationError: a row was changed so that it is none.
        """
        async for row in self._records(after, limit):
            try:
                seq, entry = row_of(row["entry"])
            except InvalidInput as error:
                raise _damaged(f"row {row['seq']}: {error}") from error
            yield AuditRow(seq, entry, row["previous"], row["hash"])

    async def lines(self, after: int = 0) -> AsyncIterator[str]:
        """Rows as they are exported, whatever is in them."""
        async for row in self._records(after, None):
            yield line_of(row["entry"], row["previous"], row["hash"])

    async def head(self) -> tuple[int, str]:
        """Number and hash of the last row: what to note elsewhere."""
        return (await self._end())[:2]

    async def check(self, expected_head: str = "") -> tuple[int, AuditFault | None]:
        """Walk the chain; how many rows hold, and the first fault."""
        chain = await self.walk(expected_head)
        return chain.count, chain.fault

    async def walk(self, expected_head: str = "") -> Chain:
        """Walk the chain as far as it went when the walk began.

        Args:
            expected_head: A hash noted earlier, which must be in the chain.
        """
        chain = Chain(expected_head)
        seq, head, last = await self._end()
        async for row in self._records(0, None):
            if row["seq"] > max(seq, last):
                break  # appended since
            if not chain.follow(row["seq"], row["entry"], row["previous"], row["hash"]):
                return chain
        chain.end(seq, head)
        return chain

    async def close(self) -> None:
        """Let what was given be written."""
        await self._append.close()

    async def _end(self) -> tuple[int, str, int]:
        """Number and hash of the head, and the number of the last row, as of one moment."""
        last = select(func.coalesce(func.max(_T.seq), 0)).scalar_subquery()
        found = await self._database.read(
            lambda c: c.execute(select(_H.seq, _H.hash, last).where(_HEAD)).first()
        )
        if found is None:
            raise _damaged("it has no head")
        return found[0], found[1], found[2]

    async def _records(self, after: int, limit: int | None) -> AsyncIterator[RowMapping]:
        while limit is None or limit > 0:
            page = min(PAGE, PAGE if limit is None else limit)
            query = select(AUDIT_TRAIL).where(_T.seq > after).order_by(_T.seq).limit(page)
            found = await self._database.read(lambda c, query=query: c.execute(query).mappings().all())  # type: ignore[misc]
            for row in found:
                yield row
            if len(found) < page:
                return
            after = found[-1]["seq"]
            limit = None if limit is None else limit - page


def _record(row: AuditRow) -> dict[str, Any]:
    return {"seq": row.seq, "entry": row_text(row.seq, row.entry), "previous": row.previous, "hash": row.hash}


def _damaged(what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the audit trail is damaged: {what}", action="look with `provery audit verify`, restore the ledger"
    )
