"""Our checks and the executable specification accept and reject the same updates, 2,000 of them damaged real ones."""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from provery.core.errors import InvalidInput
from provery.systems.beacon.chains import MAINNET
from provery.systems.beacon.checks import check_update
from provery.systems.beacon.containers import decode_update, empty_header, encode_update
from provery.systems.beacon.model import Fork, SyncCommittee, Update
from provery.systems.beacon.spec import Chain
from tests.support.beacon import (
    Signers,
    devnet,
    devnet_updates,
    mainnet_bootstrap,
    mainnet_updates,
    make_update,
    own_chain,
)

FAR = 2**64 - 1
NOW = 2**40
"""A slot after every update."""


class Oracle:
    """``validate_light_client_update`` of a fork, and what must hold besides before an update is applied."""

    def __init__(self, chain: Chain, fork: Fork, patch: pytest.MonkeyPatch) -> None:
        preset = "minimal" if chain.preset.name == "minimal" else "mainnet"
        self.spec: Any = importlib.import_module(f"eth_consensus_specs.{fork.label}.{preset}")
        self.chain = chain
        points = {point.fork: point for point in chain.forks}
        changes: dict[str, Any] = {"GENESIS_FORK_VERSION": self.spec.Version(points[Fork.PHASE0].version)}
        for other in list(Fork)[1 : fork + 1]:
            point = points.get(other)
            changes[f"{other.name}_FORK_EPOCH"] = self.spec.Epoch(point.epoch if point else FAR)
            if point:
                changes[f"{other.name}_FORK_VERSION"] = self.spec.Version(point.version)
        known = {name: value for name, value in changes.items() if hasattr(self.spec.config, name)}
        patch.setattr(self.spec, "config", self.spec.config._replace(**known))

    def accepts(self, data: bytes, committee: SyncCommittee, period: int) -> bool:
        spec = self.spec
        try:
            update = spec.LightClientUpdate.decode_bytes(data)
            header = spec.LightClientHeader()
            header.beacon.slot = period * self.chain.preset.slots_per_period
            store = spec.LightClientStore(
                finalized_header=header,
                current_sync_committee=spec.SyncCommittee.decode_bytes(
                    committee.pubkeys + committee.aggregate_pubkey
                ),
                next_sync_committee=spec.SyncCommittee(),
                best_valid_update=None,
                optimistic_header=header,
                previous_max_active_participants=0,
                current_max_active_participants=0,
            )
            root = spec.Root(self.chain.genesis_validators_root)
            spec.validate_light_client_update(store, update, spec.Slot(NOW), root)
        except Exception:  # the specification rejects by whatever a failing line raises
            return False
        signed = sum(update.sync_aggregate.sync_committee_bits)
        enough = signed * 3 >= len(update.sync_aggregate.sync_committee_bits) * 2
        return bool(enough and spec.is_sync_committee_update(update))


def accepts(chain: Chain, update: Update, committee: SyncCommittee, period: int) -> bool:
    try:
        check_update(chain, update, committee, period=period, now_slot=NOW)
    except InvalidInput:
        return False
    return True


# ---------------------------------------------------------------- damage

Pick = random.Random


def flip(data: bytes, pick: Pick) -> bytes:
    at = pick.randrange(len(data))
    return data[:at] + bytes([data[at] ^ 1 << pick.randrange(8)]) + data[at + 1 :]


def branch(nodes: tuple[bytes, ...], pick: Pick) -> tuple[bytes, ...]:
    at, way = pick.randrange(len(nodes)), pick.randrange(4)
    if way == 0:
        return (*nodes[:at], flip(nodes[at], pick), *nodes[at + 1 :])
    if way == 1:
        return nodes[at:] + nodes[:at]
    return (bytes(32),) * len(nodes) if way == 2 else nodes


def header(update: Update, name: str, pick: Pick) -> Update:
    old = getattr(update, name)
    field = pick.choice(
        ("slot", "proposer_index", "parent_root", "state_root", "body_root", "execution_branch")
    )
    value = getattr(old, field)
    if isinstance(value, int):
        value = max(0, value + pick.choice((-64, -1, 1, 8192)))
    elif isinstance(value, bytes):
        value = flip(value, pick)
    elif value:
        value = branch(value, pick)
    return replace(update, **{name: replace(old, **{field: value})})


