"""TaggedBase64 and JSON: real values there and back, and everything that is refused."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provery.core.errors import InvalidInput
from provery.systems.hotshot import bls, fields, schnorr, spec, tagged, wire, witness
from provery.systems.hotshot.model import (
    U64_MAX,
    Bundle,
    LightClientState,
    Signature,
    StakeTableState,
)
from provery.systems.hotshot.roots import FIELD
from tests.support.hotshot import (
    certificate,
    recorded,
    recorded_certificates,
    recorded_config,
    secrets,
    table,
)

PARSE_FORMAT: dict[str, tuple[Callable[[object], Any], Callable[[Any], str]]] = {
    tagged.STATE: (tagged.parse_state, tagged.format_state),
    tagged.STAKE_STATE: (tagged.parse_stake_state, tagged.format_stake_state),
    tagged.SCHNORR_KEY: (tagged.parse_schnorr_key, tagged.format_schnorr_key),
    tagged.SCHNORR_SIGNATURE: (tagged.parse_signature, tagged.format_signature),
    tagged.BLS_KEY: (tagged.parse_bls_key, tagged.format_bls_key),
}


def texts(value: Any) -> Iterator[str]:
    """Every tagged value anywhere in a document."""
    if isinstance(value, str):
        if "~" in value:
            yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from texts(key)
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)


REAL = sorted(
    set(texts(recorded("v3_known_nodes_with_stake.json")))
    | set(texts(recorded("v3_state-certs_epochs1-3.json")))
    | set(texts(recorded("v2-v3_state-certs_epochs2-5.json")))
)


# ------------------------------------------------------------ TaggedBase64


def test_all_kinds_are_recorded() -> None:
    assert len(REAL) == 5 + 5 + (12 + 4) + (3 + 4) + (2 + 2)  # keys, keys, signatures, states, stake tables
    assert {text.split("~")[0] for text in REAL} == set(PARSE_FORMAT)


@pytest.mark.parametrize("text", REAL)
def test_real_values_survive_a_round_trip(text: str) -> None:
    parse, write = PARSE_FORMAT[text.split("~")[0]]
    assert write(parse(text)) == text


@pytest.mark.parametrize("text", REAL)
def test_real_values_with_any_bit_changed_are_refused(text: str) -> None:
    tag, coded = text.split("~")
    packed = base64.urlsafe_b64decode(coded + "=" * (-len(coded) % 4))
    for at in range(0, len(packed) * 8, 37):
        broken = bytearray(packed)
        broken[at // 8] ^= 1 << at % 8
        again = base64.urlsafe_b64encode(broken).decode().rstrip("=")
        with pytest.raises(InvalidInput, match="checksum"):
            PARSE_FORMAT[tag][0](f"{tag}~{again}")


@settings(deadline=None)
@given(st.sampled_from(["A", "SCHNORR_SIG", "X_1"]), st.binary(max_size=100))
def test_any_body_survives_a_round_trip(tag: str, body: bytes) -> None:
    assert tagged.decode(tag, tagged.encode(tag, body), len(body)) == body


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "none"), (5, "none"), ("", "none"), ("~", "none"), ("SCHNORR_SIG", "none"),
        ("schnorr_sig~AAAA", "none"), ("BLS_VER_KEY~AAAA", "none"), ("SCHNORR_SIG~" + "A" * 10**6, "none"),
        ("SCHNORR_SIG~", "base64url"), ("SCHNORR_SIG~AA==", "base64url"), ("SCHNORR_SIG~AA+/", "base64url"),
        ("SCHNORR_SIG~AA\n", "base64url"), ("SCHNORR_SIG~ÄAAA", "base64url"), ("SCHNORR_SIG~A", "base64url"),
        ("SCHNORR_SIG~AAAA", "length"), ("SCHNORR_SIG~" + "A" * 130, "checksum"),
    ],
)  # fmt: skip
def test_what_is_no_signature_is_refused(text: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        tagged.parse_signature(text)


def test_unused_bits_of_the_last_character_have_to_be_zero() -> None:
    text = next(t for t in REAL if t.startswith("SCHNORR_VER_KEY"))  # 65 bytes: 87 characters, two bits left
    for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
        if text[-1] != character:
            with pytest.raises(InvalidInput, match="checksum"):
                tagged.parse_schnorr_key(text[:-1] + character)


def word(value: int) -> bytes:
    return value.to_bytes(32, "little")


@pytest.mark.parametrize(
    ("tag", "body", "message"),
    [
        (tagged.SCHNORR_KEY, word(FIELD) + word(1), "not reduced"),
        (tagged.SCHNORR_KEY, word(0) + word(FIELD + 1), "not reduced"),
        (tagged.SCHNORR_KEY, word(1) + word(1), "no point"),
        (tagged.SCHNORR_SIGNATURE, word(schnorr.ORDER) + word(0) + word(1), "not reduced"),
        (tagged.SCHNORR_SIGNATURE, word(0) + word(FIELD) + word(1), "not reduced"),
        (tagged.STATE, bytes(16) + word(FIELD), "not reduced"),
        (tagged.STAKE_STATE, word(FIELD) * 4, "not reduced"),
        (tagged.BLS_KEY, word(1) * 4, "no point"),
        (tagged.BLS_KEY, word(bls.BASE_FIELD) * 4, "not reduced"),
        (tagged.BLS_KEY, word(0) * 3 + word(1 << 254), "not reduced"),  # the flag of infinity
    ],
)
def test_values_that_are_none_are_refused_whatever_their_checksum(
    tag: str, body: bytes, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        PARSE_FORMAT[tag][0](tagged.encode(tag, body))


def test_a_bls_key_with_the_other_sign_is_refused() -> None:
    text = next(t for t in REAL if t.startswith(tagged.BLS_KEY))
    body = bytearray(tagged.decode(tagged.BLS_KEY, text, 128))
    body[-1] ^= 0x80
    with pytest.raises(InvalidInput, match="sign"):
        tagged.parse_bls_key(tagged.encode(tagged.BLS_KEY, bytes(body)))


elements = st.integers(0, FIELD - 1)
uint64s = st.integers(0, U64_MAX)


@settings(deadline=None)
@given(st.builds(LightClientState, uint64s, uint64s, elements))
def test_states_survive_a_round_trip(state: LightClientState) -> None:
    assert tagged.parse_state(tagged.format_state(state)) == state


@settings(deadline=None)
@given(st.builds(StakeTableState, elements, elements, elements, elements))
def test_commitments_survive_a_round_trip(state: StakeTableState) -> None:
    assert tagged.parse_stake_state(tagged.format_stake_state(state)) == state


@settings(deadline=None)
@given(st.builds(Signature, st.integers(0, schnorr.ORDER - 1), elements, elements))
def test_signatures_survive_a_round_trip(signature: Signature) -> None:
    assert tagged.parse_signature(tagged.format_signature(signature)) == signature


# ------------------------------------------------------------ shapes


def packed(value: Any) -> bytes:
    return json.dumps(value).encode()


def test_the_recorded_configuration_is_read_and_written() -> None:
    found = recorded_config()
    assert (found.blocks_per_epoch, found.epoch_start_block, found.stake_table_capacity) == (10, 1, 200)
    assert [entry.stake for entry in found.nodes] == [1] * 5
    assert wire.write_config(found)["config"] == recorded("v3_known_nodes_with_stake.json")["config"]  # type: ignore[index,call-overload]


def test_the_recorded_certificates_are_read_and_written() -> None:
    for epoch, body in recorded("v3_state-certs_epochs1-3.json"):
        found = recorded_certificates()[epoch]
        assert found.epoch == epoch
        assert (found.state.height, found.state.view) == (10 * epoch - 5, 10 * epoch - 5)
        assert len(found.signatures) == 4
        assert wire.write_certificate(found, triples=True) == body
        assert wire.read_certificate(packed(wire.write_certificate(found))) == found


def test_of_a_triple_the_last_signature_is_taken() -> None:
    """The first of the two is of the state's digest."""
    body = copy.deepcopy(recorded("v3_state-certs_epochs1-3.json")[0][1])
    for row in body["signatures"]:
        row[1] = tagged.format_signature(Signature(1, 0, 1))
    assert wire.read_certificate(packed(body)) == recorded_certificates()[1]


