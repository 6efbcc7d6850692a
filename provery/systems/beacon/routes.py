"""The period store over HTTP: what the upstream server serves to its replicas, and what its clients download."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse, JSONResponse, Response, StreamingResponse
from remerkleable.basic import uint32, uint64
from remerkleable.byte_arrays import ByteList
from remerkleable.complex import Container, List

from provery.core.types import Json
from provery.systems.beacon.store import NAME, PERIOD, PeriodStore

MANIFEST_FILES = 10_000
"""Files that a manifest may list."""
FILE_LIMIT = 5 * 2**20
"""Bytes; replicas refuse a manifest with a larger file, so such files are not listed."""
NAME_BYTES = 32
"""Bytes of a file name in a manifest, its terminating zero included."""
_CHUNK = 64 * 1024
_CACHE = "no-cache"
"""Ask again, with the ETag: a period's file may be replaced."""


_NAME: Any = ByteList[NAME_BYTES]
_FIELDS = {"period": uint64, "filename": _NAME, "length": uint32}
_FILE: Any = type("_File", (Container,), {"__annotations__": _FIELDS})
_FILES: Any = List[_FILE, MANIFEST_FILES]


def routes(store: PeriodStore) -> APIRouter:
    """The routes over one stream's store."""
    router = APIRouter(tags=["beacon"])

    @router.get("/period_store")
    async def manifest(
        request: Request, manifest: Annotated[int, Query()] = 0, start: Annotated[int, Query(ge=0)] = 0
    ) -> Response:
        """Files of the consecutive periods from ``start`` on: SSZ, or JSON where that is asked for."""
        if manifest != 1:
            return _error(400, "bad_request", "expected ?manifest=1&start=<period>")
        found = await asyncio.to_thread(listed, store, start)
        if "application/json" in request.headers.get("accept", ""):
            return JSONResponse({"start": start, "files": [dict(row) for row in found]})
        body = await asyncio.to_thread(encode, found)  # seconds where there are thousands of files
        return Response(body, media_type="application/octet-stream")

    @router.api_route("/period_store/{period}/{name}", methods=["GET", "HEAD"])
    async def file(
        request: Request, period: str, name: str, offset: Annotated[int, Query(ge=0)] = 0
    ) -> Response:
        """A file of a period, whole, a range of it, or from ``offset`` on."""
        if not PERIOD.fullmatch(period) or not NAME.fullmatch(name):
            return JSONResponse({"error": "not_found"}, 404)
        path = store.folder(int(period)) / name
        found = await asyncio.to_thread(_regular, path)
        if found is None:
            return JSONResponse({"error": "not_found"}, 404)
        tag = f'"{found.st_size:x}-{found.st_mtime_ns:x}-{found.st_ino:x}"'
        headers = {"etag": tag, "cache-control": _CACHE, "x-content-type-options": "nosniff"}
        if _knows(request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        kind = "application/json" if name.endswith(".json") else "application/octet-stream"
        if offset:
            return _tail(path, found.st_size, offset, kind, headers)
        return FileResponse(path, media_type=kind, headers=headers, stat_result=found)

    return router


def listed(store: PeriodStore, start: int) -> list[dict[str, Json]]:
    """Files of consecutive periods from ``start``, or from the first one after it, until there is a gap."""
    rows: list[dict[str, Json]] = []
    expected: int | None = None
    for period in store.periods():
        if period < start:
            continue
        if expected is not None and period != expected:
            break
        expected = period + 1
        for entry in store.files(period):
            if len(rows) == MANIFEST_FILES:
                return rows
            if NAME.fullmatch(entry.name) and len(entry.name) < NAME_BYTES and entry.size <= FILE_LIMIT:
                rows.append({"period": period, "filename": entry.name, "length": entry.size})
    return rows


def encode(rows: list[dict[str, Json]]) -> bytes:
    """The manifest in SSZ: a list of (period, file name with a terminating zero, length)."""
    files = [
        _FILE(
            period=row["period"],
            filename=_NAME(str(row["filename"]).encode() + b"\0"),
            length=row["length"],
        )
        for row in rows
    ]
    return bytes(_FILES(*files).encode_bytes())


def _regular(path: Path) -> os.stat_result | None:
    """Its stat where it is a plain file in a plain directory: links lead nowhere."""
    try:
        folder, found = path.parent.lstat(), path.lstat()
    except OSError:
        return None
    return found if stat.S_ISDIR(folder.st_mode) and stat.S_ISREG(found.st_mode) else None


def _knows(given: str, tag: str) -> bool:
    tags = {part.strip().removeprefix("W/") for part in given.split(",")}
    return bool(given) and ("*" in tags or tag in tags)


def _tail(path: Path, size: int, offset: int, kind: str, headers: dict[str, str]) -> Response:
    """The bytes from an offset on, as a plain answer: this is how the upstream server resumes downloads."""
    if offset > size:
        return _error(416, "bad_range", f"the file has {size} bytes")

    def chunks() -> Iterator[bytes]:
        left = size - offset
        with path.open("rb") as file:
            file.seek(offset)
            while left > 0 and (chunk := file.read(min(_CHUNK, left))):
                left -= len(chunk)
                yield chunk

    return StreamingResponse(
        chunks(), media_type=kind, headers={**headers, "content-length": str(size - offset)}
    )


def _error(status: int, error: str, message: str) -> Response:
    return JSONResponse({"error": error, "message": message}, status)
