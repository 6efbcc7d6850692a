"""Recorded light-client data, and a chain of one's own: committees with known keys that sign whatever a test wants."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from py_arkworks_bls12381 import G1Point, G2Point, Scalar

from provery.systems.beacon import wire
from provery.systems.beacon.bls import DST
from provery.systems.beacon.chains import MAINNET, chain_from_config
from provery.systems.beacon.containers import (
    beacon_root,
    committee_root,
    empty_header,
    execution_root,
    execution_type,
)
from provery.systems.beacon.model import Bootstrap, Fork, Header, SyncCommittee, Update
from provery.systems.beacon.spec import (
    EXECUTION_GINDEX,
    PRESETS,
    Chain,
    ForkPoint,
    depth,
    indices,
    sha256,
    signing_root,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "beacon"


def recorded(name: str) -> bytes:
    return (VECTORS / name).read_bytes()


@cache
def mainnet_updates() -> tuple[Update, ...]:
    """Periods 1600 to 1602."""
    return tuple(wire.read_json(MAINNET, recorded("mainnet/updates_1600_3.json")))


@cache
def mainnet_bootstrap(period: int) -> Bootstrap:
    return wire.read_bootstrap(MAINNET, "electra", recorded(f"mainnet/bootstrap_{period}.ssz"))


@cache
def devnet() -> Chain:
    """The recorded Lodestar chain."""
    spec, genesis = recorded("devnet/spec.json"), recorded("devnet/genesis.json")
    return chain_from_config("devnet", wire.read_data(spec), wire.read_data(genesis))


@cache
def devnet_updates() -> tuple[Update, ...]:
    """Periods 0 to 3."""
    return tuple(wire.read_json(devnet(), recorded("devnet/updates_0_4.json")))


def own_chain(**epochs: int) -> Chain:
    """A minimal-preset chain; ``capella=4`` begins Capella at epoch 4, a fork that is not named never comes."""
    forks = [ForkPoint(Fork.PHASE0, bytes(4), 0)]
    forks += [
        ForkPoint(Fork[name.upper()], bytes([int(Fork[name.upper()]), 0, 0, 1]), e)
        for name, e in epochs.items()
    ]
    return Chain("own", PRESETS["minimal"], sha256(b"genesis"), 1_700_000_000, 6_000, tuple(forks))


@dataclass(frozen=True)
class Signers:
    """A sync committee whose secret keys are known."""

    secrets: tuple[int, ...]
    committee: SyncCommittee

    @classmethod
    def of(cls, seed: int, size: int = 32) -> Signers:
        return _signers(seed, size)

    def sign(self, message: bytes, bits: bytes) -> bytes:
        who = int.from_bytes(bits, "little")
        total = sum(secret for at, secret in enumerate(self.secrets) if who >> at & 1)
        return (G2Point.hash_to_curve(message, DST) * Scalar(total)).to_compressed_bytes()


@cache
def _signers(seed: int, size: int) -> Signers:
    secrets = tuple(int.from_bytes(sha256(f"{seed}/{at}".encode())[:16], "big") for at in range(size))
    keys = [G1Point() * Scalar(secret) for secret in secrets]
    pubkeys = b"".join(key.to_compressed_bytes() for key in keys)
    total = G1Point() * Scalar(sum(secrets))
    return Signers(secrets, SyncCommittee(pubkeys, total.to_compressed_bytes()))


class Tree:
    """A Merkle tree with chosen leaves; everything else is noise."""

    def __init__(self, leaves: Mapping[int, bytes], noise: bytes = b"") -> None:
        self._nodes = dict(leaves)
        self._above = {gindex >> up for gindex in leaves for up in range(1, gindex.bit_length())}
        self._noise = noise

    def node(self, gindex: int) -> bytes:
        if gindex not in self._nodes:
            inner = gindex in self._above
            self._nodes[gindex] = (
                sha256(self.node(2 * gindex) + self.node(2 * gindex + 1))
                if inner
                else sha256(self._noise + gindex.to_bytes(8, "little"))
            )
        return self._nodes[gindex]

    def branch(self, gindex: int) -> tuple[bytes, ...]:
        return tuple(self.node(gindex >> level ^ 1) for level in range(depth(gindex)))


def make_header(chain: Chain, form: Fork, slot: int, state_root: bytes) -> Header:
    """A header in a form, with the execution header that its own fork would have."""
    own = chain.point_at(chain.epoch_of(slot)).fork
    plain = replace(
        empty_header(form),
        slot=slot,
        proposer_index=slot % 7,
        parent_root=sha256(b"parent"),
        state_root=state_root,
        body_root=sha256(b"body"),
    )
    kind = execution_type(form)
    if kind is None or own < Fork.CAPELLA:
        return plain
    blobs = {"blob_gas_used": 131_072, "excess_blob_gas": 5} if own >= Fork.DENEB else {}
    view = kind(block_number=slot, extra_data=b"made", base_fee_per_gas=2**200, gas_limit=30_000_000, **blobs)
    execution = bytes(view.encode_bytes())
    root = execution_root(form, own, execution)
    assert root is not None
    body = Tree({EXECUTION_GINDEX: root})
    return replace(
        plain, body_root=body.node(1), execution=execution, execution_branch=body.branch(EXECUTION_GINDEX)
    )


def make_update(
    chain: Chain,
    signers: Signers,
    following: Signers,
    *,
    attested: int,
    finalized: int | None = 0,
    signed: int | None = None,
    bits: bytes = b"\xff" * 4,
) -> Update:
    """A valid update: ``signers`` sign slot ``attested``, whose state names ``following`` and ``finalized``.

    ``finalized`` is a slot; 0 is genesis (a zero root), None claims nothing.
    """
    form = chain.fork_of(attested)
    at = indices(form)
    leaves = {at.next_committee: committee_root(following.committee)}
    last = empty_header(form)
    if finalized:
        last = make_header(chain, form, finalized, hashlib.sha256(b"state").digest())
        leaves[at.finalized_root] = beacon_root(last)
    elif finalized == 0:
        leaves[at.finalized_root] = bytes(32)
    state = Tree(leaves)
    header = make_header(chain, form, attested, state.node(1))
    slot = attested + 1 if signed is None else signed
    message = signing_root(beacon_root(header), chain.domain(slot))
    none = tuple(bytes(32) for _ in range(depth(at.finalized_root)))
    return Update(
        fork=form,
        attested=header,
        next_committee=following.committee,
        next_branch=state.branch(at.next_committee),
        finalized=last,
        finality_branch=none if finalized is None else state.branch(at.finalized_root),
        bits=bits,
        signature=signers.sign(message, bits),
        signature_slot=slot,
    )
