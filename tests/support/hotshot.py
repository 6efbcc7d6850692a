"""Recorded certificates and stake tables of a HotShot network, and validators with known keys."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from provery.systems.hotshot import bls, schnorr, spec, wire
from provery.systems.hotshot.model import (
    HotShotConfig,
    LightClientState,
    Signatures,
    StakeEntry,
    StakeTable,
    StateCertificate,
)
from provery.systems.hotshot.roots import FIELD

VECTORS = Path(__file__).parents[2] / "provery" / "systems" / "hotshot" / "vectors"
CAPACITY = 200
"""Of the recorded network."""


def recorded(name: str) -> Any:
    return json.loads((VECTORS / name).read_text())


@cache
def recorded_config() -> HotShotConfig:
    return wire.read_config((VECTORS / "v3_known_nodes_with_stake.json").read_bytes())


@cache
def recorded_certificates() -> dict[int, StateCertificate]:
    """Epochs 1 to 3, by epoch."""
    return {
        epoch: wire.read_certificate(json.dumps(body).encode())
        for epoch, body in recorded("v3_state-certs_epochs1-3.json")
    }


@cache
def recorded_tables() -> dict[int, StakeTable]:
    """Who signs the epochs 1 to 4 of the recorded network, by epoch."""
    genesis = recorded_config().nodes
    staked = wire.read_stake_table((VECTORS / "v3_stake-table_epoch3.json").read_bytes())
    return {1: genesis, 2: genesis, 3: staked, 4: staked}


@cache
def older_certificates() -> dict[int, StateCertificate]:
    """Epochs 2 to 5 of the network of one validator, with 200 blocks an epoch."""
    return {
        epoch: wire.read_certificate(json.dumps(body).encode())
        for epoch, body in recorded("v2-v3_state-certs_epochs2-5.json")
    }


def older_table(epoch: int) -> StakeTable:
    """Its stake table: one until the stake contract counts, then a hundred tokens."""
    return (replace(recorded_config().nodes[0], stake=1 if epoch < 4 else 100 * 10**18),)


@cache
def secrets(count: int) -> tuple[int, ...]:
    chance = random.Random("validators")
    return tuple(chance.randrange(1, schnorr.ORDER) for _ in range(count))


@cache
def table(count: int, seed: str = "stakes") -> StakeTable:
    """Validators with the keys of :func:`secrets`; their BLS keys are all the generator, as nothing rests on them."""
    chance = random.Random(seed)
    return tuple(
        StakeEntry(bls.GENERATOR, schnorr.public_key(secret), chance.randrange(1, 10**24))
        for secret in secrets(count)
    )


def state(height: int) -> LightClientState:
    return LightClientState(height + 3, height, random.Random(height).randrange(FIELD))


def signed(message: Sequence[int], signers: Sequence[int]) -> Signatures:
    return tuple((schnorr.public_key(secret), schnorr.sign(secret, message)) for secret in signers)


def certificate(epoch: int, following: StakeTable, signers: Sequence[int], capacity: int) -> StateCertificate:
    """Of epochs of ten blocks."""
    root, after = state(10 * epoch - 5), spec.commitment(following, capacity)
    return StateCertificate(epoch, root, after, signed(spec.message_v2(root, after), signers))
