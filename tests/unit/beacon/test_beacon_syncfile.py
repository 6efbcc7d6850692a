"""``sync.ssz``: byte for byte what the original wrote, and the statement that is proved about it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from provery.core.errors import InvalidInput
from provery.systems.beacon import syncfile
from provery.systems.beacon.chains import MAINNET
from provery.systems.beacon.checks import check_bootstrap, check_chain, check_update
from provery.systems.beacon.containers import beacon_root
from provery.systems.beacon.spec import PRESETS
from tests.support.beacon import Signers, mainnet_bootstrap, mainnet_updates, make_update, own_chain, recorded

SHA256 = {
    1599: "92f06c5b8b88718829de2936f055f881311236f75bf14c8b14209b796a46e031",
    1600: "ab4aaf32f83823234e62842ecd1822353c3c847b20af91808f051e35393ac85c",
    1601: "13c39c8f877f05cbf8599b91199ce3dfe1487d4bfa05114967f0e3d41a965002",
}
FILE = syncfile.read(recorded("mainnet/sync_1601.ssz"), MAINNET.preset)


def test_the_file_made_from_checked_updates_is_the_originals() -> None:
    bootstrap = mainnet_bootstrap(1600)
    committee = check_bootstrap(MAINNET, bootstrap, beacon_root(bootstrap.header))
    checked = check_chain(MAINNET, committee, mainnet_updates()[:1], first=1600)
    data = syncfile.write(syncfile.from_checked(checked[0]))
    assert hashlib.sha256(data).hexdigest() == SHA256[1601]


@pytest.mark.parametrize("period", SHA256)
def test_real_files_are_read_written_and_checked(period: int) -> None:
    data = recorded(f"mainnet/sync_{period}.ssz")
    file = syncfile.read(data, MAINNET.preset)
    assert syncfile.write(file) == data
    assert hashlib.sha256(data).hexdigest() == SHA256[period]
    values = syncfile.check(MAINNET, file, period)
    assert len(values) == 136
    if period > 1599:
        proved = recorded(f"mainnet/public_values_{period}.bin")
        assert values[32:72] == proved[32:]  # what is before is the root of the recursion's first keys


def test_files_follow_one_another() -> None:
    files = [syncfile.read(recorded(f"mainnet/sync_{period}.ssz"), MAINNET.preset) for period in SHA256]
    assert files[0].next_keys == files[1].current_keys
    assert files[1].next_keys == files[2].current_keys == mainnet_bootstrap(1600).committee.pubkeys


@pytest.mark.parametrize(("fork", "nodes"), [("deneb", 10), ("electra", 11)])
def test_branches_of_both_depths(fork: str, nodes: int) -> None:
    epochs = {"altair": 0, "bellatrix": 0, "capella": 0, "deneb": 0} | (
        {"electra": 0} if fork == "electra" else {}
    )
    chain = own_chain(**epochs)
    update = make_update(chain, Signers.of(1), Signers.of(2), attested=70, finalized=64)
    checked = check_update(chain, update, Signers.of(1).committee, period=1)
    file = syncfile.from_checked(checked)
    assert len(file.branch) == nodes
    assert syncfile.read(syncfile.write(file), PRESETS["minimal"]) == file
    values = syncfile.check(chain, file, 2)
    assert values[72:104] == checked.attested_root
    assert values[104:] == checked.domain


def flipped(data: bytes, at: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"slot": FILE.slot + 1}, "slot or proposer"),
        ({"slot": FILE.slot + 8192}, "another period"),
        ({"proposer_index": FILE.proposer_index + 1}, "slot or proposer"),
        ({"gindex": 1262}, "index of another fork"),
        ({"bits": b"\1" + bytes(63)}, "too few"),
        ({"bits": flipped(FILE.bits)}, "does not verify"),
        ({"signature": bytes([FILE.signature[0] ^ 0x20]) + FILE.signature[1:]}, "does not verify"),
        ({"next_keys": flipped(FILE.next_keys, 100)}, "does not verify"),
        ({"current_keys": FILE.next_keys}, "does not verify"),
        ({"branch": (flipped(FILE.branch[0]), *FILE.branch[1:])}, "does not verify"),
        ({"branch": (*FILE.branch[:-1], flipped(FILE.domain, 31))}, "domain of another chain"),
    ],
)
def test_a_changed_file_does_not_satisfy_the_statement(change: dict[str, Any], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        syncfile.check(MAINNET, replace(FILE, **change), 1601)


def test_a_file_of_another_chain_is_refused() -> None:
    with pytest.raises(InvalidInput, match="domain of another chain"):
        syncfile.check(replace(MAINNET, genesis_validators_root=bytes(32)), FILE, 1601)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (b"", "impossible length"),
        (recorded("mainnet/sync_1601.ssz")[:-1], "impossible length"),
        (recorded("mainnet/sync_1601.ssz")[:-32], "another layout|does not fit"),
        (b"\1" + recorded("mainnet/sync_1601.ssz")[1:], "another layout"),
        (recorded("mainnet/sync_1601.ssz")[:-1] + b"\1", "another layout"),
        (b'{"error": "no such period"}', "impossible length"),
    ],
)
def test_a_damaged_file_is_refused(data: bytes, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        syncfile.read(data, MAINNET.preset)
