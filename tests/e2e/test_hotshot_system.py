"""The hotshot system against a network's own HTTP and a light client on a real Ethereum node.

The contract's verifier takes any proof here: what is tested are the rules around proofs. Proofs are made in
``test_hotshot_demo.py``.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from provery.core.errors import ConfigurationError, InvalidInput, Reverted, Superseded
from provery.core.lane_records import Change, Fate, Kind, Phase, Submission, Transaction, request_key_of
from provery.core.lanes import Call, Policy, State
from provery.core.ports import Attempt, AttemptEnd
from provery.core.sending import send
from provery.core.types import Stage, StageResult, Work
from provery.systems import hotshot
from provery.systems.hotshot import abi, spec
from provery.systems.hotshot.errors import (
    EpochAlreadyStarted,
    InvalidState,
    RelayServerError,
    SequencerCommunicationError,
    StakeTableMismatch,
)
from provery.systems.hotshot.model import StakeTableState
from provery.systems.hotshot.network.chain import Chain as Network
from provery.systems.hotshot.network.faults import Faults
from provery.systems.hotshot.network.server import NetworkServer
from tests.support import beacon_server
from tests.support.anvil import Anvil, address
from tests.support.hotshot import CAPACITY, VECTORS, recorded_certificates, recorded_config
from tests.support.hotshot_recorded import RecordedNetwork
from tests.support.hotshot_rig import ANY_PROOF, Rig, network, put_light_client, rig, serving, setup_of

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def anvil(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Anvil]:
    async with Anvil(tmp_path_factory.mktemp("anvil")) as node:
        yield node


@asynccontextmanager
async def world(
    tmp_path: Path, anvil: Anvil, *, height: int = 0, setup: Any = None, capacity: int = 10
) -> AsyncIterator[tuple[Rig, Network]]:
    """A network of its own, at a height, and its light client."""
    chain = network(seed=tmp_path.name)
    chain.advance(height)
    given = setup or {}
    table: StakeTableState = given.pop("table", chain.validators.commitment(0))
    proxy = given.pop("proxy", None) or await put_light_client(anvil, setup_of(table, **given))
    async with (
        serving(chain) as server,
        rig(tmp_path, anvil, proxy, *urls(server), capacity=capacity) as made,
    ):
        yield made, chain


def urls(server: NetworkServer) -> tuple[str, str]:
    return server.relay_url, server.sequencer_url


async def test_every_epoch_is_due_and_lands_in_order(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=33) as (made, chain):
        works = await made.due()
        assert [work.unit.key for work in works] == ["epoch-1", "epoch-2", "epoch-3", "state-33"]
        assert [work.unit.ordinal for work in works] == [5, 15, 25, 33]
        assert await made.due() == works, "nothing that moves is in a unit"
        for work in works:  # proved side by side, before anything has landed
            await made.stage(work, Stage.VERIFY)
        assert (await made.submit(works[2]))[0] is State.EARLY
        assert (await made.submit(works[3]))[0] is State.EARLY
        for work in works:
            state, receipt = await made.submit(work)
            assert state is State.READY
            assert receipt is not None
            assert receipt.succeeded
        for work in works:
            assert (await made.submit(work))[0] is State.SUPERSEDED
        held = await (await made.system._streams.get("demo").contract()).held()
        assert held.finalized == chain.state(33)
        assert held.voting == chain.validators.commitment(4)
        assert await made.due() == []


async def test_the_newest_state_stays_the_one_that_was_found(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=3) as (made, chain):
        (work,) = await made.due()
        assert work.unit.key == "state-3"
        chain.advance(1)  # the relay server has forgotten it
        assert (await made.stage(work, Stage.WITNESS)).facts["height"] == "3"
        (later,) = await made.due()
        assert later.unit.key == "state-4"


async def test_a_backfill_takes_what_lies_in_its_heights(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=33) as (made, _):
        assert [work.unit.key for work in await made.due(5, 20)] == ["epoch-1", "epoch-2"]
        assert [work.plan.priority for work in await made.due(5, 20)] == [4, 4]


async def test_past_a_root_only_the_root_is_due(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=18) as (made, chain):
        assert [work.unit.key for work in await made.due()] == ["epoch-1", "epoch-2"]
        chain.faults = Faults(missing_certificates=(2,))
        assert [work.unit.key for work in await made.due()] == ["epoch-1"], "not collected yet"


async def test_a_contract_that_is_up_to_date_needs_nothing(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=0) as (made, chain):
        assert await made.due() == []
        chain.advance(3)
        (work,) = await made.due()
        await made.submit(work)
        assert await made.due() == []
        made.outputs.clear()
        with pytest.raises(Superseded, match="height 3 already"):
            await made.stage(work, Stage.FETCH)


async def test_another_stake_table_is_found_before_anything_is_proved(tmp_path: Path, anvil: Anvil) -> None:
    other = network(seed="another").validators.commitment(0)
    async with world(tmp_path, anvil, height=3, setup={"table": other}) as (made, _):
        with pytest.raises(StakeTableMismatch, match="bls, schnorr, amount"):
            await made.due()
    async with world(tmp_path / "lies", anvil, height=33) as (made, chain):
        works = await made.due()
        chain.faults = Faults(wrong_stake_table=True)
        with pytest.raises(StakeTableMismatch, match="amount"):
            await made.stage(works[1], Stage.FETCH)


async def test_another_capacity_is_found_before_anything_is_proved(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=3, capacity=100) as (made, _):
        with pytest.raises(StakeTableMismatch, match="bls, schnorr, amount"):
            await made.due()


async def test_light_signatures_are_refused_and_invalid_ones_left_out(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=3) as (made, chain):
        chain.faults = Faults(weak_bundles=True)
        with pytest.raises(InvalidState, match="too little stake"):
            await made.due()
        chain.faults = Faults(invalid_signatures=1, unknown_signers=2)
        (work,) = await made.due()
        fetched = await made.stage(work, Stage.FETCH)
        assert fetched.facts["dropped"] == "3"
        witness = await made.stage(work, Stage.WITNESS)
        body = json.loads(await made.artifacts.read(witness.outputs[1]))
        assert len(body["signatures"]) == 5
        assert body["signatures"].count(None) >= 1
    async with world(tmp_path / "certificates", anvil, height=8) as (made, chain):
        (work,) = await made.due()
        chain.faults = Faults(weak_certificates=True)
        with pytest.raises(
            InvalidState, match="too little stake has signed the state certificate of epoch 1"
        ):
            await made.stage(work, Stage.FETCH)


async def test_silent_sources_have_their_own_errors(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=13) as (made, chain):
        chain.faults = Faults(relay_status=500)
        with pytest.raises(RelayServerError):
            await made.due()
        chain.faults = Faults(sequencer_status=503)
        with pytest.raises(SequencerCommunicationError):
            await made.due()
        chain.faults = Faults()
        first, _ = await made.due()
        chain.faults = Faults(missing_certificates=(1,))
        with pytest.raises(SequencerCommunicationError, match="epoch 1 yet"):
            await made.stage(first, Stage.FETCH)


async def test_an_address_without_a_proxy_is_refused(tmp_path: Path, anvil: Anvil) -> None:
    where = await anvil.deploy("0x" + ANY_PROOF.hex())
    for proxy in (where, address(3)):
        async with world(tmp_path, anvil, height=3, setup={"proxy": proxy}) as (made, _):
            with pytest.raises(ConfigurationError, match="not that of a proxy"):
                await made.due()


async def test_a_contract_that_takes_states_from_somebody_else(tmp_path: Path, anvil: Anvil) -> None:
    setup = {"permissioned_prover": address(3)}
    async with world(tmp_path, anvil, height=3, setup=setup) as (made, _):
        with pytest.raises(ConfigurationError, match="ProverNotPermissioned"):
            await made.due()


@pytest.mark.parametrize(("blocks", "error"), [(0, EpochAlreadyStarted), (20, ConfigurationError)])
async def test_a_contract_with_other_epochs(
    tmp_path: Path, anvil: Anvil, blocks: int, error: type[Exception]
) -> None:
    async with world(tmp_path, anvil, height=13, setup={"blocks": blocks}) as (made, _):
        with pytest.raises(error):
            await made.due()


async def test_another_prover_may_be_first(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=13) as (made, chain):
        first, second = await made.due()
        await made.stage(first, Stage.VERIFY)
        await made.stage(second, Stage.VERIFY)
        others = await anvil.open(5, abi.ERRORS)
        voted = chain.vote(5)
        data = abi.submit_call(voted.state, voted.next_stake, bytes(256))
        await send(others, Call(made.proxy, data), Policy(), lambda _: None)
        await others.close()
        assert (await made.submit(first))[0] is State.SUPERSEDED
        state, receipt = await made.submit(second)
        assert state is State.READY
        assert receipt is not None


async def test_a_refusal_names_the_contracts_error(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=13) as (made, chain):
        voted = chain.vote(7)
        call = Call(made.proxy, abi.submit_call(voted.state, voted.next_stake, bytes(256)))
        standing = await made.system.standing("demo", 7, call)
        assert (standing.state, standing.reason.split(":")[0]) == (State.IMPOSSIBLE, "InvalidArgs")
        with pytest.raises(Reverted, match="InvalidArgs"):
            await (await made.system.chain("demo")).estimate(call)


async def test_a_request_names_an_epoch(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=33) as (made, _):
        work = await hotshot.work_for("demo", {"epoch": 2}, made.deps)
        assert work == (await made.due())[1]
        assert await hotshot.due("demo", made.deps) == await made.due()
        for request in ({}, {"epoch": 0}, {"epoch": True}, {"epoch": "x"}, {"period": 2}):
            with pytest.raises(InvalidInput):
                await hotshot.work_for("demo", request, made.deps)  # type: ignore[arg-type]


async def test_real_certificates_land_in_order(tmp_path: Path, anvil: Anvil) -> None:
    """Epochs 1 to 3 of a real network: found, checked, and the circuit's input made byte by byte as it was solved."""
    config = recorded_config()
    start = setup_of(
        spec.commitment(config.nodes, CAPACITY),
        blocks=config.blocks_per_epoch,
        start=config.epoch_start_block,
    )
    proxy = await put_light_client(anvil, start)
    service = RecordedNetwork()
    with beacon_server.serving(service):
        url = service.url
        async with rig(tmp_path, anvil, proxy, url, url, capacity=CAPACITY) as made:
            works = await made.due()
            assert [work.unit.key for work in works] == ["epoch-1", "epoch-2", "epoch-3"]
            for epoch, work in enumerate(works, 1):
                assert (await made.stage(work, Stage.FETCH)).facts["dropped"] == "0"
                (_, ref) = (await made.stage(work, Stage.WITNESS)).outputs
                solved = json.loads((VECTORS / f"circuit/epoch-{epoch}.json").read_text())
                assert json.loads(await made.artifacts.read(ref)) == solved
                assert (await made.submit(work))[0] is State.READY
            contract = await made.system._streams.get("demo").contract()
            held = await contract.held()
            last = recorded_certificates()[3]
            assert (held.finalized, held.voting) == (last.state, last.next_stake)


