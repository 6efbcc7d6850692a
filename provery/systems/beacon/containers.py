"""SSZ of light-client objects: bytes to records and back, and hash-tree roots. Pure.

The forms are those of ethereum/consensus-specs, ``specs/{altair,capella,deneb,electra}/light-client/sync-protocol.md``;
Bellatrix has Altair's and Fulu has Electra's. The library's views stay in this module and in ``jsonform``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from remerkleable.basic import uint64, uint256
from remerkleable.bitfields import Bitvector
from remerkleable.byte_arrays import ByteList, ByteVector
from remerkleable.complex import Container, Vector

from provery.core.errors import InvalidInput
from provery.systems.beacon.model import (
    PUBKEY_BYTES,
    SIGNATURE_BYTES,
    Bootstrap,
    Fork,
    Header,
    SyncCommittee,
    Update,
)
from provery.systems.beacon.spec import (
    EXECUTION_GINDEX,
    EXTRA_DATA_BYTES,
    LOGS_BLOOM_BYTES,
    Preset,
    depth,
    indices,
)

_Type = Any
"""A class of the SSZ library, which ships no type information."""

Root = ByteVector[32]
_BEACON_FIELDS = ("slot", "proposer_index", "parent_root", "state_root", "body_root")
_EXECUTION = {
    "parent_hash": Root,
    "fee_recipient": ByteVector[20],
    "state_root": Root,
    "receipts_root": Root,
    "logs_bloom": ByteVector[LOGS_BLOOM_BYTES],
    "prev_randao": Root,
    "block_number": uint64,
    "gas_limit": uint64,
    "gas_used": uint64,
    "timestamp": uint64,
    "extra_data": ByteList[EXTRA_DATA_BYTES],
    "base_fee_per_gas": uint256,
    "block_hash": Root,
    "transactions_root": Root,
    "withdrawals_root": Root,
}
_BLOB_FIELDS = {"blob_gas_used": uint64, "excess_blob_gas": uint64}


def _container(name: str, fields: Mapping[str, _Type]) -> _Type:
    return type(name, (Container,), {"__annotations__": dict(fields)})


BEACON_HEADER: _Type = _container(
    "BeaconBlockHeader",
    {"slot": uint64, "proposer_index": uint64, "parent_root": Root, "state_root": Root, "body_root": Root},
)


def _form(fork: Fork) -> Fork:
    """The fork that introduced a fork's form of headers and branches."""
    if fork is Fork.BELLATRIX:
        return Fork.ALTAIR
    return Fork.ELECTRA if fork is Fork.FULU else fork


def execution_type(fork: Fork) -> _Type | None:
    """ExecutionPayloadHeader in a fork's light-client headers; None before Capella."""
    return None if fork < Fork.CAPELLA else _execution_type(fork >= Fork.DENEB)


@cache
def _execution_type(blobs: bool) -> _Type:
    return _container("ExecutionPayloadHeader", {**_EXECUTION, **(_BLOB_FIELDS if blobs else {})})


@cache
def _header_type(fork: Fork) -> _Type:
    fields: dict[str, _Type] = {"beacon": BEACON_HEADER}
    execution = execution_type(fork)
    if execution is not None:
        fields |= {"execution": execution, "execution_branch": Vector[Root, depth(EXECUTION_GINDEX)]}
    return _container("LightClientHeader", fields)


@cache
def _committee_type(size: int) -> _Type:
    return _container(
        "SyncCommittee",
        {"pubkeys": Vector[ByteVector[PUBKEY_BYTES], size], "aggregate_pubkey": ByteVector[PUBKEY_BYTES]},
    )


def update_type(fork: Fork, size: int) -> _Type:
    """LightClientUpdate of a fork for committees of ``size`` seats."""
    return _update_type(_form(fork), size)


@cache
def _update_type(form: Fork, size: int) -> _Type:
    at, header = indices(form), _header_type(form)
    aggregate = _container(
        "SyncAggregate",
        {"sync_committee_bits": Bitvector[size], "sync_committee_signature": ByteVector[SIGNATURE_BYTES]},
    )
    return _container(
        "LightClientUpdate",
        {
            "attested_header": header,
            "next_sync_committee": _committee_type(size),
            "next_sync_committee_branch": Vector[Root, depth(at.next_committee)],
            "finalized_header": header,
            "finality_branch": Vector[Root, depth(at.finalized_root)],
            "sync_aggregate": aggregate,
            "signature_slot": uint64,
        },
    )


def bootstrap_type(fork: Fork, size: int) -> _Type:
    """LightClientBootstrap of a fork for committees of ``size`` seats."""
    return _bootstrap_type(_form(fork), size)


@cache
def _bootstrap_type(form: Fork, size: int) -> _Type:
    return _container(
        "LightClientBootstrap",
        {
            "header": _header_type(form),
            "current_sync_committee": _committee_type(size),
            "current_sync_committee_branch": Vector[Root, depth(indices(form).current_committee)],
        },
    )


# ---------------------------------------------------------------- bytes


def decode(kind: _Type, data: bytes) -> _Type:
    """A view of SSZ bytes, which must be the one encoding of their value.

    Raises:
        InvalidInput: they are malformed, truncated or too long.
    """
    try:
        view = kind.decode_bytes(data)
        canonical = view.encode_bytes() == data
    except Exception as error:  # the library raises bare exceptions of many classes
        raise InvalidInput(
            f"malformed SSZ: {error}", value=f"{len(data)} bytes", expected=f"an SSZ {kind.__name__}"
        ) from error
    if not canonical:
        raise InvalidInput(
            "SSZ is not in its canonical encoding",
            value=f"{len(data)} bytes",
            expected=f"an SSZ {kind.__name__}",
        )
    return view


