"""One suite over every artifact store, on real file systems and a real S3 server."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import pytest

from provery.core.errors import (
    ArtifactCorrupt,
    ArtifactMissing,
    ConfigurationError,
    InvalidInput,
    StoreUnavailable,
)
from provery.core.types import ArtifactRef
from provery.local.servers import S3Server
from provery.stores.artifacts import open_store
from provery.stores.files import FileStore
from provery.stores.s3 import S3Store

pytestmark = pytest.mark.e2e
Store: TypeAlias = FileStore | S3Store


@dataclass
class Place:
    """A store's address and where its bytes lie, so that tests can damage them."""

    url: str
    env: dict[str, str]
    bytes_at: Path
    cache: Path

    def open(self) -> Store:
        return open_store(self.url, cache=self.cache, env=self.env)

    def path(self, ref: ArtifactRef) -> Path:
        return self.bytes_at / "sha256" / ref.sha256[:2] / ref.sha256[2:]

    def damage(self, ref: ArtifactRef, data: bytes) -> None:
        path = self.path(ref)
        path.chmod(0o644)
        path.write_bytes(data)

    def visible(self) -> list[Path]:
        return [p for p in self.bytes_at.rglob("sha256/*/*") if p.is_file()]


@pytest.fixture(scope="module")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    started = S3Server(tmp_path_factory.mktemp("s3"))
    asyncio.run(started.start())
    yield started
    asyncio.run(started.kill())


def bucket(server: S3Server) -> tuple[str, Path]:
    """A new bucket: its name, and the directory where its objects lie as files."""
    name = f"bucket-{next(_buckets)}"
    folder = server.data / "buckets" / name
    folder.mkdir()
    return name, folder


_buckets = iter(range(10**6))


