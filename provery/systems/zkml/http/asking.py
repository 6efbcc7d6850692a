"""From a request's body to a proof that was asked for: what /prove and /v1/proofs share."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from fastapi import Request

from provery.core.access import Asked
from provery.core.types import digest_json
from provery.systems.zkml import hashes
from provery.systems.zkml.http.bodies import tensor
from provery.systems.zkml.http.callers import Caller
from provery.systems.zkml.http.problems import ApiError
from provery.systems.zkml.http.proofs import Begun, Wanted

if TYPE_CHECKING:
    from provery.systems.zkml.http.api import Parts

KEY_HEADER = "idempotency-key"
KEY_LIMIT = 255
NOTED_S, NOTED_MOST = 10.0, 10_000


class Asking:
    """Asks for proofs on behalf of callers.

    Args:
        parts: Of the API.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._noted: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def wanted(
        self, request: Request, caller: Caller, model: str, inputs: object, attest: str = ""
    ) -> Wanted:
        """A request, checked against its model.

        Raises:
            ApiError: there is no such model, or it does not take these inputs.
        """
        version = await self._parts.models.current(model)
        trail = request.state.trail
        trail.digests["model_hash"] = version.model_hash
        trail.detail["model"] = version.model
        values = tensor(inputs, version.input_shape, self._parts.settings.max_values)
        digest = self._parts.backend.digest(version, values, attest, caller.who)
        trail.digests["request"] = digest
        trail.digests["input_hash"] = hashes.input_hash(values)
        return Wanted(version.model, version.version, digest, values, attest)

    async def begin(
        self, request: Request, wanted: Wanted, caller: Caller, said: dict[str, Any]
    ) -> tuple[str, Begun]:
        """Ask; the id of what was asked for, which an Idempotency-Key may decide.

        Raises:
            ApiError: no room, no token, or the key was used for another request.
        """
        digest = await self._first(request, wanted, caller, said)
        proofs = self._parts.proofs
        begun = await proofs.attach(digest) if digest != wanted.digest else None
        if begun is None:
            digest, begun = wanted.digest, await proofs.begin(wanted, caller)
        await self._note(digest, wanted, caller, often=begun.finished is not None)
        return digest, begun

    async def _first(self, request: Request, wanted: Wanted, caller: Caller, said: dict[str, Any]) -> str:
        """What this request, or the first with its Idempotency-Key, is for."""
        given = request.headers.get(KEY_HEADER)
        if given is None:
            return wanted.digest
        if not 0 < len(given) <= KEY_LIMIT or not given.isprintable():
            raise ApiError("bad_request", f"Idempotency-Key is not 1 to {KEY_LIMIT} printable characters")
        mine = digest_json({**said, "inputs": list(wanted.values)})
        kept = await self._parts.backend.access.idempotency.remember(
            caller.who, given, f"{mine}:{wanted.digest}"
        )
        first, _, digest = kept.partition(":")
        if first != mine:
            raise ApiError("conflict", "the Idempotency-Key was used for another request; choose a new one")
        return digest

    async def _note(self, digest: str, wanted: Wanted, caller: Caller, *, often: bool) -> None:
        mark, now = (digest, caller.who), time.monotonic()
        if often and now - self._noted.get(mark, -NOTED_S) < NOTED_S:
            return  # a hit of the cache must not cost a transaction each time
        asked = Asked(0, digest, caller.who, time.time(), wanted.model, wanted.version)
        await self._parts.backend.access.requests.note(asked)
        self._noted[mark] = now
        self._noted.move_to_end(mark)
        if len(self._noted) > NOTED_MOST:
            self._noted.popitem(last=False)
