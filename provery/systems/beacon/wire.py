"""What a beacon node sends, read into records: the SSZ stream of updates, the JSON forms, error bodies. Pure.

Source: ethereum/beacon-APIs. ``/eth/v1/beacon/light_client/updates`` answers in SSZ with, for each update, a length of
8 bytes little-endian that counts what follows it, the 4 bytes of the fork digest, and the update's SSZ; in JSON with a
list of objects that have ``version`` and ``data``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from provery.core.errors import InvalidInput, shorten
from provery.core.types import Json
from provery.systems.beacon.containers import decode_bootstrap, decode_update, encode_update
from provery.systems.beacon.jsonform import format_update, load, parse_bootstrap, parse_update
from provery.systems.beacon.model import Bootstrap, Checkpoint, FinalityCheckpoints, Fork, Update
from provery.systems.beacon.spec import LATEST, Chain

UPDATE_LIMIT = 64 * 1024
"""Bytes that one update's SSZ may have; the largest known form has about 27 KB with 512 seats."""
JSON_LIMIT = 2 * UPDATE_LIMIT
"""Bytes that one update's JSON may have; the largest known form has about 60 KB with 512 seats."""
_LENGTH, _DIGEST = 8, 4
_UINT64 = 2**64


def read_stream(chain: Chain, data: bytes) -> list[Update]:
    """Updates of an SSZ answer, in its order.

    Raises:
        InvalidInput: it is truncated or malformed, or an update is of another chain or an unknown fork.
    """
    updates: list[Update] = []
    at = 0
    while at < len(data):
        where = f"update {len(updates)} of the SSZ stream"
        head = data[at : at + _LENGTH + _DIGEST]
        if len(head) < _LENGTH + _DIGEST:
            raise InvalidInput(
                f"{where} is truncated", value=f"{len(head)} bytes", expected="a length and a digest"
            )
        size, digest = int.from_bytes(head[:_LENGTH], "little"), head[_LENGTH:]
        if not _DIGEST < size <= _DIGEST + UPDATE_LIMIT:
            raise InvalidInput(
                f"{where} has an impossible length",
                value=size,
                expected=f"{_DIGEST + 1} to {_DIGEST + UPDATE_LIMIT} bytes",
            )
        end = at + _LENGTH + size
        if end > len(data):
            raise InvalidInput(
                f"{where} is truncated", value=f"{len(data) - at - _LENGTH} bytes", expected=str(size)
            )
        updates.append(_read_one(chain, digest, data[at + _LENGTH + _DIGEST : end], where))
        at = end
    return updates


def _read_one(chain: Chain, digest: bytes, body: bytes, where: str) -> Update:
    fork = chain.digests.get(digest)
    if fork is None:
        raise InvalidInput(
            f"{where} is of another chain or of an unknown fork of {chain.name}",
            value=digest.hex(),
            expected="fork digest " + ", ".join(d.hex() for d in chain.digests),
            action="check the node's network; a blob limit that was raised since needs a newer Provery",
        )
    update = decode_update(_known(fork, where), chain.preset, body)
    wanted = chain.digest(chain.epoch_of(update.attested.slot))
    if digest != wanted:
        raise InvalidInput(
            f"{where} has the fork digest of another slot than {update.attested.slot}",
            value=digest.hex(),
            expected=wanted.hex(),
        )
    return update


def write_stream(chain: Chain, updates: Iterable[Update]) -> bytes:
    """The SSZ answer that holds the updates."""
    parts = []
    for update in updates:
        body = chain.digest(chain.epoch_of(update.attested.slot)) + encode_update(update)
        parts.append(len(body).to_bytes(_LENGTH, "little") + body)
    return b"".join(parts)


class _Versioned(BaseModel):
    """An object of the JSON answers, with the fork in whose form it is."""

    model_config = ConfigDict(extra="ignore", strict=True)

    version: str
    data: dict[str, object]


def read_json(chain: Chain, body: bytes) -> list[Update]:
    """Updates of a JSON answer, in its order; a ``data`` envelope around the list is taken too.

    Raises:
        InvalidInput: it is malformed, or an update is of an unknown fork.
    """
    value = load(body)
    if isinstance(value, dict) and isinstance(value.get("data"), list):
        value = value["data"]
    if not isinstance(value, list):
        raise InvalidInput("the answer is not a list of updates", value=_start(value), expected="a JSON list")
    updates = []
    for at, item in enumerate(value):
        fork, data = _versioned(item, f"update {at} of the JSON answer")
        updates.append(parse_update(fork, chain.preset, data))
    return updates


