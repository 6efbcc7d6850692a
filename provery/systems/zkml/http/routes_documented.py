"""The upstream service's routes, as its document has them: /health, /models, /prove and /verify."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from provery import __version__
from provery.core.access import PROVE, READ, VERIFY
from provery.core.types import Json, UnitStatus
from provery.systems.zkml import hashes
from provery.systems.zkml.http.answers import Finished, described, proved
from provery.systems.zkml.http.asks import ProveBody, VerifyBody, read, schema
from provery.systems.zkml.http.bodies import read_json
from provery.systems.zkml.http.problems import ApiError
from provery.systems.zkml.http.proofs import failure
from provery.systems.zkml.http.routing import elapsed_ms
from provery.systems.zkml.http.verifying import claim_of

if TYPE_CHECKING:
    from provery.systems.zkml.http.api import Parts

KUBELET = "kube-probe/"
"""How the kubelet's User-Agent begins."""


def add_documented(router: APIRouter, parts: Parts) -> None:
    """Add the routes."""

    @router.get("/health", tags=["documented"])
    async def health(request: Request) -> JSONResponse:
        """Whether the service can be used: 503 and what is missing while configured models are prepared.

        The documented manifest sends liveness and readiness probes here. A kubelet that is told 503 for a minute kills
        the process, which may be the one that prepares the models; so its probes get 200, with status ``starting``.
        """
        missing = await parts.models.missing()
        probe = request.headers.get("user-agent", "").startswith(KUBELET)
        made = parts.metrics.proofs
        body: dict[str, Json] = {
            "status": "starting" if missing else "healthy",
            "version": __version__,
            "prover": "provery",
            "uptime_seconds": int(time.monotonic() - parts.started),
            "proofs_generated": made,
            "average_proof_time_ms": round(parts.metrics.seconds / made * 1000) if made else 0,
            "verification_enabled": True,
        }
        if missing:
            body["missing"] = {name: reason[:300] for name, reason in missing.items()}
        return JSONResponse(body, 503 if missing and not probe else 200)

    @router.get("/models", tags=["documented"])
    async def models(request: Request) -> JSONResponse:
        """Models that can be asked for."""
        await parts.callers.of(request, READ, PROVE)
        return JSONResponse({"models": [described(version) for version in await parts.models.all()]})

    @router.post("/prove", tags=["documented"], openapi_extra=schema(ProveBody))
    async def prove(request: Request) -> JSONResponse:
        """Infer and prove, and wait for it: 504, or 408 after its own ``timeout_ms``, with the id to poll."""
        request.state.trail.action = "prove"
        caller = await parts.callers.of(request, PROVE)
        said = await read_json(request, parts.settings.max_values)
        body = read(ProveBody, said)
        wanted = await parts.asking.wanted(request, caller, body.model_id, body.inputs)
        named: dict[str, Json] = {"model_id": body.model_id, "tag": body.tag}
        digest, begun = await parts.asking.begin(request, wanted, caller, named)
        finished = begun.finished
        if begun.flight is not None:
            longest = parts.settings.timeouts.get(wanted.model, parts.settings.timeout_ms)
            limit = min(longest, body.timeout_ms or longest)
            left = limit / 1000 - elapsed_ms(request) / 1000
            ended = await begun.flight.wait(max(left, 0.0))
            if (
                ended is not None
                and ended.outcome is not None
                and ended.outcome.status is UnitStatus.CANCELLED
            ):
                # Somebody else withdrew it a moment ago, and nobody was noted to want it: this caller does.
                digest, begun = await parts.asking.begin(request, wanted, caller, named)
                left = limit / 1000 - elapsed_ms(request) / 1000
                ended = await begun.flight.wait(max(left, 0.0)) if begun.flight is not None else ended
            if ended is None:
                request.state.trail.detail["id"] = digest
                raise _too_late(digest, limit, wished=limit < longest)
            finished = begun.finished or ended.finished
            if finished is None and ended.outcome is None and parts.proofs.draining:
                raise _goes_on("draining", "this replica is stopping; the proof goes on", digest)
            if finished is None:
                raise failure(digest, ended.outcome)
        if finished is None:
            raise ApiError("internal", "something went wrong on the server")
        cached = begun.flight is None
        note_answer(request, finished, cached=cached)
        return JSONResponse(
            proved(
                finished,
                digest,
                tag=body.tag,
                now_ms=int(time.time() * 1000),
                elapsed_ms=elapsed_ms(request),
                cached=cached,
            ),
            headers={"x-provery-cache": "hit" if cached else "miss"},
        )

    @router.post("/verify", tags=["documented"], openapi_extra=schema(VerifyBody))
    async def verify(request: Request) -> JSONResponse:
        """Check a proof: 200 with ``valid`` for everything well-formed."""
        trail = request.state.trail
        trail.action = "verify"
        await parts.callers.of(request, VERIFY)
        said = await read_json(request, parts.settings.max_values)
        claim = claim_of(read(VerifyBody, said), parts.settings.max_values)
        trail.digests["proof_hash"] = hashes.proof_hash(claim.proof)
        if claim.model_hash:
            trail.digests["model_hash"] = claim.model_hash
        checked = await parts.verifying.check(claim)
        trail.outcome = "ok" if checked.valid else "invalid"
        told: dict[str, Json] = {"valid": checked.valid, "verification_time_ms": elapsed_ms(request)}
        if not checked.valid:
            trail.detail["code"] = checked.code
            told |= {"error": checked.error, "code": checked.code}
        return JSONResponse(told)


def note_answer(request: Request, finished: Finished, *, cached: bool) -> None:
    """What was answered, for the audit trail."""
    trail, answer = request.state.trail, finished.answer
    trail.outcome = "cached" if cached else "ok"
    trail.digests |= {
        "input_hash": answer.input_hash,
        "output_hash": answer.output_hash,
        "proof_hash": answer.proof_hash,
    }


def _too_late(digest: str, limit: int, *, wished: bool) -> ApiError:
    """The wait is over: a failure of the server, unless the request ``wished`` for so short a one."""
    code = "wait_over" if wished else "proof_timeout"
    return _goes_on(code, f"Proof generation exceeded timeout ({limit}ms)", digest)


def _goes_on(code: str, message: str, digest: str) -> ApiError:
    poll = f"/v1/proofs/{digest}"
    more: dict[str, Json] = {"id": digest, "poll": poll, "continues": True}
    return ApiError(code, message, headers={"location": poll, "retry-after": "1"}, more=more)
