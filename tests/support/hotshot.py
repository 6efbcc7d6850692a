"""Recorded certificates and stake tables of a HotShot network, and validators with known keys."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
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
