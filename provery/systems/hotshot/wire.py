"""The JSON that relay servers and sequencers speak, read into records and written from them.

Shapes are those that the reference implementation's types serialise to. The state certificate is understood in both of
its forms: with pairs of key and signature and, since states are also signed as one digest, with triples of key, the
digest's signature, and the signature. What a service says beyond the known fields is ignored.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from provery.core.errors import InvalidInput, shorten
from provery.core.types import Json
from provery.systems.hotshot import tagged
from provery.systems.hotshot.fields import (
    BlsKeyField,
    SchnorrKeyField,
    SignatureField,
    SignaturesField,
    StakeStateField,
    StateField,
    Uint64Field,
    few,
    load,
    rows,
    stake,
    uint,
)
from provery.systems.hotshot.model import (
    U64_MAX,
    Bundle,
    HotShotConfig,
    LightClientState,
    SchnorrKey,
    Signature,
    StakeEntry,
    StakeTable,
    StakeTableState,
    StateCertificate,
)

DEFAULT_CAPACITY = 200
"""Stake table capacity of networks whose configuration does not say."""
M = TypeVar("M", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", arbitrary_types_allowed=True)


class _Staker(_Model):
    stake_key: BlsKeyField
    stake_amount: Annotated[int, BeforeValidator(stake)]


class _Peer(_Model):
    stake_table_entry: _Staker
    state_ver_key: SchnorrKeyField

    def record(self) -> StakeEntry:
        staker = self.stake_table_entry
        return StakeEntry(staker.stake_key, self.state_ver_key, staker.stake_amount)


_Peers = Annotated[list[_Peer], BeforeValidator(few)]


class _Table(_Model):
    peers: _Peers


class _Settings(_Model):
    known_nodes_with_stake: _Peers
    epoch_height: Uint64Field = 0
    epoch_start_block: Uint64Field = 0
    stake_table_capacity: Annotated[int, BeforeValidator(rows)] = DEFAULT_CAPACITY


class _Config(_Model):
    config: _Settings


class _Certificate(_Model):
    epoch: Uint64Field
    light_client_state: StateField
    next_stake_table_state: StakeStateField
    signatures: SignaturesField


class _Bundle(_Model):
    state: StateField
    next_stake: StakeStateField
    signatures: SignaturesField
    accumulated_weight: Annotated[int, BeforeValidator(uint)]


class _Request(_Model):
    key: SchnorrKeyField
    state: StateField
    next_stake: StakeStateField
    signature: SignatureField


@dataclass(frozen=True)
class SignatureRequest:
    """What a validator sends to a relay server."""

    key: SchnorrKey
    state: LightClientState
    next_stake: StakeTableState
    signature: Signature


# ------------------------------------------------------------ reading


def read_config(body: bytes) -> HotShotConfig:
    """The answer of ``config/hotshot``. Where it has no epochs, both numbers of blocks are ``U64_MAX``.

    Raises:
        InvalidInput: it is malformed.
    """
    found = _read(_Config, load(body), "the network's configuration").config
    return HotShotConfig(
        blocks_per_epoch=found.epoch_height or U64_MAX,
        epoch_start_block=found.epoch_start_block or U64_MAX,
        stake_table_capacity=found.stake_table_capacity,
        nodes=tuple(peer.record() for peer in found.known_nodes_with_stake),
    )


def read_stake_table(body: bytes) -> StakeTable:
    """The answer of ``node/stake-table/{epoch}``.

    Raises:
        InvalidInput: it is malformed.
    """
    return tuple(peer.record() for peer in _read(_Table, {"peers": load(body)}, "the stake table").peers)


def read_certificate(body: bytes) -> StateCertificate:
    """The answer of ``availability/state-cert/{epoch}``, of either form.

    Raises:
        InvalidInput: it is malformed.
    """
    found = _read(_Certificate, load(body), "the state certificate")
    return StateCertificate(
        found.epoch, found.light_client_state, found.next_stake_table_state, found.signatures
    )


def read_bundle(body: bytes) -> Bundle:
    """The answer of a relay server's ``api/state``.

    Raises:
        InvalidInput: it is malformed.
    """
    found = _read(_Bundle, load(body), "the relay server's state")
    return Bundle(found.state, found.next_stake, found.signatures, found.accumulated_weight)


def read_signature_request(body: bytes) -> SignatureRequest:
    """What a validator posts to a relay server's ``api/state``.

    Raises:
        InvalidInput: it is malformed.
    """
    found = _read(_Request, load(body), "the signature")
    return SignatureRequest(found.key, found.state, found.next_stake, found.signature)


def error_text(body: bytes) -> str:
    """What an error body says, bounded and without control characters; empty where it says nothing readable."""
    try:
        value = load(body)
    except InvalidInput:
        text = body[:200].decode("utf-8", "replace").strip()
    else:
        message = value.get("message") if isinstance(value, dict) else None
        text = "" if message is None else str(message)
    return shorten(text, 200) if text else ""


def _read(model: type[M], value: Json, what: str) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(
            f"{what}: {place or 'the whole'}: {first['msg']}",
            value=repr(first["input"])[:200],
            action="check that the URL is that of a relay server or sequencer",
        ) from error


# ------------------------------------------------------------ writing


def write_stake_table(table: StakeTable) -> Json:
    """The answer of ``node/stake-table/{epoch}``."""
    return [
        {
            "stake_table_entry": {
                "stake_key": tagged.format_bls_key(entry.bls),
                "stake_amount": hex(entry.stake),
            },
            "state_ver_key": tagged.format_schnorr_key(entry.schnorr),
        }
        for entry in table
    ]


def write_config(config: HotShotConfig) -> Json:
    """The answer of ``config/hotshot``."""
    return {
        "config": {
            "known_nodes_with_stake": write_stake_table(config.nodes),
            "epoch_height": config.blocks_per_epoch,
            "epoch_start_block": config.epoch_start_block,
            "stake_table_capacity": config.stake_table_capacity,
        }
    }


def write_certificate(certificate: StateCertificate, *, triples: bool = False) -> Json:
    """The answer of ``availability/state-cert/{epoch}``.

    Args:
        certificate: The certificate.
        triples: In the newer form. As the records have no signature of the digest, the one there is stands for both.
    """
    rows: Iterable[tuple[str, str]] = (
        (tagged.format_schnorr_key(key), tagged.format_signature(signature))
        for key, signature in certificate.signatures
    )
    found: dict[str, Json] = {
        "epoch": certificate.epoch,
        "light_client_state": tagged.format_state(certificate.state),
        "next_stake_table_state": tagged.format_stake_state(certificate.next_stake),
        "signatures": [[key, text, text] if triples else [key, text] for key, text in rows],
    }
    return {**found, "auth_root": "0x" + "0" * 64} if triples else found


def write_bundle(bundle: Bundle) -> Json:
    """The answer of a relay server's ``api/state``."""
    return {
        "state": tagged.format_state(bundle.state),
        "next_stake": tagged.format_stake_state(bundle.next_stake),
        "signatures": {
            tagged.format_schnorr_key(key): tagged.format_signature(signature)
            for key, signature in bundle.signatures
        },
        "accumulated_weight": hex(bundle.weight),
    }


def write_signature_request(request: SignatureRequest) -> Json:
    """What a validator posts to a relay server's ``api/state``."""
    return {
        "key": tagged.format_schnorr_key(request.key),
        "state": tagged.format_state(request.state),
        "next_stake": tagged.format_stake_state(request.next_stake),
        "signature": tagged.format_signature(request.signature),
    }
