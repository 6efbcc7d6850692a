"""From a look at the chain to a published period, against real HTTP servers and real stores."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from provery.core.errors import (
    ConfigurationError,
    InvalidInput,
    InvalidKey,
    OutOfTurn,
    ProofRejected,
    ProverCrashed,
    ResourceExhausted,
    SourceUnavailable,
)
from provery.core.types import Stage, UnitStatus
from provery.systems.beacon.chains import chain_from_config
from provery.systems.beacon.containers import beacon_root, keys_root
from provery.systems.beacon.model import Update
from provery.systems.beacon.streams import Stream
from provery.systems.beacon.system import work_for
from tests.support.beacon import Signers, make_update
from tests.support.beacon_bench import Bench, bench, with_generation
from tests.support.beacon_chain import CONFIG, ChainNode, checkpoints, environment, nodes, published, read
from tests.support.beacon_server import Reply
from tests.support.statements import PROOF, Signer

FILES = ["manifest.json", "native_proof.bin", "native_public.json", "update.json"]


@pytest.fixture
def node() -> ChainNode:
    return ChainNode(6)


@pytest.fixture
def prover() -> Signer:
    return Signer()


@asynccontextmanager
async def over(
    home: Path, *made: ChainNode, provers: tuple[Signer, ...] = (), **more: str
) -> AsyncIterator[Bench]:
    named = {p.name: p for p in provers}
    with nodes(*made) as url:
        async with bench(home, environment(url, home, **more), named) as it:
            yield it


# ---------------------------------------------------------------- a look


async def test_the_next_period_is_proved_and_published_once(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        assert await it.look() == {"6": UnitStatus.DONE}
        assert await it.look() == {}
        node.finalized = 4
        assert await it.look() == {}, "an older finality asks for nothing new"
    assert published(tmp_path) == {"6": FILES}
    assert prover.proved == ["6"]
    manifest = read(tmp_path / "store/6/manifest.json")
    assert (manifest["period"], manifest["prover"], manifest["verifying_key"]) == (6, "native", prover.key)
    assert manifest["facts"]["next_keys_root"] == keys_root(Signers.of(6).committee).hex()
    assert set(manifest["files"]) == set(FILES) - {"manifest.json"}


async def test_a_period_that_comes_with_time_is_found(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    node.finalized = 3
    async with over(tmp_path, node, provers=(prover,)) as it:
        assert await it.look() == {"4": UnitStatus.DONE}
        node.finalized = 5
        assert await it.look() == {"5": UnitStatus.DONE, "6": UnitStatus.DONE}, "the one in between as well"
        assert [work.unit.ordinal for work in await it.due(2, 6)] == [2, 3]


async def test_a_first_period_may_be_asked_for(tmp_path: Path, node: ChainNode, prover: Signer) -> None:
    async with over(tmp_path, node, provers=(prover,), PROVERY_BEACON_FIRST_PERIOD="3") as it:
        assert list(await it.look()) == ["3", "4", "5", "6"]
    assert sorted(published(tmp_path)) == ["3", "4", "5", "6"]


async def test_nothing_that_moves_is_in_a_unit(tmp_path: Path, node: ChainNode, prover: Signer) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        (found,) = await it.due()
        node.finalized = 4
        (again,) = await it.due(6 - 1, 5)
        by_hand = await work_for("test", {"period": 6}, it.deps)
        assert found.unit == by_hand.unit
        assert again.unit.key == "5"
        assert set(found.unit.params) == {"chain", "genesis", "period"}
        assert found.plan.stages == by_hand.plan.stages


@pytest.mark.parametrize(
    "request_", [{}, {"period": -1}, {"period": True}, {"period": 6, "x": 1}, {"period": "6.0"}]
)
async def test_a_request_that_is_none_is_refused(
    tmp_path: Path, node: ChainNode, prover: Signer, request_: dict[str, object]
) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        with pytest.raises(InvalidInput, match="not a request for a period") as error:
            await work_for("test", request_, it.deps)  # type: ignore[arg-type]
        assert all(str(value).lower() in str(error.value) for value in request_.values())


async def test_a_backfill_is_bounded_by_finality(tmp_path: Path, node: ChainNode, prover: Signer) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        with pytest.raises(InvalidInput, match="cannot prove that period yet"):
            await it.due(5, 7)
        assert [work.unit.key for work in await it.due(0, 3)] == ["1", "2", "3"], "period 0 has no proof"


# ---------------------------------------------------------------- what is stored


def damage(kind: str, folder: Path) -> None:
    proof = folder / PROOF
    body = bytearray(proof.read_bytes())
    match kind:
        case "truncated":
            proof.write_bytes(body[:-1])
        case "empty":
            proof.write_bytes(b"")
        case "one byte off":
            body[5] ^= 1
            proof.write_bytes(body)
        case "gone":
            proof.unlink()
        case "another period's":
            shutil.rmtree(folder)
            shutil.copytree(folder.parent / "5", folder)
        case "manifest gone, proof spoilt":
            (folder / "manifest.json").unlink()
            body[5] ^= 1
            proof.write_bytes(body)
        case "manifest malformed":
            (folder / "manifest.json").write_text("{")
        case "made by another key":
            forged = (folder / "manifest.json").read_text()
            proof.write_bytes(bytes([body[0] ^ 0x20]) + body[1:])
            listed = json.loads(forged)
            listed["files"][PROOF]["sha256"] = hashlib.sha256(proof.read_bytes()).hexdigest()
            (folder / "manifest.json").write_text(json.dumps(listed))


@pytest.mark.parametrize(
    "kind",
    [
        "truncated", "empty", "one byte off", "gone", "another period's", "manifest gone, proof spoilt",
        "manifest malformed", "made by another key",
    ],
)  # fmt: skip
async def test_a_stored_proof_that_does_not_hold_is_replaced_and_kept(
    tmp_path: Path, node: ChainNode, prover: Signer, kind: str
) -> None:
    async with over(tmp_path, node, provers=(prover,), PROVERY_BEACON_FIRST_PERIOD="5") as it:
        await it.look()
        good = {p.name: p.read_bytes() for p in (tmp_path / "store/6").iterdir()}
        (tmp_path / "store/6/lcu.ssz").write_bytes(b"somebody else's")
        damage(kind, tmp_path / "store/6")
        assert await it.look() == {"6": UnitStatus.DONE}
        assert it.metric("provery_beacon_replaced_total") == 1
        assert it.metric("provery_beacon_stored_invalid") == 0
        assert await it.look() == {}
    now = {p.name: p.read_bytes() for p in (tmp_path / "store/6").iterdir()}
    assert {name: now[name] for name in good} == good, "what the ledger has is published again"
    if kind != "another period's":
        assert now["lcu.ssz"] == b"somebody else's", "other programs' files stay"
    assert prover.proved == ["5", "6"], "and nothing is proved again for it"
    (aside,) = (tmp_path / "store/.replaced").iterdir()
    assert aside.name.startswith("6-")
    assert (aside / "reason.txt").read_text().strip()


async def test_a_proof_lost_everywhere_is_proved_again(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        await it.look()
        shutil.rmtree(tmp_path / "store/6")
        shutil.rmtree(tmp_path / "artifacts")
        (tmp_path / "artifacts").mkdir()
        assert await it.look() == {"6": UnitStatus.DONE}
    assert prover.proved == ["6", "6"]


async def test_a_directory_without_a_manifest_stands_by_its_proof(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        await it.look()
        (tmp_path / "store/6/manifest.json").unlink()
        assert await it.due() == [], "as the upstream daemon left it"
        (tmp_path / "store/6/native_public.json").unlink()
        assert len(await it.due()) == 1


async def test_a_key_that_changed_makes_the_period_due(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        await it.look()
    other = Signer(secret=8)
    async with over(tmp_path, node, provers=(other,)) as it:
        assert await it.look() == {"6": UnitStatus.DONE}
    assert other.proved == ["6"]
    assert read(tmp_path / "store/6/manifest.json")["verifying_key"] == other.key


async def test_the_daemons_proofs_are_left_alone_until_they_can_be_checked(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    """An operator who comes from the daemon must not lose proofs to a setting that is still missing."""
    public = bytes(64) + (6).to_bytes(8, "little") + bytes(64)
    folder = tmp_path / "store/6"
    folder.mkdir(parents=True)
    (folder / "zk_proof_g16.bin").write_bytes(bytes(260))
    (folder / "zk_pub.bin").write_bytes(public)
    async with over(tmp_path, node, provers=(prover,)) as it:
        assert await it.due() == [], "no SP1 prover is here"
    unset, strict = Signer("sp1-network"), Signer("sp1-network")

    async def no_key(*args: object) -> dict[str, str]:
        raise InvalidKey("no SP1 program is known")

    unset.verify = no_key  # type: ignore[method-assign, assignment]
    async with over(tmp_path, node, provers=(prover, unset)) as it:
        assert await it.due() == [], "its program is not configured"
    (folder / "zk_proof_g16.bin").write_bytes(bytes(259))
    async with over(tmp_path, node, provers=(prover, unset)) as it:
        assert len(await it.due()) == 1, "what is truncated needs no key"
    (folder / "zk_proof_g16.bin").write_bytes(bytes(260))

    async def refuse(*args: object) -> dict[str, str]:
        raise ProofRejected("the pairing does not hold")

    strict.verify = refuse  # type: ignore[method-assign, assignment]
    async with over(tmp_path, node, provers=(prover, strict)) as it:
        assert await it.look() == {"6": UnitStatus.DONE}
    assert not (folder / "zk_proof_g16.bin").exists()
    assert (
        "the pairing does not hold" in next((tmp_path / "store/.replaced").glob("6-*/reason.txt")).read_text()
    )


async def test_what_nobody_can_check_now_is_left_alone(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        await it.look()
    async with over(tmp_path, node, provers=(Signer("other"),), PROVERY_BEACON_PROVERS="other") as it:
        assert await it.due() == []


# ---------------------------------------------------------------- publishing


async def test_publishing_again_changes_nothing(tmp_path: Path, node: ChainNode, prover: Signer) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        works = await it.due()
        await it.prove(works)
        before = (tmp_path / "store/6").stat().st_ino
        again = with_generation(works[0], 1)
        assert (await it.prove([again]))[0].status is UnitStatus.DONE
        assert (tmp_path / "store/6").stat().st_ino == before, "the same proof once more"
        assert not (tmp_path / "store/.replaced").exists()


async def test_a_period_waits_for_the_one_before_in_its_backfill_only(
    tmp_path: Path, node: ChainNode, prover: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provery.systems.beacon.publishing.TURN_S", 0.0)
    async with over(tmp_path, node, provers=(prover,)) as it:
        works = await it.due(2, 4)
        await it.deps.ledger.claim(works)
        with pytest.raises(OutOfTurn, match="period 2 is under way"):
            await it.prove([works[1]])
        assert published(tmp_path) == {}
        await it.deps.ledger.conclude(works[0].unit, UnitStatus.PARKED, reason="an operator is asked")
        assert (await it.prove([works[1]]))[0].status is UnitStatus.DONE, "a parked one holds nobody up"
        (live,) = await it.due()
        assert (await it.prove([live]))[0].status is UnitStatus.DONE, "and live periods wait for nobody"
    assert sorted(published(tmp_path)) == ["3", "6"]


async def test_a_period_that_holds_nobody_up_does_not_let_others_overtake(
    tmp_path: Path, node: ChainNode, prover: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between a period and one that is still proved there may be one that failed, or that has its proof already."""
    monkeypatch.setattr("provery.systems.beacon.publishing.TURN_S", 0.0)
    async with over(tmp_path, node, provers=(prover,)) as it:
        works = await it.due(2, 4)
        await it.deps.ledger.claim(works)
        await it.deps.ledger.conclude(works[1].unit, UnitStatus.FAILED, reason="no memory")
        with pytest.raises(OutOfTurn, match="period 2 is under way"):
            await it.prove([works[2]])
        assert published(tmp_path) == {}
        assert (await it.prove([works[0]]))[0].status is UnitStatus.DONE
        assert (await it.prove([works[2]]))[0].status is UnitStatus.DONE
    assert sorted(published(tmp_path)) == ["2", "4"]