@pytest.fixture(params=["file", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "file":
        root = tmp_path / "store"
        return Place(root.as_uri(), {}, root, tmp_path / "cache")
    started: S3Server = request.getfixturevalue("s3_server")
    name, folder = bucket(started)
    return Place(f"s3://{name}/a/b", started.env, folder / "a/b", tmp_path / "cache")


@pytest.fixture
async def store(place: Place) -> AsyncIterator[Store]:
    opened = place.open()
    yield opened
    await opened.close()


async def test_round_trip_by_bytes_and_file(store: Store, place: Place, tmp_path: Path) -> None:
    data = os.urandom(70_000)
    ref = await store.put_bytes(data, name="witness.wtns")
    assert ref == ArtifactRef(
        f"{store.url}/sha256/{ref.sha256[:2]}/{ref.sha256[2:]}",
        hashlib.sha256(data).hexdigest(),
        70_000,
        "witness.wtns",
    )
    source = tmp_path / "source"
    source.write_bytes(data)
    assert replace(await store.put_file(source), name=ref.name) == ref
    assert source.exists()
    assert await store.read(ref) == data
    assert (await store.local(ref)).read_bytes() == data
    assert await store.exists([ref, replace(ref, size=1), replace(ref, sha256="0" * 64)]) == [
        True,
        False,
        False,
    ]
    assert len(place.visible()) == 1
    empty = await store.put_bytes(b"")
    assert await store.read(empty) == b""
    assert (await store.local(empty)).read_bytes() == b""


async def test_moving_consumes_the_file_and_batches_keep_order(store: Store) -> None:
    async with store.scratch() as scratch:
        files = []
        for number in range(32):
            path = scratch / f"w{number}"
            path.write_bytes(os.urandom(40_000) if number else b"same")
            files.append((path, f"w{number}.wtns"))
        twin = scratch / "twin"
        twin.write_bytes(b"same")
        expected = [hashlib.sha256(p.read_bytes()).hexdigest() for p, _ in files]
        started = time.perf_counter()
        refs = await store.put_files(files, move=True)
        print(f"batch of 32: {(time.perf_counter() - started) * 1e3:.1f} ms")
        assert [r.sha256 for r in refs] == expected
        assert [r.name for r in refs] == [name for _, name in files]
        assert (await store.put_file(twin, move=True)).sha256 == refs[0].sha256
        assert list(scratch.iterdir()) == []
    assert not scratch.exists()
    assert all(await store.exists(refs))
    for ref in refs:
        assert hashlib.sha256(await store.read(ref)).hexdigest() == ref.sha256


async def test_moving_a_linked_file_leaves_the_other_name_harmless(store: Store, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.write_bytes(b"stays mine")
    (tmp_path / "symbolic").symlink_to(real)
    os.link(real, tmp_path / "hard")
    for name in ("symbolic", "hard"):
        await store.put_file(tmp_path / name, move=True)
        assert not (tmp_path / name).is_symlink()
        assert not (tmp_path / name).exists()
    ref = await store.put_file(real)
    real.write_bytes(b"changed !!")
    assert await store.read(ref) == b"stays mine"


async def test_a_file_that_is_not_there_is_the_callers_mistake(store: Store, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await store.put_file(tmp_path / "nothing")


async def test_sixteen_putters_leave_one_artifact(store: Store, place: Place) -> None:
    data = os.urandom(300_000)
    others = [place.open() for _ in range(3)]
    refs = await asyncio.gather(*([store, *others][n % 4].put_bytes(data) for n in range(16)))
    assert len(set(refs)) == 1
    assert len(place.visible()) == 1
    assert await store.read(refs[0]) == data
    for other in others:
        await other.close()


@pytest.mark.parametrize("method", ["read", "local"])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "longer", "empty"])
async def test_damage_is_noticed_set_aside_and_healed(
    store: Store, place: Place, damage: str, method: str
) -> None:
    data = os.urandom(5_000)
    ref = await store.put_bytes(data)
    bad = {"truncated": data[:100], "flipped": b"\x00" + data[1:], "longer": data + b"x", "empty": b""}[
        damage
    ]
    bad = bad if bad != data else b"\x01" + data[1:]
    place.damage(ref, bad)
    with pytest.raises(ArtifactCorrupt, match=ref.sha256):
        await getattr(store, method)(ref)
    with pytest.raises(ArtifactMissing):
        await getattr(store, method)(ref)
    kept = [p for p in (place.bytes_at / "quarantine").iterdir() if p.suffix != ".json"]
    assert [p.read_bytes() for p in kept] == [bad]
    assert (
        "digest" in kept[0].with_suffix(".json").read_text()
        or "content" in kept[0].with_suffix(".json").read_text()
    )
    assert await store.put_bytes(data) == ref
    assert await store.read(ref) == data


@pytest.mark.parametrize("big", [False, True])
async def test_putting_again_heals_a_truncated_artifact(
    store: Store, place: Place, tmp_path: Path, big: bool
) -> None:
    data = os.urandom((2 << 20) if big else 5_000)
    ref = await store.put_bytes(data)
    place.damage(ref, data[:7])
    source = tmp_path / "again"
    source.write_bytes(data)
    await store.put_file(source)
    assert await store.read(ref) == data


async def test_quarantine_keeps_the_bytes_and_repeats(store: Store, place: Place) -> None:
    ref = await store.put_bytes(b"a proof that does not verify", name="proof.json")
    kept = await store.quarantine(ref, "pairing check failed")
    assert await store.exists([ref, kept]) == [False, True]
    assert await store.read(kept) == b"a proof that does not verify"
    assert (await store.local(kept)).read_bytes() == b"a proof that does not verify"
    assert await store.quarantine(ref, "pairing check failed") == kept
    assert "pairing check failed" in next((place.bytes_at / "quarantine").glob("*.json")).read_text()
    with pytest.raises(ArtifactMissing):
        await store.quarantine(replace(ref, sha256="1" * 64), "never there")


@pytest.mark.parametrize("sha256", ["../../etc/passwd", "", "AB" * 32, "0" * 63, "0" * 64 + "\n"])
async def test_hostile_references_are_refused(store: Store, sha256: str) -> None:
    ref = ArtifactRef(f"{store.url}/quarantine/../../etc", sha256, 10)
    for call in (store.read(ref), store.local(ref), store.exists([ref]), store.quarantine(ref, "")):
        with pytest.raises(InvalidInput):
            await call


async def test_reading_is_bounded_and_wrong_sizes_blame_the_reference(store: Store, place: Place) -> None:
    ref = await store.put_bytes(b"x" * 1000)
    with pytest.raises(InvalidInput, match="too large"):
        await store.read(ref, limit=999)
    with pytest.raises(InvalidInput, match="wrong size"):
        await store.read(replace(ref, size=5))
    assert await store.read(ref) == b"x" * 1000
    # A reference from before the store moved is found by its digest.
    assert await store.read(replace(ref, uri="file:///somewhere/else")) == b"x" * 1000


WRITER = """
    import asyncio, os, sys
    from pathlib import Path
    from provery.stores.artifacts import open_store
    async def main():
        store = open_store(sys.argv[1], cache=Path(sys.argv[2]), env=os.environ)
        async with store.scratch() as scratch:
            big = scratch / "big"
            with big.open("wb") as sink:
                for _ in range(96):
                    sink.write(os.urandom(1 << 20))
            print("ready", flush=True)
            await store.put_file(big)
            await store.put_file(big)
    asyncio.run(main())
"""


async def test_a_killed_writer_leaves_nothing_visible(place: Place) -> None:
    for delay in (0.02, 0.15, 0.3):
        child = subprocess.Popen(  # noqa: ASYNC220 - starting is quick; waiting is done in a thread
            [sys.executable, "-c", textwrap.dedent(WRITER), place.url, str(place.cache)],
            env={**os.environ, **place.env},
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        await asyncio.to_thread(child.stdout.readline)
        await asyncio.sleep(delay)
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        for path in place.visible():  # only ever complete
            with path.open("rb") as stream:
                assert hashlib.file_digest(stream, "sha256").hexdigest() == path.parent.name + path.name
            path.unlink()
    survivor = place.open()
    async with survivor.scratch() as scratch:
        temporary = scratch.parents[1]
        assert len(list(temporary.iterdir())) == 1, "what the dead left is swept"
    await survivor.close()


STREAMER = """
    import asyncio, hashlib, os, resource, sys
    from pathlib import Path
    from provery.stores.artifacts import open_store
    async def main():
        store = open_store(sys.argv[1], cache=Path(sys.argv[2]), env=os.environ)
        await store.put_bytes(b"warm up")
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ref = await store.put_file(Path(sys.argv[3]))
        path = await store.local(ref)
        assert path.stat().st_size == ref.size
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print((after - before) // 1024)
        await store.close()
    asyncio.run(main())
"""


async def test_a_large_artifact_streams_in_bounded_memory(place: Place, tmp_path: Path) -> None:
    big = tmp_path / "big"
    with big.open("wb") as sink:
        for _ in range(100):
            sink.write(os.urandom(1 << 20))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", textwrap.dedent(STREAMER), place.url, str(place.cache), str(big),
        env={**os.environ, **place.env}, stdout=subprocess.PIPE,
    )  # fmt: skip
    out, _ = await child.communicate()
    assert child.returncode == 0
    assert int(out) < 90, "MiB above the idle process"
    again = place.open()
    ref = await again.put_file(big)
    assert await again.exists([ref]) == [True]
    if isinstance(again, S3Store):  # truncated in parts' territory, too, it heals
        place.damage(ref, b"short")
        await again.put_file(big)
        assert place.path(ref).stat().st_size == ref.size
    await again.close()


async def test_many_processes_fill_one_cache(place: Place, tmp_path: Path) -> None:
    store = place.open()
    ref = await store.put_bytes(os.urandom(3 << 20))
    script = """
        import asyncio, os, sys
        from pathlib import Path
        from provery.core.types import ArtifactRef
        from provery.stores.artifacts import open_store
        store = open_store(sys.argv[1], cache=Path(sys.argv[2]), env=os.environ)
        ref = ArtifactRef("", sys.argv[3], int(sys.argv[4]))
        async def main():
            for path in await asyncio.gather(*(store.local(ref) for _ in range(8))):
                assert path.stat().st_size == ref.size
        asyncio.run(main())
    """
    argv = [
        sys.executable,
        "-c",
        textwrap.dedent(script),
        place.url,
        str(place.cache),
        ref.sha256,
        str(ref.size),
    ]
    env = {**os.environ, **place.env}
    children = [subprocess.Popen(argv, env=env) for _ in range(3)]  # noqa: ASYNC220
    assert [await asyncio.to_thread(child.wait) for child in children] == [0, 0, 0]
    await store.close()


class TestS3Only:
    """What only a remote store can get wrong."""

    @pytest.fixture
    def place(self, s3_server: S3Server, tmp_path: Path) -> Place:
        name, folder = bucket(s3_server)
        return Place(f"s3://{name}", s3_server.env, folder, tmp_path / "cache")

    async def test_a_damaged_cached_copy_is_fetched_again(self, place: Place, store: Store) -> None:
        data = os.urandom(2 << 20)
        ref = await store.put_bytes(data)
        copy = await store.local(ref)
        copy.chmod(0o644)
        copy.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert (await store.local(ref)).read_bytes() == data
        assert await store.read(ref) == data

    @pytest.mark.parametrize(
        ("change", "url", "says"),
        [
            ({}, "s3://no-such-bucket", "create the bucket"),
            ({"AWS_SECRET_ACCESS_KEY": "wrong-secret-value"}, "", "correct AWS_SECRET_ACCESS_KEY"),
            ({"AWS_ACCESS_KEY_ID": "nobody-knows"}, "", "correct AWS_ACCESS_KEY_ID"),
        ],
    )
    async def test_configuration_mistakes_say_what_to_do(
        self, place: Place, change: dict[str, str], url: str, says: str
    ) -> None:
        wrong = open_store(url or place.url, cache=place.cache, env={**place.env, **change})
        ref = ArtifactRef("", "0" * 64, 3)
        for call in (wrong.put_bytes(b"abc"), wrong.read(ref), wrong.exists([ref]), wrong.probe()):
            with pytest.raises(ConfigurationError, match=says) as caught:
                await call
            assert "wrong-secret" not in str(caught.value)
            assert S3Server.secret_key not in str(caught.value)
            assert "Signature=" not in str(caught.value)
        await wrong.close()

    async def test_a_dead_server_is_transient_and_recovers(
        self, s3_server: S3Server, place: Place, store: Store
    ) -> None:
        ref = await store.put_bytes(b"before")
        await s3_server.kill()
        with pytest.raises(StoreUnavailable):
            await store.read(ref)
        await s3_server.start()
        assert await store.read(ref) == b"before"
        await store.probe()
