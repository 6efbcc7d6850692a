"""How an HTTP API is served: what an ingress may ask of the server that its routes are on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from provery.core.types import Json

Refusal = Callable[[int, str, str], Mapping[str, Json]]
"""``refusal(status, code, message)``: the body of an error that the server itself answers with."""


def plain_refusal(_status: int, code: str, message: str) -> dict[str, Json]:
    """The common shape."""
    return {"error": code, "message": message}


@dataclass(frozen=True)
class Serving:
    """Bounds of requests, and the shape of the server's own errors."""

    max_body: int = 2**20
    """Bytes of a request's body."""
    body_s: float = 60.0
    """Seconds that a client may take to send it."""
    refusal: Refusal = field(default=plain_refusal, compare=False)
