"""Real periods of Ethereum mainnet, from recorded answers to files byte for byte as the original wrote them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from provery.core.types import UnitStatus
from provery.systems.beacon.chains import MAINNET
from provery.systems.beacon.containers import beacon_root
from provery.systems.beacon.system import work_for
from tests.support.beacon import mainnet_bootstrap, mainnet_updates, recorded
from tests.support.beacon_bench import Bench, bench
from tests.support.beacon_chain import checkpoints, environment
from tests.support.beacon_server import Asked, FakeNode, Reply, serving
from tests.support.statements import Signer


@pytest.fixture
def node() -> Iterator[FakeNode]:
    made = FakeNode(MAINNET, dict(enumerate(mainnet_updates(), 1600)))
    blocks = {beacon_root(mainnet_bootstrap(p).header).hex(): p for p in (1600, 1601)}

    def behaviour(asked: Asked) -> Reply | None:
        if asked.path.endswith("/finality_checkpoints"):
            root = next(root for root, period in blocks.items() if period == 1601)
            return Reply(checkpoints(1601 * 256, bytes.fromhex(root)))
        period = blocks.get(asked.path.rsplit("0x", 1)[-1])
        if period is not None:
            body = recorded(f"mainnet/bootstrap_{period}.ssz")
            headers = {"Eth-Consensus-Version": "electra"}
            return Reply(body, kind="application/octet-stream", headers=headers)
        return None

    made.behaviour = behaviour
    with serving(made):
        yield made


@pytest.fixture
async def it(node: FakeNode, tmp_path: Path) -> AsyncIterator[Bench]:
    root = "0x" + beacon_root(mainnet_bootstrap(1600).header).hex()
    env = {
        **environment(node.url, tmp_path),
        "CHAIN": "mainnet",
        "EPOCHS_PER_PERIOD": "256",
        "PROVERY_BEACON_CHECKPOINT": root,
    }
    async with bench(tmp_path, env, {"native": Signer()}) as made:
        yield made


async def test_sync_ssz_is_the_originals_byte_for_byte(it: Bench) -> None:
    """Period 1601 is signed by the committee of 1600, and so on; 1602 is the period due."""
    (due,) = await it.due()
    assert due.unit.key == "1602"
    works = [await work_for("test", {"period": 1601}, it.deps), due]
    outcomes = await it.prove(works)
    assert [outcome.status for outcome in outcomes] == [UnitStatus.DONE] * 2
    assert (it.store / "1601/sync.ssz").read_bytes() == recorded("mainnet/sync_1601.ssz")
    assert outcomes[0].facts["circuit"] == "beacon-step-mainnet-6"
    assert outcomes[0].facts["committee_from"] == "checkpoint"
    assert outcomes[1].facts["committee_from"] == "period store"
    public = recorded("mainnet/public_values_1601.bin")
    assert outcomes[0].facts["next_keys_root"] == public[32:64].hex()
    document = json.loads((it.store / "1601/update.json").read_text())
    assert sorted(document) == ["domain", "preset", "pubkeys", "update"]
    assert (document["preset"], len(document["pubkeys"])) == ("mainnet", 512)


async def test_the_originals_directory_is_checked_by_its_own_files(it: Bench) -> None:
    """A proof of another period in a directory is found out before anybody looks at the proof."""
    folder = it.store / "1601"
    folder.mkdir(parents=True)
    (folder / "zk_proof_g16.bin").write_bytes(bytes(260))
    (folder / "zk_pub.bin").write_bytes(bytes(64) + (1600).to_bytes(8, "little") + bytes(64))
    (folder / "sync.ssz").write_bytes(recorded("mainnet/sync_1601.ssz"))
    inspector = await it.stream.inspector()
    verdict = await inspector.verdict(1601)
    assert verdict.due
    assert "zk_pub.bin of period 1601 is of another one" in verdict.reason
    (folder / "zk_pub.bin").write_bytes(bytes(64) + (1601).to_bytes(8, "little") + bytes(64))
    (folder / "sync.ssz").write_bytes(recorded("mainnet/sync_1600.ssz"))
    verdict = await inspector.verdict(1601)
    assert "sync.ssz of period 1601 is of another one" in verdict.reason


async def test_proofs_before_are_handed_to_provers_that_continue_them(node: FakeNode, tmp_path: Path) -> None:
    root = "0x" + beacon_root(mainnet_bootstrap(1600).header).hex()
    env = {
        **environment(node.url, tmp_path),
        "CHAIN": "mainnet",
        "PROVERY_BEACON_CHECKPOINT": root,
        "PROVERY_BEACON_PROVERS": "command",
    }
    prover = Signer("command")
    async with bench(tmp_path, env, {"command": prover}) as it:
        for period in (1601, 1602):
            (outcome,) = await it.prove([await work_for("test", {"period": period}, it.deps)])
            assert outcome.status is UnitStatus.DONE
            for name in ("zk_proof.bin", "zk_vk_raw.bin"):
                (it.store / str(period) / name).write_bytes(b"made with it")
    assert prover.given["1601"] == ["sync.ssz", "update.json"], "a chain of proofs begins without one"
    assert prover.given["1602"] == [
        "previous_zk_proof.bin", "previous_zk_vk_raw.bin", "sync.ssz", "update.json",
    ]  # fmt: skip
