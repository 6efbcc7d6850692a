"""The small network: deterministic, valid to the checks of the prover, and wrong exactly where it is asked to be."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import Any

import httpx
import pytest

from provery.core.errors import ConfigurationError
from provery.systems.hotshot import bls, schnorr, spec, wire
from provery.systems.hotshot.errors import (
    InvalidState,
    RelayServerError,
    SequencerCommunicationError,
    StakeTableMismatch,
)
from provery.systems.hotshot.model import U64_MAX, StateCertificate
from provery.systems.hotshot.network.chain import Chain
from provery.systems.hotshot.network.faults import Faults
from provery.systems.hotshot.network.server import NetworkServer
from provery.systems.hotshot.network.validators import Changes, Validators, bls_key
from provery.systems.hotshot.relay import Relay
from provery.systems.hotshot.roots import FIELD
from provery.systems.hotshot.sequencer import Sequencer

CAPACITY = 8


def validators(count: int = 6, changes: Changes = Changes.MEMBERS, seed: str = "test") -> Validators:
    return Validators(seed, count, CAPACITY, changes)


def chain(height: int = 0, **options: Any) -> Chain:
    return Chain(options.pop("validators", validators()), blocks_per_epoch=10, height=height, **options)


@asynccontextmanager
async def serving(of: Chain) -> AsyncIterator[tuple[NetworkServer, Relay, Sequencer, httpx.AsyncClient]]:
    server = NetworkServer(of)
    await server.start()
    relay, sequencer = Relay([server.relay_url]), Sequencer([server.sequencer_url])
    try:
        async with httpx.AsyncClient(trust_env=False) as http:
            yield server, relay, sequencer, http
    finally:
        await relay.close()
        await sequencer.close()
        await server.close()


# ------------------------------------------------------------ validators


def test_keys_are_points_of_their_groups_and_all_different() -> None:
    keys = [bls_key("test", number) for number in range(130)]
    assert all(bls.on_curve(key) for key in keys)
    assert len(set(keys)) == len(keys)
    assert bls_key("test", 64) == bls.add(bls_key("test", 63), bls.GENERATOR)
    assert bls.on_curve(bls_key("test", 10**9 + 1)), "without all the keys before it"
    schnorr_keys = {row.schnorr for row in validators(8).table(1)}
    assert len(schnorr_keys) == 8
    assert all(schnorr.is_key(key) for key in schnorr_keys)


def test_multiples_of_the_bls_generator_add_up() -> None:
    assert bls.multiple(1) == bls.GENERATOR
    assert bls.multiple(2) == bls.add(bls.GENERATOR, bls.GENERATOR)
    assert bls.multiple(7) == bls.add(bls.multiple(3), bls.multiple(4))
    x0, x1, y0, y1 = bls.multiple(FIELD - 1)  # minus the generator: it is of that order
    assert (x0, x1) == bls.GENERATOR[:2]
    assert (-y0 % bls.BASE_FIELD, -y1 % bls.BASE_FIELD) == bls.GENERATOR[2:]


def test_the_same_seed_gives_the_same_network() -> None:
    assert chain().certificate(1) is None
    first, second = chain(15).certificate(2), chain(15).certificate(2)
    assert first == second
    assert first != chain(15, validators=validators(seed="other")).certificate(2)


@pytest.mark.parametrize(
    ("changes", "differing"),
    [(Changes.NONE, ()), (Changes.AMOUNTS, ("amount", "threshold")),
     (Changes.MEMBERS, ("bls", "schnorr", "amount", "threshold"))],
)  # fmt: skip
def test_stake_tables_change_from_the_third_epoch_on(changes: Changes, differing: tuple[str, ...]) -> None:
    of = validators(changes=changes)
    assert of.commitment(0) == of.commitment(1) == of.commitment(2)
    mismatch = StakeTableMismatch.between(of.commitment(2), of.commitment(3))
    assert (mismatch.columns if mismatch else ()) == differing
    if changes is not Changes.NONE:
        assert of.commitment(3) != of.commitment(4)


@pytest.mark.parametrize("count", [0, -1, CAPACITY + 1])
def test_validators_have_to_fit(count: int) -> None:
    with pytest.raises(ConfigurationError):
        validators(count)


@pytest.mark.parametrize("options", [{"blocks_per_epoch": 5}, {"participation": 101}, {"participation": -1}])
def test_options_have_to_make_sense(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Chain(validators(), **{"blocks_per_epoch": 10, **options})


# ------------------------------------------------------------ the chain


@pytest.mark.parametrize("changes", list(Changes))
def test_every_certificate_passes_the_checks_of_the_prover(changes: Changes) -> None:
    of = chain(200, validators=validators(changes=changes))
    table = of.config.nodes
    for epoch in range(1, 9):
        found = of.certificate(epoch)
        assert found is not None
        counted = spec.check_certificate(found, table, 10)
        assert counted.dropped == 0
        table = of.validators.table(epoch + 1)
        spec.check_table(table, CAPACITY, found.next_stake)


def test_states_run_ahead_strictly() -> None:
    states = [chain().state(height) for height in range(50)]
    for before, after in pairwise(states):
        assert after.view > before.view
        assert after.block_comm_root != before.block_comm_root


def test_not_everybody_signs_and_always_enough() -> None:
    some = chain(10_000, participation=50)
    assert len({some.vote(height).signatures[0][0] for height in range(1, 10)}) > 1
    for percent in (1, 50, 90, 100):
        of = chain(10_000, participation=percent)
        for height in range(6, 36, 5):
            table = of.validators.table(of.epoch(height))
            voted = of.vote(height)
            assert of.claimed_weight(voted) >= spec.threshold(table)
            assert len(voted.signatures) >= 6 * percent / 100


def test_it_grows_by_the_clock_and_on_request_up_to_its_end() -> None:
    now = [0.0]
    of = chain(3, pace=2.0, last=20, clock=lambda: now[0])
    assert of.height == 3
    now[0] = 2.6
    assert of.height == 8
    assert of.advance(4) == 12
    now[0] = 1000.0
    assert of.height == 20
    assert of.certificate(2) is not None
    assert of.certificate(3) is None


def test_certificates_begin_with_the_first_epoch() -> None:
    of = Chain(validators(), blocks_per_epoch=10, epoch_start_block=21, height=100)
    assert [epoch for epoch in range(12) if of.certificate(epoch)] == [3, 4, 5, 6, 7, 8, 9, 10]


def test_signed_states_are_not_remembered_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provery.systems.hotshot.network.chain.REMEMBERED", 4)
    of = chain(100, validators=validators(1))
    voted = [of.vote(height) for height in range(1, 8)]
    assert len(of._voted) == 4
    assert of.vote(7) is voted[-1]
    assert of.vote(1) == voted[0]
    assert of.vote(1) is not voted[0], "it was signed again"


# ------------------------------------------------------------ over HTTP


async def test_epochs_are_followed_over_http() -> None:
    of = chain()
    async with serving(of) as (server, relay, sequencer, http):
        assert await relay.bundle() is None
        config = await sequencer.config()
        assert config == of.config
        table = config.nodes
        for epoch in range(1, 6):
            assert await sequencer.state_certificate(epoch) is None
            answer = await http.post(f"{server.sequencer_url}/network/advance", params={"blocks": 5})
            assert answer.json()["height"] == 10 * epoch - 5

            def check(found: StateCertificate, table: Any = table) -> None:
                spec.check_certificate(found, table, 10)

            found = await sequencer.state_certificate(epoch, check)
            assert found is not None
            bundle = await relay.bundle()
            assert bundle is not None
            assert (bundle.state, bundle.next_stake) == (found.state, found.next_stake)
            spec.check_bundle(bundle, table)
            for name, value in answer.json()["next_stake_table"].items():
                assert getattr(found.next_stake, name) == int(value, 16)
            of.advance(5)
            bundle = await relay.bundle()
            assert bundle is not None
            assert bundle.next_stake == spec.commitment(table, CAPACITY), "between roots nothing is announced"
            table = await sequencer.stake_table(epoch + 1)
            spec.check_table(table, CAPACITY, found.next_stake)
        with pytest.raises(SequencerCommunicationError, match="no sequencer has the stake table of epoch 9"):
            await sequencer.stake_table(9)


async def test_paths_without_a_version_are_redirected() -> None:
    async with serving(chain(5)) as (server, _, _, http):
        answer = await http.get(f"{server.relay_url}/api/state?x=1")
        assert (answer.status_code, answer.headers["location"]) == (307, "/v1/api/state?x=1")
        answer = await http.get(f"{server.sequencer_url}/node/stake-table/1")
        assert (answer.status_code, answer.headers["location"]) == (307, "/v1/node/stake-table/1")
        answer = await http.get(f"{server.relay_url}/healthcheck")
        assert answer.json() == {"status": "available"}


async def test_not_ready_is_said_as_the_real_relay_says_it() -> None:
    async with serving(chain()) as (server, _, _, http):
        answer = await http.get(f"{server.relay_url}/v1/api/state")
        assert answer.status_code == 404
        assert answer.json() == {
            "status": 404, "message": "The light client state signatures are not ready.",
        }  # fmt: skip


def request_of(of: Chain, number: int, height: int) -> wire.SignatureRequest:
    state, following = of.state(height), of.next_stake(height)
    secret = of.validators.secret(number)
    signature = schnorr.sign(secret, spec.message_v2(state, following))
    return wire.SignatureRequest(schnorr.public_key(secret), state, following, signature)


async def test_signatures_are_posted_until_enough_stake_has_signed() -> None:
    of = chain(12, participation=0)
    async with serving(of) as (server, relay, sequencer, http):

        async def post(request: wire.SignatureRequest) -> tuple[int, Any]:
            answer = await http.post(
                f"{server.relay_url}/api/state",
                json=wire.write_signature_request(request),
                follow_redirects=True,
            )
            return answer.status_code, answer.json()

        assert await sequencer.state_certificate(1) is None, "nobody has signed"
        requests = [request_of(of, number, 12) for number in of.validators.members(2)]
        status, body = await post(request_of(of, 77, 12))
        assert (status, body["status"]) == (401, 401)
        forged = wire.SignatureRequest(
            requests[0].key, requests[0].state, requests[0].next_stake, requests[1].signature
        )
        assert (await post(forged))[0] == 400
        table = of.validators.table(2)
        weight = 0
        for row, request in zip(table, requests, strict=True):
            bundle = await relay.bundle()
            assert (bundle is not None) == (weight >= spec.threshold(table))
            assert (await post(request))[0] == 200
            weight += row.stake
            if bundle is None and weight < spec.threshold(table):
                status, body = await post(request)
                assert status == 400
                assert "already" in body["message"]
        bundle = await relay.bundle()
        assert bundle is not None
        assert spec.check_bundle(bundle, table).weight >= spec.threshold(table)
        assert (await post(request_of(of, 0, 11)))[0] == 200, "an older state is ignored"
        assert (await post(forged))[0] == 200, "so is one of the same height"
        status, body = await post(request_of(of, 5, 31))
        assert (status, body["message"]) == (400, "The stake table of epoch 4 is not known.")
        huge = await http.post(f"{server.relay_url}/v1/api/state", content=b" " * 70_000)
        assert (huge.status_code, huge.json()["status"]) == (400, 400)
        none = await http.post(f"{server.relay_url}/v1/api/state", content=b"{}")
        assert none.status_code == 400


# ------------------------------------------------------------ faults


async def set_faults(http: httpx.AsyncClient, server: NetworkServer, **faults: Any) -> httpx.Response:
    return await http.post(f"{server.sequencer_url}/network/faults", json=faults)


async def test_every_fault_is_found_by_the_prover() -> None:
    of = chain(15, validators=validators(changes=Changes.NONE), participation=100)
    table = of.config.nodes
    async with serving(of) as (server, relay, sequencer, http):
        assert (await set_faults(http, server, invalid_signatures=2, unknown_signers=1)).status_code == 200
        for found in (await relay.bundle(), await sequencer.state_certificate(2)):
            assert found is not None
            counted = spec.tally(spec.message_v2(found.state, found.next_stake), found.signatures, table)
            assert (counted.signers, len(counted.invalid), len(counted.unknown)) == (4, 2, 1)
        await set_faults(http, server, weak_bundles=True, weak_certificates=True)
        with pytest.raises(InvalidState, match="too little stake"):
            await relay.bundle(lambda bundle: spec.check_bundle(bundle, table))
        with pytest.raises(InvalidState, match="too little stake"):
            await sequencer.state_certificate(2, lambda found: spec.check_certificate(found, table, 10))
        await set_faults(http, server, relay_lag=3, missing_certificates=[1], wrong_stake_table=True)
        bundle = await relay.bundle()
        assert bundle is not None
        assert bundle.state.height == 12
        assert await sequencer.state_certificate(1) is None
        wrong = await sequencer.stake_table(1)
        with pytest.raises(StakeTableMismatch) as caught:
            spec.check_table(wrong, CAPACITY, of.validators.commitment(1))
        assert "amount" in caught.value.columns
        await set_faults(http, server, relay_status=503, sequencer_status=500)
        with pytest.raises(RelayServerError, match="status 503 'out of order"):
            await relay.bundle()
        with pytest.raises(SequencerCommunicationError, match="status 500"):
            await sequencer.config()
        await set_faults(http, server)
        assert of.faults == Faults()
        bundle = await relay.bundle()
        assert bundle is not None
        assert spec.check_bundle(bundle, table).signers == 6
        assert bundle.state.height == 15
        assert (await set_faults(http, server, nonsense=1)).status_code == 400
        assert (await http.post(f"{server.sequencer_url}/network/advance?blocks=0")).status_code == 400
        assert of.config.blocks_per_epoch < U64_MAX


# ------------------------------------------------------------ as a process


def test_it_runs_as_a_process_and_stops_on_sigterm() -> None:
    command = [
        sys.executable,
        "-m",
        "provery.systems.hotshot.network",
        "--validators",
        "4",
        "--capacity",
        "5",
    ]
    command += ["--epochs", "2", "--pace", "1000", "--stake-changes", "amounts"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        asyncio.run(_look(said))
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0


async def _look(said: dict[str, Any]) -> None:
    relay, sequencer = Relay([said["relay_server"]]), Sequencer([said["sequencer_url"]])
    try:
        nodes = (await sequencer.config()).nodes
        assert [hex(part) for part in spec.elements(spec.commitment(nodes, 5))] == list(
            said["genesis"]["stake_table"].values()
        )
        deadline = time.monotonic() + 60
        bundle = await relay.bundle()
        while bundle is None or bundle.state.height < 15:
            assert time.monotonic() < deadline
            bundle = await relay.bundle()
        assert bundle.state.height == 15, "it stops at the root of epoch 2"
    finally:
        await relay.close()
        await sequencer.close()


@pytest.mark.parametrize(
    "options", [["--validators", "0"], ["--epoch-height", "5"], ["--faults", '{"x": 1}']]
)
def test_a_command_line_that_makes_no_sense_ends_with_the_status_for_it(options: list[str]) -> None:
    command = [sys.executable, "-m", "provery.systems.hotshot.network", *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=90)
    assert ended.returncode == 7
    assert ended.stderr.strip()
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_twenty_epochs_of_100_validators_are_signed_in_less_than_a_minute() -> None:
    """CPU time, measured on a quarter of them. Without GMP it takes about 45 s."""
    of = Chain(
        Validators("large", 100, 200, Changes.AMOUNTS), blocks_per_epoch=10, height=1000, participation=100
    )
    began = time.process_time()
    for epoch in range(1, 6):
        found = of.certificate(epoch)
        assert found is not None
        assert len(found.signatures) == 100
    assert time.process_time() - began < 60 / 4
