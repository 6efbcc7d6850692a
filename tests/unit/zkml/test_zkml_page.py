"""The page's files over HTTP: what is served, how it is cached, and what the browser is told to refuse."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
from hatchling.builders.wheel import WheelBuilder

from provery.api.app import create_app
from provery.systems.zkml.http.page import FOLDER, assets, page_routes

ROOT = Path(__file__).parents[3]
PATHS = sorted(assets())


def client() -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=create_app([page_routes()]), raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://provery")


@pytest.mark.parametrize("path", PATHS)
async def test_files_are_served_as_they_are(path: str) -> None:
    async with client() as http:
        answer = await http.get(path)
        assert answer.status_code == 200
        assert (
            answer.content == (FOLDER / (path.removeprefix("/page/").strip("/") or "index.html")).read_bytes()
        )
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-cache"
        head = await http.head(path)
        assert (head.status_code, head.headers["etag"]) == (200, answer.headers["etag"])
        assert (await http.post(path)).status_code == 405


async def test_types_are_what_browsers_ask_for() -> None:
    async with client() as http:
        kinds = {path: (await http.get(path)).headers["content-type"] for path in PATHS}
    assert kinds["/"] == "text/html; charset=utf-8"
    assert kinds["/page/style.css"] == "text/css; charset=utf-8"
    assert kinds["/page/page.js"] == "text/javascript; charset=utf-8"
    assert kinds["/page/icon.svg"] == "image/svg+xml"


@pytest.mark.parametrize("path", PATHS)
async def test_a_file_that_is_known_is_not_sent_again(path: str) -> None:
    async with client() as http:
        etag = (await http.get(path)).headers["etag"]
        for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            answer = await http.get(path, headers={"if-none-match": given})
            assert (answer.status_code, answer.content) == (304, b"")
            assert answer.headers["etag"] == etag
            assert "content-security-policy" in answer.headers
        for given in ('"other"', "", etag.strip('"')):
            assert (await http.get(path, headers={"if-none-match": given})).status_code == 200


async def test_each_file_has_a_tag_of_its_own() -> None:
    assert len({asset.etag for asset in assets().values()}) == len(PATHS) >= 7


async def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere() -> None:
    async with client() as http:
        policy = (await http.get("/")).headers["content-security-policy"]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules.pop("require-trusted-types-for") == "'script'"
    assert rules["default-src"] == rules["frame-ancestors"] == rules["form-action"] == "'none'"
    assert set(rules.values()) == {"'self'", "'none'"}


@pytest.mark.parametrize(
    "path",
    [
        "/page/",
        "/page/index.html",
        "/page/..%2fpage.py",
        "/page/%2e%2e/page.py",
        "/page/../../../../etc/passwd",
        "/page//etc/passwd",
        "/page/style.css%00",
        "/page/STYLE.CSS",
        "/page.py",
        "//page/style.css",
        "/page/" + "x" * 8_000,
    ],
)
async def test_nothing_else_is_served(path: str) -> None:
    async with client() as http:
        request = http.build_request("GET", "http://provery/")
        request.url = request.url.copy_with(raw_path=path.encode())
        assert (await http.send(request)).status_code == 404


async def test_it_is_not_part_of_the_api() -> None:
    async with client() as http:
        assert not [path for path in (await http.get("/openapi.json")).json()["paths"] if path != "/health"]


def test_the_page_names_only_files_of_its_own() -> None:
    index = (FOLDER / "index.html").read_text()
    for target in re.findall(r'(?:src|href)="([^"]+)"', index):
        assert target == "docs" or f"/{target}" in PATHS
    assert not re.search(r"<script(?![^>]* src=)|<style|\bstyle=|\bon\w+=|javascript:", index)
    for path in FOLDER.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "//" not in re.sub(r"^\s*//.*$|\s// .*$", "", text, flags=re.MULTILINE), path.name
        for target in re.findall(r'from "\./([^"]+)"', text):
            assert f"/page/{target}" in PATHS


def test_the_wheel_has_the_page() -> None:
    files = {each.distribution_path for each in WheelBuilder(str(ROOT)).recurse_included_files()}
    assert {f"provery/systems/zkml/http/page/{path.name}" for path in FOLDER.iterdir()} <= files
