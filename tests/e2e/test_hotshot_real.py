"""Epochs 1 to 3 of a real network, proved at its capacity and landed on a real node. Minutes: `make test-hotshot`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from provery.core.lanes import State
from provery.core.types import Stage
from provery.local.anvil import MNEMONIC
from provery.provers.statement_native import NativeStatements
from tests.support import beacon_server
from tests.support.anvil import Anvil
from tests.support.hotshot import CAPACITY, recorded_certificates
from tests.support.hotshot_recorded import RecordedNetwork
from tests.support.hotshot_rig import rig

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(3_600),
    pytest.mark.skipif(os.environ.get("PROVERY_TEST_CIRCUITS") != "1", reason="make test-hotshot runs these"),
]
HOME = Path(os.environ.get("PROVERY_HOME") or ".provery").absolute()
"""Where the keys are kept: making them takes longer than proving."""


@pytest.mark.parametrize("scheme", ["groth16", "plonk"])
async def test_real_certificates_are_proved_and_land(tmp_path: Path, scheme: str) -> None:
    service = RecordedNetwork()
    async with Anvil(tmp_path) as anvil:
        with beacon_server.serving(service):
            proxy = await deployed(anvil, service.url, scheme)
            native = NativeStatements({**os.environ, "PROVERY_HOME": str(HOME)}, HOME, 1)
            made = rig(
                tmp_path,
                anvil,
                proxy,
                service.url,
                service.url,
                capacity=CAPACITY,
                scheme=scheme,
                statements={"native": native},
            )
            try:
                async with made as world:
                    works = await world.due()
                    assert [work.unit.key for work in works] == ["epoch-1", "epoch-2", "epoch-3"]
                    for work in works:
                        proved = await world.stage(work, Stage.PROVE)
                        state, receipt = await world.submit(work)
                        assert state is State.READY
                        assert receipt is not None
                        assert receipt.succeeded
                        usage = proved.usage
                        print(
                            f"{scheme} {work.unit.key}: {usage.cpu_s:.1f} CPU-s, {usage.peak_rss >> 20} MiB, "
                            f"{receipt.gas_used} gas"
                        )
                    held = await (await world.system._streams.get("demo").contract()).held()
                    last = recorded_certificates()[3]
                    assert (held.finalized, held.voting) == (last.state, last.next_stake)
            finally:
                await native.close()


async def deployed(anvil: Anvil, sequencer: str, scheme: str) -> str:
    """The address of a light client, put there by the command that operators use."""
    env = {
        **os.environ,
        "PROVERY_HOME": str(HOME),
        "ESPRESSO_SEQUENCER_URL": sequencer,
        "ESPRESSO_SEQUENCER_L1_PROVIDER": anvil.url,
        "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
        "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": str(CAPACITY),
        "PROVERY_HOTSHOT_SCHEME": scheme,
        "PROVERY_HOTSHOT_CONFIRMATIONS": "1",
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", "hotshot", "deploy", "--json",
        env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, complaint = await child.communicate()
    assert child.returncode == 0, complaint.decode()[-2_000:]
    return str(json.loads(out)["proxy"])
