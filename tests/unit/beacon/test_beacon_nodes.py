"""The client against real HTTP servers with recorded answers, and everything that nodes do wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from provery.core.errors import ConfigurationError, InvalidInput, SourceUnavailable
from provery.core.redact import redact
from provery.systems.beacon import wire
from provery.systems.beacon.chaindata import read_chain_data
from provery.systems.beacon.chains import MAINNET, SEPOLIA, chain_from_config
from provery.systems.beacon.checks import Follower
from provery.systems.beacon.http import BeaconNode, Limits
from provery.systems.beacon.model import Update
from provery.systems.beacon.nodes import BeaconNodes
from provery.systems.beacon.updates import MOST_REQUESTS
from tests.support.beacon import devnet, devnet_updates, mainnet_bootstrap, mainnet_updates, recorded
from tests.support.beacon_server import JSON, SSZ, Asked, Behaviour, FakeNode, Reply, serving

LIMITS = Limits(connect_s=5.0, read_s=5.0, total_s=10.0)
"""For nodes that answer: a busy machine may take its time."""
QUICK = Limits(connect_s=5.0, read_s=1.0, total_s=2.0)
"""For nodes that make one wait, and so for the good one beside them."""
CHAIN = devnet()
PERIODS = dict(enumerate(devnet_updates()))
MAINNET_PERIODS = dict(enumerate(mainnet_updates(), 1600))


def node(periods: dict[int, Update] | None = None) -> FakeNode:
    return FakeNode(CHAIN, dict(PERIODS if periods is None else periods))


@pytest.fixture
def two() -> Iterator[tuple[FakeNode, FakeNode]]:
    with ExitStack() as stack:
        yield stack.enter_context(serving(node())), stack.enter_context(serving(node()))


@asynccontextmanager
async def client(*nodes: FakeNode, **options: Any) -> AsyncIterator[BeaconNodes]:
    chain = nodes[0].chain
    options.setdefault("unix_ms", lambda: (chain.genesis_time + 10**9) * 1000)
    found = BeaconNodes(chain, [n.url for n in nodes], options.pop("limits", LIMITS), **options)
    try:
        yield found
    finally:
        await found.close()


def follower() -> Follower:
    return Follower(CHAIN, PERIODS[0].next_committee, 1)


def always(reply: Reply) -> Behaviour:
    return lambda asked: reply


# ---------------------------------------------------------------- what works


async def test_ssz_is_asked_for_first_and_json_taken_too(two: tuple[FakeNode, FakeNode]) -> None:
    one, other = two
    other.speaks_ssz = False
    async with client(one) as nodes:
        ssz = await nodes.updates(0, 4)
    async with client(other) as nodes:
        plain = await nodes.updates(0, 4)
    assert ssz.updates == plain.updates == PERIODS
    assert one.asked[0].accept == f"{SSZ};q=1.0,{JSON};q=0.9"
    assert (ssz.missing, ssz.failures) == ((), {})


async def test_a_node_that_refuses_ssz_is_remembered(two: tuple[FakeNode, FakeNode]) -> None:
    one, _ = two
    one.behaviour = lambda asked: Reply(status=406) if SSZ in asked.accept else None
    async with client(one) as nodes:
        assert (await nodes.updates(0, 2)).missing == ()
        assert (await nodes.updates(2, 2)).missing == ()
    assert [SSZ in asked.accept for asked in one.asked] == [True, False, False]


async def test_real_periods_are_fetched_and_checked() -> None:
    with serving(FakeNode(MAINNET, MAINNET_PERIODS)) as one:
        check = Follower(MAINNET, mainnet_bootstrap(1600).committee, 1600)
        async with client(one, limits=Limits()) as nodes:
            found = await nodes.updates(1600, 3, check)
            finality = await nodes.finality()
    assert found.updates == MAINNET_PERIODS
    assert list(check.checked) == [1600, 1601, 1602]
    assert (finality.finalized.epoch, finality.disagreements) == (363_777, ())


async def test_a_long_range_is_asked_for_in_parts_of_bounded_size(two: tuple[FakeNode, FakeNode]) -> None:
    """JSON takes thirty times its size in memory, so that 32 MB of it would take a gigabyte."""
    one, _ = two
    hostile = b"[" + b",".join([b"{}"] * 1_000_000) + b"]"
    one.behaviour = lambda asked: Reply(hostile) if "updates" in asked.path else None
    async with client(one) as nodes:
        found = await nodes.updates(0, 128)
    assert len(found.missing) == 128
    assert "at most 2098176 are taken" in found.failures[one.url]
    assert max(count for _, count in one.ranges) == 16


async def test_one_missing_period_does_not_cost_the_range(two: tuple[FakeNode, FakeNode]) -> None:
    one, _ = two
    del one.updates[2]
    async with client(one) as nodes:
        found = await nodes.updates(0, 4)
    assert list(found.updates) == [0, 1, 3]
    assert found.missing == (2,)
    assert "No partialUpdate available for period 2" in found.failures[one.url]
    assert one.ranges == [(0, 4), (0, 2), (2, 2), (2, 1), (3, 1)]
    assert nodes.health[0].failures == 0


async def test_what_one_node_lacks_another_has(two: tuple[FakeNode, FakeNode]) -> None:
    one, other = two
    del one.updates[1], one.updates[3]
    async with client(one, other) as nodes:
        found = await nodes.updates(0, 4, None)
    assert (found.updates, found.missing) == (PERIODS, ())
    assert other.ranges == [(1, 1), (3, 1)]


async def test_a_node_that_answers_less_than_asked_for(two: tuple[FakeNode, FakeNode]) -> None:
    one, other = two
    one.behaviour = always(Reply(wire.write_stream(CHAIN, [PERIODS[0], PERIODS[3]]), kind=SSZ))
    async with client(one, other) as nodes:
        assert (await nodes.updates(0, 4)).updates == PERIODS
    assert other.ranges == [(1, 2)]


async def test_a_node_that_refuses_everything_is_soon_left_alone(two: tuple[FakeNode, FakeNode]) -> None:
    one, _ = two
    one.updates.clear()
    async with client(one, limits=Limits()) as nodes:
        found = await nodes.updates(0, 128)
    assert len(found.missing) == 128
    assert len(one.ranges) == MOST_REQUESTS


async def test_bootstrap_of_a_trusted_block() -> None:
    bootstrap = recorded("devnet/bootstrap.json")
    root = json.loads(recorded("devnet/header_finalized.json"))["data"]["root"]
    body = json.dumps({"version": "altair", **json.loads(bootstrap)}).encode()
    with serving(node()) as one:
        one.behaviour = lambda a: Reply(body) if a.path.endswith(root) else None
        async with client(one) as nodes:
            assert (await nodes.bootstrap(bytes.fromhex(root[2:]))).committee.size == 32
            with pytest.raises(SourceUnavailable, match=r"no beacon node.*404 'no such route'"):
                await nodes.bootstrap(bytes(32))
    with serving(FakeNode(MAINNET, {})) as one:
        ssz = Reply(
            recorded("mainnet/bootstrap_1600.ssz"), kind=SSZ, headers={"Eth-Consensus-Version": "electra"}
        )
        one.behaviour = always(ssz)
        async with client(one, limits=Limits()) as nodes:
            with pytest.raises(SourceUnavailable, match="another block"):
                await nodes.bootstrap(bytes(32))


async def test_a_chain_is_read_from_its_node(two: tuple[FakeNode, FakeNode]) -> None:
    two[0].behaviour = lambda a: (
        Reply(recorded("devnet/genesis.json")) if a.path.endswith("/genesis") else None
    )
    spec, genesis = await read_chain_data(two[0].url)
    assert chain_from_config("devnet", spec, genesis) == CHAIN


# ---------------------------------------------------------------- bad answers

BAD: dict[str, Reply] = {
    "an error body with status 200": Reply(b'{"code":500,"message":"syncing"}'),
    "an SSZ body that is an error": Reply(b'{"code":500,"message":"syncing"}', kind=SSZ),
    "a web page": Reply(b"<html>", kind="text/html"),
    "no content type": Reply(b"[]", kind=""),
    "NaN": Reply(b'[{"version":"altair","data":NaN}]'),
    "nested without end": Reply(b"[" * 50_000),
    "truncated SSZ": Reply(wire.write_stream(CHAIN, [PERIODS[1]])[:-7], kind=SSZ),
    "connection cut": Reply(wire.write_stream(CHAIN, [PERIODS[1]]), kind=SSZ, cut=100),
    "another chain": Reply(recorded("mainnet/updates_1600_1.ssz"), kind=SSZ),
    "another period": Reply(wire.write_stream(CHAIN, [PERIODS[2]]), kind=SSZ),
    "the same twice": Reply(wire.write_stream(CHAIN, [PERIODS[1], PERIODS[1]]), kind=SSZ),
    "one of 32 signed": Reply(wire.write_stream(CHAIN, [replace(PERIODS[1], bits=b"\1\0\0\0")]), kind=SSZ),
    "stale slot": Reply(wire.write_stream(CHAIN, [replace(PERIODS[1], signature_slot=64)]), kind=SSZ),
    "forged signature": Reply(
        wire.write_stream(CHAIN, [replace(PERIODS[1], signature=PERIODS[2].signature)]), kind=SSZ
    ),
    "rate limited": Reply(b"slow down", 429, "text/plain"),
    "bad gateway": Reply(b"<html>bad gateway</html>", 502, "text/html"),
    "unauthorised": Reply(b"", 401),
    "redirect": Reply(b"", 302, headers={"Location": "http://127.0.0.1:1/elsewhere"}),
    "hangs": Reply(b"[]", delay_s=4.0),
    "drips": Reply(b"[" + b" " * 200 + b"]", drip_s=0.05),
    "announces 10 GB": Reply(b"[]", headers={"Content-Length": "10000000000"}),
    "endless": Reply(b" " * 65_536, endless=True),
    "compressed": Reply(gzip.compress(b" " * 2**24), headers={"Content-Encoding": "gzip"}),
}
WAITED_FOR = {"hangs", "drips", "endless"}


@pytest.mark.parametrize("what", BAD)
async def test_a_bad_node_is_named_and_the_next_one_asked(what: str, two: tuple[FakeNode, FakeNode]) -> None:
    bad, good = two
    bad.behaviour = always(BAD[what])
    began = time.monotonic()
    async with client(bad, good, limits=QUICK if what in WAITED_FOR else LIMITS) as nodes:
        found = await nodes.updates(1, 1, follower())
        assert found.updates == {1: PERIODS[1]}
        assert bad.url in found.failures[bad.url]
        state = nodes.health[0]
        assert (state.failures, state.in_a_row) == (1, 1)
        assert state.last_error == found.failures[bad.url]
        bad.behaviour = lambda asked: None
        again = await nodes.updates(1, 2, follower())
        assert (again.missing, again.failures) == ((), {})
    assert time.monotonic() - began < LIMITS.read_s


@pytest.mark.parametrize("what", BAD)
async def test_with_bad_nodes_only_the_period_is_missing(what: str, two: tuple[FakeNode, FakeNode]) -> None:
    two[0].behaviour = always(BAD[what])
    async with client(two[0], limits=QUICK if what in WAITED_FOR else LIMITS) as nodes:
        found = await nodes.updates(1, 1, follower())
    assert (found.updates, found.missing) == ({}, (1,))
    assert list(found.failures) == [two[0].url]


async def test_a_refused_update_does_not_spoil_the_others(two: tuple[FakeNode, FakeNode]) -> None:
    bad, good = two
    forged = replace(PERIODS[2], signature=PERIODS[1].signature)
    bad.updates[2] = forged
    async with client(bad, good) as nodes:
        found = await nodes.updates(1, 3, follower())
    assert {period: found.updates[period] for period in (1, 2, 3)} == {p: PERIODS[p] for p in (1, 2, 3)}
    assert good.ranges == [(2, 2)]  # 3 was refused with 2, for want of its committee


async def test_a_node_that_is_down(two: tuple[FakeNode, FakeNode]) -> None:
    gone = node()
    with serving(gone):
        pass
    async with client(gone, two[0]) as nodes:
        assert (await nodes.updates(0, 4)).updates == PERIODS
        assert "ConnectError" in nodes.health[0].last_error


async def test_failing_nodes_rest_and_come_back(two: tuple[FakeNode, FakeNode]) -> None:
    one, other = two
    now = [100.0]
    one.behaviour = always(Reply(status=503))
    async with client(one, other, clock=lambda: now[0]) as nodes:
        for _ in range(3):
            await nodes.updates(0, 1)
        assert len(one.asked) == 1
        assert nodes.health[0].resting_until == 101.0
        now[0] = 101.5
        await nodes.updates(0, 1)
        assert len(one.asked) == 2
        assert nodes.health[0].resting_until == 103.5
        now[0], one.behaviour = 104.0, lambda asked: None
        await nodes.updates(0, 1)
        assert (nodes.health[0].in_a_row, nodes.health[0].successes) == (0, 1)
        assert len(other.asked) == 4


# ---------------------------------------------------------------- finality and disagreement


def checkpoints(epoch: int, root: str = "aa") -> Reply:
    point = {"epoch": str(epoch), "root": "0x" + root * 32}
    data = {"finalized": point, "current_justified": point, "previous_justified": point}
    return Reply(json.dumps({"data": data}).encode())


async def three_say(*replies: Reply) -> Any:
    with ExitStack() as stack:
        fakes = [stack.enter_context(serving(node())) for _ in replies]
        for fake, reply in zip(fakes, replies, strict=True):
            fake.behaviour = always(reply)
        async with client(*fakes) as nodes:
            return await nodes.finality(), nodes.health, [fake.url for fake in fakes]


async def test_the_newest_finality_counts_and_laggards_are_named() -> None:
    found, health, urls = await three_say(checkpoints(90), checkpoints(100), checkpoints(99))
    assert found.finalized.epoch == 100
    assert found.nodes == (urls[1],)
    assert found.stale == (urls[0],)
    assert [state.stale for state in health] == [True, False, False]
    assert found.disagreements == ()


async def test_contradicting_nodes_are_reported_and_outvoted() -> None:
    found, _, urls = await three_say(checkpoints(100, "bb"), checkpoints(100), checkpoints(100))
    assert found.finalized.root == b"\xaa" * 32
    assert found.nodes == tuple(urls[1:])
    (report,) = found.disagreements
    assert report.about == "finalised epoch 100"
    assert report.claims[urls[0]] == "bb" * 32
    assert "disagree on finalised epoch 100" in str(report)


async def test_two_nodes_that_contradict_each_other_settle_nothing() -> None:
    with pytest.raises(SourceUnavailable, match=r"contradict each other.*one root per epoch"):
        await three_say(checkpoints(100, "bb"), checkpoints(100))


async def test_bad_checkpoints_are_left_out() -> None:
    found, _, urls = await three_say(
        Reply(b'{"data":{"finalized":{"epoch":"NaN"}}}'),
        checkpoints(2**40),
        checkpoints(7),
        Reply(status=503),
    )
    assert found.finalized.epoch == 7
    assert found.failures is not None
    assert "uint64" in found.failures[urls[0]]
    assert "lies in the future" in found.failures[urls[1]]
    assert "status 503" in found.failures[urls[3]]


async def test_no_usable_checkpoint_at_all() -> None:
    with pytest.raises(
        SourceUnavailable, match=r"no beacon node of devnet gave finality checkpoints.*status 503"
    ):
        await three_say(Reply(status=503))


async def test_different_next_committees_are_reported(two: tuple[FakeNode, FakeNode]) -> None:
    one, other = two
    async with client(one, other) as nodes:
        assert await nodes.compare(1) is None
        other.updates[1] = replace(PERIODS[1], next_committee=PERIODS[2].next_committee)
        committees = PERIODS[1].next_committee, PERIODS[2].next_committee
        report = await nodes.compare(1)
        assert (report is not None) == (committees[0] != committees[1])
        assert await nodes.compare(1, follower()) is None
        with pytest.raises(SourceUnavailable, match="an update of period 9"):
            await nodes.compare(9)


async def test_a_node_of_another_chain_is_named(two: tuple[FakeNode, FakeNode]) -> None:
    with serving(FakeNode(SEPOLIA, {})) as foreign:
        async with client(two[0], foreign) as nodes:
            wrong = await nodes.check_genesis()
    assert list(wrong) == [foreign.url]
    assert "of another chain than devnet" in wrong[foreign.url]


# ---------------------------------------------------------------- secrets


async def test_no_secret_of_a_url_reaches_a_message(two: tuple[FakeNode, FakeNode]) -> None:
    one, _ = two
    one.behaviour = always(Reply(b'{"message":"key sup3rs3cretpathkey of pa55word is spent"}', 403))
    port = one.url.rsplit(":", 1)[1]
    url = f"http://user:pa55word@127.0.0.1:{port}/beacon/sup3rs3cretpathkey/?apikey=quer1secret"
    nodes = BeaconNodes(CHAIN, [url], LIMITS)
    try:
        found = await nodes.updates(0, 1)
        text = repr(found) + repr(nodes.health)
        with pytest.raises(SourceUnavailable) as caught:
            await nodes.finality()
        text += str(caught.value) + redact(url)
    finally:
        await nodes.close()
    for secret in ("pa55word", "sup3rs3cretpathkey", "quer1secret"):
        assert secret not in text
    assert "status 403" in text
    asked: Asked = one.asked[0]
    assert asked.path == "/beacon/sup3rs3cretpathkey/eth/v1/beacon/light_client/updates"
    assert asked.query["apikey"] == "quer1secret"
    assert asked.authorization.startswith("Basic ")


@pytest.mark.parametrize("url", ["", "ftp://node", "http://", "node:5052", "http://node:port", "http://[::1"])
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="beacon node's URL is malformed"):
        BeaconNode(url)


def test_no_nodes_at_all() -> None:
    with pytest.raises(ConfigurationError, match="no beacon node of devnet"):
        BeaconNodes(CHAIN, [])


async def test_two_urls_of_one_host_have_names_of_their_own() -> None:
    nodes = BeaconNodes(CHAIN, ["http://127.0.0.1:1/a", "http://127.0.0.1:1/b"], LIMITS)
    assert [state.name for state in nodes.health] == ["http://127.0.0.1:1", "http://127.0.0.1:1#2"]
    found = await asyncio.wait_for(nodes.updates(0, 1), 5)
    assert len(found.failures) == 2
    await nodes.close()


def test_follower_refuses_what_it_cannot_chain() -> None:
    with pytest.raises(InvalidInput, match="committee of period 3 is not known"):
        follower()(PERIODS[3])
