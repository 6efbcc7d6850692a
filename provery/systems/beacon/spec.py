"""Constants and small functions of the consensus specification that light-client data rests on. Pure.

Sources: ethereum/consensus-specs, ``specs/<fork>/light-client/sync-protocol.md``, ``specs/phase0/beacon-chain.md`` and
``specs/fulu/beacon-chain.md``. Integers are hashed as 32-byte little-endian leaves.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from provery.core.errors import InvalidInput
from provery.systems.beacon.model import Fork

FAR_FUTURE = 2**64 - 1
"""Epoch of a fork that is not scheduled."""
DOMAIN_SYNC_COMMITTEE = bytes.fromhex("07000000")
LATEST = Fork.FULU
"""Newest fork whose light-client form is understood. Gloas has other containers and other generalised indices."""
STATE_ROOT_GINDEX = 11
"""State root within a beacon block header."""
EXECUTION_GINDEX = 25
"""Execution payload within a block body, Capella to Fulu."""
EXTRA_DATA_BYTES = 32
LOGS_BLOOM_BYTES = 256


def sha256(data: bytes) -> bytes:
    """SHA-256, the hash of every SSZ tree."""
    return hashlib.sha256(data).digest()


@dataclass(frozen=True)
class Indices:
    """Generalised indices in the beacon state of a fork; the depth of a branch is the index's bit length less one."""

    finalized_root: int
    current_committee: int
    next_committee: int


_ALTAIR = Indices(105, 54, 55)
_ELECTRA = Indices(169, 86, 87)


def indices(fork: Fork) -> Indices:
    """Where a fork's beacon state has what light clients need (``*_gindex_at_slot`` of the sync protocol)."""
    return _ELECTRA if fork >= Fork.ELECTRA else _ALTAIR


def depth(gindex: int) -> int:
    """Nodes in a branch from a generalised index to the root."""
    return gindex.bit_length() - 1


def concat(outer: int, inner: int) -> int:
    """Generalised index of ``inner`` within the tree whose root is ``outer``."""
    width = 1 << depth(inner)
    return outer * width + (inner - width)


def fold(leaf: bytes, branch: Sequence[bytes], gindex: int) -> bytes:
    """Root that a leaf and its siblings lead to.

    Args:
        leaf: 32 bytes.
        branch: Siblings, from the leaf upwards.
        gindex: Generalised index of the leaf.

    Raises:
        InvalidInput: the branch has another length than the index asks for.
    """
    if len(branch) != depth(gindex):
        raise InvalidInput(
            "a Merkle branch has the wrong length", value=len(branch), expected=f"{depth(gindex)} nodes"
        )
    node = leaf
    for level, sibling in enumerate(branch):
        node = sha256(sibling + node if gindex >> level & 1 else node + sibling)
    return node


@dataclass(frozen=True)
class Preset:
    """Sizes fixed when a client is built."""

    name: str
    slots_per_epoch: int
    epochs_per_period: int
    committee_size: int

    @property
    def slots_per_period(self) -> int:
        """8192 on mainnet and Gnosis, 64 with the minimal preset."""
        return self.slots_per_epoch * self.epochs_per_period


PRESETS: Mapping[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset("mainnet", 32, 256, 512),
        Preset("gnosis", 16, 512, 512),
        Preset("minimal", 8, 8, 32),
    )
}


@dataclass(frozen=True)
class ForkPoint:
    """When a fork begins."""

    fork: Fork
    version: bytes
    """4 bytes."""
    epoch: int


@dataclass(frozen=True)
class BlobLimit:
    """An entry of BLOB_SCHEDULE: it changes the fork digest, nothing else here (EIP-7892)."""

    epoch: int
    max_blobs: int


@dataclass(frozen=True)
class Chain:
    """One network."""

    name: str
    preset: Preset
    genesis_validators_root: bytes
    genesis_time: int
    """Seconds since the Unix epoch."""
    slot_ms: int
    forks: tuple[ForkPoint, ...]
    """Ascending, beginning with phase 0 at epoch 0."""
    max_blobs_electra: int = 9
    blob_schedule: tuple[BlobLimit, ...] = ()
    """Ascending; entries from Fulu on."""

    def epoch_of(self, slot: int) -> int:
        """Epoch of a slot."""
        return slot // self.preset.slots_per_epoch

    def period_of(self, slot: int) -> int:
        """Sync-committee period of a slot."""
        return slot // self.preset.slots_per_period

    def slot_at(self, unix_ms: int) -> int:
        """Slot that a moment falls into; 0 before genesis."""
        return max(0, unix_ms - self.genesis_time * 1000) // self.slot_ms

    def point_at(self, epoch: int) -> ForkPoint:
        """The fork in force at an epoch."""
        found = self.forks[0]
        for point in self.forks:
            if point.epoch <= epoch:
                found = point
        return found

    def fork_of(self, slot: int) -> Fork:
        """Fork of a slot.

        Raises:
            InvalidInput: the slot is before Altair or after the newest fork that is understood.
        """
        fork = self.point_at(self.epoch_of(slot)).fork
        if not Fork.ALTAIR <= fork <= LATEST:
            raise InvalidInput(
                f"slot {slot} of {self.name} has no light-client form that is understood",
                value=fork.label,
                expected=f"{Fork.ALTAIR.label} to {LATEST.label}",
                action="use a release of Provery that knows the fork",
            )
        return fork

    def fork_data_root(self, version: bytes) -> bytes:
        """Root of ForkData (phase 0, ``compute_fork_data_root``)."""
        return sha256(version.ljust(32, b"\0") + self.genesis_validators_root)

    def domain(self, signature_slot: int) -> bytes:
        """Domain of a sync aggregate: the fork is that of the slot before the one that carries the signature."""
        version = self.point_at(self.epoch_of(max(signature_slot, 1) - 1)).version
        return DOMAIN_SYNC_COMMITTEE + self.fork_data_root(version)[:28]

    def digest(self, epoch: int) -> bytes:
        """Fork digest, 4 bytes (``compute_fork_digest`` of phase 0, and of Fulu with the blob limits mixed in)."""
        point = self.point_at(epoch)
        base = self.fork_data_root(point.version)[:4]
        if point.fork < Fork.FULU:
            return base
        electra = next((p.epoch for p in self.forks if p.fork is Fork.ELECTRA), 0)
        limit = BlobLimit(electra, self.max_blobs_electra)
        for entry in self.blob_schedule:
            if entry.epoch <= epoch:
                limit = entry
        mask = sha256(limit.epoch.to_bytes(8, "little") + limit.max_blobs.to_bytes(8, "little"))
        return bytes(a ^ b for a, b in zip(base, mask, strict=False))

    @cached_property
    def digests(self) -> Mapping[bytes, Fork]:
        """Fork of every digest that the chain has had or will have, as far as it is scheduled."""
        epochs = [point.epoch for point in self.forks] + [entry.epoch for entry in self.blob_schedule]
        return {self.digest(epoch): self.point_at(epoch).fork for epoch in epochs if epoch != FAR_FUTURE}


def signing_root(object_root: bytes, domain: bytes) -> bytes:
    """Root of SigningData: what is signed (phase 0, ``compute_signing_root``)."""
    return sha256(object_root + domain)
