"""What nodes may answer instead of the truth: a clear error, nothing published, the next node, then all is well."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from provery.core.errors import ProofRejected, SourceUnavailable
from provery.core.types import UnitStatus
from provery.systems.beacon import wire
from tests.support.beacon import Signers, make_update
from tests.support.beacon_bench import bench
from tests.support.beacon_chain import ChainNode, checkpoints, environment, nodes, published, updates_reply
from tests.support.beacon_server import SSZ, Asked, Reply
from tests.support.statements import Signer

Answer = Callable[[ChainNode], Reply]


def updates(node: ChainNode) -> bytes:
    return wire.write_stream(node.chain, [node.updates[5]])


def one_signer(node: ChainNode) -> Reply:
    update = make_update(
        node.chain, Signers.of(5), Signers.of(6), attested=5 * 64 + 40, bits=b"\x01\x00\x00\x00"
    )
    return updates_reply(node.chain, [update])


def of_another_chain(node: ChainNode) -> Reply:
    other = ChainNode(6, seed=1)
    return updates_reply(other.chain, [other.updates[5]])


UPDATES: dict[str, tuple[Answer, str]] = {
    "200 with an error body": (
        lambda node: Reply(b'{"code":500,"message":"database locked"}'),
        "the answer is not a list of updates",
    ),
    "200 with an HTML page": (lambda node: Reply(b"<html>", kind="text/html"), "an answer of unknown type"),
    "nothing": (lambda node: Reply(b"[]"), "no beacon node of devnet gave a usable update of period 5"),
    "NaN": (lambda node: Reply(b'[{"version":"electra","data":{"slot":NaN}}]'), "NaN is no JSON number"),
    "another period": (lambda node: updates_reply(node.chain, [node.updates[4]]), "was not asked for"),
    "a truncated SSZ": (lambda node: Reply(updates(node)[:-7], kind=SSZ), "truncated"),
    "cut off": (lambda node: Reply(updates(node), kind=SSZ, cut=1000), "RemoteProtocolError"),
    "another chain": (of_another_chain, "of another chain or of an unknown fork"),
    "one signer": (one_signer, "too few of the sync committee signed"),
    "silence": (lambda node: Reply(updates(node), kind=SSZ, delay_s=3.0), "silent for too long"),
    "one byte a second": (
        lambda node: Reply(updates(node), kind=SSZ, drip_s=0.2),
        "no complete answer within",
    ),
    "10 GB announced": (
        lambda node: Reply(b"x", kind=SSZ, headers={"Content-Length": str(10 * 2**30)}),
        "announced 10737418240 bytes",
    ),
    "no end": (lambda node: Reply(bytes(2**16), kind=SSZ, endless=True), "sent more than"),
    "too many requests": (lambda node: Reply(b'{"message":"slow down"}', 429), "slow down"),
}
FINALITY: dict[str, tuple[Answer, str]] = {
    "200 with an error body": (lambda node: Reply(b'{"error":"syncing"}'), "finality checkpoints"),
    "NaN": (lambda node: Reply(b'{"data":{"finalized":{"epoch":NaN}}}'), "NaN is no JSON number"),
    "an epoch that is none": (lambda node: Reply(checkpoints(0).replace(b'"0"', b'"zero"')), "uint64"),
    "the future": (lambda node: Reply(checkpoints(2**50)), "lies in the future"),
    "silence": (lambda node: Reply(checkpoints(40), delay_s=3.0), "silent for too long"),
    "no end": (lambda node: Reply(b" " * 2**16, endless=True), "sent more than"),
    "nested without end": (lambda node: Reply(b"[" * 60_000), "nested too deeply"),
    "503": (lambda node: Reply(b"", 503), "status 503"),
}


def misbehave(node: ChainNode, path: str, answer: Answer) -> None:
    def behaviour(asked: Asked) -> Reply | None:
        return answer(node) if path in asked.path else None

    node.behaviour = behaviour


CASES = [("/updates", name) for name in UPDATES] + [("/finality_checkpoints", name) for name in FINALITY]


@pytest.mark.parametrize(("path", "name"), CASES, ids=[f"{p[1:]} {n}" for p, n in CASES])
async def test_a_bad_answer_publishes_nothing_and_is_over_with_it(
    tmp_path: Path, path: str, name: str
) -> None:
    answer, said = (UPDATES if path == "/updates" else FINALITY)[name]
    node, prover = ChainNode(6), Signer()
    misbehave(node, path, answer)
    with nodes(node) as url:
        async with bench(tmp_path, environment(url, tmp_path), {"native": prover}) as it:
            with pytest.raises(SourceUnavailable, match="beacon node") as caught:
                await it.look()
            assert said in str(caught.value)
            assert "127.0.0.1" in str(caught.value), "it names the node"
            assert published(tmp_path) == {}
            assert prover.proved == []
            if path != "/updates":
                assert it.metric("provery_beacon_failed_checks_total") == 1
            node.behaviour = lambda asked: None
            assert await it.look() == {"6": UnitStatus.DONE}


@pytest.mark.parametrize(("path", "name"), CASES, ids=[f"{p[1:]} {n}" for p, n in CASES])
async def test_the_next_node_is_asked(tmp_path: Path, path: str, name: str) -> None:
    answer, _ = (UPDATES if path == "/updates" else FINALITY)[name]
    bad, good, prover = ChainNode(6), ChainNode(6), Signer()
    misbehave(bad, path, answer)
    with nodes(bad, good) as url:
        async with bench(tmp_path, environment(url, tmp_path), {"native": prover}) as it:
            assert await it.look() == {"6": UnitStatus.DONE}
    assert list(published(tmp_path)) == ["6"]


async def test_stale_nodes_do_not_hold_a_stream_back(tmp_path: Path) -> None:
    """One node stands still five epochs ago: the other's finality counts."""
    stale, good, prover = ChainNode(6), ChainNode(6), Signer()
    stale.finalized = 3
    with nodes(stale, good) as url:
        async with bench(tmp_path, environment(url, tmp_path), {"native": prover}) as it:
            assert await it.look() == {"6": UnitStatus.DONE}


