"""Serves the page at ``/``: pick a model, edit its inputs, watch the proof being made, check it, take it away.

The files are in ``page/`` beside this module, as they are written: no build step. They are read once, and a request
can only name one of them: no path is ever made of what a client sends.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request, Response

FOLDER = Path(__file__).with_name("page")
INDEX = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
"""Nothing from elsewhere, nothing inline, no frame around it, and no form that a browser could submit by itself."""

HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    # Asked for again each time, and answered with 304: page and scripts are always of one version.
    "cache-control": "no-cache",
}


@dataclass(frozen=True)
class Asset:
    """One file, as it is answered with."""

    body: bytes
    kind: str

    @property
    def etag(self) -> str:
        """Of its bytes: a strong one."""
        return f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'

    def answer(self, if_none_match: str | None) -> Response:
        """The file, or that the client has it already."""
        headers = {**HEADERS, "etag": self.etag}
        if if_none_match is not None and _names(if_none_match, self.etag):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers=headers, media_type=self.kind)


def assets() -> dict[str, Asset]:
    """By path: every file of the page."""
    found = {
        f"/page/{path.name}": Asset(path.read_bytes(), TYPES[path.suffix])
        for path in sorted(FOLDER.iterdir())
        if path.suffix in TYPES and path.name != INDEX
    }
    return {"/": Asset((FOLDER / INDEX).read_bytes(), TYPES[".html"]), **found}


def page_routes() -> APIRouter:
    """The page and its files, for the server that has the API; none of it is in the OpenAPI document."""
    router = APIRouter(include_in_schema=False)
    for path, asset in assets().items():
        router.add_api_route(path, _serve(asset), methods=["GET", "HEAD"])
    return router


def _serve(asset: Asset) -> Callable[[Request], Awaitable[Response]]:
    async def serve(request: Request) -> Response:
        return asset.answer(request.headers.get("if-none-match"))

    return serve


def _names(if_none_match: str, etag: str) -> bool:
    """Whether the header names the tag; weakly, as RFC 9110 has it for this header."""
    given = {one.strip().removeprefix("W/") for one in if_none_match.split(",")}
    return bool(given & {etag, "*"})