def test_a_table_is_read_and_written() -> None:
    rows = table(4)
    assert wire.read_stake_table(packed(wire.write_stake_table(rows))) == rows
    newer = [{**peer, "connect_info": {"p2p": [1, 2]}} for peer in wire.write_stake_table(rows)]  # type: ignore[union-attr,dict-item]
    assert wire.read_stake_table(packed(newer)) == rows
    assert wire.read_stake_table(b"[]") == ()


def test_a_bundle_is_read_and_written() -> None:
    real = recorded_certificates()[1]
    bundle = Bundle(real.state, real.next_stake, real.signatures, 4)
    text = packed(wire.write_bundle(bundle))
    assert json.loads(text)["accumulated_weight"] == "0x4"
    assert wire.read_bundle(text) == bundle


def test_a_request_is_read_and_written() -> None:
    real = recorded_certificates()[1]
    request = wire.SignatureRequest(real.signatures[0][0], real.state, real.next_stake, real.signatures[0][1])
    assert wire.read_signature_request(packed(wire.write_signature_request(request))) == request


def test_a_network_without_epochs_has_the_largest_numbers() -> None:
    body = recorded("v3_known_nodes_with_stake.json")
    body["config"] |= {"epoch_height": 0, "epoch_start_block": 0}
    found = wire.read_config(packed(body))
    assert (found.blocks_per_epoch, found.epoch_start_block) == (U64_MAX, U64_MAX)
    for name in ("epoch_height", "epoch_start_block", "stake_table_capacity"):
        del body["config"][name]
    found = wire.read_config(packed(body))
    assert (found.blocks_per_epoch, found.epoch_start_block) == (U64_MAX, U64_MAX)
    assert found.stake_table_capacity == wire.DEFAULT_CAPACITY


