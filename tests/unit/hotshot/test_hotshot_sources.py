"""The clients of relay server and sequencer against real HTTP servers, and everything that those do wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from provery.core.errors import ConfigurationError, ProveryError
from provery.core.redact import redact
from provery.systems.hotshot import spec, wire
from provery.systems.hotshot.errors import (
    InvalidState,
    RelayServerError,
    SequencerCommunicationError,
    StakeTableMismatch,
)
from provery.systems.hotshot.http import Limits
from provery.systems.hotshot.model import Bundle, StateCertificate
from provery.systems.hotshot.relay import Relay
from provery.systems.hotshot.sequencer import Sequencer
from tests.support.beacon_server import Asked, FakeNode, Reply, serving
from tests.support.hotshot import recorded_certificates, recorded_config

LIMITS = Limits(connect_s=5.0, read_s=5.0, total_s=10.0, body=200_000)
"""A busy machine may take its time."""
QUICK = Limits(connect_s=5.0, read_s=0.4, total_s=0.8, body=200_000)
"""For services that make one wait."""
REAL = recorded_certificates()[1]
BUNDLE = Bundle(REAL.state, REAL.next_stake, REAL.signatures, 4)


class FakeService(FakeNode):
    """Relay server and sequencer in one, with recorded answers under the versioned paths."""

    def __init__(self) -> None:
        self.behaviour = lambda asked: None
        self.asked: list[Asked] = []
        self.url = ""
        self.bundle: Bundle | None = BUNDLE
        self.certificates = dict(recorded_certificates())

    def answer(self, asked: Asked) -> Reply:
        if not asked.path.startswith("/v1/"):
            return Reply(status=307, headers={"Location": f"/v1{asked.path}"})
        match asked.path.removeprefix("/v1/").split("/"):
            case ["api", "state"] if self.bundle is not None:
                return Reply(packed(wire.write_bundle(self.bundle)))
            case ["config", "hotshot"]:
                return Reply(packed(wire.write_config(recorded_config())))
            case ["node", "stake-table", _]:
                return Reply(packed(wire.write_stake_table(recorded_config().nodes)))
            case ["availability", "state-cert", epoch] if int(epoch) in self.certificates:
                return Reply(packed(wire.write_certificate(self.certificates[int(epoch)], triples=True)))
        return Reply(b'{"status":404,"message":"not ready"}', 404)


def packed(value: Any) -> bytes:
    return json.dumps(value).encode()


def always(reply: Reply) -> Any:
    return lambda asked: reply


@pytest.fixture
def two() -> Iterator[tuple[FakeService, FakeService]]:
    with ExitStack() as stack:
        services = FakeService(), FakeService()
        for service in services:
            stack.enter_context(serving(service))
        yield services


@pytest.fixture
def one(two: tuple[FakeService, FakeService]) -> FakeService:
    return two[0]


@asynccontextmanager
async def relay(*services: FakeService, limits: Limits = LIMITS) -> AsyncIterator[Relay]:
    found = Relay([service.url for service in services], limits)
    try:
        yield found
    finally:
        await found.close()


@asynccontextmanager
async def sequencer(*services: FakeService) -> AsyncIterator[Sequencer]:
    found = Sequencer([service.url for service in services], LIMITS)
    try:
        yield found
    finally:
        await found.close()


# ------------------------------------------------------------ what they say


async def test_a_bundle_is_fetched_through_the_redirect_as_json(one: FakeService) -> None:
    async with relay(one) as client:
        assert await client.bundle() == BUNDLE
    assert [asked.path for asked in one.asked] == ["/api/state", "/v1/api/state"]
    assert {asked.accept for asked in one.asked} == {"application/json"}


async def test_the_sequencer_says_everything(one: FakeService) -> None:
    async with sequencer(one) as client:
        assert await client.config() == recorded_config()
        assert await client.stake_table(2) == recorded_config().nodes
        for epoch, certificate in recorded_certificates().items():
            assert await client.state_certificate(epoch) == certificate


async def test_not_ready_is_no_failure(two: tuple[FakeService, FakeService]) -> None:
    for service in two:
        service.bundle = None
    async with relay(*two) as client:
        assert await client.bundle() is None
    two[0].behaviour = always(Reply(status=500))
    async with relay(*two) as client:
        assert await client.bundle() is None
    async with sequencer(*two) as client:
        assert await client.state_certificate(9) is None


async def test_a_stake_table_that_nobody_has_is_a_failure(one: FakeService) -> None:
    one.behaviour = always(Reply(status=404))
    async with sequencer(one) as client:
        with pytest.raises(SequencerCommunicationError, match="no sequencer has the stake table of epoch 7"):
            await client.stake_table(7)


# ------------------------------------------------------------ several servers


async def test_the_newest_bundle_of_all_relays_is_taken(two: tuple[FakeService, FakeService]) -> None:
    newer = recorded_certificates()[2]
    two[1].bundle = Bundle(newer.state, newer.next_stake, newer.signatures, 4)
    async with relay(*two) as client:
        assert await client.bundle() == two[1].bundle
    two[1].bundle = None
    async with relay(*two) as client:
        assert await client.bundle() == BUNDLE


async def test_a_newer_bundle_that_fails_its_check_loses(two: tuple[FakeService, FakeService]) -> None:
    forged = replace(BUNDLE, state=replace(BUNDLE.state, height=999))
    two[0].bundle = forged
    threads = set()

    def check(bundle: Bundle) -> None:
        threads.add(threading.current_thread())
        spec.check_bundle(bundle, recorded_config().nodes)

    async with relay(*two) as client:
        assert await client.bundle(check) == BUNDLE
    assert threading.current_thread() not in threads, "signatures are checked beside the event loop"
    async with relay(two[0]) as client:
        with pytest.raises(InvalidState, match="height 999"):
            await client.bundle(check)


async def test_the_next_sequencer_is_asked_when_one_fails(two: tuple[FakeService, FakeService]) -> None:
    two[0].behaviour = always(Reply(status=503))
    async with sequencer(*two) as client:
        assert await client.state_certificate(1) == REAL
        before = len(two[0].asked)
        assert await client.state_certificate(2) is not None
        assert len(two[0].asked) == before, "the one that failed is asked last from now on"


async def test_a_certificate_that_one_sequencer_lacks_is_taken_from_another(
    two: tuple[FakeService, FakeService],
) -> None:
    two[0].certificates = {}
    async with sequencer(*two) as client:
        assert await client.state_certificate(1) == REAL


async def test_a_certificate_that_fails_its_check_is_asked_of_the_next(
    two: tuple[FakeService, FakeService],
) -> None:
    two[0].certificates[1] = replace(REAL, signatures=())

    def check(certificate: StateCertificate) -> None:
        spec.check_certificate(certificate, recorded_config().nodes, 10)

    async with sequencer(*two) as client:
        assert await client.state_certificate(1, check) == REAL
    async with sequencer(two[0]) as client:
        with pytest.raises(InvalidState, match="state certificate of epoch 1"):
            await client.state_certificate(1, check)


async def test_a_stake_table_that_fails_its_check_names_the_column(one: FakeService) -> None:
    other = recorded_certificates()[2].next_stake
    async with sequencer(one) as client:
        with pytest.raises(StakeTableMismatch, match="in amount, threshold"):
            await client.stake_table(3, lambda table: spec.check_table(table, 200, other))


async def test_a_certificate_of_another_epoch_is_refused(one: FakeService) -> None:
    one.certificates[1] = recorded_certificates()[2]
    async with sequencer(one) as client:
        with pytest.raises(SequencerCommunicationError, match=r"of another epoch; got '2'; expected 1"):
            await client.state_certificate(1)


async def test_when_all_fail_the_error_names_each(two: tuple[FakeService, FakeService]) -> None:
    two[0].behaviour = always(Reply(b'{"message":"on fire"}', 500))
    two[1].behaviour = always(Reply(b"not JSON"))
    async with relay(*two) as client:
        with pytest.raises(RelayServerError) as caught:
            await client.bundle()
    text = str(caught.value)
    assert "status 500 'on fire'" in text
    assert "malformed JSON" in text
    for service in two:
        assert service.url in text


# ------------------------------------------------------------ misbehaviour

ENDLESS = Reply(b" " * 4096, endless=True)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply(packed({}), delay_s=1.0), "silent for too long|no complete answer"),
        (Reply(b" " * 100, drip_s=0.1), "no complete answer within 0.8 s"),
        (Reply(b"x" * 200_001), "announced 200001 bytes, at most 200000"),
        (ENDLESS, "sent more than 200000 bytes"),
        (Reply(packed({}), cut=1), "RemoteProtocolError"),
        (Reply(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip"}), "sent gzip"),
        (
            Reply(status=307, headers={"Location": "http://example.org/v1/api/state"}),
            "another server, http://example.org",
        ),
        (Reply(status=307, headers={"Location": "//example.org/"}), "another server"),
        (Reply(status=302, headers={"Location": "file:///etc/passwd"}), "another server"),
        (Reply(status=307, headers={"Location": "http://["}), "malformed URL"),
        (Reply(status=308, headers={"Location": "/api/state"}), "redirects more than 3 times"),
        (Reply(status=307), "redirects more than 3 times"),
        (Reply(status=401), "status 401"),
        (Reply(b"null"), "the whole"),
        (Reply(b"\xff" * 100), "malformed JSON"),
    ],
)
async def test_a_relay_that_misbehaves_gives_its_error(one: FakeService, reply: Reply, reason: str) -> None:
    one.behaviour = always(reply)
    limits = QUICK if reply.delay_s or reply.drip_s else LIMITS
    async with asyncio.timeout(20), relay(one, limits=limits) as client:
        with pytest.raises(RelayServerError, match=reason):
            await client.bundle()


async def test_a_server_that_is_not_there_gives_its_error() -> None:
    client = Sequencer(["http://127.0.0.1:9"], LIMITS)
    with pytest.raises(
        SequencerCommunicationError, match=r"sequencer http://127\.0\.0\.1:9, /config/hotshot: Connect"
    ):
        await client.config()
    await client.close()


async def test_credentials_are_sent_and_never_shown(one: FakeService) -> None:
    host = one.url.removeprefix("http://")
    url = f"http://operator:hunter22@{host}/?apikey=tops3cret"
    client = Relay([url], LIMITS)
    assert await client.bundle() == BUNDLE
    assert [asked.query for asked in one.asked] == [{"apikey": "tops3cret"}] * 2
    assert all(asked.authorization.startswith("Basic ") for asked in one.asked)
    one.behaviour = lambda asked: Reply(b'{"message":"hunter22 tops3cret"}', 500)
    with pytest.raises(RelayServerError) as caught:
        await client.bundle()
    for secret in ("hunter22", "tops3cret", "operator"):
        assert secret not in str(caught.value)
    assert "tops3cret" not in redact("a log line with tops3cret")
    await client.close()


@pytest.mark.parametrize(
    "urls", [[], ["localhost:8083"], ["ftp://x"], ["http://"], ["http://x:port"], ["http://["]]
)
def test_urls_that_are_none_are_refused(urls: list[str]) -> None:
    for make in (Relay, Sequencer):
        with pytest.raises(ConfigurationError):
            make(urls)


def test_errors_are_retried_as_they_should_be() -> None:
    assert {RelayServerError.retry.value, SequencerCommunicationError.retry.value} == {"forever"}
    assert {InvalidState.retry.value, StakeTableMismatch.retry.value} == {"never"}
    assert issubclass(RelayServerError, ProveryError)