def read_bootstrap_json(chain: Chain, body: bytes) -> Bootstrap:
    """The JSON answer of ``/eth/v1/beacon/light_client/bootstrap/{block_root}``.

    Raises:
        InvalidInput: it is malformed or of an unknown fork.
    """
    fork, data = _versioned(load(body), "the bootstrap")
    return parse_bootstrap(fork, chain.preset, data)


def read_bootstrap(chain: Chain, version: str, body: bytes) -> Bootstrap:
    """The SSZ answer of ``/eth/v1/beacon/light_client/bootstrap/{block_root}``.

    Args:
        chain: The network.
        version: The Eth-Consensus-Version header: a fork's name.
        body: The answer's body.

    Raises:
        InvalidInput: it is malformed or of an unknown fork.
    """
    return decode_bootstrap(_fork(version, "the bootstrap"), chain.preset, body)


def _versioned(value: Json, where: str) -> tuple[Fork, Json]:
    """Fork and ``data`` of an entry."""
    try:
        entry = _Versioned.model_validate(value)
    except ValidationError as error:
        raise _malformed(where, error) from error
    return _fork(entry.version, where), value["data"] if isinstance(value, dict) else None


def write_json(updates: Iterable[Update]) -> Json:
    """The JSON answer that holds the updates."""
    return [{"version": update.fork.label, "data": format_update(update)} for update in updates]


# ---------------------------------------------------------------- small answers


def _uint64(value: object) -> int:
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= 20
        and int(value) < _UINT64
    ):
        return int(value)
    raise ValueError("expected a uint64 as a decimal string")


def _root(value: object) -> bytes:
    if isinstance(value, str) and value.startswith("0x") and len(value) == 66:
        return bytes.fromhex(value[2:])
    raise ValueError("expected 0x and 32 bytes in hex")


class _Checkpoint(BaseModel):
    epoch: Annotated[int, BeforeValidator(_uint64)]
    root: Annotated[bytes, BeforeValidator(_root)]

    def record(self) -> Checkpoint:
        return Checkpoint(self.epoch, self.root)


class _Checkpoints(BaseModel):
    finalized: _Checkpoint
    current_justified: _Checkpoint
    previous_justified: _Checkpoint


class _CheckpointsAnswer(BaseModel):
    data: _Checkpoints


def read_checkpoints(body: bytes) -> FinalityCheckpoints:
    """The answer of ``/eth/v1/beacon/states/{state_id}/finality_checkpoints``.

    Raises:
        InvalidInput: it is malformed.
    """
    value = load(body)
    try:
        data = _CheckpointsAnswer.model_validate(value).data
    except ValidationError as error:
        raise _malformed("finality checkpoints", error) from error
    return FinalityCheckpoints(
        data.finalized.record(), data.current_justified.record(), data.previous_justified.record()
    )


def read_data(body: bytes) -> dict[str, Json]:
    """``data`` of an answer that is an object, such as the genesis or the chain's configuration.

    Raises:
        InvalidInput: it is malformed.
    """
    value = load(body)
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, dict):
        raise InvalidInput("the answer has no data object", value=_start(value), expected='{"data": {...}}')
    return data


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


def _fork(version: str, where: str) -> Fork:
    for fork in Fork:
        if fork.label == version:
            return _known(fork, where)
    raise InvalidInput(
        f"{where} is of an unknown fork",
        value=version,
        expected=", ".join(f.label for f in Fork if f <= LATEST),
    )


def _known(fork: Fork, where: str) -> Fork:
    if not Fork.ALTAIR <= fork <= LATEST:
        raise InvalidInput(
            f"{where} is of a fork without a light-client form that is understood",
            value=fork.label,
            expected=f"{Fork.ALTAIR.label} to {LATEST.label}",
            action="use a release of Provery that knows the fork",
        )
    return fork


def _malformed(what: str, error: ValidationError) -> InvalidInput:
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"])
    return InvalidInput(
        f"{what}: {place or 'the whole'}: {first['msg']}",
        value=_start(first["input"]),
        action="ask another node",
    )


def _start(value: object) -> str:
    return repr(value)[:200]