# ---------------------------------------------------------------- provers


async def test_a_second_prover_takes_over(tmp_path: Path, node: ChainNode) -> None:
    """The engine's part is to change the prover; ours is that everything after it goes by who made the proof."""
    first, second = Signer("native"), Signer("other", secret=9)
    async with over(tmp_path, node, provers=(first, second), PROVERY_BEACON_PROVERS="native,other") as it:
        (work,) = await it.due()
        prove, verify = work.plan.of(Stage.PROVE), work.plan.of(Stage.VERIFY)
        assert prove is not None
        assert verify is not None
        assert prove.fallback_provers == ("other",)
        assert verify.verifying_key == f"native={first.key},other={second.key}"
        stages = tuple(replace(s, prover="other") if s is prove else s for s in work.plan.stages)
        moved = replace(work, plan=replace(work.plan, stages=stages))
        assert (await it.prove([moved]))[0].status is UnitStatus.DONE
    manifest = read(tmp_path / "store/6/manifest.json")
    assert (manifest["prover"], manifest["verifying_key"]) == ("other", second.key)


async def test_a_compress_step_is_there_only_where_a_prover_has_one(tmp_path: Path, node: ChainNode) -> None:
    two = Signer(compresses=True)
    async with over(tmp_path, node, provers=(two,)) as it:
        (work,) = await it.due()
        assert work.plan.of(Stage.COMPRESS) is not None
        assert (await it.prove([work]))[0].status is UnitStatus.DONE
        assert (tmp_path / "store/6" / PROOF).stat().st_size == 96
    async with over(tmp_path / "x", node, provers=(Signer(),)) as it:
        assert (await it.due())[0].plan.of(Stage.COMPRESS) is None


