"""The page in a real browser, one case after the other; the cases are in ``cases/``."""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from provery.systems.zkml.http import events
from tests.support.zkml_page import Site, site

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CASES = sorted((HERE / "cases").glob("*.mjs"))
PACKAGED = (platform.system(), platform.machine()) == ("Linux", "x86_64")

pytestmark = pytest.mark.skipif(
    not PACKAGED and "PROVERY_BROWSER" not in os.environ,
    reason="no packaged browser for this machine; PROVERY_BROWSER names one of its own",
)


@pytest.fixture
async def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A server with the page and the API."""
    monkeypatch.setattr(events, "LOOK_S", 0.02)
    async with site(tmp_path) as where:
        yield where


async def play(case: Path, where: Site) -> tuple[int | None, str]:
    """Play a case; the exit status, and what it printed."""
    process = await asyncio.create_subprocess_exec(
        "node",
        HERE / "play.mjs",
        case,
        where.url,
        where.secret,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, output.decode()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
async def test_case(case: Path, served: Site) -> None:
    status, output = await play(case, served)
    assert status == 0, output


async def test_a_case_fails_with_the_page(served: Site, tmp_path: Path) -> None:
    later = 'setTimeout(() => { throw new Error("thrown later"); })'
    acts = {
        "strictly equal": 'assert.equal(await page.title(), "another")',
        "said in the console": 'await page.evaluate(() => console.error("said in the console"))',
        "thrown later": f"await page.evaluate(() => {{ {later}; }}); await page.waitForTimeout(200)",
        "hosts that were asked": 'await page.goto("http://localhost:" + new URL(url).port)',
    }
    for expected, act in acts.items():
        case = tmp_path / "case.mjs"
        case.write_text(
            f"export default async function ({{ page, open, assert, url }}) {{ await open(); {act}; }}"
        )
        status, output = await play(case, served)
        assert status == 1
        assert expected in output
