"""Contracts' reasons, decoded."""

import eth_abi.abi
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provery.chain.endpoint import Failure
from provery.chain.reverts import ErrorNames
from provery.chain.signers import keccak256
from provery.core.errors import ConfigurationError

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

NAMES = ErrorNames(
    [
        "OutdatedState()",
        "error Insufficient(uint256 have, uint256 want);",
        "Named(address,bytes32,string)",
        "Deep((uint8,bool)[])",
    ]
)


def revert(signature: str, *values: object) -> bytes:
    types = signature[signature.index("(") + 1 : -1]
    body = eth_abi.abi.encode(types.split(","), values) if values else b""
    return keccak256(signature.encode())[:4] + body


def test_custom_errors_have_their_names() -> None:
    assert NAMES.name(revert("OutdatedState()")) == "OutdatedState()"
    assert NAMES.name(revert("Insufficient(uint256,uint256)", 3, 2**200)) == f"Insufficient(3, {2**200})"
    shown = NAMES.name(revert("Named(address,bytes32,string)", "0x" + "ab" * 20, b"\x01" * 32, "low\nlevel"))
    assert shown == f"Named('0x{'ab' * 20}', 0x{'01' * 32}, 'low\\nlevel')"


def test_a_selector_by_the_reference() -> None:
    # keccak256("Error(string)") and keccak256("Panic(uint256)"), from the Solidity documentation
    assert revert("Error(string)")[:4].hex() == "08c379a0"
    assert revert("Panic(uint256)")[:4].hex() == "4e487b71"


def test_tuples_in_errors() -> None:
    body = eth_abi.abi.encode(["(uint8,bool)[]"], [[(1, True)]])
    assert NAMES.name(keccak256(b"Deep((uint8,bool)[])")[:4] + body) == "Deep('((1, True),)')"


def test_reasons_and_panics() -> None:
    assert NAMES.name(revert("Error(string)", "not the prover")) == "'not the prover'"
    assert NAMES.name(revert("Panic(uint256)", 0x11)) == "Panic(0x11): arithmetic overflow"
    assert NAMES.name(revert("Panic(uint256)", 0x99)) == "Panic(0x99): unknown"


def test_what_is_not_known_keeps_its_selector() -> None:
    assert NAMES.name(bytes.fromhex("deadbeef00")) == "unknown custom error 0xdeadbeef with 1 bytes"
    assert NAMES.name(b"") == "no reason given"


def test_what_does_not_decode_keeps_its_name() -> None:
    assert (
        NAMES.name(revert("Insufficient(uint256,uint256)")) == "Insufficient with 0 bytes that do not decode"
    )
    assert NAMES.name(bytes.fromhex("08c379a0") + b"\xff" * 64) == "a reason that does not decode"


@patient
@given(st.sampled_from(["08c379a0", "4e487b71", *(s.hex() for s in NAMES._known)]), st.binary(max_size=400))
def test_hostile_data_give_a_short_printable_text(selector: str, body: bytes) -> None:
    shown = NAMES.name(bytes.fromhex(selector) + body)
    assert shown.isprintable()
    assert len(shown) < 2_000


@pytest.mark.parametrize(
    "signature", ["", "Outdated", "Outdated(", "1Bad()", "Odd(uint7)", "Odd(uint256,,)", "Odd(nothing)"]
)
def test_a_malformed_signature_is_a_mistake_of_ours(signature: str) -> None:
    with pytest.raises(ConfigurationError, match="signature is malformed"):
        ErrorNames([signature])


OUTDATED = "0x" + revert("OutdatedState()").hex()


@pytest.mark.parametrize(
    "failure",
    [
        Failure(3, "execution reverted", OUTDATED),  # geth, reth, Erigon
        Failure(3, "execution reverted: custom error 0x1234", OUTDATED),  # anvil
        Failure(-32015, "VM execution error.", f"Reverted {OUTDATED}"),  # Nethermind, OpenEthereum
        Failure(-32000, "Execution reverted", OUTDATED),  # Besu
        Failure(-32603, "Error: VM Exception while processing transaction", {"data": OUTDATED}),  # Hardhat
        Failure(-32000, "execution reverted", {"result": OUTDATED, "message": "revert"}),
    ],
)
def test_reverts_in_the_forms_of_clients(failure: Failure) -> None:
    assert NAMES.of_failure(failure) == "OutdatedState()"


def test_a_call_that_halts_without_data() -> None:
    assert NAMES.of_failure(Failure(-32000, "execution reverted")) == "no reason given"
    assert NAMES.of_failure(Failure(-32000, "out of gas")) == "'out of gas'"
    assert NAMES.of_failure(Failure(-32003, "EVM error OpcodeNotFound: opcode not found")) is not None


@pytest.mark.parametrize(
    "failure",
    [
        Failure(-32000, "header not found"),
        Failure(-32603, "Internal error", "0x08c379a0"),
        Failure(-32601, "the method eth_call does not exist"),
        Failure(-32000, "insufficient funds for transfer"),
    ],
)
def test_other_errors_are_no_reverts(failure: Failure) -> None:
    assert NAMES.of_failure(failure) is None
