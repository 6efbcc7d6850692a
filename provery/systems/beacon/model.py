"""Frozen records of the beacon system.

Roots, keys and signatures are raw bytes as SSZ has them; slots and epochs are plain integers. A record says nothing
about being valid: ``checks`` does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

PUBKEY_BYTES = 48
"""A compressed G1 point."""
SIGNATURE_BYTES = 96
"""A compressed G2 point."""

Branch = tuple[bytes, ...]
"""Siblings of 32 bytes, from the leaf upwards."""


class Fork(IntEnum):
    """Upgrades of the consensus layer in the order in which they come."""

    PHASE0 = 0
    ALTAIR = 1
    BELLATRIX = 2
    CAPELLA = 3
    DENEB = 4
    ELECTRA = 5
    FULU = 6
    GLOAS = 7

    @property
    def label(self) -> str:
        """As the beacon API writes it."""
        return self.name.lower()


@dataclass(frozen=True)
class Header:
    """A light-client header: the beacon block header and, from Capella on, what it says about execution."""

    slot: int
    proposer_index: int
    parent_root: bytes
    state_root: bytes
    body_root: bytes
    execution: bytes = b""
    """SSZ of the fork's ExecutionPayloadHeader; empty where the fork's form has none."""
    execution_branch: Branch = ()
    """From the execution payload's root to ``body_root``."""


@dataclass(frozen=True)
class SyncCommittee:
    """The validators that sign headers for one period."""

    pubkeys: bytes
    """Compressed keys one after the other, 48 bytes each."""
    aggregate_pubkey: bytes
    """Sum of all keys, compressed."""

    @property
    def size(self) -> int:
        """Number of seats."""
        return len(self.pubkeys) // PUBKEY_BYTES

    def key(self, seat: int) -> bytes:
        """The compressed key of a seat, counted from 0."""
        return self.pubkeys[seat * PUBKEY_BYTES : (seat + 1) * PUBKEY_BYTES]


@dataclass(frozen=True)
class Update:
    """A LightClientUpdate: a header, signed by one committee, whose state names the next one."""

    fork: Fork
    """Form in which it is encoded: the fork of the attested header's slot."""
    attested: Header
    next_committee: SyncCommittee
    next_branch: Branch
    """From the next committee's root to the attested state root."""
    finalized: Header
    finality_branch: Branch
    """From the finalised header's root to the attested state root; all zero where nothing is claimed."""
    bits: bytes
    """Who signed: seat i is bit i % 8 of byte i // 8."""
    signature: bytes
    signature_slot: int
    """Slot of the block that carries the signature."""

    @property
    def participants(self) -> int:
        """Number of seats that signed."""
        return int.from_bytes(self.bits, "little").bit_count()

    def signed(self, seat: int) -> bool:
        """Whether a seat signed."""
        return bool(self.bits[seat // 8] >> (seat % 8) & 1)


@dataclass(frozen=True)
class Bootstrap:
    """A LightClientBootstrap: the committee of a trusted block's own period."""

    fork: Fork
    header: Header
    committee: SyncCommittee
    branch: Branch
    """From the current committee's root to the header's state root."""


@dataclass(frozen=True)
class Checkpoint:
    """A block root at the start of an epoch."""

    epoch: int
    root: bytes


@dataclass(frozen=True)
class FinalityCheckpoints:
    """What a node holds for final and for justified."""

    finalized: Checkpoint
    current_justified: Checkpoint
    previous_justified: Checkpoint


@dataclass(frozen=True)
class CheckedPeriod:
    """A period whose update has passed every check."""

    period: int
    update: Update
    committee: SyncCommittee
    """Who signed."""
    attested_root: bytes
    """Root of the attested beacon block header."""
    domain: bytes
    """32 bytes: domain type and fork data root."""
    signing_root: bytes
    """The 32 bytes that the committee signed."""
