"""The HTTP API of the upstream service: ask for a proof, look at it. Each read is one look-up by primary key."""

from __future__ import annotations

import logging
import uuid
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.responses import JSONResponse

from provery.core.errors import InvalidInput, TransientError
from provery.core.types import Json, check_key
from provery.systems.queue.bullmq import BullQueue
from provery.systems.queue.model import MEMBERSHIP, Row, RowStatus
from provery.systems.queue.table import JobTable
from provery.systems.queue.wire import check

log = logging.getLogger(__name__)
REQUIRED = ("root", "user", "epoch", "leaf")


def routes(jobs: BullQueue, table: JobTable, *, default_circuit: str = MEMBERSHIP) -> APIRouter:
    """The routes.

    Args:
        jobs: Queue that accepted requests go to, for our ingress or for Node workers.
        table: Where accepted requests and results are kept.
        default_circuit: Circuit of requests that name none.
    """
    router = APIRouter(tags=["queue"])

    @router.post("/proofs", status_code=202)
    async def ask(body: Annotated[Any, Body()] = None) -> JSONResponse:
        """Accept a request. With an ``id`` of the client's own, asking twice is asking once."""
        if not isinstance(body, dict) or (
            "inputs" not in body and any(_blank(body.get(name)) for name in REQUIRED)
        ):
            return _error(400, "bad_request", f"{', '.join(REQUIRED)} are required")
        given = body.get("id")
        request: dict[str, Json] = {name: value for name, value in body.items() if name != "id"}
        try:
            if given is not None and not isinstance(given, str):
                raise InvalidInput("id is not text", expected="a string, or nothing")
            id = check_key(given) if given is not None else str(uuid.uuid4())
            check(id, request, default_circuit=default_circuit)
        except InvalidInput as error:
            return _error(400, "bad_request", str(error))
        await table.prepare()
        fresh, row = await table.enqueue(id, request, jobs.name)
        if not fresh:
            if row.request != request:
                return _error(
                    409, "conflict", f"id {id} is {row.status} for another request; choose a new id"
                )
            return JSONResponse({"id": id, "status": row.status.value}, 202)
        try:
            # As npm's queue.add("prove", …): a Node worker could take it just as well.
            await jobs.add({"jobId": id, "request": request})
            await table.delivered([id])
        except TransientError as error:
            # The request is safe in the table and its outbox; the ingress adds it to Redis when that is back.
            log.warning("job %s is accepted, adding it to Redis is put off: %s", id, error)
        return JSONResponse({"id": id, "status": RowStatus.QUEUED.value}, 202)

    @router.get("/proofs/{id:path}")
    async def show(id: str) -> JSONResponse:
        """One job."""
        await table.prepare()
        row = await table.get(id) if "\x00" not in id and len(id) <= 400 else None
        return JSONResponse(_shown(row)) if row else JSONResponse({"error": "not_found"}, 404)

    @router.get("/proofs")
    async def newest(limit: Annotated[int, Query()] = 20) -> JSONResponse:
        """The newest jobs, at most 100."""
        await table.prepare()
        return JSONResponse([_shown(row) for row in await table.newest(max(1, min(limit, 100)))])

    return router


def _shown(row: Row) -> dict[str, Json]:
    return {
        "id": row.id,
        "status": row.status.value,
        "request": row.request,
        "publicInputs": row.public_inputs,
        "proof": row.proof,
        "error": row.error,
        "createdAt": row.created_at,
        "updatedAt": row.updated_at,
    }


def _blank(value: object) -> bool:
    """Whether JavaScript's ``!value`` or an absent field made upstream refuse; 0 is a number here, not an absence."""
    return value is None or value == ""


def _error(status: int, error: str, message: str) -> JSONResponse:
    return JSONResponse({"error": error, "message": message}, status)
