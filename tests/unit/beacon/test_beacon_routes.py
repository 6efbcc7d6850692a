"""The period store over HTTP."""

from __future__ import annotations

import os
import struct
import threading
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from provery.api.app import create_app
from provery.core.types import Json
from provery.systems.beacon.routes import FILE_LIMIT, encode, routes
from provery.systems.beacon.store import PeriodStore

BODY = bytes(range(256)) * 40


@pytest.fixture
def store(tmp_path: Path) -> PeriodStore:
    for period in (7, 8, 10):
        (tmp_path / "store" / str(period)).mkdir(parents=True)
        (tmp_path / "store" / str(period) / "sync.ssz").write_bytes(BODY)
    (tmp_path / "store/8/manifest.json").write_text("{}")
    (tmp_path / "store/.provery").mkdir()
    (tmp_path / "store/.provery/status.json").write_text("{}")
    (tmp_path / "secret").write_text("secret")
    return PeriodStore(tmp_path / "store")


@pytest.fixture
def client(store: PeriodStore) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app([routes(store)]))
    return httpx.AsyncClient(transport=transport, base_url="http://provery")


async def test_a_file_is_served_whole(client: httpx.AsyncClient) -> None:
    answer = await client.get("/period_store/7/sync.ssz")
    assert (answer.status_code, answer.content) == (200, BODY)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-length"] == str(len(BODY))
    assert answer.headers["accept-ranges"] == "bytes"
    head = await client.head("/period_store/7/sync.ssz")
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(BODY))
    assert (await client.get("/period_store/8/manifest.json")).headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("offset", "rest"), [(0, BODY), (1, BODY[1:]), (len(BODY) - 1, BODY[-1:]), (len(BODY), b"")]
)
async def test_an_offset_resumes_a_download(client: httpx.AsyncClient, offset: int, rest: bytes) -> None:
    answer = await client.get(f"/period_store/7/sync.ssz?offset={offset}")
    assert (answer.status_code, answer.content) == (200, rest)
    assert answer.headers["content-length"] == str(len(rest))


async def test_an_offset_behind_the_end_is_refused(client: httpx.AsyncClient) -> None:
    assert (await client.get(f"/period_store/7/sync.ssz?offset={len(BODY) + 1}")).status_code == 416
    assert (await client.get("/period_store/7/sync.ssz?offset=-1")).status_code == 400
    assert (await client.get("/period_store/7/sync.ssz?offset=x")).status_code == 400


async def test_ranges(client: httpx.AsyncClient) -> None:
    answer = await client.get("/period_store/7/sync.ssz", headers={"range": "bytes=100-199"})
    assert (answer.status_code, answer.content) == (206, BODY[100:200])
    assert answer.headers["content-range"] == f"bytes 100-199/{len(BODY)}"
    assert (await client.get("/period_store/7/sync.ssz", headers={"range": "bytes=-5"})).content == BODY[-5:]
    beyond = await client.get("/period_store/7/sync.ssz", headers={"range": "bytes=99999-"})
    assert beyond.status_code == 416


async def test_etags(client: httpx.AsyncClient, store: PeriodStore) -> None:
    tag = (await client.get("/period_store/7/sync.ssz")).headers["etag"]
    for known in (tag, f'"x", {tag}', "*", f"W/{tag}"):
        again = await client.get("/period_store/7/sync.ssz", headers={"if-none-match": known})
        assert (again.status_code, again.content) == (304, b""), known
    stale = {"range": "bytes=0-9", "if-range": '"other"'}
    assert (await client.get("/period_store/7/sync.ssz", headers=stale)).status_code == 200
    path = store.folder(7) / "sync.ssz"
    path.unlink()
    path.write_bytes(bytes(len(BODY)))
    changed = await client.get("/period_store/7/sync.ssz", headers={"if-none-match": tag})
    assert (changed.status_code, changed.content) == (200, bytes(len(BODY)))