@pytest.mark.parametrize("capacity", [0, -1, 4097, 2**64 - 1, "200", None])
def test_capacities_that_nobody_could_hash_are_refused(capacity: object) -> None:
    body = recorded("v3_known_nodes_with_stake.json")
    body["config"]["stake_table_capacity"] = capacity
    with pytest.raises(InvalidInput, match="stake_table_capacity"):
        wire.read_config(packed(body))


# ------------------------------------------------------------ hostile input


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "malformed JSON"), (b"\xff\xfe", "malformed JSON"), (b"{", "malformed JSON"), (b"[NaN]", "NaN"),
        (b"[Infinity]", "Infinity"), (b'{"a":1,"a":2}', "twice"), (b'{"b":{"a":1,"a":1}}', "twice"),
        (b"[" * 10**6, "nested"), (b"[" * 17 + b"]" * 17, "nested"), (b"9" * 10_000, "malformed JSON"),
        (b" " * (fields.LARGEST + 1), "too large"),
    ],
)  # fmt: skip
def test_json_that_is_none_is_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        fields.load(body)


def certificate_with(**changes: Any) -> bytes:
    return packed({**recorded("v3_state-certs_epochs1-3.json")[0][1], **changes})


ROWS = recorded("v3_state-certs_epochs1-3.json")[0][1]["signatures"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"[]", "the whole"), (b"null", "the whole"), (b"{}", "epoch: Field required"),
        (certificate_with(epoch=-1), "uint64"), (certificate_with(epoch=2**64), "uint64"),
        (certificate_with(epoch=True), "uint64"), (certificate_with(epoch="1"), "uint64"),
        (certificate_with(epoch=1.0), "uint64"),
        (certificate_with(light_client_state=None), "light_client_state"),
        (certificate_with(next_stake_table_state="STAKE_TABLE_STATE~AAAA"), "length"),
        (certificate_with(signatures=None), "signatures by key"),
        (certificate_with(signatures=[ROWS[0], ROWS[0]]), "entry 1: its key occurs twice"),
        (certificate_with(signatures=[ROWS[0][:1]]), "entry 0: expected a key"),
        (certificate_with(signatures=[[*ROWS[0], ROWS[0][1]]]), "entry 0: expected a key"),
        (certificate_with(signatures=[{}]), "entry 0: expected a key"),
        (certificate_with(signatures=[[ROWS[0][1], ROWS[0][0]]]), "entry 0: a tagged value"),
        (certificate_with(signatures=[1] * 5000), "has 5000 entries"),
    ],
)  # fmt: skip
def test_certificates_that_are_none_are_refused(body: bytes, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        wire.read_certificate(body)


@pytest.mark.parametrize(
    "amount",
    ["1", "0x", "0xg", "-0x1", "0x-1", "0x_1", 1.5, -1, None, True, hex(2**120), "0x" + "0" * 65, 2**300],
)
def test_stakes_that_are_none_are_refused(amount: object) -> None:
    rows: Any = wire.write_stake_table(table(1))
    rows[0]["stake_table_entry"]["stake_amount"] = amount
    with pytest.raises(InvalidInput, match="stake_amount"):
        wire.read_stake_table(packed(rows))


@pytest.mark.parametrize(
    ("amount", "stake"), [("0x0", 0), ("0x0A", 10), (7, 7), (hex(spec.STAKE_LIMIT - 1), 2**120 - 1)]
)
def test_stakes_in_their_forms_are_read(amount: object, stake: int) -> None:
    rows: Any = wire.write_stake_table(table(1))
    rows[0]["stake_table_entry"]["stake_amount"] = amount
    assert wire.read_stake_table(packed(rows))[0].stake == stake


def test_tables_of_too_many_rows_are_refused() -> None:
    with pytest.raises(InvalidInput, match="5000 entries"):
        wire.read_stake_table(packed([None] * 5000))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(REAL),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ROWS[0], "signatures"]), inner)
    ),
    max_leaves=8,
)
CERTIFICATE_FIELDS = ["epoch", "light_client_state", "next_stake_table_state", "signatures"]


