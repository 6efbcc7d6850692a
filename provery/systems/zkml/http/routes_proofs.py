"""The asynchronous form: ask for a proof, poll it, follow it, withdraw it, list what was asked for."""

from __future__ import annotations

import asyncio
import math
import re
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from provery.core.access import PROVE, READ, Asked
from provery.core.types import Json
from provery.systems.zkml.http.admission import PROOF
from provery.systems.zkml.http.answers import described_in_full
from provery.systems.zkml.http.asks import ProofBody, read, schema
from provery.systems.zkml.http.bodies import read_json
from provery.systems.zkml.http.events import last_event
from provery.systems.zkml.http.problems import ApiError, shown
from provery.systems.zkml.http.routes_documented import note_answer
from provery.systems.zkml.http.standing import standing
from provery.systems.zkml.model import SYSTEM

if TYPE_CHECKING:
    from provery.systems.zkml.http.api import Parts
    from provery.systems.zkml.http.callers import Caller

_DIGEST = re.compile(r"[0-9a-f]{64}")
LIMIT, LIMIT_MOST = 20, 100
Wait = Annotated[str, Query(description="seconds to wait for the end, at most 60 unless set otherwise")]


def add_proofs(router: APIRouter, parts: Parts) -> None:
    """Add the routes."""

    @router.post("/v1/proofs", status_code=202, tags=["proofs"], openapi_extra=schema(ProofBody))
    async def ask(request: Request) -> JSONResponse:
        """Ask for a proof: its id at once. The same request is the same proof."""
        trail = request.state.trail
        trail.action = "prove"
        caller = await parts.callers.of(request, PROVE)
        said = await read_json(request, parts.settings.max_values)
        body = read(ProofBody, said)
        if body.attest:
            trail.detail["attest"] = body.attest
            if caller.key is None:
                raise ApiError(
                    "unauthorized",
                    "what goes on chain needs an API key",
                    headers={"www-authenticate": "Bearer"},
                )
        if body.webhook is not None:
            parts.webhooks.check(body.webhook.url, caller)
        wanted = await parts.asking.wanted(request, caller, body.model_id, body.inputs, body.attest)
        hook = body.webhook.url if body.webhook is not None else ""
        named: dict[str, Json] = {"model_id": body.model_id, "attest": body.attest, "webhook": hook}
        digest, begun = await parts.asking.begin(request, wanted, caller, named)
        if hook:
            await parts.webhooks.owe(digest, hook, caller)
            if begun.finished is not None:
                await parts.webhooks.ended(digest)
        if begun.finished is not None:
            note_answer(request, begun.finished, cached=True)
        else:
            trail.outcome = "accepted"
        told = standing(digest, None, begun.finished)
        if begun.finished is None:
            told["status"] = "running"
        return JSONResponse(told, 202, headers={"location": f"/v1/proofs/{digest}"})

    @router.get("/v1/proofs", tags=["proofs"])
    async def asked(
        request: Request, cursor: str = "", limit: str = str(LIMIT), all: bool = False
    ) -> JSONResponse:
        """What this caller asked for, newest first; an admin may see ``all``."""
        caller = await parts.callers.of(request, READ, PROVE)
        before = _whole("cursor", cursor or "0", 0, 2**62)
        most = _whole("limit", limit, 1, LIMIT_MOST)
        if all and not caller.admin:
            raise ApiError("forbidden", "the key lacks the scope admin")
        found = await parts.backend.access.requests.page("" if all else caller.who, before=before, limit=most)
        rows = await asyncio.gather(*(_row(parts, one, caller) for one in found))
        following = str(found[-1].seq) if len(found) == most else None
        return JSONResponse({"proofs": list(rows), "cursor": following})

    @router.get("/v1/proofs/{id}", tags=["proofs"])
    async def show(request: Request, id: str, wait: Wait = "0") -> JSONResponse:
        """How a proof stands; with ``wait`` as soon as it has ended, or after so many seconds."""
        caller = await parts.callers.of(request, READ, PROVE)
        seconds = _seconds(wait, parts.settings.poll_max_s)
        await _visible(parts, id, caller)
        if seconds and not parts.stopping.is_set():
            await parts.until_stopping(parts.proofs.wait(id, seconds))
        told = await parts.stands(id)
        if told is None:
            raise _unknown(id)
        return JSONResponse(told, headers={"cache-control": "no-store"})

    @router.get("/v1/proofs/{id}/events", tags=["proofs"], response_class=StreamingResponse)
    async def events(request: Request, id: str) -> StreamingResponse:
        """Server-sent events: stage, progress, end."""
        caller = await parts.callers.of(request, READ, PROVE)
        await _visible(parts, id, caller)
        if await parts.stands(id) is None:
            raise _unknown(id)
        parts.events.enter()
        # no-transform and X-Accel-Buffering: proxies pass on each event as it comes.
        headers = {"cache-control": "no-store, no-transform", "x-accel-buffering": "no"}
        stream = parts.events.stream(id, last_event(request.headers.get("last-event-id")))
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    @router.delete("/v1/proofs/{id}", tags=["proofs"])
    async def withdraw(request: Request, id: str) -> JSONResponse:
        """Want a proof no more. It is ended once nobody else wants it; an admin ends it in any case."""
        trail = request.state.trail
        trail.action = "cancel"
        caller = await parts.callers.of(request, PROVE)
        askers = await _visible(parts, id, caller)
        trail.digests["request"] = id
        if caller.who not in askers and not caller.admin:
            raise _unknown(id)
        told = await parts.stands(id)
        if told is None:
            raise _unknown(id)
        if told["status"] not in ("running", "parked"):
            raise ApiError("already_ended", f"the proof has ended: {told['status']}", more={"id": id})
        requests = parts.backend.access.requests
        await requests.withdraw(id, caller.who)
        others = await requests.askers(id)
        if others and not caller.admin:
            trail.outcome = "withdrawn"
            return JSONResponse({"id": id, "status": "running", "withdrawn": True}, 202)
        state = await parts.backend.starter.cancel(parts.proofs.unit(id), f"withdrawn by {caller.who}")
        status = state.status.value if state is not None else "cancelled"
        trail.outcome = status
        return JSONResponse(
            {"id": id, "status": status, "withdrawn": True}, 202 if status == "running" else 200
        )

    @router.get("/v1/models/{id}", tags=["proofs"])
    async def model(request: Request, id: str, version: str = "") -> JSONResponse:
        """A model in full: settings, calibration, keys and contract; old versions by their digest."""
        await parts.callers.of(request, READ, PROVE)
        if version and not _DIGEST.fullmatch(version):
            raise ApiError("bad_request", f"version is {shown(version)}; expected 64 hexadecimal digits")
        found = await (parts.models.get(id, version) if version else parts.models.current(id))
        return JSONResponse(described_in_full(found))

    @router.get("/v1/webhook-secret", tags=["proofs"])
    async def webhook_secret(request: Request) -> JSONResponse:
        """The secret that this key's webhooks are signed by."""
        request.state.trail.action = "webhook.secret"
        caller = await parts.callers.keyed(request, PROVE)
        return JSONResponse(
            {"secret": parts.webhooks.secret_of(caller)}, headers={"cache-control": "no-store"}
        )


