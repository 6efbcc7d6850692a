"""What `make run ONCE=1 FAST=1` does: everything starts, real jobs are proved in a table, and nothing is left."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from provery.core.exits import UNIT_FAILED
from provery.local.config import DEFAULT_FILE
from provery.local.process import free_port, port_taken
from tests.faults import processes
from tests.support.circuits import give_membership

pytestmark = pytest.mark.asyncio(loop_scope="session")
JOBS = 6


def topology(home: Path, **settings: object) -> Path:
    """The shipped one, in ``home`` and on free ports."""
    document: dict[str, Any] = YAML(typ="safe").load(DEFAULT_FILE.read_text())
    document["home"] = str(home)
    document["server"] |= {"port": free_port(), "ui_port": free_port()}
    document["redis"]["port"] = free_port()
    document["streams"][0]["ingress_port"] = free_port()
    document["streams"][0]["settings"] |= settings
    document["metrics_port"] = free_port()
    while any(port_taken("127.0.0.1", document["metrics_port"] + more) for more in (1, 2)):
        document["metrics_port"] = free_port()
    file = home / "topology.yaml"
    with file.open("w") as out:
        YAML(typ="safe").dump(document, out)
    return file


async def demo(home: Path, **settings: object) -> tuple[int, str]:
    """Exit status and output of the whole run; nothing that it started may outlive it."""
    await give_membership(home)
    env = {n: v for n, v in os.environ.items() if not n.startswith(("PROVERY_", "TEMPORAL_", "AWS_"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", "up", "--demo", "--once", "--fast",
        "--file", str(topology(home, **settings)),
        env=env | {"COLUMNS": "120"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), 100)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert processes.of(home) == []
    return process.returncode or 0, out.decode()


async def test_the_demo_proves_every_job_and_exits_0(tmp_path: Path) -> None:
    code, page = await demo(tmp_path)
    assert code == 0, page
    assert len(re.findall(r"│ [0-9a-f-]{36} │ done +│ \d{20} │ pi_a \d{24}… │", page)) == JOBS, page
    assert f"{JOBS} done · " in page
    assert f"{JOBS} of {JOBS} jobs proved, verified and written in " in page


async def test_a_demo_whose_jobs_fail_says_why_and_exits_3(tmp_path: Path) -> None:
    code, page = await demo(tmp_path, PROVERY_QUEUE_DEFAULT_CIRCUIT="nobody")
    assert code == UNIT_FAILED, page
    assert f"{JOBS} failed · " in page
    assert f"0 of {JOBS} jobs proved, verified and written in " in page
    assert "circuit nobody" in page