@settings(deadline=None)
@given(st.sampled_from(CERTIFICATE_FIELDS), json_values)
def test_whatever_a_field_holds_it_is_read_or_refused(name: str, value: Any) -> None:
    with suppress(InvalidInput):
        assert wire.read_certificate(certificate_with(**{name: value})).epoch <= U64_MAX


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'{"status":404,"message":"not ready"}', "'not ready'"), (b"plain", "'plain'"), (b"", ""), (b"[1]", ""),
        (b'{"message":"\\u001b[31m"}', "'\\x1b[31m'"), (b"\x00" * 500, "'" + "\\x00" * 200 + "'"),
    ],
)  # fmt: skip
def test_error_texts_are_harmless(body: bytes, text: str) -> None:
    assert wire.error_text(body) == text


# ------------------------------------------------------------ the circuit's input


def test_the_circuits_input_has_everything_in_its_form() -> None:
    rows = table(3)
    found = certificate(1, rows, secrets(3)[:2], 4)
    voting = spec.commitment(rows, 4)
    counted = spec.check_certificate(found, rows, 10)
    written = json.loads(witness.document(found.state, voting, found.next_stake, rows, counted.signatures))
    assert set(written) == {"state", "voting", "next", "stake_table", "signatures"}
    assert written["state"] == {
        "view": hex(found.state.view), "height": "0x5", "block_comm_root": hex(found.state.block_comm_root),
    }  # fmt: skip
    assert list(written["voting"]) == sorted(["bls", "schnorr", "amount", "threshold"])
    assert [int(written["next"][name], 16) for name in ("bls", "schnorr", "amount", "threshold")] == list(
        spec.elements(found.next_stake)
    )
    assert [(int(r["x"], 16), int(r["y"], 16)) for r in written["stake_table"]] == [r.schnorr for r in rows]
    assert [int(r["stake"], 16) for r in written["stake_table"]] == [r.stake for r in rows]
    assert [row is None for row in written["signatures"]] == [False, False, True]
    assert (
        Signature(*(int(written["signatures"][0][n], 16) for n in ("s", "rx", "ry")))
        == found.signatures[0][1]
    )
    numbers = json.dumps(written).replace('"', " ").split()
    assert not [n for n in numbers if n.startswith("0x0") and n != "0x0"]


def test_the_circuits_input_needs_a_place_for_every_row() -> None:
    rows = table(3)
    after = spec.commitment(rows, 4)
    with pytest.raises(InvalidInput, match="differ in length"):
        witness.document(certificate(1, rows, [], 4).state, after, after, rows, [None, None])
