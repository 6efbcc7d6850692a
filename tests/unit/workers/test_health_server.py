"""The port of a worker, over real sockets."""

from __future__ import annotations

import time

import httpx

from workers.health import HealthServer


async def nothing() -> dict[str, str]:
    return {}


async def test_a_kept_connection_answers_at_once() -> None:
    """Nagle's algorithm and delayed acknowledgements together cost 40 ms a response."""
    server = HealthServer(nothing)
    await server.start("127.0.0.1", 0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as http:
            took = []
            for _ in range(15):
                began = time.perf_counter()
                assert (await http.get("/health")).status_code == 200
                took.append(time.perf_counter() - began)
    finally:
        await server.close()
    assert min(took[1:]) < 0.03, took
