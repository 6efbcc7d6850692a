"""Registered circuits, in the ledger's database so that every worker sees them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping

from sqlalchemy import Connection, select

from provery.core.types import Json, digest_json
from provery.stores.database import Database
from provery.stores.rows import dump
from provery.stores.sql import put_if_absent
from provery.stores.tables import CIRCUITS


class SqlCatalog:
    """See :class:`provery.core.ports.CircuitCatalog`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = put_if_absent(CIRCUITS, database.dialect)

    async def add(self, name: str, manifest: Mapping[str, Json]) -> str:
        """Register a version; registering it again changes nothing, not even which one is the newest.

        The version is the manifest's ``version``, or else the manifest's digest.
        """
        version = str(manifest.get("version") or digest_json(dict(manifest)))
        row = {"name": name, "version": version, "manifest": dump(dict(manifest)), "added_at": time.time()}

        def work(connection: Connection) -> None:
            connection.execute(self._insert, [row])

        await self._database.write(work)
        return version

    async def get(self, name: str, version: str = "") -> dict[str, Json] | None:
        """A version's manifest with ``name``, ``version`` and ``added_at``; the newest without ``version``."""
        found = await self._select(name, version, 1)
        return found[0] if found else None

    async def all(self) -> AsyncIterator[dict[str, Json]]:
        """Every version, newest first."""
        for manifest in await self._select("", "", None):
            yield manifest

    async def _select(self, name: str, version: str, limit: int | None) -> list[dict[str, Json]]:
        query = select(CIRCUITS).order_by(CIRCUITS.c.added_at.desc(), CIRCUITS.c.version).limit(limit)
        if name:
            query = query.where(CIRCUITS.c.name == name)
        if version:
            query = query.where(CIRCUITS.c.version == version)

        def work(connection: Connection) -> list[dict[str, Json]]:
            return [
                {
                    **json.loads(row["manifest"]),
                    "name": row["name"],
                    "version": row["version"],
                    "added_at": row["added_at"],
                }
                for row in connection.execute(query).mappings()
            ]

        return await self._database.read(work)