def keys(update: Update, pick: Pick) -> Update:
    committee = update.next_committee
    if pick.random() < 0.5:
        return replace(update, next_committee=replace(committee, pubkeys=flip(committee.pubkeys, pick)))
    return replace(
        update, next_committee=replace(committee, aggregate_pubkey=flip(committee.aggregate_pubkey, pick))
    )


def no_finality(update: Update, pick: Pick) -> Update:
    zeros = (bytes(32),) * len(update.finality_branch)
    last = update.finalized if pick.random() < 0.3 else empty_header(update.fork)
    return replace(update, finalized=last, finality_branch=zeros)


DAMAGE: list[Callable[[Update, Pick], Update]] = [
    lambda u, pick: u,
    lambda u, pick: replace(u, bits=flip(u.bits, pick)),
    lambda u, pick: replace(u, bits=bytes(len(u.bits) - 1) + b"\1"),
    lambda u, pick: replace(u, signature=flip(u.signature, pick)),
    lambda u, pick: replace(u, signature=b"\xc0" + bytes(95)),
    lambda u, pick: replace(
        u, signature_slot=max(0, u.signature_slot + pick.choice((-2, -1, 1, 2, 9, 8192)))
    ),
    lambda u, pick: replace(u, next_branch=branch(u.next_branch, pick)),
    lambda u, pick: replace(u, finality_branch=branch(u.finality_branch, pick)),
    lambda u, pick: header(u, "attested", pick),
    lambda u, pick: header(u, "finalized", pick),
    keys,
    no_finality,
    lambda u, pick: replace(u, finalized=u.attested),
]


def damaged(chain: Chain, update: Update, pick: Pick) -> tuple[bytes, Update | None]:
    """An update damaged in a field, or its bytes anywhere; None where the bytes are no update any more."""
    if pick.random() < 0.8:
        changed = pick.choice(DAMAGE)(update, pick)
        return encode_update(changed), changed
    data = flip(encode_update(update), pick)
    try:
        return data, decode_update(update.fork, chain.preset, data)
    except InvalidInput:
        return data, None


def compare(
    oracle: Oracle, cases: list[tuple[Update, SyncCommittee, int]], count: int, seed: int
) -> Counter[bool]:
    pick, seen = random.Random(seed), Counter[bool]()
    for _ in range(count):
        update, committee, period = pick.choice(cases)
        data, changed = damaged(oracle.chain, update, pick)
        ours = changed is not None and accepts(oracle.chain, changed, committee, period)
        assert ours == oracle.accepts(data, committee, period), data.hex()
        seen[ours] += 1
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_200_damaged_updates_of_mainnet(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = mainnet_updates()
    committees = [mainnet_bootstrap(1600).committee, *(update.next_committee for update in updates)]
    cases = list(zip(updates, committees, range(1600, 1603), strict=False))
    seen = compare(Oracle(MAINNET, Fork.ELECTRA, monkeypatch), cases, 50, seed)
    assert min(seen[True], seen[False]) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_1800_damaged_updates_of_a_devnet(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    updates = devnet_updates()
    cases = [(update, before.next_committee, at) for at, (before, update) in enumerate(pairwise(updates), 1)]
    seen = compare(Oracle(devnet(), Fork.ALTAIR, monkeypatch), cases, 600, seed)
    assert min(seen[True], seen[False]) >= 50


@pytest.mark.parametrize("fork", ["altair", "bellatrix", "capella", "deneb", "electra", "fulu"])
def test_made_updates_of_every_fork(fork: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The fork begins in the middle of the period, so that finalised headers are of the fork before too."""
    newest = Fork[fork.upper()]
    before = [f.label for f in Fork if Fork.ALTAIR <= f < newest]
    chain = own_chain(**dict.fromkeys(before, 0), **{fork: 12 if before else 0})
    one, two = Signers.of(1), Signers.of(2)
    cases = [
        (make_update(chain, one, two, attested=attested, finalized=finalized), one.committee, 1)
        for attested, finalized in ((100, 80), (100, 97), (110, 0), (120, None))
    ]
    seen = compare(Oracle(chain, newest, monkeypatch), cases, 60, newest)
    assert min(seen[True], seen[False]) >= 5