async def _visible(parts: Parts, id: str, caller: Caller) -> list[str]:
    """Who asked for a proof, if the caller may see it.

    Raises:
        ApiError: they may not, or there is none: the same answer, so that nobody learns what others ask.
    """
    if not _DIGEST.fullmatch(id):
        raise _unknown(id)
    askers = await parts.backend.access.requests.askers(id)
    if not caller.sees(askers):
        raise _unknown(id)
    return askers


async def _row(parts: Parts, asked: Asked, caller: Caller) -> dict[str, Json]:
    row = await parts.backend.ledger.unit(SYSTEM, parts.backend.stream, PROOF + asked.proof)
    found: dict[str, Json] = {
        "id": asked.proof,
        "model_id": asked.model,
        "model_version": asked.version,
        "asked_at": asked.at,
        "status": row.status.value if row is not None else "running",
    }
    return {**found, "who": asked.who} if caller.admin else found


def _unknown(id: str) -> ApiError:
    return ApiError("proof_not_found", f"Proof not found: {shown(id)}")


def _whole(name: str, text: str, least: int, most: int) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most:
        return int(text)
    raise ApiError("bad_request", f"{name} is {shown(text)}; expected {least} to {most}")


def _seconds(text: str, most: float) -> float:
    try:
        found = float(text) if len(text) < 32 else math.nan
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= 0):
        raise ApiError("bad_request", f"wait is {shown(text)}; expected seconds, at most {most:g}")
    return min(found, most)