async def test_a_prover_that_is_not_there_is_named(tmp_path: Path, node: ChainNode) -> None:
    async with over(tmp_path, node, provers=(Signer(),), PROVERY_BEACON_PROVERS="zkvm") as it:
        with pytest.raises(ConfigurationError, match="no prover of beacon/test has that name"):
            await it.due()


async def test_a_proof_that_does_not_verify_is_kept_and_not_published(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    prover.spoil = True
    async with over(tmp_path, node, provers=(prover,)) as it:
        assert await it.look() == {"6": UnitStatus.FAILED}
        assert it.metric("provery_beacon_verification_failures_total") == 1
        assert it.metric("prover_daemon_last_run_status") == 1
        assert published(tmp_path) == {}
        assert list((tmp_path / "artifacts/quarantine").rglob("*"))
        prover.spoil = False
        assert await it.look() == {"6": UnitStatus.DONE}, "the next look proves it anew"
        assert it.metric("prover_daemon_last_run_status") == 0
    assert prover.proved == ["6", "6"]


@pytest.mark.parametrize("error", [ProverCrashed("it died"), ResourceExhausted("no memory")])
async def test_a_prover_that_fails_publishes_nothing(
    tmp_path: Path, node: ChainNode, prover: Signer, error: ProverCrashed
) -> None:
    prover.fail = lambda statement: error
    async with over(tmp_path, node, provers=(prover,)) as it:
        statuses = await it.look()
        assert statuses["6"] in (UnitStatus.FAILED, UnitStatus.RUNNING), "running: wants a larger queue"
        assert published(tmp_path) == {}


# ---------------------------------------------------------------- whom to believe


async def anchor(it: Bench, period: int) -> str:
    work = await work_for("test", {"period": period}, it.deps)
    (outcome,) = await it.prove([work])
    assert outcome.status is UnitStatus.DONE, outcome.reason
    return outcome.facts["committee_from"]


async def test_the_best_source_of_a_committee_is_taken(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    root = "0x" + beacon_root(node.block.header).hex()
    async with over(tmp_path, node, provers=(prover,)) as it:
        assert await anchor(it, 6) == "finalised block"
        assert await anchor(it, 3) == "nodes"
        assert await anchor(it, 4) == "period store"
    node.finalized = 0
    early = "0x" + beacon_root(node.block.header).hex()
    node.finalized = 5
    async with over(tmp_path / "b", node, provers=(prover,), PROVERY_BEACON_CHECKPOINT=early) as it:
        assert await anchor(it, 5) == "checkpoint", "followed over four periods"
        assert await anchor(it, 1) == "checkpoint"
    async with over(tmp_path / "c", node, provers=(prover,), PROVERY_BEACON_CHECKPOINT=root) as it:
        assert await anchor(it, 3) == "nodes", "a later checkpoint says nothing of earlier periods"


async def test_a_forged_history_is_refused_where_a_committee_is_known(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    """The forger signs with keys of its own: whoever knows the committee passes it over, and asks the next node."""
    forger = ChainNode(6, salt=100)
    forger.behaviour = lambda asked: (
        Reply(checkpoints(40, beacon_root(node.block.header))) if "finality" in asked.path else None
    )
    async with over(tmp_path, forger, node, provers=(prover,)) as it:
        assert await anchor(it, 6) == "finalised block"
        assert it.metric("provery_beacon_node_disagreements_total") == 1
    manifest = read(tmp_path / "store/6/manifest.json")
    assert manifest["facts"]["current_keys_root"] == keys_root(Signers.of(5).committee).hex()


async def test_nodes_that_contradict_each_other_prove_nothing_of_a_first_period(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    forger = ChainNode(6, salt=100)
    forger.behaviour = lambda asked: Reply(status=503) if "updates" not in asked.path else None
    async with over(tmp_path, forger, node, provers=(prover,)) as it:
        work = await work_for("test", {"period": 3}, it.deps)
        with pytest.raises(SourceUnavailable, match="disagree on next committee of period 1"):
            await it.prove([work])
        assert it.metric("provery_beacon_node_disagreements_total") >= 1
    assert published(tmp_path) == {}


async def test_a_chain_that_was_started_anew_is_another_unit(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    async with over(tmp_path, node, provers=(prover,)) as it:
        await it.look()
    anew = ChainNode(6, seed=1)
    async with over(tmp_path, anew, provers=(prover,)) as it:
        assert await it.look() == {"6": UnitStatus.DONE}, "the old chain's proof does not hold"
    assert read(tmp_path / "store/6/manifest.json")["genesis_validators_root"] == "01" * 32


async def test_a_devnet_may_be_pinned(tmp_path: Path, node: ChainNode, prover: Signer) -> None:
    pin = "0x" + "02" * 32
    async with over(tmp_path, node, provers=(prover,), PROVERY_BEACON_GENESIS_ROOT=pin) as it:
        with pytest.raises(ConfigurationError, match="of another chain"):
            await it.due()


async def test_epochs_per_period_must_be_the_chains(tmp_path: Path, node: ChainNode, prover: Signer) -> None:
    async with over(tmp_path, node, provers=(prover,), EPOCHS_PER_PERIOD="256") as it:
        with pytest.raises(ConfigurationError, match="EPOCHS_PER_PERIOD"):
            await it.due()


async def test_a_node_that_once_gave_another_genesis_is_asked_again(
    tmp_path: Path, node: ChainNode, prover: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A node that is just starting may answer with anything; a worker that never looks for periods has to notice."""
    monkeypatch.setattr("provery.systems.beacon.nodes.DOUBT_S", 0.0)
    async with over(tmp_path, node, provers=(prover,)) as it:
        await it.stream.chain()
        node.behaviour = lambda asked: Reply(b'{"code":0}') if asked.path.endswith("/genesis") else None
        with pytest.raises(SourceUnavailable):
            await (await it.stream.nodes()).finality()
        node.behaviour = lambda asked: None
        assert (await (await it.stream.nodes()).finality()).finalized.epoch == 40


async def test_an_update_from_before_a_fork_is_not_taken_for_the_period(
    tmp_path: Path, node: ChainNode, prover: Signer
) -> None:
    """Once fetched it would be on record, and the period could never be proved: the circuit is the later form's."""
    config = {**CONFIG, "ELECTRA_FORK_EPOCH": "44"}
    node.chain = chain_from_config("devnet", config, node.genesis)
    node.behaviour = lambda asked: (
        Reply(json.dumps({"data": config}).encode()) if asked.path.endswith("/config/spec") else None
    )

    def update(period: int, slot: int) -> Update:
        return make_update(
            node.chain, Signers.of(period), Signers.of(period + 1), attested=period * 64 + slot
        )

    node.updates = {4: update(4, 40), 5: update(5, 10)}
    async with over(tmp_path, node, provers=(prover,)) as it:
        work = await work_for("test", {"period": 6}, it.deps)
        with pytest.raises(SourceUnavailable, match="before a fork within the period"):
            await it.prove([work])
        node.updates[5] = update(5, 40)
        (outcome,) = await it.prove([work])
    assert outcome.status is UnitStatus.DONE, outcome.reason
    assert outcome.facts["circuit"] == "beacon-step-minimal-6"


async def test_a_submission_that_is_repeated_is_counted_once(
    tmp_path: Path, node: ChainNode, prover: Signer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies after the receipt leaves the stage to another one."""
    show = Stream.show

    async def dies(stream: Stream) -> None:
        raise ProverCrashed("the worker is gone")

    async with over(tmp_path, node, provers=(prover,)) as it:
        works = await it.due()
        monkeypatch.setattr(Stream, "show", dies)
        with pytest.raises(ProverCrashed):
            await it.prove(works)
        monkeypatch.setattr(Stream, "show", show)
        assert (await it.prove(works))[0].status is UnitStatus.DONE
        assert it.metric("provery_beacon_published_total") == 1
