"""Transactions as bytes, against eth-account and the example of EIP-155."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provery.chain import transactions
from provery.chain.ethaccount import Accounts
from provery.chain.signers import LocalSigner, keccak256
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.lanes import Unsigned

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

KEY = bytes.fromhex("4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318")
TO = "0x3535353535353535353535353535353535353535"

unsigned = st.builds(
    Unsigned,
    nonce=st.integers(0, 2**64 - 2),
    to=st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    data=st.binary(max_size=200).map(lambda raw: "0x" + raw.hex()),
    value=st.integers(0, 2**128),
    gas=st.integers(21_000, 2**40),
    max_fee=st.integers(0, 2**80),
    max_priority_fee=st.integers(0, 2**80),
    dynamic=st.booleans(),
)


def theirs(transaction: Unsigned, chain_id: int) -> Any:
    fields: dict[str, Any] = {
        "chainId": chain_id,
        "nonce": transaction.nonce,
        "to": bytes.fromhex(transaction.to[2:]),
        "data": transaction.data,
        "value": transaction.value,
        "gas": transaction.gas,
    }
    if transaction.dynamic:
        fields |= {"maxFeePerGas": transaction.max_fee, "maxPriorityFeePerGas": transaction.max_priority_fee}
    else:
        fields["gasPrice"] = transaction.max_fee
    return Accounts.sign_transaction(fields, KEY)


@patient
@given(unsigned, st.integers(1, 2**53))
async def test_the_same_bytes_as_the_reference(transaction: Unsigned, chain_id: int) -> None:
    signed = await transactions.sign(transaction, chain_id, LocalSigner(KEY, "a test"))
    expected = theirs(transaction, chain_id)
    assert signed.raw == "0x" + bytes(expected.raw_transaction).hex()
    assert signed.hash == "0x" + bytes(expected.hash).hex()


async def test_the_example_of_eip_155() -> None:
    transaction = Unsigned(9, TO, "0x", 10**18, 21_000, 20 * 10**9, 0, dynamic=False)
    payload = transactions.payload_of(transaction, 1)
    assert payload.hex() == (
        "ec098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a764000080018080"
    )
    assert keccak256(payload).hex() == "daf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"
    signed = await transactions.sign(transaction, 1, LocalSigner(bytes.fromhex("46" * 32), "a test"))
    assert signed.raw == (
        "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc"
        "2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a"
        "3b6d83"
    )


class Odd:
    """A signer that does not do what it should."""

    def __init__(self, key: bytes, signature: bytes | None = None) -> None:
        self._signer = LocalSigner(KEY, "a test")
        self.address = LocalSigner(key, "a test").address
        self._signature = signature

    async def sign(self, payload: bytes) -> bytes:
        return self._signature or await self._signer.sign(payload)

    async def close(self) -> None: ...


PLAIN = Unsigned(0, TO, "0x", 1, 21_000, 10, 1)


@pytest.mark.parametrize("dynamic", [True, False])
@pytest.mark.parametrize("signature", [None, b"\x00" * 65, b"\x01" * 65, b"\xff" * 64 + b"\x00"])
async def test_a_signature_of_another_account_is_noticed(signature: bytes | None, dynamic: bool) -> None:
    with pytest.raises(ConfigurationError, match="not of the account"):
        await transactions.sign(replace(PLAIN, dynamic=dynamic), 1, Odd(b"\x07" * 32, signature))


async def test_a_high_s_is_made_low() -> None:
    """Nodes refuse the other half of the signatures (EIP-2); some key vaults give them."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    low = await LocalSigner(KEY, "a test").sign(transactions.payload_of(PLAIN, 1))
    high = low[:32] + (order - int.from_bytes(low[32:64])).to_bytes(32) + bytes([low[64] ^ 1])
    signed = await transactions.sign(PLAIN, 1, Odd(KEY, high))
    assert signed == await transactions.sign(PLAIN, 1, LocalSigner(KEY, "a test"))


@pytest.mark.parametrize(
    "change",
    [
        {"to": "0x12"},
        {"to": ""},
        {"data": "0x1"},
        {"data": "1234"},
        {"nonce": -1},
        {"value": 2**256},
        {"gas": -5},
        {"max_fee": 2**256},
        {"max_priority_fee": -1},
    ],
)
async def test_fields_out_of_range(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        await transactions.sign(replace(PLAIN, **change), 1, LocalSigner(KEY, "a test"))
