"""Processes that have talked to Temporal end with their own status, whatever the SDK's threads do meanwhile."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from provery.local.process import free_port


async def run(*argv: str, **env: str) -> tuple[int, str]:
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *argv,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await child.communicate()
    return child.returncode or 0, out.decode()


async def test_a_command_that_finds_no_temporal_says_so_and_ends_with_6() -> None:
    address = f"127.0.0.1:{free_port()}"
    for _ in range(4):  # Python's own end crashes about every third time
        status, said = await run(
            "-m", "provery.cli", "backfill", "beacon/x", "3..5", TEMPORAL_ADDRESS=address
        )
        assert status == 6, said
        assert f"Temporal does not answer at {address}" in said


@pytest.mark.parametrize(
    ("end", "status", "said"),
    [
        ("return 7", 7, ""),
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit('no')", 1, "no"),
        ("raise ValueError('a bug')", 1, "ValueError: a bug"),
    ],
)
async def test_the_status_is_the_programs(end: str, status: int, said: str) -> None:
    program = f"""
from provery.client.ending import ended
def main():
    print("written", end="")
    {end}
ended(main)
"""
    got, out = await run("-c", program)
    assert got == status
    assert "written" in out
    assert said in out


async def test_keys_are_not_made_for_a_temporal_that_is_not_there(tmp_path: Path) -> None:
    """Making them takes a minute or two: time enough to find out first that nobody could use them."""
    status, said = await asyncio.wait_for(
        run(
            "-m", "provery.cli", "prove", "beacon/mainnet", "--set", "period=1602",
            TEMPORAL_ADDRESS=f"127.0.0.1:{free_port()}", PROVERY_HOME=str(tmp_path),
        ),
        30,
    )  # fmt: skip
    assert status == 6, said
    assert not (tmp_path / "circuits").exists()
