"""The demo's beacon node: what it answers is what a real node said, and passes every check of the beacon system."""

from __future__ import annotations

import hashlib
from pathlib import Path

import httpx
import pytest

from provery.core.errors import ConfigurationError
from provery.core.types import UnitStatus
from provery.local.process import free_port, port_taken
from provery.local.recorded import CHECKPOINT, GENESIS, PERIOD, recorded_node
from provery.systems.beacon.chains import MAINNET
from provery.systems.beacon.nodes import BeaconNodes
from provery.systems.beacon.system import work_for
from tests.support.beacon import recorded
from tests.support.beacon_bench import bench
from tests.support.statements import Signer


@pytest.fixture
def url() -> str:
    return f"http://127.0.0.1:{free_port()}"


async def test_it_answers_as_a_node_of_mainnet(url: str) -> None:
    assert GENESIS["genesis_time"] == str(MAINNET.genesis_time)
    with recorded_node(url):
        nodes = BeaconNodes(MAINNET, [url])
        try:
            assert await nodes.check_genesis() == {}
            assert (await nodes.finality()).finalized.epoch == 363_777, "recorded at another time"
            block = await nodes.bootstrap(bytes.fromhex(CHECKPOINT[2:]))
            assert MAINNET.period_of(block.header.slot) == PERIOD - 1
            found = await nodes.updates(PERIOD - 1, 1)
            assert list(found.updates) == [PERIOD - 1]
            lacking = await nodes.updates(PERIOD, 2)
            assert (lacking.updates, lacking.missing) == ({}, (PERIOD, PERIOD + 1))
        finally:
            await nodes.close()


async def test_the_beacon_system_makes_the_real_period_of_it(tmp_path: Path, url: str) -> None:
    """Every stage with real data, except that the proof is a small prover's."""
    env = {
        "CHAIN": "mainnet",
        "RPC_URL": url,
        "OUTPUT_DIR": str(tmp_path / "store"),
        "PROMETHEUS_FILE": str(tmp_path / "proof.prom"),
        "PROVERY_BEACON_CHECKPOINT": CHECKPOINT,
    }
    with recorded_node(url):
        async with bench(tmp_path, env, {"native": Signer()}) as it:
            work = await work_for("test", {"period": PERIOD}, it.deps)
            (outcome,) = await it.prove([work])
    assert outcome.status is UnitStatus.DONE, outcome.reason
    assert outcome.facts["committee_from"] == "checkpoint"
    assert outcome.facts["circuit"] == "beacon-step-mainnet-6"
    public = recorded(f"mainnet/public_values_{PERIOD}.bin")
    assert outcome.facts["next_keys_root"] == public[32:64].hex()
    made = (tmp_path / f"store/{PERIOD}/sync.ssz").read_bytes()
    wanted = recorded(f"mainnet/sync_{PERIOD}.ssz")
    assert hashlib.sha256(made).hexdigest() == hashlib.sha256(wanted).hexdigest()


def test_whatever_else_is_asked_is_not_there(url: str) -> None:
    asked = (
        "light_client/updates?start_period=1600&count=2",
        "light_client/bootstrap/0x00",
        "../../etc/passwd",
        "",
    )
    with recorded_node(url):
        for path in asked:
            answer = httpx.get(f"{url}/eth/v1/beacon/{path}", trust_env=False)
            assert (answer.status_code, answer.json()["code"]) == (404, 404)


def test_it_listens_for_as_long_as_the_block_lasts(url: str) -> None:
    port = int(url.rpartition(":")[2])
    with recorded_node(url):
        assert port_taken("127.0.0.1", port)
        with pytest.raises(ConfigurationError, match="cannot listen"), recorded_node(url):
            pass
    assert not port_taken("127.0.0.1", port)
