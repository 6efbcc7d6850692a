"""Transactions as bytes: EIP-1559 (type 2), and the older form with EIP-155's replay protection."""

from __future__ import annotations

import rlp

from provery.chain.ethaccount import Accounts
from provery.chain.shapes import Malformed, address, data
from provery.chain.signers import Signer, keccak256
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.lanes import Signed, Unsigned

DYNAMIC = b"\x02"
"""Transaction type of EIP-1559."""
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
"""Of the curve secp256k1. Nodes refuse an s above half of it (EIP-2)."""


def payload_of(transaction: Unsigned, chain_id: int) -> bytes:
    """What is hashed and signed.

    Raises:
        InvalidInput: a field is malformed or out of range.
    """
    fields = _fields(transaction, chain_id)
    if transaction.dynamic:
        return DYNAMIC + _rlp(fields)
    return _rlp([*fields, chain_id, 0, 0])


async def sign(transaction: Unsigned, chain_id: int, signer: Signer) -> Signed:
    """Have a transaction signed, and check whose signature it is.

    Raises:
        InvalidInput: a field is malformed or out of range.
        ConfigurationError: the signature is not of the signer's account.
    """
    payload = payload_of(transaction, chain_id)
    signature = _low(await signer.sign(payload))
    r, s, parity = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64]), signature[64]
    fields = _fields(transaction, chain_id)
    if transaction.dynamic:
        raw = DYNAMIC + _rlp([*fields, parity, r, s])
    else:
        raw = _rlp([*fields, chain_id * 2 + 35 + parity, r, s])
    # Read back from the bytes that will be sent, by another library than the one that wrote them.
    try:
        sender = Accounts.recover_transaction(raw)
    except Exception:  # whatever the libraries raise, the signature is nobody's
        sender = "nobody"
    if sender != signer.address:
        raise ConfigurationError(
            "a signed transaction is not of the account that should have signed it",
            value=sender,
            expected=signer.address,
            action="check the remote signer's keys",
        )
    return Signed(hash="0x" + keccak256(raw).hex(), raw="0x" + raw.hex())


def _fields(transaction: Unsigned, chain_id: int) -> list[object]:
    try:
        to, call = address(transaction.to), data(transaction.data)
    except Malformed as error:
        raise InvalidInput(f"a transaction's receiver or data is malformed: {error}") from None
    for name in ("nonce", "value", "gas", "max_fee", "max_priority_fee"):
        if not 0 <= getattr(transaction, name) < 2**256:
            raise InvalidInput(f"a transaction's {name} is out of range", value=getattr(transaction, name))
    if not transaction.dynamic:
        return [
            transaction.nonce, transaction.max_fee, transaction.gas, to, transaction.value, call,
        ]  # fmt: skip
    fees = [transaction.max_priority_fee, transaction.max_fee]
    return [chain_id, transaction.nonce, *fees, transaction.gas, to, transaction.value, call, []]


def _rlp(fields: list[object]) -> bytes:
    return bytes(rlp.encode(fields))


def _low(signature: bytes) -> bytes:
    """The signature with the smaller of its two values of s: some key vaults give the other one."""
    s = int.from_bytes(signature[32:64])
    if not _ORDER // 2 < s < _ORDER:
        return signature
    return signature[:32] + (_ORDER - s).to_bytes(32) + bytes([signature[64] ^ 1])
