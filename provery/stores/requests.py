"""Who asked for which proofs, and where the hashes of proofs lead, in the ledger."""

from __future__ import annotations

import secrets
import time

from sqlalchemy import delete, select

from provery.core.access import Asked, Made
from provery.stores.access_tables import PROOFS_MADE, REQUESTS
from provery.stores.database import Database
from provery.stores.rows import clean
from provery.stores.sql import put_if_absent

FOUND = 8
"""Requests that hashes lead to at most: the same inference of one model under several settings."""
_TIES = 10
"""Random bits below the microseconds of a place in the list, so that no two rows share one."""
_R, _M = REQUESTS.c, PROOFS_MADE.c


class SqlRequests:
    """See :class:`provery.core.access.Requests`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._note = put_if_absent(REQUESTS, database.dialect)
        self._made = put_if_absent(PROOFS_MADE, database.dialect)

    async def note(self, asked: Asked) -> bool:
        """Keep; the same proof asked for by the same again changes nothing. Returns whether it was new."""
        row = {
            "proof": asked.proof,
            "who": clean(asked.who),
            "seq": (int(asked.at * 1_000_000) << _TIES) | secrets.randbits(_TIES),
            "at": asked.at,
            "model": clean(asked.model),
            "version": asked.version,
        }
        return await self._database.write(lambda c: bool(c.execute(self._note, [row]).scalars().all()))

    async def askers(self, proof: str) -> list[str]:
        """Who wants a proof, first to last."""
        query = select(_R.who).where(_R.proof == proof).order_by(_R.seq)
        return await self._database.read(lambda c: [str(who) for who in c.execute(query).scalars()])

    async def withdraw(self, proof: str, who: str) -> bool:
        """Somebody wants it no more; returns whether they had wanted it. One transaction."""
        mine = delete(REQUESTS).where(_R.proof == proof, _R.who == who).returning(_R.proof)
        return await self._database.write(lambda c: bool(c.execute(mine).scalars().all()))

    async def page(self, who: str = "", *, before: int = 0, limit: int = 50) -> list[Asked]:
        """Requests of one, or of all without ``who``, newest first; with ``before``, those of lower ``seq``."""
        query = select(REQUESTS).order_by(_R.seq.desc()).limit(limit)
        if who:
            query = query.where(_R.who == who)
        if before:
            query = query.where(_R.seq < before)
        rows = await self._database.read(lambda c: c.execute(query).mappings().all())
        return [Asked(**row) for row in rows]

    async def made(self, made: Made) -> None:
        """Keep where a proof's hashes lead; again changes nothing."""
        row = {**vars(made), "at": time.time()}
        await self._database.write(lambda c: c.execute(self._made, [row]).scalars().all())

    async def find(self, *, proof_hash: str = "", model_hash: str = "", input_hash: str = "") -> list[str]:
        """Digests of at most 8 requests with all the hashes given, newest first; none where none is given."""
        wanted = {_M.proof_hash: proof_hash, _M.model_hash: model_hash, _M.input_hash: input_hash}
        given = [column == value for column, value in wanted.items() if value]
        if not given:
            return []
        query = select(_M.proof).where(*given).order_by(_M.at.desc()).limit(FOUND)
        return await self._database.read(lambda c: [str(proof) for proof in c.execute(query).scalars()])
