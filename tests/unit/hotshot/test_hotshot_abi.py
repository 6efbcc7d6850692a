"""Calls, answers, events and errors, against the ABI of the deployed light client."""

from __future__ import annotations

import json
import random
from functools import cache
from typing import Any

import pytest
from eth_abi.abi import decode, encode

from provery.core.abi import keccak256, selector
from provery.core.errors import ConfigurationError, InvalidInput
from provery.local import ROOT
from provery.systems.hotshot import abi
from provery.systems.hotshot.model import U64_MAX, LightClientState, StakeTableState

ABI = ROOT / "provery/systems/hotshot/vectors/LightClientV2.abi.json"
STATE = LightClientState(7, 5, 11)
TABLE = StakeTableState(bls=21, schnorr=22, amount=23, threshold=24)


@cache
def entries() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(ABI.read_text())
    return found


def spelled(parameter: dict[str, Any]) -> str:
    if not parameter["type"].startswith("tuple"):
        return str(parameter["type"])
    inner = ",".join(map(spelled, parameter["components"]))
    return f"({inner}){parameter['type'][5:]}"


def of(kind: str) -> dict[str, dict[str, Any]]:
    """Entries of a type by signature."""
    return {f"{e['name']}({','.join(map(spelled, e['inputs']))})": e for e in entries() if e["type"] == kind}


def test_every_read_of_the_deployed_contract_but_its_key_is_known() -> None:
    reads = {s: e for s, e in of("function").items() if e["stateMutability"] in ("view", "pure")}
    reads = {s: e for s, e in reads.items() if e["name"] not in ("_getVk", "newFinalizedState")}

    assert {read.signature for read in abi.READS} == set(reads)
    for read in abi.READS:
        assert list(read.outputs) == [spelled(o) for o in reads[read.signature]["outputs"]], read.signature


def test_selectors_are_the_recorded_ones() -> None:
    recorded = {
        abi.FINALIZED_STATE: "9fdb54a7",
        abi.VOTING_STAKE_TABLE: "0625e19b",
        abi.GENESIS_STATE: "d24d933d",
        abi.GENESIS_STAKE_TABLE: "426d3194",
        abi.BLOCKS_PER_EPOCH: "f0682054",
        abi.EPOCH_START_BLOCK: "3ed55b7b",
        abi.CURRENT_EPOCH: "76671808",
        abi.PERMISSIONED: "826e41fc",
        abi.PERMISSIONED_PROVER: "313df7b1",
        abi.VERSION: "0d8e6e2c",
        abi.SUBMIT_PLONK: "757c37ad",
        abi.SUBMIT_V1: "2063d4f7",
    }
    assert {f.signature: f.selector.hex() for f in recorded} == {
        f.signature: value for f, value in recorded.items()
    }
    errors = {
        "OutdatedState()": "051c46ef",
        "MissingEpochRootUpdate()": "080ae8d9",
        "InvalidProof()": "09bde339",
        "ProverNotPermissioned()": "a3a64780",
        "InvalidArgs()": "a1ba07ee",
        "DeprecatedApi()": "4e405c8d",
        "WrongStakeTableUsed()": "51618089",
    }
    assert {name: selector(name).hex() for name in errors} == errors
    assert f"{abi.IMPLEMENTATION_SLOT:064x}".startswith("3608")
    assert f"{abi.IMPLEMENTATION_SLOT:064x}".endswith("2bbc")


def test_errors_and_events_are_those_of_the_deployed_contract() -> None:
    assert set(abi.ERRORS) == set(of("error"))
    for error in abi.ERRORS:
        assert abi.error_name(selector(error) + bytes(64)) == error.partition("(")[0]
    assert abi.error_name(b"\1\2\3\4") == abi.error_name(b"") == ""
    topics = {keccak256(s.encode()): e for s, e in of("event").items()}
    for event in abi.EVENTS:
        indexed = [spelled(i) for i in topics[event.topic]["inputs"] if i["indexed"]]
        others = [spelled(i) for i in topics[event.topic]["inputs"] if not i["indexed"]]
        assert ([*event.indexed], [*event.others]) == (indexed, others), event.name


