"""Errors as the API says them: ``{"success": false, "error": …, "code": …}``, and a stable code for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fastapi.responses import JSONResponse

from provery.core.errors import InvalidInput, ProveryError, ResourceExhausted, TransientError, shorten
from provery.core.redact import redact
from provery.core.types import Json

CODES: dict[str, tuple[int, str]] = {
    "bad_request": (400, "a query parameter or header is malformed"),
    "invalid_json": (400, "the body is not strict JSON in UTF-8: NaN, duplicate names and the like included"),
    "too_deep": (400, "the JSON is nested deeper than any request is"),
    "invalid_request": (400, "a field is missing, unknown or of the wrong type"),
    "invalid_input": (400, "an input is not a finite number, or outside what the model's numbers can hold"),
    "wrong_shape": (400, "the number of inputs or their nesting is not the model's"),
    "invalid_hex": (400, "a proof or hash is not 0x and an even number of hexadecimal digits"),
    "webhook_refused": (400, "the webhook's address is not one that may be called"),
    "webhooks_disabled": (400, "the installation has no secret to sign webhooks by"),
    "unauthorized": (401, "a key is needed, or the one given is unknown or revoked"),
    "forbidden": (403, "the key lacks the scope"),
    "model_not_found": (404, "no such model, or it was retired"),
    "proof_not_found": (404, "no such proof, or nobody under this key or address asked for it"),
    "not_found": (404, "no such path"),
    "method_not_allowed": (405, "not with this method"),
    "timeout": (408, "the request was not sent in time"),
    "wait_over": (408, "the request's own timeout_ms is over; the proof goes on, poll the id"),
    "conflict": (409, "the Idempotency-Key was used for another request"),
    "already_ended": (409, "the proof has ended and cannot be cancelled"),
    "too_large": (413, "the body is larger than allowed"),
    "too_many_values": (413, "more numbers than allowed"),
    "unsupported_media_type": (415, "the body is not sent as application/json"),
    "rate_limited": (429, "more proofs than this key or address may ask for; Retry-After says when"),
    "queue_full": (429, "more proofs under way than allowed; Retry-After is computed from the throughput"),
    "busy": (429, "too many verifications or event streams at once"),
    "cancelled": (409, "somebody cancelled the proof"),
    "unprovable": (422, "the prover refused the inputs; the same request will be refused again"),
    "internal": (500, "a defect of the server; nothing about the request is known to be wrong"),
    "proof_failed": (500, "the prover failed; asking again tries again"),
    "model_preparing": (503, "a configured model is not ready yet"),
    "unavailable": (503, "ledger, engine or artifact store does not answer; try again"),
    "out_of_memory": (503, "no worker had memory enough"),
    "draining": (503, "this replica is stopping; ask another"),
    "proof_timeout": (504, "the proof was not ready in time; it goes on, poll the id"),
}
"""Code → status and when it is said."""


class ApiError(Exception):
    """A request that is answered with an error.

    Args:
        code: One of ``CODES``.
        message: For people; nothing secret.
        headers: To answer with.
        more: Further fields of the body.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Json] | None = None,
    ) -> None:
        super().__init__(message)
        self.code, self.message = code, message
        self.status = CODES[code][0]
        self.headers = dict(headers or {})
        self.more = dict(more or {})

    def response(self, elapsed_ms: int) -> JSONResponse:
        """As the API says it."""
        body = {
            **refusal(self.status, self.code, self.message),
            "generation_time_ms": elapsed_ms,
            **self.more,
        }
        return JSONResponse(body, self.status, headers=self.headers)


def refusal(_status: int, code: str, message: str) -> dict[str, Json]:
    """The shape of errors; the common server uses it too."""
    return {"success": False, "error": message, "code": code}


def of(error: ProveryError) -> ApiError:
    """What is said of an error of the engine: never what only an operator should read."""
    if isinstance(error, InvalidInput):
        return ApiError("invalid_input", redact(error))
    if isinstance(error, ResourceExhausted):
        return ApiError(
            "out_of_memory", "Cannot allocate memory for proof generation", headers={"retry-after": "5"}
        )
    if isinstance(error, TransientError):
        return ApiError(
            "unavailable", "a dependency does not answer; try again", headers={"retry-after": "1"}
        )
    return ApiError("internal", "something went wrong on the server")


def shown(name: object, limit: int = 64) -> str:
    """A name that a client sent, safe and short."""
    text = str(name)
    return text if len(text) <= limit and text.isprintable() and text.isascii() else shorten(text, limit)


@dataclass
class Trail:
    """What a handler learns of its request for the audit trail."""

    action: str = ""
    """Empty: not recorded."""
    who: str = ""
    outcome: str = ""
    digests: dict[str, str] = field(default_factory=dict)
    detail: dict[str, Json] = field(default_factory=dict)
