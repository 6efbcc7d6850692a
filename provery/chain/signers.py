"""Accounts that sign: a private key, an encrypted keystore, a mnemonic; nothing of them in a message, log or repr.

Signatures follow from key and message alone (RFC 6979), by Bitcoin's libsecp256k1, in constant time. A remote signer's
are its own affair (:mod:`provery.chain.web3signer`).
"""

from __future__ import annotations

import asyncio
from typing import NoReturn, Protocol

from coincurve import PrivateKey, PublicKey
from Crypto.Hash import keccak
from eth_utils.address import to_checksum_address
from pydantic_core import from_json

from provery.chain.ethaccount import Accounts
from provery.core.errors import ConfigurationError
from provery.core.lanes import Account
from provery.core.redact import redactor

HD_PATH = "m/44'/60'/0'/0/{index}"
"""BIP-44 path of an Ethereum account."""
KEYSTORE_LIMIT = 65_536
"""Bytes; a keystore has less than a thousand."""
_INDICES = 2**31


class Signer(Protocol):
    """Whoever holds the key of one account."""

    address: str
    """Checksummed."""

    async def sign(self, payload: bytes) -> bytes:
        """Signature of the payload's Keccak-256: r, s, each 32 bytes big-endian, and the recovery bit, 0 or 1.

        Raises:
            SinkUnavailable: the signer did not answer.
            ConfigurationError: it does not have the key, or gave another's signature.
        """
        ...

    async def close(self) -> None:
        """Release connections."""
        ...


def keccak256(message: bytes) -> bytes:
    """Keccak-256 as Ethereum has it (not SHA3-256)."""
    return keccak.new(data=message, digest_bits=256).digest()


def account_of(key: PublicKey) -> str:
    """Checksummed address of a public key."""
    return to_checksum_address(keccak256(key.format(compressed=False)[1:])[-20:])


def signer_of(payload: bytes, signature: bytes) -> str:
    """Checksummed address of the account that signed a payload.

    Raises:
        ValueError: it is no signature of anybody.
    """
    try:
        return account_of(PublicKey.from_signature_and_message(signature, keccak256(payload), hasher=None))
    except Exception as error:  # the library raises bare Exception where recovery fails
        raise ValueError("not a signature") from error


class LocalSigner:
    """A key in this process.

    Args:
        key: 32 bytes.
        setting: Where it comes from, for the error.

    Raises:
        ConfigurationError: it is no private key of secp256k1.
    """

    def __init__(self, key: bytes, setting: str) -> None:
        redactor.learn_values({key.hex(), key.hex().upper()})
        if len(key) != 32:
            _refuse(setting, "is no private key", "32 bytes in hexadecimal")
        try:
            self._key = PrivateKey(key)
        except ValueError:
            _refuse(setting, "is no private key of secp256k1", "a number from 1 to the curve's order")
        self.address = account_of(self._key.public_key)

    def __repr__(self) -> str:
        return f"LocalSigner({self.address})"

    async def sign(self, payload: bytes) -> bytes:
        """See :class:`Signer`."""
        return self._key.sign_recoverable(keccak256(payload), hasher=None)

    async def close(self) -> None:
        """Nothing to close."""


async def local_signer(account: Account) -> LocalSigner:
    """The signer of an account whose key is in this process.

    Raises:
        ConfigurationError: the key, keystore, password or mnemonic is unusable; the message names which and never
            holds it.
    """
    redactor.learn_values({account.private_key, account.password, account.mnemonic} - {""})
    if account.private_key:
        signer = LocalSigner(_hex(account.private_key), "the private key")
    elif account.keystore is not None:
        # scrypt takes seconds, by design.
        signer = LocalSigner(await asyncio.to_thread(_from_keystore, account), "the keystore")
    else:
        signer = LocalSigner(await asyncio.to_thread(_from_mnemonic, account), "the mnemonic")
    if account.address and account.address.lower() != signer.address.lower():
        raise ConfigurationError(
            "the key is not of the account that is set",
            value=signer.address,
            expected=account.address,
            action="correct the address, the key or the account index",
        )
    return signer


def _hex(text: str) -> bytes:
    bare = text.strip().removeprefix("0x").removeprefix("0X")
    redactor.learn_values({bare, bare.lower(), bare.upper()})
    try:
        return bytes.fromhex(bare)
    except ValueError:
        _refuse("the private key", "is not hexadecimal", "0x and 64 hexadecimal digits")


def _from_keystore(account: Account) -> bytes:
    path = account.keystore
    try:
        with open(path or "", "rb") as stream:
            text = stream.read(KEYSTORE_LIMIT + 1)
    except OSError as error:
        raise ConfigurationError(
            f"the keystore cannot be read ({error.strerror})",
            value=path,
            expected="a keystore file of version 3",
            action="correct its path or its permissions",
        ) from None
    try:
        keystore = from_json(text) if len(text) <= KEYSTORE_LIMIT else None
    except ValueError:
        keystore = None
    if not isinstance(keystore, dict) or keystore.get("version") != 3:
        raise ConfigurationError(
            "the keystore is none", value=path, expected="a keystore file of version 3", action="name another"
        )
    reason = "it is damaged or of an unknown kind"
    try:
        # The library assumes this cipher, and the MAC does not cover its name.
        if keystore["crypto"]["cipher"] == "aes-128-ctr":
            return bytes(Accounts.decrypt(keystore, account.password))
    except ValueError as error:
        if "MAC" in str(error):
            reason = "its password is wrong"
    except (KeyError, TypeError, NotImplementedError, AttributeError):
        pass
    raise ConfigurationError(
        f"the keystore does not open: {reason}", value=path, action="correct the password or the path"
    )


def _from_mnemonic(account: Account) -> bytes:
    words = account.mnemonic.split()
    if not 0 <= account.index < _INDICES:
        raise ConfigurationError(
            "the account index is out of range", value=account.index, expected="0 to 2^31 - 1"
        )
    redactor.learn_values({" ".join(words)})
    Accounts.enable_unaudited_hdwallet_features()
    try:
        # The library's own errors hold the words.
        derived = Accounts.from_mnemonic(" ".join(words), account_path=HD_PATH.format(index=account.index))
    except Exception:  # ValidationError of several kinds
        _refuse(
            "the mnemonic", f"of {len(words)} words is none", "12, 15, 18, 21 or 24 words of BIP-39, in order"
        )
    return bytes(derived.key)


def _refuse(setting: str, what: str, expected: str) -> NoReturn:
    raise ConfigurationError(f"{setting} {what}", expected=expected, action="set another") from None