@pytest.mark.parametrize(
    "path",
    [
        "/period_store/7/../../../secret", "/period_store/7/..%2f..%2f..%2fsecret", "/period_store/../../secret",
        "/period_store/%2e%2e/%2e%2e/secret", "/period_store/7/%2e%2e%2f%2e%2e%2f%2e%2e%2fsecret",
        "/period_store/.provery/status.json", "/period_store/7/.hidden", "/period_store/07/sync.ssz",
        "/period_store/7/link", "/period_store/11/sync.ssz", "/period_store/7/folder", "/period_store/7/nothing",
        "/period_store/7/sync.ssz%00", "/period_store/7//sync.ssz", "/period_store/7/",
        "/period_store/7/..", "/period_store//etc/passwd", "/period_store/7/%5c..%5csecret",
    ],
)  # fmt: skip
async def test_nothing_else_can_be_reached(
    client: httpx.AsyncClient, store: PeriodStore, tmp_path: Path, path: str
) -> None:
    (store.folder(7) / "link").symlink_to(tmp_path / "secret")
    (store.folder(7) / ".hidden").write_text("secret")
    (store.folder(7) / "folder").mkdir()
    store.folder(11).symlink_to(store.folder(7))
    # A client of our own would tidy the path up: the bytes go to the application as they are.
    raw = httpx.URL("http://provery").copy_with(raw_path=path.encode())
    answer = await client.get(raw)
    assert answer.status_code not in (200, 206, 304), answer.text
    assert "secret" not in answer.text


async def test_a_fifo_does_not_hang_it(client: httpx.AsyncClient, store: PeriodStore) -> None:
    os.mkfifo(store.folder(7) / "pipe")
    assert (await client.get("/period_store/7/pipe")).status_code == 404


def parsed(body: bytes) -> list[tuple[int, bytes, int]]:
    """The SSZ of the manifest, by hand: offsets, then (period, offset of the name, length, name) each."""
    if not body:
        return []
    count = struct.unpack_from("<I", body)[0] // 4
    offsets = [*struct.unpack_from(f"<{count}I", body), len(body)]
    rows = []
    for start, end in pairwise(offsets):
        period, name, length = struct.unpack_from("<QII", body, start)
        rows.append((period, body[start + name : end], length))
    return rows


async def test_the_manifest_lists_consecutive_periods(client: httpx.AsyncClient, store: PeriodStore) -> None:
    answer = await client.get("/period_store?manifest=1&start=7")
    assert answer.headers["content-type"] == "application/octet-stream"
    full = [(7, b"sync.ssz\0", len(BODY)), (8, b"manifest.json\0", 2), (8, b"sync.ssz\0", len(BODY))]
    assert parsed(answer.content) == full, "period 9 is missing, so 10 is not told yet"
    assert parsed((await client.get("/period_store?manifest=1&start=9")).content)[0][0] == 10
    assert (await client.get("/period_store?manifest=1&start=11")).content == b""
    as_json = await client.get("/period_store?manifest=1&start=8", headers={"accept": "application/json"})
    assert as_json.json()["files"][0] == {"period": 8, "filename": "manifest.json", "length": 2}


async def test_a_long_manifest_does_not_hold_up_other_requests(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten thousand rows of SSZ take seconds: they are none of the event loop's business."""
    threads: list[int] = []

    def seen(rows: list[dict[str, Json]]) -> bytes:
        threads.append(threading.get_ident())
        return encode(rows)

    monkeypatch.setattr("provery.systems.beacon.routes.encode", seen)
    assert (await client.get("/period_store?manifest=1&start=7")).status_code == 200
    assert threads[0] != threading.get_ident()


async def test_what_a_manifest_cannot_hold_is_left_out(client: httpx.AsyncClient, store: PeriodStore) -> None:
    with (store.folder(7) / "large.bin").open("wb") as file:
        file.truncate(FILE_LIMIT + 1)
    (store.folder(7) / ("n" * 32)).write_text("x")
    rows = parsed((await client.get("/period_store?manifest=1&start=7")).content)
    assert [name for period, name, _ in rows if period == 7] == [b"sync.ssz\0"]


@pytest.mark.parametrize("query", ["", "?manifest=0", "?start=7", "?manifest=1&start=-1", "?manifest=x"])
async def test_other_questions_are_refused(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/period_store{query}")).status_code == 400
