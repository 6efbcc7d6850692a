"""``sync.ssz`` of a period: the file that the SP1 program of colibri-stateless reads. Pure.

Little-endian SSZ of a request whose proof is a union. Sizes below are for 512 seats and Electra:

    offset  bytes
    0       4       version, 00 00 01 00
    4       3 x 4   offsets of data (16), proof (17) and sync data (the file's end less one)
    16      1       data: selector 0, nothing
    17      1       proof: selector 6
    18      24576   compressed keys of the committee that signed
    24594   24576   compressed keys of the committee after it
    49170   64      participation bits
    49234   96      signature
    49330   8       generalised index of the next keys in the tree that is signed
    49338   8 + 8   slot and proposer index of the attested header
    49354   4       offset of the branch within the proof (49340)
    49358   32 x n  branch, from the next keys upwards: 11 nodes from Electra on, 10 before
    …       1       sync data: selector 0, nothing

The file of period N holds the update of period N - 1 and is signed by the committee of period N - 1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from provery.core.errors import InvalidInput
from provery.systems.beacon import bls
from provery.systems.beacon.containers import keys_root
from provery.systems.beacon.model import PUBKEY_BYTES, SIGNATURE_BYTES, Branch, CheckedPeriod, SyncCommittee
from provery.systems.beacon.spec import (
    DOMAIN_SYNC_COMMITTEE,
    STATE_ROOT_GINDEX,
    Chain,
    Preset,
    concat,
    depth,
    fold,
    indices,
    sha256,
)

VERSION = bytes.fromhex("00000100")
_PROOF_SELECTOR = 6
_START = struct.Struct("<4sIIIBB")
_MIDDLE = struct.Struct("<QQQI")
_HEADER_NODES = 4
"""Branch nodes above the state root: parent root, slot and proposer, body, domain."""


def keys_gindex(next_committee: int) -> int:
    """Generalised index of the next committee's keys in SigningData: 1262 before Electra, 2478 from then on.

    Args:
        next_committee: The committee's index in the beacon state.
    """
    return concat(concat(concat(2, STATE_ROOT_GINDEX), next_committee), 2)


@dataclass(frozen=True)
class SyncFile:
    """Content of a ``sync.ssz``."""

    current_keys: bytes
    next_keys: bytes
    bits: bytes
    signature: bytes
    gindex: int
    slot: int
    proposer_index: int
    branch: Branch
    """Aggregate-key leaf, next-committee branch, parent root, slot and proposer, body, domain."""

    @property
    def domain(self) -> bytes:
        """Domain that is signed, 32 bytes."""
        return self.branch[-1]


def from_checked(checked: CheckedPeriod) -> SyncFile:
    """The file of the period after a checked one."""
    update, header = checked.update, checked.update.attested
    slot_node = sha256(_leaf(header.slot) + _leaf(header.proposer_index))
    body_node = sha256(sha256(header.body_root + bytes(32)) + sha256(bytes(64)))
    return SyncFile(
        current_keys=checked.committee.pubkeys,
        next_keys=update.next_committee.pubkeys,
        bits=update.bits,
        signature=update.signature,
        gindex=keys_gindex(indices(update.fork).next_committee),
        slot=header.slot,
        proposer_index=header.proposer_index,
        branch=(
            sha256(update.next_committee.aggregate_pubkey.ljust(64, b"\0")),
            *update.next_branch,
            header.parent_root,
            slot_node,
            body_node,
            checked.domain,
        ),
    )


def write(file: SyncFile) -> bytes:
    """The bytes of ``sync.ssz``."""
    keys = file.current_keys + file.next_keys + file.bits + file.signature
    fixed = len(keys) + _MIDDLE.size
    body = keys + _MIDDLE.pack(file.gindex, file.slot, file.proposer_index, fixed) + b"".join(file.branch)
    start = _START.pack(VERSION, 16, 17, _START.size + len(body), 0, _PROOF_SELECTOR)
    return start + body + b"\0"


def read(data: bytes, preset: Preset) -> SyncFile:
    """Read a ``sync.ssz``; only the exact layout is taken.

    Args:
        data: The whole file.
        preset: Gives the size of the committees.

    Raises:
        InvalidInput: it is truncated or malformed.
    """
    seats = preset.committee_size
    keys, bits = seats * PUBKEY_BYTES, seats // 8
    least = _START.size + 2 * keys + bits + SIGNATURE_BYTES + _MIDDLE.size + 1
    if len(data) < least or (len(data) - least) % 32:
        raise InvalidInput(
            "sync.ssz has an impossible length",
            value=f"{len(data)} bytes",
            expected=f"{least} bytes and branch nodes of 32",
            action="fetch it again",
        )
    cuts = [_START.size]
    for size in (keys, keys, bits, SIGNATURE_BYTES, _MIDDLE.size):
        cuts.append(cuts[-1] + size)
    current, following, who, signature, middle = (data[a:b] for a, b in pairwise(cuts))
    gindex, slot, proposer_index, _ = _MIDDLE.unpack(middle)
    nodes = data[cuts[-1] : -1]
    file = SyncFile(
        current_keys=current,
        next_keys=following,
        bits=who,
        signature=signature,
        gindex=gindex,
        slot=slot,
        proposer_index=proposer_index,
        branch=tuple(nodes[at : at + 32] for at in range(0, len(nodes), 32)),
    )
    if write(file) != data:
        raise InvalidInput(
            "sync.ssz has another layout", value=data[:18].hex(), expected=write(file)[:18].hex()
        )
    if len(file.branch) <= _HEADER_NODES or len(file.branch) != depth(gindex):
        raise InvalidInput(
            "sync.ssz has a branch that does not fit its index",
            value=f"{len(file.branch)} nodes, index {gindex}",
            expected="10 nodes and 1262, or 11 nodes and 2478",
        )
    return file


def check(chain: Chain, file: SyncFile, period: int) -> bytes:
    """Check a file as the program does that is proved, and that its domain is the chain's.

    Args:
        chain: The network.
        file: Content of the file.
        period: Period that the file is of: one after that of its attested header.

    Returns:
        The public values, 136 bytes: root of the current keys, root of the next keys, period (8 bytes little-endian),
        root of the attested header, domain. A recursive proof has the root of its first file's current keys in front.

    Raises:
        InvalidInput: it does not satisfy the statement.
    """
    if chain.period_of(file.slot) != period - 1:
        raise InvalidInput(
            "sync.ssz is of another period", value=chain.period_of(file.slot) + 1, expected=str(period)
        )
    seats = chain.preset.committee_size
    count = int.from_bytes(file.bits, "little").bit_count()
    if count * 3 < seats * 2:
        raise InvalidInput(
            "too few of the sync committee signed", value=count, expected=f"two thirds of {seats}"
        )
    wanted = keys_gindex(indices(chain.fork_of(file.slot)).next_committee)
    if file.gindex != wanted:
        raise InvalidInput("sync.ssz has the index of another fork", value=file.gindex, expected=str(wanted))
    if file.branch[-3] != sha256(_leaf(file.slot) + _leaf(file.proposer_index)):
        raise InvalidInput(
            "sync.ssz has another slot or proposer than its branch", value=file.branch[-3].hex()
        )
    # The signature's own slot is not in the file; around a fork either side's domain is possible.
    domains = {chain.domain(file.slot + 1), chain.domain((period * chain.preset.slots_per_period) - 1)}
    if file.domain not in domains or file.domain[:4] != DOMAIN_SYNC_COMMITTEE:
        raise InvalidInput(
            "sync.ssz has the domain of another chain or fork",
            value=file.domain.hex(),
            expected=" or ".join(sorted(d.hex() for d in domains)),
        )
    next_root = _keys_root(file.next_keys)
    # The signing root is the node above the attested header's root and the domain.
    attested = fold(next_root, file.branch[:-1], concat(concat(STATE_ROOT_GINDEX, _state_index(file)), 2))
    committee = SyncCommittee(file.current_keys, bytes(PUBKEY_BYTES))
    signers = [committee.key(seat) for seat in range(seats) if file.bits[seat // 8] >> (seat % 8) & 1]
    bls.verify(signers, sha256(attested + file.domain), file.signature)
    return _keys_root(file.current_keys) + next_root + period.to_bytes(8, "little") + attested + file.domain


def _state_index(file: SyncFile) -> int:
    """Index of the next committee in the state, from the depth of the branch."""
    levels = len(file.branch) - 1 - _HEADER_NODES
    return (1 << levels) | (file.gindex >> 1 & ((1 << levels) - 1))


def _keys_root(keys: bytes) -> bytes:
    return keys_root(SyncCommittee(keys, bytes(PUBKEY_BYTES)))


def _leaf(number: int) -> bytes:
    return number.to_bytes(32, "little")
