"""Answers of beacon nodes, read and written: SSZ, JSON, and what is refused."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_consensus_specs.altair import minimal as altair
from eth_consensus_specs.deneb import mainnet as deneb
from eth_consensus_specs.electra import mainnet as electra

from provery.core.errors import InvalidInput
from provery.systems.beacon import containers, wire
from provery.systems.beacon.chains import GNOSIS, MAINNET, SEPOLIA
from provery.systems.beacon.model import Fork, Update
from tests.support.beacon import (
    Signers,
    devnet,
    devnet_updates,
    mainnet_bootstrap,
    mainnet_updates,
    make_update,
    own_chain,
    recorded,
)

ONE = recorded("mainnet/updates_1600_1.ssz")
FORKS = {"altair": 0, "bellatrix": 8, "capella": 16, "deneb": 24, "electra": 32, "fulu": 40}


def test_ssz_and_json_say_the_same() -> None:
    assert wire.read_stream(MAINNET, ONE + recorded("mainnet/updates_1601_1.ssz")) == list(
        mainnet_updates()[:2]
    )
    deneb_json = wire.read_json(MAINNET, recorded("mainnet/updates_1421_1.json"))
    assert wire.read_stream(MAINNET, recorded("mainnet/updates_1421_1.ssz")) == deneb_json
    assert deneb_json[0].fork is Fork.DENEB


def test_what_is_read_is_written_byte_for_byte() -> None:
    assert wire.write_stream(MAINNET, mainnet_updates()[:1]) == ONE
    assert wire.write_json(mainnet_updates()) == json.loads(recorded("mainnet/updates_1600_3.json"))
    assert wire.write_json(devnet_updates()) == json.loads(recorded("devnet/updates_0_4.json"))


@pytest.mark.parametrize("fork", FORKS)
def test_every_fork_survives_both_forms(fork: str) -> None:
    chain = own_chain(**FORKS)
    update = make_update(chain, Signers.of(1), Signers.of(2), attested=FORKS[fork] * 8 + 20, finalized=8)
    assert update.fork.label == fork
    assert wire.read_stream(chain, wire.write_stream(chain, [update])) == [update]
    assert wire.read_json(chain, json.dumps(wire.write_json([update])).encode()) == [update]


@pytest.mark.parametrize(
    ("name", "oracle"),
    [("mainnet/updates_1600_1.ssz", electra), ("mainnet/updates_1421_1.ssz", deneb)],
)
def test_roots_are_those_of_the_specification(name: str, oracle: Any) -> None:
    update, body = wire.read_stream(MAINNET, recorded(name))[0], recorded(name)[12:]
    theirs = oracle.LightClientUpdate.decode_bytes(body)
    assert containers.encode_update(update) == body
    assert containers.update_view(update).hash_tree_root() == theirs.hash_tree_root()
    assert containers.beacon_root(update.attested) == theirs.attested_header.beacon.hash_tree_root()
    assert containers.committee_root(update.next_committee) == theirs.next_sync_committee.hash_tree_root()
    assert containers.keys_root(update.next_committee) == theirs.next_sync_committee.pubkeys.hash_tree_root()
    execution = containers.execution_root(update.fork, update.fork, update.attested.execution)
    assert execution == theirs.attested_header.execution.hash_tree_root()


def test_altair_has_no_execution() -> None:
    update = devnet_updates()[0]
    body = containers.encode_update(update)
    assert altair.LightClientUpdate.decode_bytes(body).hash_tree_root() == (
        containers.update_view(update).hash_tree_root()
    )
    assert update.attested.execution == b""


def test_bootstraps() -> None:
    body = json.dumps({"version": "altair", **json.loads(recorded("devnet/bootstrap.json"))}).encode()
    found = wire.read_bootstrap_json(devnet(), body)
    assert (found.header.slot, found.committee.size) == (1048, 32)
    assert mainnet_bootstrap(1601).committee == mainnet_updates()[0].next_committee


# ---------------------------------------------------------------- refused


def numbered(size: int) -> bytes:
    return size.to_bytes(8, "little")


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (ONE[:5], "truncated.*5 bytes"),
        (ONE[:-1], "truncated"),
        (ONE + b"\0", "update 1 of the SSZ stream is truncated"),
        (numbered(2**63) + ONE[8:], "impossible length"),
        (numbered(0) + ONE[8:], "impossible length"),
        (numbered(4) + ONE[8:12], "impossible length"),
        (ONE[:8] + b"\1\2\3\4" + ONE[12:], "another chain or of an unknown fork.*01020304"),
        (ONE[:8] + bytes.fromhex("6a95a1a9") + ONE[12:], "malformed SSZ|canonical"),
        (ONE[:8] + bytes.fromhex("8c9f62fe") + ONE[12:], "digest of another slot"),
        (ONE[:8] + bytes.fromhex("b5303f2a") + ONE[12:], "'phase0'"),
        (ONE[:12] + b"\xff" * 4 + ONE[16:], "malformed SSZ"),
        (numbered(104) + ONE[8:12] + bytes(100), "malformed SSZ"),
        (b'{"code":500,"message":"not today"}', "impossible length"),
    ],
)
def test_a_malformed_stream_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        wire.read_stream(MAINNET, data)


@pytest.mark.parametrize("chain", [SEPOLIA, GNOSIS])
def test_an_update_of_another_chain_is_refused(chain: Any) -> None:
    with pytest.raises(InvalidInput, match="another chain"):
        wire.read_stream(chain, ONE)


def edited(change: Callable[[Any], Any]) -> bytes:
    value = json.loads(recorded("devnet/updates_0_4.json"))[:1]
    change(value[0])
    return json.dumps(value).encode()


@pytest.mark.parametrize(
    ("body", "match"),
    [
        (b"", "malformed JSON"),
        (b"\xff\xfe", "malformed JSON"),
        (b"[" * 100_000, "malformed JSON"),
        (b"NaN", "NaN is no JSON number"),
        (b"null", "not a list"),
        (recorded("devnet/updates_error_period_not_available.json"), "not a list.*No partialUpdate"),
        (b"[1]", "update 0"),
        (b'[{"version":"altair"}]', "data"),
        (b'[{"version":"altair","data":[]}]', "data"),
        (b'[{"version":"mars","data":{}}]', "unknown fork.*mars"),
        (b'[{"version":"phase0","data":{}}]', "phase0"),
        (b'[{"version":"gloas","data":{}}]', "gloas"),
        (b'[{"version":"altair","data":{}}]', "lacks fields.*attested_header"),
        (edited(lambda u: u["data"].pop("signature_slot")), "lacks fields.*signature_slot"),
        (edited(lambda u: u["data"].update(signature_slot=33)), "signature_slot is malformed"),
        (edited(lambda u: u["data"].update(signature_slot="-1")), "signature_slot is malformed"),
        (edited(lambda u: u["data"].update(signature_slot=str(2**64))), "signature_slot is malformed"),
        (edited(lambda u: u["data"].update(signature_slot="٣")), "signature_slot is malformed"),
        (edited(lambda u: u["data"]["finality_branch"].pop()), "finality_branch is malformed.*5 elements"),
        (edited(lambda u: u["data"].update(next_sync_committee_branch="0x")), "next_sync_committee_branch"),
        (edited(lambda u: u["data"]["next_sync_committee"]["pubkeys"].append("0x00")), "33 elements"),
        (
            edited(lambda u: u["data"]["next_sync_committee"].update(aggregate_pubkey="0x" + "0g" * 48)),
            "aggregate_pubkey is malformed",
        ),
        (
            edited(lambda u: u["data"]["sync_aggregate"].update(sync_committee_bits="0xffffff")),
            "sync_committee_bits is malformed",
        ),
        (
            edited(lambda u: u["data"]["sync_aggregate"].update(sync_committee_signature="0x" + "00" * 97)),
            "sync_committee_signature is malformed",
        ),
        (edited(lambda u: u["data"]["attested_header"].update(beacon=None)), "beacon is malformed"),
    ],
)
def test_a_malformed_json_answer_is_refused(body: bytes, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        wire.read_json(devnet(), body)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b'{"data":null}',
        b'{"data":{"finalized":{"epoch":"NaN","root":"0x00"}}}',
        b'{"code":503,"message":"syncing"}',
        b'{"data":{"finalized":{"epoch":NaN}}}',
    ],
)
def test_malformed_checkpoints_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        wire.read_checkpoints(body)


def test_checkpoints() -> None:
    found = wire.read_checkpoints(recorded("mainnet/finality_checkpoints.json"))
    assert found.finalized.epoch == 363_777
    assert found.finalized.root.hex().startswith("d9717ecc")


def test_no_damage_escapes_as_another_error() -> None:
    """Whatever bytes come, the answer is an update or InvalidInput."""
    pick = random.Random(4)
    refused = 0
    for _ in range(150):
        data = bytearray(ONE)
        for _ in range(pick.choice((1, 1, 2, 40))):
            data[pick.randrange(pick.choice((40, len(data))))] = pick.randrange(256)
        cut = bytes(data[: pick.choice((len(data), len(data), pick.randrange(len(data))))])
        try:
            found: list[Update] = wire.read_stream(MAINNET, cut)
        except InvalidInput:
            refused += 1
        else:
            assert wire.write_stream(MAINNET, found) == cut
    assert refused > 30


def test_branches_have_the_depth_of_their_fork() -> None:
    deneb_update = wire.read_stream(MAINNET, recorded("mainnet/updates_1421_1.ssz"))[0]
    electra_update = mainnet_updates()[0]
    assert (len(deneb_update.next_branch), len(deneb_update.finality_branch)) == (5, 6)
    assert (len(electra_update.next_branch), len(electra_update.finality_branch)) == (6, 7)
    with pytest.raises(InvalidInput, match=r"malformed SSZ|canonical"):
        containers.decode_update(Fork.DENEB, MAINNET.preset, containers.encode_update(electra_update))
    assert replace(deneb_update, signature_slot=1) != deneb_update


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"message":"\\u001b[2Jgone\\u202e"}', "'\\x1b[2Jgone\\u202e'"),
        (b"\x1b]0;title\x07<html>", "'\\x1b]0;title\\x07<html>'"),
        (b'{"message":null}', ""),
        (b"[]", ""),
        (b"", ""),
    ],
)
def test_what_a_node_says_cannot_steer_a_terminal(body: bytes, text: str) -> None:
    assert wire.error_text(body) == text


def test_a_long_complaint_is_shortened() -> None:
    assert len(wire.error_text(json.dumps({"message": "x" * 50_000}).encode())) < 250
