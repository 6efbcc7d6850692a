"""Models that were added, in the ledger's database so that every worker sees them."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, select, update
from sqlalchemy.dialects import postgresql, sqlite

from provery.core.models import ModelSettings, ModelVersion, Visibility
from provery.core.types import ArtifactRef
from provery.stores.access_tables import MODEL_VERSIONS, MODELS
from provery.stores.database import LONG_PATIENCE_S, Database
from provery.stores.rows import Row, dump
from provery.stores.sql import put_if_absent

_M, _V = MODELS.c, MODEL_VERSIONS.c
_SETTINGS = frozenset(f.name for f in fields(ModelSettings))
_REF = frozenset(f.name for f in fields(ArtifactRef))
_IS_CURRENT = (_M.model == _V.model) & (_M.version == _V.version)


class SqlModels:
    """See :class:`provery.core.models.ModelRegistry`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._insert = put_if_absent(MODEL_VERSIONS, database.dialect)
        name = (postgresql.insert if database.dialect == "postgresql" else sqlite.insert)(MODELS)
        self._point = name.on_conflict_do_update(
            index_elements=[_M.model],
            set_={"version": name.excluded.version, "updated_at": name.excluded.updated_at},
        )

    async def add(self, version: ModelVersion) -> bool:
        """Record a version and make it its model's current one; adding it again only makes it current.

        Returns:
            Whether it was new. Waits long for an absent database: the work of minutes is in it.
        """
        row = _row(version, time.time())
        current = {"model": version.model, "version": version.version, "updated_at": time.time()}

        def work(connection: Connection) -> bool:
            fresh = connection.execute(self._insert, [row]).scalars().all()
            connection.execute(self._point, [current])
            return bool(fresh)

        return await self._database.write(work, patience=LONG_PATIENCE_S)

    async def get(self, model: str, version: str = "") -> ModelVersion | None:
        """A version, the model's current one without ``version``. No name that cannot be kept is an error."""
        if not _may_be(model) or not _may_be(version):
            return None
        if version:
            query = select(MODEL_VERSIONS).where(_V.model == model, _V.version == version)
        else:
            query = _current(_V.model == model)
        return next(iter(await self._select(query)), None)

    async def by_hash(self, model_hash: str) -> list[ModelVersion]:
        """Every version made of the file of a ``model_hash``, newest first: old proofs verify for ever."""
        if not _may_be(model_hash):
            return []
        mine = select(MODEL_VERSIONS).where(_V.model_hash == model_hash.lower())
        return await self._select(mine.order_by(_V.added_at.desc(), _V.model, _V.version))

    async def current(self) -> list[ModelVersion]:
        """The current version of each model, by name."""
        found = await self._select(_current())
        return sorted(found, key=lambda version: version.model)  # databases sort text by their locale

    async def retire(self, model: str) -> bool:
        """Let a model have no current version, its old proofs still verify. Returns whether it had one."""
        if not _may_be(model):
            return False
        has = (_M.model == model) & (_M.version != "")
        values = {"version": "", "updated_at": time.time()}
        retire = update(MODELS).where(has).values(**values)
        return bool(await self._database.write(lambda c: c.execute(retire).rowcount))

    async def _select(self, query: Select[Any]) -> list[ModelVersion]:
        return await self._database.read(lambda c: [_version(row) for row in c.execute(query).mappings()])


def _current(*which: ColumnElement[bool]) -> Select[Any]:
    return select(MODEL_VERSIONS).join(MODELS, _IS_CURRENT).where(*which)


def _may_be(name: str) -> bool:
    """Whether a database could hold the name at all: clients send anything."""
    try:
        return len(name.encode()) <= 1_000 and "\x00" not in name
    except UnicodeEncodeError:
        return False


def _row(version: ModelVersion, now: float) -> dict[str, Any]:
    return {
        "model": version.model,
        "version": version.version,
        "sha256": version.sha256,
        "model_hash": version.model_hash.lower(),
        "settings": dump(version.settings.document()),
        "input_shape": dump(version.input_shape),
        "output_shape": dump(version.output_shape),
        "files": dump({name: vars(ref) for name, ref in version.files.items()}),
        "facts": dump(dict(version.facts)),
        "added_at": version.added_at or now,
    }


def _version(row: Row) -> ModelVersion:
    settings = _known(json.loads(row["settings"]), _SETTINGS)
    if "visibility" in settings:
        settings["visibility"] = Visibility(settings["visibility"])
    files = json.loads(row["files"])
    return ModelVersion(
        model=row["model"],
        sha256=row["sha256"],
        model_hash=row["model_hash"],
        settings=ModelSettings(**settings),
        input_shape=tuple(json.loads(row["input_shape"])),
        output_shape=tuple(json.loads(row["output_shape"])),
        files={name: ArtifactRef(**_known(ref, _REF)) for name, ref in files.items()},
        facts=json.loads(row["facts"]),
        added_at=row["added_at"],
    )


def _known(raw: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Without the fields that a later version may have written."""
    return {name: value for name, value in raw.items() if name in names}
