"""The models that requests may be for, seen a moment ago: a hit of the cache must not wait for the ledger."""

from __future__ import annotations

import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

from provery.core.errors import InvalidInput, ProveryError
from provery.core.models import ModelRegistry, ModelVersion
from provery.systems.zkml.http.problems import ApiError, shown
from provery.systems.zkml.units import check_model_name

FRESH_S = 1.0
"""A model that is retired or changed is no longer served after so long."""
MOST = 1_024


class ModelsSeen:
    """Current versions by name.

    Args:
        registry: Of the installation.
        missing: Configured models that are not ready, and why.
    """

    def __init__(self, registry: ModelRegistry, missing: Callable[[], Mapping[str, str]]) -> None:
        self._registry, self._missing = registry, missing
        self._seen: OrderedDict[str, tuple[float, ModelVersion]] = OrderedDict()

    async def current(self, name: str) -> ModelVersion:
        """The version that requests for a model are for.

        Raises:
            ApiError: there is no such model, or it is not ready.
        """
        seen = self._seen.get(name)
        if seen is not None and time.monotonic() - seen[0] < FRESH_S:
            return seen[1]
        try:
            check_model_name(name)
        except InvalidInput:
            raise _unknown(name) from None
        version = await self._registry.get(name)
        if version is None:
            self._seen.pop(name, None)
            reason = self._missing().get(name)
            if reason is not None:
                raise ApiError(
                    "model_preparing",
                    f"Model not ready: {name} is being prepared",
                    headers={"retry-after": "10"},
                )
            raise _unknown(name)
        self._seen[name] = (time.monotonic(), version)
        self._seen.move_to_end(name)
        if len(self._seen) > MOST:
            self._seen.popitem(last=False)
        return version

    async def get(self, name: str, version: str) -> ModelVersion:
        """A version.

        Raises:
            ApiError: there is no such.
        """
        seen = self._seen.get(name)
        if seen is not None and seen[1].version == version:
            return seen[1]
        found = await self._registry.get(name, version)
        if found is None:
            raise _unknown(name)
        return found

    async def missing(self) -> dict[str, str]:
        """Configured models that cannot be asked for, and why.

        What was noted a moment ago is compared with the list, so that a model is never on it and missing at once. Where
        the ledger does not answer, what was noted stands.
        """
        noted = dict(self._missing())
        if noted:
            with contextlib.suppress(ProveryError):
                for version in await self._registry.current():
                    noted.pop(version.model, None)
        return noted

    async def all(self) -> list[ModelVersion]:
        """Every model that can be asked for."""
        return await self._registry.current()


def _unknown(name: str) -> ApiError:
    return ApiError("model_not_found", f"Model not found: {shown(name)}")
