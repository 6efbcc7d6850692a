"""The cache: whole or not at all, bounded, shared, and no reason to fail."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from provery.systems.zkml.http.answers import Finished
from provery.systems.zkml.http.cache import Cache
from provery.systems.zkml.http.metrics import HttpMetrics
from provery.systems.zkml.model import Answer
from tests.support.zkml_served import prove_body, served

ANSWER = Answer(
    model="m", version="0" * 64, model_hash="0x", input_hash="0x", output_hash="0x", proof="0x" + "ab" * 500,
    proof_hash="0x", proof_size=500, prover="native", scheme="plonk", verifying_key="", inputs=(0.1, -0.0),
    quantised=(1, 2), raw_output=(0.25,), raw_quantised=(4,), instance="{}", commitment="", salt="", calldata="0x",
    verifier="", created_at_ms=1, generation_ms=2,
)  # fmt: skip


def name(number: int) -> str:
    return f"{number:064x}"


def finished(number: int = 0) -> Finished:
    return Finished(replace(ANSWER, created_at_ms=number), {"tx": "0x1"})


async def opened(folder: Path, disk: int = 2**20, memory: int = 2**20) -> tuple[Cache, CollectorRegistry]:
    registry = CollectorRegistry()
    cache = Cache(folder, disk, memory, HttpMetrics(registry))
    await cache.open()
    return cache, registry


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.json"))


async def test_what_is_kept_is_found_after_a_restart(tmp_path: Path) -> None:
    cache, _ = await opened(tmp_path)
    assert await cache.get(name(1)) is None
    await cache.put(name(1), finished(7))
    for one in (cache, (await opened(tmp_path))[0], (await opened(tmp_path, memory=0))[0]):
        assert await one.get(name(1)) == finished(7)
    [path] = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-1],
        lambda text: text + b" ",
        lambda text: b"",
        lambda text: text[:70] + bytes([text[70] ^ 1]) + text[71:],
        lambda text: text[65:],
        lambda text: b"\x00" * len(text),
    ],
)
async def test_damaged_files_are_dropped(tmp_path: Path, damage: object) -> None:
    cache, _ = await opened(tmp_path)
    await cache.put(name(1), finished())
    [path] = files(tmp_path)
    assert callable(damage)
    path.write_bytes(damage(path.read_bytes()))
    fresh, registry = await opened(tmp_path)
    assert await fresh.get(name(1)) is None
    assert files(tmp_path) == []
    assert registry.get_sample_value("provery_zkml_cache_corrupt_total") == 1
    await fresh.put(name(1), finished())
    assert await (await opened(tmp_path))[0].get(name(1)) == finished()


async def test_a_file_of_another_form_with_a_right_digest_is_dropped(tmp_path: Path) -> None:
    import hashlib

    cache, _ = await opened(tmp_path)
    path = tmp_path / "00" / f"{name(1)}.json"
    path.parent.mkdir()
    for body in (b"{}", b"[]", b'{"answer":{},"facts":{}}', b"null"):
        path.write_bytes(hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
        assert await cache.get(name(1)) is None
        assert not path.exists()


async def test_the_folder_is_bounded_and_the_least_used_goes_first(tmp_path: Path) -> None:
    cache, registry = await opened(tmp_path, memory=0)
    await cache.put(name(0), finished())
    size = files(tmp_path)[0].stat().st_size
    cache, registry = await opened(tmp_path, disk=3 * size + 10, memory=0)
    await cache.put(name(1), finished())
    await cache.put(name(2), finished())
    assert await cache.get(name(0)) is not None
    await cache.put(name(3), finished())
    kept = {path.stem for path in files(tmp_path)}
    assert kept == {name(0), name(2), name(3)}
    used = registry.get_sample_value("provery_zkml_cache_bytes")
    assert used == sum(path.stat().st_size for path in files(tmp_path))
    smaller, _ = await opened(tmp_path, disk=size + 10, memory=0)
    assert len(files(tmp_path)) == 1
    await smaller.put(name(4), finished())
    assert {path.stem for path in files(tmp_path)} == {name(4)}


async def test_the_order_of_use_survives_a_restart(tmp_path: Path) -> None:
    cache, _ = await opened(tmp_path, memory=0)
    for number in range(3):
        await cache.put(name(number), finished())
        os.utime(files(tmp_path)[-1], (1_000 + number, 1_000 + number))
    size = files(tmp_path)[0].stat().st_size
    assert await cache.get(name(0)) is not None
    cache, _ = await opened(tmp_path, disk=2 * size + 10)
    assert {path.stem for path in files(tmp_path)} == {name(0), name(2)}


async def test_memory_is_bounded(tmp_path: Path) -> None:
    size = len(finished().write())
    cache, registry = await opened(tmp_path, disk=0, memory=size * 10)
    for number in range(20):
        await cache.put(name(number), finished())
    held = [number for number in range(20) if await cache.get(name(number)) is not None]
    assert held == list(range(10, 20))
    assert files(tmp_path) == []
    assert registry.get_sample_value("provery_zkml_cache_total", {"source": "memory"}) == 10


async def test_a_folder_that_cannot_be_used_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    cache, _ = await opened(tmp_path / "file" / "cache")
    await cache.put(name(1), finished())
    assert await cache.get(name(1)) == finished()


async def test_replicas_share_a_folder(tmp_path: Path) -> None:
    one, _ = await opened(tmp_path)
    other, _ = await opened(tmp_path)
    await one.put(name(1), finished())
    assert await other.get(name(1)) == finished()
    await one.drop(name(1))
    assert await one.get(name(1)) is None


async def test_names_cannot_leave_the_folder(tmp_path: Path) -> None:
    cache, _ = await opened(tmp_path / "cache", memory=0)
    for bad in ("../x", "/etc/passwd", "x" * 64, "", "0" * 63):
        await cache.put(bad, finished())
        assert await cache.get(bad) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


async def test_damaged_answers_are_mended_on_the_way(tmp_path: Path) -> None:
    async with served(tmp_path) as at, at.client() as http:
        first = (await http.post("/prove", json=prove_body())).json()
        [path] = files(tmp_path / "cache" / "zkml")
        path.write_bytes(b"x" + path.read_bytes())
        at.api.parts.cache._held.clear()
        again = (await http.post("/prove", json=prove_body())).json()
        assert (again["proof"]["proof"], again["cached"]) == (first["proof"]["proof"], True)
        assert at.figure("provery_zkml_cache_corrupt_total") == 1
        assert at.figure("provery_zkml_cache_total", source="ledger") == 1
        assert len(files(tmp_path / "cache" / "zkml")) == 1
        assert len(at.engine.started) == 1
