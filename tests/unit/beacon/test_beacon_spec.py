"""Chains: periods, forks, digests and domains."""

from __future__ import annotations

from typing import Any

import pytest
from eth_consensus_specs.fulu import mainnet as fulu

from provery.core.errors import ConfigurationError, InvalidInput
from provery.systems.beacon import wire
from provery.systems.beacon.chains import CHAINS, CHIADO, GNOSIS, MAINNET, SEPOLIA, chain_from_config
from provery.systems.beacon.model import Fork
from provery.systems.beacon.spec import concat, depth, fold, indices
from provery.systems.beacon.syncfile import keys_gindex
from tests.support.beacon import devnet, own_chain, recorded


@pytest.mark.parametrize(
    "epoch",
    [0, 74_239, 74_240, 194_048, 269_568, 364_031, 364_032, 411_391, 411_392, 412_672, 419_071, 419_072],
)
def test_fork_digests_of_mainnet_are_those_of_the_specification(epoch: int) -> None:
    wanted = fulu.compute_fork_digest(fulu.Root(MAINNET.genesis_validators_root), fulu.Epoch(epoch))
    assert MAINNET.digest(epoch) == bytes(wanted)


def test_digests_seen_on_mainnet() -> None:
    assert MAINNET.digests[bytes.fromhex("6a95a1a9")] is Fork.DENEB
    assert MAINNET.digests[bytes.fromhex("ad532ceb")] is Fork.ELECTRA


def test_no_two_chains_share_a_digest() -> None:
    digests = [digest for chain in CHAINS.values() for digest in chain.digests]
    assert len(digests) == len(set(digests))


@pytest.mark.parametrize("chain", CHAINS.values(), ids=CHAINS.keys())
def test_public_chains_have_periods_of_8192_slots(chain: Any) -> None:
    assert chain.preset.slots_per_period == 8192
    assert [p.epoch for p in chain.forks] == sorted(p.epoch for p in chain.forks)
    assert [p.fork for p in chain.forks] == list(Fork)[: len(chain.forks)]


def test_versions() -> None:
    assert MAINNET.forks[5].version.hex() == "05000000"
    assert [p.version.hex()[6:] for p in SEPOLIA.forks] == ["69", "70", "71", "72", "73", "74", "75", "76"]
    assert GNOSIS.forks[6].version.hex() == "06000064"
    assert CHIADO.forks[4].version.hex() == "0400006f"


def test_the_domain_is_of_the_fork_before_the_signature_slot() -> None:
    first = 364_032 * 32
    root = fulu.Root(MAINNET.genesis_validators_root)

    def wanted(version: str) -> bytes:
        return bytes(
            fulu.compute_domain(fulu.DOMAIN_SYNC_COMMITTEE, fulu.Version(bytes.fromhex(version)), root)
        )

    assert MAINNET.domain(first) == wanted("04000000")
    assert MAINNET.domain(first + 1) == wanted("05000000")
    assert MAINNET.domain(0) == MAINNET.domain(1) == wanted("00000000")


def test_a_fork_that_is_not_understood_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"got 'gloas'.*newer|got 'gloas'.*altair to fulu"):
        SEPOLIA.fork_of(353_024 * 32)
    with pytest.raises(InvalidInput, match="phase0"):
        MAINNET.fork_of(0)


def test_slot_of_a_moment() -> None:
    assert MAINNET.slot_at(0) == 0
    assert MAINNET.slot_at(1_606_824_023_000 + 12_000 * 7 + 11_999) == 7


def test_a_chain_from_its_own_configuration() -> None:
    chain = devnet()
    assert (chain.preset.committee_size, chain.preset.slots_per_period, chain.slot_ms) == (32, 64, 2_000)
    assert [(p.fork, p.epoch) for p in chain.forks] == [(Fork.PHASE0, 0), (Fork.ALTAIR, 0)]
    assert chain.fork_of(0) is Fork.ALTAIR


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"PRESET_BASE": "huge"}, "unknown preset"),
        ({"SECONDS_PER_SLOT": "two"}, "SECONDS_PER_SLOT"),
        ({"ALTAIR_FORK_EPOCH": str(2**70)}, "ALTAIR_FORK_EPOCH"),
        ({"ALTAIR_FORK_VERSION": "0x01"}, "ALTAIR_FORK_VERSION"),
        ({"ALTAIR_FORK_EPOCH": "9", "BELLATRIX_FORK_EPOCH": "3"}, "out of order"),
    ],
)
def test_a_malformed_configuration_is_refused(change: dict[str, str], match: str) -> None:
    spec, genesis = (
        wire.read_data(recorded("devnet/spec.json")),
        wire.read_data(recorded("devnet/genesis.json")),
    )
    with pytest.raises(ConfigurationError, match=match):
        chain_from_config("devnet", {**spec, **change}, genesis)


def test_blob_limits_change_the_digest_from_fulu_on_only() -> None:
    chain = own_chain(altair=0, bellatrix=0, capella=0, deneb=0, electra=2, fulu=4)
    assert chain.digest(3) == chain.fork_data_root(chain.point_at(3).version)[:4]
    assert chain.digest(4) != chain.fork_data_root(chain.point_at(4).version)[:4]


def test_generalised_indices() -> None:
    assert [keys_gindex(indices(fork).next_committee) for fork in (Fork.DENEB, Fork.ELECTRA)] == [1262, 2478]
    assert (concat(2, 11), depth(2478), depth(1262)) == (19, 11, 10)
    with pytest.raises(InvalidInput, match="5 nodes"):
        fold(bytes(32), [bytes(32)] * 6, 55)
