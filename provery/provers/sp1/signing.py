"""Signatures of requests: EIP-191 ``personal_sign`` over a message's binary encoding."""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak

from provery.core.errors import ConfigurationError

V_OFFSET = 27
"""Added to the recovery bit in the last byte of a signature."""


def keccak256(data: bytes) -> bytes:
    """Keccak-256 as Ethereum has it (not SHA3-256)."""
    return keccak.new(data=data, digest_bits=256).digest()


def personal_hash(message: bytes) -> bytes:
    """What ``personal_sign`` signs (EIP-191, version 0x45)."""
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(message)).encode() + message)


def address_of(key: PublicKey) -> bytes:
    """The account of a public key, 20 bytes."""
    return keccak256(key.format(compressed=False)[1:])[-20:]


class Signer:
    """An account that can sign. Its text form shows the address and never the key.

    Args:
        key: Private key, 32 bytes.

    Raises:
        ConfigurationError: it is not below the curve's order.
    """

    def __init__(self, key: bytes) -> None:
        try:
            self._key = PrivateKey(key)
        except ValueError:
            raise ConfigurationError(
                "the signing key is no private key of secp256k1", action="set another SP1_PRIVATE_KEY"
            ) from None
        self.address = address_of(self._key.public_key)
        """20 bytes."""

    def __repr__(self) -> str:
        return f"Signer(0x{self.address.hex()})"

    def sign(self, message: bytes, *, v_offset: int = V_OFFSET) -> bytes:
        """65 bytes: r, s (low) and v, with a nonce that follows from key and message (RFC 6979)."""
        signature = self._key.sign_recoverable(personal_hash(message), hasher=None)
        return signature[:64] + bytes([signature[64] + v_offset])


def recovered(message: bytes, signature: bytes, *, v_offset: int = V_OFFSET) -> bytes:
    """The account whose signature this is.

    Raises:
        ValueError: it is nobody's.
    """
    if len(signature) != 65 or not 0 <= signature[64] - v_offset <= 1:
        raise ValueError("not a signature of 65 bytes with v of 27 or 28")
    raw = signature[:64] + bytes([signature[64] - v_offset])
    return address_of(PublicKey.from_signature_and_message(raw, personal_hash(message), hasher=None))