def test_a_submission_is_read_back() -> None:
    proof = random.Random(1).randbytes(256)
    data = abi.submit_call(STATE, TABLE, proof)

    assert abi.read_submission(data) == abi.Submission(STATE, TABLE, proof)
    words = [int(data[10 + 64 * i : 74 + 64 * i], 16) for i in range(7)]
    assert words == [7, 5, 11, 24, 21, 22, 23], "the threshold comes first on chain"


@pytest.mark.parametrize("damage", ["", "0x", "0x757c37ad", "not hexadecimal"])
def test_what_is_no_submission_is_refused(damage: str) -> None:
    with pytest.raises(InvalidInput, match="not a call of newFinalizedState"):
        abi.read_submission(damage)
    with pytest.raises(InvalidInput, match="not a call of newFinalizedState"):
        abi.read_submission(abi.submit_call(STATE, TABLE, bytes(256))[:-100])


@pytest.mark.parametrize("state", [LightClientState(-1, 0, 0), LightClientState(0, U64_MAX + 1, 0)])
def test_values_out_of_range_are_not_encoded(state: LightClientState) -> None:
    with pytest.raises(InvalidInput, match="cannot call newFinalizedState"):
        abi.submit_call(state, TABLE, b"")


def test_public_inputs_have_the_thresholds_last() -> None:
    other = StakeTableState(31, 32, 33, 34)

    assert abi.public_inputs(STATE, TABLE, other) == (7, 5, 11, 21, 22, 23, 24, 31, 32, 33, 34)


def test_a_plonk_proof_is_encoded_as_the_deployed_contract_takes_it() -> None:
    words = [random.Random(i).randrange(abi.SCALAR_FIELD) for i in range(36)]
    (entry,) = (
        e
        for e in of("function").values()
        if e["name"] == "newFinalizedState" and e["stateMutability"] == "nonpayable"
    )
    types = [spelled(i) for i in entry["inputs"]]
    fields = [c["name"] for c in entry["inputs"][2]["components"]]

    data = bytes.fromhex(abi.submit_plonk_call(STATE, TABLE, words)[2:])

    assert data[:4].hex() == "757c37ad"
    assert len(data) == 4 + 32 * (3 + 4 + 36), "no offsets: every part has a fixed size"
    state, table, proof = decode(types, data[4:])
    assert (state, table) == ((7, 5, 11), (24, 21, 22, 23))
    by_name = dict(zip(fields, proof, strict=True))
    assert by_name["wire0"] == (words[0], words[1])
    assert by_name["zetaOmega"] == (words[24], words[25])
    assert by_name["wireEval0"] == words[26]
    assert by_name["prodPermZetaOmegaEval"] == words[35]
    assert encode(types, [state, table, proof]) == data[4:]


@pytest.mark.parametrize(
    ("place", "value"), [(0, abi.BASE_FIELD), (25, abi.BASE_FIELD), (26, abi.SCALAR_FIELD), (35, -1)]
)
def test_a_plonk_proof_outside_its_fields_is_refused(place: int, value: int) -> None:
    words = [1] * 36
    words[place] = value
    with pytest.raises(InvalidInput, match=f"word {place} of a PlonkProof"):
        abi.submit_plonk_call(STATE, TABLE, words)
    with pytest.raises(InvalidInput, match="another length"):
        abi.submit_plonk_call(STATE, TABLE, [1] * 35)


def test_an_answer_of_something_else_is_a_wrong_address() -> None:
    for answer in (b"", bytes(31), bytes(32), b"\xff" * 96):
        with pytest.raises(ConfigurationError, match="as it should"):
            abi.FINALIZED_STATE.read(answer)
    assert (
        abi.state_of(abi.FINALIZED_STATE.read(bytes(31) + b"\1" + bytes(31) + b"\2" + bytes(32))).height == 2
    )


def test_events_are_read_and_others_left() -> None:
    topics = [abi.NEW_STATE.topic, (7).to_bytes(32), (5).to_bytes(32)]
    assert abi.NEW_STATE.read(topics, (11).to_bytes(32)) == (7, 5, 11)
    assert abi.NEW_STATE.read(topics[:2], (11).to_bytes(32)) is None
    assert abi.NEW_STATE.read(topics, b"\1") is None
    assert abi.NEW_EPOCH.read(topics, (11).to_bytes(32)) is None
    assert abi.NEW_EPOCH.read([abi.NEW_EPOCH.topic], (3).to_bytes(32)) == (3,)
