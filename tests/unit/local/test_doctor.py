"""The doctor on a healthy installation, on an empty machine, and on broken parts."""

from pathlib import Path

import pytest

from provery.local import doctor
from provery.local.doctor import run_doctor
from provery.local.servers import RedisServer, S3Server, TemporalServer

pytestmark = pytest.mark.e2e


async def test_a_healthy_installation(tmp_path: Path) -> None:
    async with TemporalServer(tmp_path) as temporal, RedisServer(tmp_path) as redis, S3Server(tmp_path) as s3:
        env = {**temporal.env, **s3.env, "REDIS_URL": redis.url, "PROVERY_ARTIFACTS_URL": s3.artifacts_url}
        env["PROVERY_LEDGER_URL"] = f"sqlite:///{tmp_path / 'ledger.db'}"
        checks = {check.name: check for check in await run_doctor(env=env)}
    for name in (
        "temporal-dev.yaml",
        "python",
        "temporal",
        "temporal server",
        "search attributes",
        "artifacts",
        "redis",
    ):
        assert checks[name].status == "ok", checks[name]
    assert "conditional writes honoured" in checks["artifacts"].found
    assert checks["ledger"].found == "not there yet"


async def test_broken_parts_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_FAIL", 2**80)
    async with TemporalServer(tmp_path) as temporal, RedisServer(tmp_path, port=0) as redis:
        # A namespace without our attributes, a Redis that evicts, a ledger nobody serves, a store that is a file.
        bare = temporal.settings.model_copy(update={"search_attributes": {}})
        async with TemporalServer(tmp_path / "bare", bare, in_memory=True) as other:
            from redis.asyncio import Redis

            client = Redis.from_url(redis.url)
            await client.config_set("maxmemory-policy", "allkeys-lru")
            await client.aclose()
            (tmp_path / "file").write_text("")
            env = {
                **other.env,
                "REDIS_URL": redis.url,
                "PROVERY_LEDGER_URL": "postgresql://nobody@127.0.0.1:1/none",
                "PROVERY_ARTIFACTS_URL": (tmp_path / "file").as_uri(),
            }
            checks = {check.name: check for check in await run_doctor(env=env)}
    for name in ("disk", "search attributes", "ledger", "artifacts", "redis"):
        assert checks[name].status == "fail", checks[name]
        assert checks[name].fix, checks[name]
    assert "temporal operator search-attribute create" in checks["search attributes"].fix


async def test_nothing_runs(tmp_path: Path) -> None:
    env = {
        "TEMPORAL_ADDRESS": "127.0.0.1:1",
        "REDIS_URL": "redis://127.0.0.1:1",
        "PROVERY_ARTIFACTS_URL": tmp_path.as_uri(),
    }
    checks = {check.name: check for check in await run_doctor(env=env)}
    assert checks["temporal server"].status == "fail"
    assert "provery up" in checks["temporal server"].fix
    assert checks["redis"].status == "fail"
