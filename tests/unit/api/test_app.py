"""The common server: one shape of error, bounded bodies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import APIRouter

from provery.api.app import create_app
from provery.core.errors import InvalidInput, ProverCrashed, SinkUnavailable
from provery.core.serving import Serving
from provery.core.types import Json


def client(*routers: APIRouter, **more: Any) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app(routers, **more), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://provery")


def raising(error: Exception) -> APIRouter:
    router = APIRouter()

    @router.get("/x")
    async def x() -> None:
        raise error

    return router


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (InvalidInput("bad"), 400, "bad_request"),
        (SinkUnavailable("away: postgres://secret"), 503, "unavailable"),
        (ProverCrashed("dead"), 500, "internal"),
        (KeyError("secret"), 500, "internal"),
    ],
)
async def test_errors_have_one_shape_and_hide_what_is_inside(
    error: Exception, status: int, code: str
) -> None:
    async with client(raising(error)) as http:
        answer = await http.get("/x")
        assert (answer.status_code, answer.json()["error"]) == (status, code)
        assert "secret" not in answer.text
        if status == 503:
            assert answer.headers["retry-after"] == "1"


async def test_bodies_are_bounded_with_and_without_a_length() -> None:
    router = APIRouter()

    @router.post("/size")
    async def size(body: dict[str, str]) -> int:
        return len(body["a"])

    async def chunks(count: int) -> AsyncIterator[bytes]:
        yield b'{"a":"'
        for _ in range(count):
            yield b"x" * 100
        yield b'"}'

    headers = {"content-type": "application/json"}
    async with client(router, serving=Serving(max_body=1_000)) as http:
        assert (await http.post("/size", json={"a": "xy"})).json() == 2
        assert (await http.post("/size", content=chunks(5), headers=headers)).json() == 500
        for body in (b"x" * 2_000, chunks(20)):
            refused = await http.post("/size", content=body, headers=headers)
            assert (refused.status_code, refused.json()["error"]) == (413, "too_large")
        assert (
            await http.post("/size", headers=headers | {"content-length": "-1"}, content=b"")
        ).status_code == 413


async def test_it_tells_that_it_runs_in_one_way() -> None:
    async with client() as http:
        assert (await http.get("/health")).json() == {"ok": True}
        assert (await http.put("/health")).json()["error"] == "method_not_allowed"
        assert (await http.get("/ready")).status_code == 404


@pytest.mark.parametrize("nested", [False, True])
async def test_a_systems_own_health_takes_precedence(nested: bool) -> None:
    own, outer = APIRouter(), APIRouter()

    @own.get("/health")
    async def health() -> str:
        """Ours."""
        return "ours"

    outer.include_router(own)
    async with client(outer if nested else own) as http:
        assert (await http.get("/health")).json() == "ours"
        described = (await http.get("/openapi.json")).json()["paths"]["/health"]["get"]
        assert described["description"] == "Ours."


async def test_a_system_says_errors_in_its_own_shape() -> None:
    def refusal(status: int, code: str, message: str) -> dict[str, Json]:
        return {"status": status, "code": code, "message": message}

    async with client(APIRouter(), serving=Serving(max_body=10, refusal=refusal)) as http:
        assert (await http.get("/nowhere")).json()["code"] == "not_found"
        assert (await http.post("/nowhere", content=b"x" * 11)).json()["code"] == "too_large"
        assert (await http.put("/health")).json()["code"] == "method_not_allowed"


async def test_bodies_are_bounded_in_time() -> None:
    async def never() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(30)

    router = APIRouter()

    @router.post("/size")
    async def size(body: dict[str, str]) -> int:
        return len(body)

    async with client(router, serving=Serving(body_s=0.05)) as http:
        late = await asyncio.wait_for(http.post("/size", content=never()), 5)
        assert (late.status_code, late.json()["error"]) == (408, "timeout")