async def test_a_landing_that_was_undone_is_made_anew(tmp_path: Path, anvil: Anvil) -> None:
    async with world(tmp_path, anvil, height=5) as (made, _):
        (work,) = await made.due()
        (claimed,) = await made.ledger.claim([work])
        assert claimed.unit == work.unit
        before = await anvil.height()
        _, receipt = await made.submit(work)
        assert receipt is not None
        facts = {"transaction": receipt.hash, "block": str(receipt.block.number)}
        await recorded_as_landed(made, work, facts)
        await anvil.reorg(await anvil.height() - before)
        assert await made.due() == [], "a node that is not past the block tells nothing"
        await anvil.mine(3)
        (anew,) = await made.due()
        assert (anew.unit.key, anew.unit.params["again"]) == ("epoch-1", "1")
        assert {**anew.unit.params, "again": None} == {**work.unit.params, "again": None}
        made.outputs.clear()
        state, _ = await made.submit(anew)
        assert state is State.READY
        assert await made.due() == []


async def test_while_the_lane_looks_a_landing_that_was_undone_is_its_own_affair(
    tmp_path: Path, anvil: Anvil
) -> None:
    async with world(tmp_path, anvil, height=5) as (made, _):
        (work,) = await made.due()
        await made.ledger.claim([work])
        before = await anvil.height()
        _, receipt = await made.submit(work)
        assert receipt is not None
        facts = {"transaction": receipt.hash, "block": str(receipt.block.number)}
        await recorded_as_landed(made, work, facts)
        unit, lanes = work.unit, made.ledger.lanes
        key, lane = request_key_of(unit), "lane/31337/0xaa"
        call = Call(made.proxy, "0x")
        made_of = Submission(key, lane, unit.system, unit.stream, unit.key, call, "run:1", 0.0)
        await lanes.enter(made_of, 31337, "0xAa")
        await lanes.take(lane, "h")
        transaction = Transaction(receipt.hash, key, 0, Kind.CALL, 50_000, 9, 2, 5.0, raw="0x")
        await lanes.sign("h", made_of, transaction, budget=None)
        landed = replace(transaction, fate=Fate.LANDED, block=receipt.block.number)
        await lanes.change("h", key, Change(Phase.LANDED, transactions=(landed,)))
        await anvil.reorg(await anvil.height() - before)
        await anvil.mine(3)
        assert await made.due() == [], "it landed a moment ago: the lane will see"
        await lanes.reopen("h", key, "its block is gone", 6.0)
        assert await made.due() == [], "the lane sends it again"
        await lanes.change("h", key, Change(Phase.REVERTED, reason="refused"))
        (anew,) = await made.due()
        assert (anew.unit.key, anew.unit.params["again"]) == ("epoch-1", "1")


async def recorded_as_landed(made: Rig, work: Work, facts: dict[str, str]) -> None:
    """The record of a unit whose lane saw it land."""
    plan = work.plan.of(Stage.SUBMIT)
    assert plan is not None
    attempt = Attempt(
        "attempt-1",
        "memo-submit",
        work.unit,
        Stage.SUBMIT,
        None,
        1,
        work.unit.workflow_id,
        "run",
        "io",
        "w",
        "h",
        0.0,
    )
    await made.ledger.begin([attempt])
    result = StageResult(Stage.SUBMIT, "memo-submit", facts=facts)
    await made.ledger.finish([AttemptEnd("attempt-1", 1.0, "done", result=result)], [work.unit])
