"""A worker waits for what is away, says so on its pages, and can be told to stop meanwhile."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter

from provery.core.errors import ConfigurationError, TransientError
from provery.local.process import free_port
from tests.support.queue import until
from workers.__main__ import answer
from workers.health import HealthServer
from workers.waiting import Waiting


async def test_it_calls_until_there_is_an_answer_and_knows_the_reason_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.waiting.PAUSES_S", (0.0,))
    waiting, said = Waiting(), []

    async def call() -> str:
        said.append(dict(waiting.reasons))
        if len(said) < 3:
            raise TransientError(f"away {len(said)}")
        return "here"

    assert await waiting("temporal", call) == "here"
    assert said == [{}, {"temporal": "away 1"}, {"temporal": "away 2"}]
    assert waiting.reasons == {}


async def test_a_wrong_setting_is_not_waited_for() -> None:
    async def call() -> None:
        raise ConfigurationError("wrong")

    with pytest.raises(ConfigurationError):
        await Waiting()("ledger", call)


async def test_a_probe_is_answered_although_what_it_asks_after_is_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workers.__main__.CHECK_S", 0.05)

    async def hangs() -> str:
        await asyncio.sleep(60)
        return ""

    assert await answer(hangs()) == "no answer within 0.05 s"


async def test_metrics_and_routes_come_when_there_are_any() -> None:
    async def ready() -> dict[str, str]:
        return {}

    server, registry = HealthServer(ready), CollectorRegistry()
    await server.start("127.0.0.1", 0)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as http:
            assert (await http.get("/metrics")).text == ""
            Counter("seen", "", registry=registry).inc()
            server.attach(registry, f"127.0.0.1:{free_port()}")
            assert "seen_total 1.0" in (await http.get("/metrics")).text
    finally:
        await server.close()


async def test_a_worker_without_temporal_is_alive_but_not_ready_and_ends_when_told(tmp_path: Path) -> None:
    port = free_port()
    env = {"PROVERY_HOME": str(tmp_path), "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "workers",
        "--queue",
        "io",
        "--port",
        str(port),
        env=env,
        cwd=Path(__file__).parents[3],
    )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:

            async def waits() -> bool:
                try:
                    answer = await http.get("/ready")
                except httpx.TransportError:
                    return False
                return "temporal" in json.loads(answer.text)["waiting"] and answer.status_code == 503

            await until(waits)
            assert (await http.get("/health")).status_code == 200
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 15) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
