from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest

from provery.core.errors import ArtifactCorrupt, ArtifactMissing, ConfigurationError
from provery.core.types import ArtifactRef
from provery.stores import cache as cache_module
from provery.stores.address import CHUNK, Digest, content_key, hash_stream
from provery.stores.artifacts import open_store
from provery.stores.cache import Cache
from provery.stores.files import FileStore
from provery.stores.s3_upload import MOST_PARTS, MULTIPART_FROM, measure
from provery.stores.verified import REMEMBER_FROM, Verified
from provery.stores.workspace import Workspace


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "file:///directory or s3://bucket/prefix"),
        ("/srv/artifacts", "file:///directory"),
        ("http://bucket/prefix", "file:///directory"),
        ("file://host/dir", "three slashes"),
        ("file:relative", "three slashes"),
        ("file:///d?fsync=yes", "fsync is 0 or 1"),
        ("file:///d?fsnyc=1", "known options are fsync"),
        ("s3:///prefix", "s3://bucket/prefix"),
        ("s3://key:secretword@bucket/prefix", "AWS_"),
        ("s3://b/p?cache_mb=-1", "whole number"),
        ("s3://b/p?addressing=dns", "path or virtual"),
        ("s3://b/p?endpoint=127.0.0.1:9000", "http"),
    ],
)
def test_addresses_that_are_not_understood(url: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as refused:
        open_store(url, cache=tmp_path, env={})
    assert says in str(refused.value)
    assert "secretword" not in str(refused.value)


async def test_opening_makes_no_request_and_no_directory(tmp_path: Path) -> None:
    store = open_store(f"file://{tmp_path}/a%20b/store", cache=tmp_path, env={})
    assert os.listdir(tmp_path) == []
    assert store.url == f"file://{tmp_path}/a%20b/store"
    ref = await store.put_bytes(b"x")
    assert (tmp_path / "a b/store").is_dir()
    assert (await store.local(ref)).read_bytes() == b"x"
    await store.close()
    remote = open_store("s3://bucket/p", cache=tmp_path, env={"AWS_ENDPOINT_URL": "http://127.0.0.1:1"})
    assert remote.url == "s3://bucket/p"
    await remote.close()


async def test_fsync_is_an_option(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    for option, expected in (("", 0), ("?fsync=1", 2)):
        store = open_store(f"file://{tmp_path}/s{expected}{option}", cache=tmp_path, env={})
        await store.put_bytes(b"durable")
        await store.close()
        assert len(flushed) == expected, "the file and its directory"


async def test_an_unwritable_store_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = FileStore(tmp_path / "file")
    with pytest.raises(ConfigurationError, match="make the directory writable"):
        await store.put_bytes(b"x")
    with pytest.raises(ConfigurationError, match="make the directory writable"):
        await store.probe()
    await store.close()


async def test_stored_files_are_read_only(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    path = await store.local(await store.put_bytes(b"x"))
    assert path.stat().st_mode & 0o777 == 0o444
    await store.close()


async def test_a_healthy_file_that_replaced_a_corrupt_one_is_not_quarantined(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    ref = await store.put_bytes(b"good")
    path = await store.local(ref)
    store._set_corrupt_aside(ref, path)  # what a reader does that had read the corrupt predecessor
    assert await store.read(ref) == b"good"
    assert not (tmp_path / "quarantine").exists()
    with pytest.raises(ArtifactMissing):
        await store.read(replace(ref, sha256="0" * 64))
    await store.close()


def test_a_large_verified_file_is_hashed_once_and_again_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed: list[Digest] = []

    def counting(stream: BinaryIO) -> Digest:
        hashed.append(hash_stream(stream))
        return hashed[-1]

    monkeypatch.setattr("provery.stores.verified.hash_stream", counting)
    path = tmp_path / "key"
    path.write_bytes(bytes(REMEMBER_FROM))
    with path.open("rb") as stream:
        found = hash_stream(stream)
    ref = ArtifactRef("", found.sha256, found.size)
    verified = Verified()
    assert [verified.holds(path, ref) for _ in range(3)] == [True] * 3
    assert len(hashed) == 1
    path.write_bytes(b"x" + bytes(REMEMBER_FROM - 1))
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    assert not verified.holds(path, ref)
    assert not verified.holds(path, replace(ref, size=1))


def test_the_cache_evicts_the_least_recently_used_but_nothing_in_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path, cap=10_000)
    refs = []
    for number in range(8):
        path = cache.workspace.new_path()
        path.write_bytes(bytes([number]) * 3_000)
        with path.open("rb") as stream:
            found = hash_stream(stream)
        refs.append(ArtifactRef("", found.sha256, found.size))
        cache.adopt(path, refs[-1])
    for number, ref in enumerate(refs):
        copy = tmp_path / content_key(ref.sha256)
        os.utime(copy, (time.time() - 5_000 + number, copy.stat().st_mtime))
    assert cache.get(refs[0]) is not None, "use makes it the newest"
    cache.evict()
    kept = [number for number, ref in enumerate(refs) if cache.get(ref)]
    assert kept == [0, 6, 7]
    monkeypatch.setattr(cache_module, "GRACE_S", 1e9)
    cache._cap = 0
    assert cache.evict() == 0
    cache.workspace.close()


def test_a_download_that_is_not_the_artifact_does_not_enter_the_cache(tmp_path: Path) -> None:
    cache = Cache(tmp_path, cap=10_000)
    ref = ArtifactRef("s3://b/k", "0" * 64, 3)
    with pytest.raises(ArtifactCorrupt):
        cache.fetch(ref, lambda: iter([b"abc"]))
    assert cache.get(ref) is None
    cache.workspace.close()


def test_a_dead_process_leaves_its_scratch_to_the_next_and_a_live_one_keeps_it(tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from provery.stores.workspace import Workspace
        (Workspace(Path(sys.argv[1])).directory() / "scratch").write_bytes(b"x")
        print("ready", flush=True)
        time.sleep(60)
    """
    argv = [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)]
    children = [subprocess.Popen(argv, stdout=subprocess.PIPE) for _ in range(2)]
    for child in children:
        assert child.stdout is not None
        child.stdout.readline()
    assert len(list((tmp_path / "tmp").iterdir())) == 2
    children[0].kill()
    children[0].wait()
    mine = Workspace(tmp_path)
    mine.directory()
    left = {path.name.split("-")[0] for path in (tmp_path / "tmp").iterdir()}
    assert left == {str(children[1].pid), str(os.getpid())}
    children[1].kill()
    children[1].wait()
    for child in children:
        assert child.stdout is not None
        child.stdout.close()
    mine.close()


async def test_scratch_is_removed_when_the_stage_is_cancelled(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    seen: list[Path] = []

    async def stage() -> None:
        async with store.scratch() as scratch:
            seen.append(scratch)
            (scratch / "witness").write_bytes(b"x")
            await asyncio.sleep(60)

    task = asyncio.create_task(stage())
    while not seen:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    for _ in range(100):
        if not seen[0].exists():
            break
        await asyncio.sleep(0.01)
    assert not seen[0].exists()
    await store.close()


def test_parts_fit_the_protocol(tmp_path: Path) -> None:
    path = tmp_path / "big"
    with path.open("wb") as sink:
        sink.truncate(MULTIPART_FROM + 1)
    measured = measure(path)
    assert measured.digest.size == MULTIPART_FROM + 1
    assert measured.part_size >= 5 * CHUNK
    assert len(measured.parts) == -(-measured.digest.size // measured.part_size) <= MOST_PARTS
    with path.open("wb") as sink:
        sink.truncate(MULTIPART_FROM)
    assert measure(path).parts == ()