def decode_update(fork: Fork, preset: Preset, data: bytes) -> Update:
    """A LightClientUpdate from its SSZ.

    Raises:
        InvalidInput: the bytes are no update of that fork and preset.
    """
    return update_record(fork, decode(update_type(fork, preset.committee_size), data))


def encode_update(update: Update) -> bytes:
    """SSZ of an update in the form of its fork."""
    return bytes(update_view(update).encode_bytes())


def decode_bootstrap(fork: Fork, preset: Preset, data: bytes) -> Bootstrap:
    """A LightClientBootstrap from its SSZ.

    Raises:
        InvalidInput: the bytes are no bootstrap of that fork and preset.
    """
    return bootstrap_record(fork, decode(bootstrap_type(fork, preset.committee_size), data))


def bootstrap_record(fork: Fork, view: _Type) -> Bootstrap:
    """The record of a bootstrap's view."""
    return Bootstrap(
        fork=fork,
        header=_header(view.header),
        committee=_committee(view.current_sync_committee),
        branch=_branch(view.current_sync_committee_branch),
    )


# ---------------------------------------------------------------- views and records


def update_record(fork: Fork, view: _Type) -> Update:
    """The record of an update's view."""
    aggregate = view.sync_aggregate
    return Update(
        fork=fork,
        attested=_header(view.attested_header),
        next_committee=_committee(view.next_sync_committee),
        next_branch=_branch(view.next_sync_committee_branch),
        finalized=_header(view.finalized_header),
        finality_branch=_branch(view.finality_branch),
        bits=aggregate.sync_committee_bits.encode_bytes(),
        signature=bytes(aggregate.sync_committee_signature),
        signature_slot=int(view.signature_slot),
    )


def update_view(update: Update) -> _Type:
    """The view of an update's record."""
    kind = update_type(update.fork, update.next_committee.size)
    fields = kind.fields()
    aggregate = fields["sync_aggregate"]
    bits = aggregate.fields()["sync_committee_bits"].decode_bytes(update.bits)
    return kind(
        attested_header=_header_view(update.fork, update.attested),
        next_sync_committee=_committee_view(update.next_committee),
        next_sync_committee_branch=fields["next_sync_committee_branch"](*update.next_branch),
        finalized_header=_header_view(update.fork, update.finalized),
        finality_branch=fields["finality_branch"](*update.finality_branch),
        sync_aggregate=aggregate(sync_committee_bits=bits, sync_committee_signature=update.signature),
        signature_slot=update.signature_slot,
    )


def _header(view: _Type) -> Header:
    beacon, claimed = view.beacon, "execution" in view.fields()
    return Header(
        slot=int(beacon.slot),
        proposer_index=int(beacon.proposer_index),
        parent_root=bytes(beacon.parent_root),
        state_root=bytes(beacon.state_root),
        body_root=bytes(beacon.body_root),
        execution=bytes(view.execution.encode_bytes()) if claimed else b"",
        execution_branch=_branch(view.execution_branch) if claimed else (),
    )


def _header_view(fork: Fork, header: Header) -> _Type:
    kind, execution = _header_type(_form(fork)), execution_type(fork)
    beacon = BEACON_HEADER(**{name: getattr(header, name) for name in _BEACON_FIELDS})
    if execution is None:
        return kind(beacon=beacon)
    branch = kind.fields()["execution_branch"](*header.execution_branch)
    return kind(beacon=beacon, execution=execution.decode_bytes(header.execution), execution_branch=branch)


def _committee(view: _Type) -> SyncCommittee:
    return SyncCommittee(view.pubkeys.encode_bytes(), bytes(view.aggregate_pubkey))


def _committee_view(committee: SyncCommittee) -> _Type:
    return _committee_type(committee.size).decode_bytes(committee.pubkeys + committee.aggregate_pubkey)


def _branch(view: _Type) -> tuple[bytes, ...]:
    return tuple(bytes(node) for node in view)


# ---------------------------------------------------------------- roots


def beacon_root(header: Header) -> bytes:
    """Hash-tree root of the header's BeaconBlockHeader: the block root."""
    return bytes(BEACON_HEADER(**{name: getattr(header, name) for name in _BEACON_FIELDS}).hash_tree_root())


def committee_root(committee: SyncCommittee) -> bytes:
    """Hash-tree root of a SyncCommittee."""
    return bytes(_committee_view(committee).hash_tree_root())


def keys_root(committee: SyncCommittee) -> bytes:
    """Hash-tree root of a committee's vector of keys alone."""
    return bytes(_committee_view(committee).pubkeys.hash_tree_root())


def empty_header(fork: Fork) -> Header:
    """The default header of a fork's form: what an update without finality has."""
    return _header(_header_type(_form(fork))())


def execution_root(form: Fork, header_fork: Fork, execution: bytes) -> bytes | None:
    """Hash-tree root of an execution header as the fork of its own slot hashes it (``get_lc_execution_root``).

    Args:
        form: Fork in whose form the bytes are: a finalised header may be of an earlier fork than the attested one.
        header_fork: Fork of the header's slot.
        execution: SSZ of the form's ExecutionPayloadHeader.

    Returns:
        The root; None where fields are set that the header's fork does not have.
    """
    kind = execution_type(form)
    if kind is None:
        return None
    view = kind.decode_bytes(execution)
    if header_fork >= Fork.DENEB or form < Fork.DENEB:
        return bytes(view.hash_tree_root())
    if view.blob_gas_used or view.excess_blob_gas:
        return None
    return bytes(
        _execution_type(False)(**{name: getattr(view, name) for name in _EXECUTION}).hash_tree_root()
    )