async def test_a_node_of_another_chain_does_not_name_the_period(tmp_path: Path) -> None:
    foreign, prover = ChainNode(6, seed=1), Signer()
    node = ChainNode(3)
    with nodes(node, foreign) as url:
        async with bench(tmp_path, environment(url, tmp_path), {"native": prover}) as it:
            await it.look()
            assert it.metric("prover_daemon_current_period") == 3
    assert set(published(tmp_path)) == {"3"}


async def test_evenly_contradicting_finality_stops_the_look(tmp_path: Path) -> None:
    one, two, prover = ChainNode(6), ChainNode(6), Signer()
    misbehave(two, "/finality_checkpoints", lambda node: Reply(checkpoints(40, bytes([1]) * 32)))
    with nodes(one, two) as url:
        async with bench(tmp_path, environment(url, tmp_path), {"native": prover}) as it:
            with pytest.raises(SourceUnavailable, match="contradict each other on finality"):
                await it.look()
            assert it.metric("provery_beacon_node_disagreements_total") == 1
            two.behaviour = lambda asked: None
            assert await it.look() == {"6": UnitStatus.DONE}


async def test_a_proof_that_is_one_byte_off_ends_there(tmp_path: Path) -> None:
    node, prover = ChainNode(6), Signer()
    prover.spoil = True
    with nodes(node) as url:
        async with bench(tmp_path, environment(url, tmp_path), {"native": prover}) as it:
            works = await it.due()
            (outcome,) = await it.prove(works)
    assert (outcome.status, outcome.error_kind) == (UnitStatus.FAILED, ProofRejected.__name__)
    assert published(tmp_path) == {}


async def test_no_secret_of_a_node_reaches_an_error_or_a_unit(tmp_path: Path) -> None:
    node, prover = ChainNode(6), Signer()
    misbehave(
        node, "/updates", lambda node: Reply(b'{"message":"key hunter22secret is over its quota"}', 429)
    )
    with nodes(node) as url:
        secret = url.replace("http://", "http://user:hunter22secret@") + "/rpc?key=abcdef123456"
        misbehaving = node.behaviour

        def behind_a_path(asked: Asked) -> Reply | None:
            asked.path = asked.path.removeprefix("/rpc")
            return misbehaving(asked)

        node.behaviour = behind_a_path
        async with bench(tmp_path, environment(secret, tmp_path), {"native": prover}) as it:
            works = await it.due()
            assert "hunter22secret" not in json.dumps([work.unit.params for work in works])
            with pytest.raises(SourceUnavailable) as caught:
                await it.prove(works)
            audit = json.dumps(await it.deps.ledger.audit(works[0].unit))
    for text in (str(caught.value), audit):
        assert "hunter22secret" not in text
        assert "abcdef123456" not in text
