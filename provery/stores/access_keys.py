"""API keys in the ledger, and a short memory of them.

A secret is 256 random bits, so its plain SHA-256 may be kept: what makes people's passwords need a slow, salted hash is
that they can be guessed, and nobody guesses 256 bits. A slow hash would cost each request more than its whole answer.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import math
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace

from sqlalchemy import Connection, insert, select, update

from provery.core.access import SCOPES, ApiKey
from provery.core.errors import InvalidInput
from provery.stores.access_tables import API_KEYS
from provery.stores.database import Database
from provery.stores.rows import Row, clean, dump

MEMORY_S = 0.5
"""How long an answer of the ledger is good for: a key that is revoked is refused half a second later at most."""
MEMORY_KEYS = 4_096
_SECRET = re.compile(r"pk_([0-9a-f]{16})_([a-z2-7]{52})")
_NOBODY = "0" * 64
"""Compared with where a key is unknown; no secret has this hash."""


class SqlApiKeys:
    """See :class:`provery.core.access.ApiKeys`. A secret is ``pk_<id>_<256 random bits in Base32>``.

    Args:
        database: The ledger's.
        monotonic: Clock of the memory.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._memory: OrderedDict[str, tuple[float, asyncio.Task[tuple[ApiKey, str] | None]]] = OrderedDict()

    async def add(
        self, name: str, scopes: Sequence[str], *, weight: float = 1.0, per_minute: float = 0.0
    ) -> tuple[ApiKey, str]:
        """Make a key; its secret is returned this once and kept nowhere.

        Raises:
            InvalidInput: an argument is out of range.
        """
        _check(name, scopes, weight, per_minute)
        key_id = secrets.token_hex(8)
        secret = f"pk_{key_id}_{base64.b32encode(secrets.token_bytes(32)).decode().rstrip('=').lower()}"
        key = ApiKey(
            id=key_id,
            name=clean(name.strip()),
            scopes=tuple(s for s in SCOPES if s in scopes),
            weight=float(weight),
            per_minute=float(per_minute),
            created_at=time.time(),
        )
        row = {**vars(key), "scopes": dump(key.scopes), "secret_sha256": _hash(secret)}

        def work(connection: Connection) -> None:
            known = select(API_KEYS.c.id).where(API_KEYS.c.id == key_id)
            if connection.execute(known).first() is None:  # else an earlier try of this call was committed
                connection.execute(insert(API_KEYS), [row])

        await self._database.write(work)
        return key, secret

    async def find(self, secret: str) -> ApiKey | None:
        """The key of a secret, revoked ones included; None for what is none.

        The secret part is compared in constant time. The id before it is public, and only a well-formed one is looked
        up, at most once in ``MEMORY_S``.
        """
        parts = _SECRET.fullmatch(secret)
        if parts is None:
            return None
        found = await self._recall(parts[1])
        key, expected = found if found is not None else (None, _NOBODY)
        return key if hmac.compare_digest(_hash(secret), expected) else None

    async def revoke(self, key_id: str) -> bool:
        """Refuse its requests from now on, within a second on every replica; whether there is such a key."""

        def work(connection: Connection) -> bool:
            mine = API_KEYS.c.id == key_id
            valid = mine & API_KEYS.c.revoked_at.is_(None)
            connection.execute(update(API_KEYS).where(valid).values(revoked_at=time.time()))
            return connection.execute(select(API_KEYS.c.id).where(mine)).first() is not None

        done = await self._database.write(work)
        self._memory.pop(key_id, None)
        return done

    async def all(self) -> list[ApiKey]:
        """Every key, oldest first."""
        query = select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.id)
        return await self._database.read(lambda c: [_key(row) for row in c.execute(query).mappings()])

    async def _recall(self, key_id: str) -> tuple[ApiKey, str] | None:
        """The key and its hash as the ledger has them, or had them ``MEMORY_S`` ago; one query for many at once.

        An answer's age counts from before it was asked for. Failures are not remembered.
        """
        now = self._monotonic()
        started, asked = self._memory.get(key_id, (-math.inf, None))
        if asked is None or now - started >= MEMORY_S or (asked.done() and _failed(asked)):
            asked = asyncio.create_task(self._database.read(lambda c: _look(c, key_id)))
            asked.add_done_callback(_failed)  # every caller may be gone by then
            self._memory[key_id] = (now, asked)
            self._memory.move_to_end(key_id)
            if len(self._memory) > MEMORY_KEYS:
                self._memory.popitem(last=False)
        found = await asyncio.shield(asked)
        return found if found is None else (replace(found[0]), found[1])


def _look(connection: Connection, key_id: str) -> tuple[ApiKey, str] | None:
    row = connection.execute(select(API_KEYS).where(API_KEYS.c.id == key_id)).mappings().first()
    return None if row is None else (_key(row), row["secret_sha256"])


def _failed(asked: asyncio.Task[tuple[ApiKey, str] | None]) -> bool:
    return asked.cancelled() or asked.exception() is not None


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _key(row: Row) -> ApiKey:
    return ApiKey(
        id=row["id"],
        name=row["name"],
        scopes=tuple(json.loads(row["scopes"])),
        weight=row["weight"],
        per_minute=row["per_minute"],
        created_at=row["created_at"],
        revoked_at=row["revoked_at"],
    )


def _check(name: str, scopes: Sequence[str], weight: float, per_minute: float) -> None:
    if not 0 < len(name.strip()) <= 100 or not name.isprintable():
        raise InvalidInput("not a name for a key", value=name, expected="1 to 100 printable characters")
    unknown = [scope for scope in scopes if scope not in SCOPES]
    if unknown or not scopes:
        raise InvalidInput(
            "not scopes of a key", value=", ".join(unknown) or "none", expected=f"some of {', '.join(SCOPES)}"
        )
    # The range of a fairness weight in Temporal.
    if not 0.001 <= weight <= 1_000:
        raise InvalidInput("not a weight", value=weight, expected="0.001 to 1000")
    if not 0 <= per_minute <= 1e6:
        raise InvalidInput(
            "not a number of proofs a minute", value=per_minute, expected="0 (the default) to 1000000"
        )
