"""A short live run: a schedule follows a real node from its genesis; no prover, nothing is killed: ``make live``."""

from __future__ import annotations

import asyncio
import json
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from provery.client import Schedules
from tests.support.beacon_chain import environment, published
from tests.support.engine import SPECS, engine, temporal_server
from tests.support.lodestar import BeaconChain
from tests.support.statements import Signer

LIVE = "PROVERY_LIVE"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(LIVE not in os.environ, reason=f"runs for minutes: set {LIVE}=1, or `make live`"),
]


async def test_a_live_node_is_followed(tmp_path: Path) -> None:
    prover = Signer()
    async with (
        temporal_server() as server,
        BeaconChain(tmp_path / "chain") as chain,
        engine(server, tmp_path, specs=SPECS, **environment(chain.url, tmp_path)) as made,
    ):
        made.environment.deps.statements = {prover.name: prover}
        schedules = Schedules(made.client, made.env)
        await schedules.create("beacon", "live", every=timedelta(seconds=1))
        try:
            deadline = time.monotonic() + 240
            while "1" not in published(tmp_path):
                assert time.monotonic() < deadline, "the node's first period was not published"
                await asyncio.sleep(0.5)
        finally:
            await schedules.delete("beacon", "live")
    assert prover.proved == ["1"]
    manifest = json.loads((tmp_path / "store/1/manifest.json").read_text())
    assert (manifest["period"], manifest["prover"]) == (1, prover.name)
