"""Accounts that sign, and that nothing shows their keys."""

import json
import logging
import traceback
from pathlib import Path
from typing import Any, Literal

import pytest

from provery.chain.account import open_signer
from provery.chain.ethaccount import Accounts
from provery.chain.signers import LocalSigner, keccak256, local_signer, signer_of
from provery.core.errors import ConfigurationError
from provery.core.lanes import Account
from provery.core.redact import RedactingFilter, redactor
from provery.local.anvil import MNEMONIC

KEY = "4c0883a69102937d6231471b5dbb6204fe5129617082792ae468d01a3f362318"
ADDRESS = "0x2c7536E3605D9C16a7a3D7b1898e529396a65c23"
"""Of the key, by the documentation of eth-account."""
PASSWORD = "correct horse battery staple"


def keystore(path: Path, kdf: Literal["scrypt", "pbkdf2"] = "scrypt", password: str = PASSWORD) -> Path:
    # few rounds: what is tested is the format, not the cost
    content = Accounts.encrypt(bytes.fromhex(KEY), password, kdf=kdf, iterations=4 if kdf == "pbkdf2" else 2)
    path.write_text(json.dumps(content))
    return path


async def failure(account: Account) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        await open_signer(account)
    text = "".join(traceback.format_exception(caught.value, chain=True)) + repr(account) + str(caught.value)
    for secret in (account.private_key, account.password, account.mnemonic):
        bare = secret.strip().removeprefix("0x")
        assert not bare or bare not in text
    return caught.value


async def test_a_private_key() -> None:
    for form in (KEY, "0x" + KEY, "0X" + KEY.upper(), f" 0x{KEY}\n"):
        assert (await open_signer(Account(private_key=form))).address == ADDRESS


@pytest.mark.parametrize("kdf", ["scrypt", "pbkdf2"])
async def test_a_keystore(tmp_path: Path, kdf: Literal["scrypt", "pbkdf2"]) -> None:
    account = Account(keystore=keystore(tmp_path / "key.json", kdf), password=PASSWORD)
    assert (await open_signer(account)).address == ADDRESS


async def test_a_keystore_of_the_specification(tmp_path: Path) -> None:
    # The PBKDF2 test vector of "Web3 Secret Storage Definition" (ethereum.org)
    (tmp_path / "k.json").write_text(
        json.dumps(
            {
                "crypto": {
                    "cipher": "aes-128-ctr",
                    "cipherparams": {"iv": "6087dab2f9fdbbfaddc31a909735c1e6"},
                    "ciphertext": "5318b4d5bcd28de64ee5559e671353e16f075ecae9f99c7a79a38af5f869aa46",
                    "kdf": "pbkdf2",
                    "kdfparams": {
                        "c": 262144,
                        "dklen": 32,
                        "prf": "hmac-sha256",
                        "salt": "ae3cd4e7013836a3df6bd7241b12db061dbe2c6785853cce422d148a624ce0bd",
                    },
                    "mac": "517ead924a9d0dc3124507e3393d175ce3ff7c1e96529c6c555ce9e51205e9b2",
                },
                "id": "3198bc9c-6672-5ab3-d995-4942343ae5b6",
                "version": 3,
            }
        )
    )
    signer = await open_signer(Account(keystore=tmp_path / "k.json", password="testpassword"))
    assert signer.address == "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b"


async def test_a_mnemonic_with_an_index() -> None:
    # Anvil, Hardhat and Foundry print these two for it.
    first = await open_signer(Account(mnemonic=MNEMONIC))
    assert first.address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    tenth = await open_signer(Account(mnemonic=f"  {MNEMONIC.replace(' ', '  ')}\n", index=9))
    assert tenth.address == "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720"


async def test_signatures_are_the_same_each_time_and_low() -> None:
    signer = await local_signer(Account(private_key=KEY))
    for number in range(50):
        payload = b"payload %d" % number
        signature = await signer.sign(payload)
        assert signature == await signer.sign(payload)
        assert signer_of(payload, signature) == ADDRESS
        assert int.from_bytes(signature[32:64]) < 2**255
        assert signature[64] in (0, 1)


async def test_a_signature_by_the_reference() -> None:
    """As eth-account signs, which follows RFC 6979 as well."""
    signer = await local_signer(Account(private_key=KEY))
    theirs = Accounts.unsafe_sign_hash(keccak256(b"x"), "0x" + KEY)
    ours = await signer.sign(b"x")
    assert (int.from_bytes(ours[:32]), int.from_bytes(ours[32:64]), ours[64] + 27) == (
        theirs.r,
        theirs.s,
        theirs.v,
    )


async def test_exactly_one_account(tmp_path: Path) -> None:
    assert "is not set" in str(await failure(Account()))
    both = await failure(Account(private_key=KEY, mnemonic=MNEMONIC))
    assert "more than once" in str(both)
    assert "a private key and a mnemonic" in str(both)
    assert "more than once" in str(await failure(Account(private_key=KEY, remote="http://127.0.0.1:1")))


@pytest.mark.parametrize(
    "key", ["zz" * 32, KEY[:-2], KEY + "00", "00" * 32, "ff" * 32, "0x", "correcthorsebatterystaple"]
)
async def test_no_private_key(key: str) -> None:
    error = await failure(Account(private_key=key))
    assert "the private key" in str(error)


async def test_wrong_words() -> None:
    swapped = MNEMONIC.replace("junk", "test")
    for words in (swapped, "abandon " * 11, "not words of the list at all here are twelve of them", "xxyyzz"):
        error = await failure(Account(mnemonic=words))
        assert str(error).startswith("the mnemonic of ")
        assert not [word for word in ("junk", "abandon", "words of the list at") if word in str(error)]


async def test_an_index_out_of_range() -> None:
    for index in (-1, 2**31):
        assert "account index is out of range" in str(await failure(Account(mnemonic=MNEMONIC, index=index)))


async def test_the_wrong_password(tmp_path: Path) -> None:
    path = keystore(tmp_path / "key.json")
    error = await failure(Account(keystore=path, password="wrong password here"))
    assert "its password is wrong" in str(error)
    assert str(path) in str(error)


async def test_no_keystore(tmp_path: Path) -> None:
    missing = tmp_path / "none.json"
    assert "cannot be read" in str(await failure(Account(keystore=missing, password=PASSWORD)))
    broken = tmp_path / "broken.json"
    for content in ("", "[]", "{}", '{"version": 4}', "[" * 100_000, '{"version": 3}'):
        broken.write_text(content)
        assert "the keystore" in str(await failure(Account(keystore=broken, password=PASSWORD)))
    broken.write_bytes(b"\xff" * 100)
    assert "the keystore is none" in str(await failure(Account(keystore=broken, password=PASSWORD)))
    broken.write_text(" " * 100_000)
    assert "the keystore is none" in str(await failure(Account(keystore=broken, password=PASSWORD)))


@pytest.mark.parametrize(
    "damage",
    [
        {"kdf": "argon2"},
        {"ciphertext": "zz"},
        {"cipher": "aes-256-gcm"},
        {"kdfparams": {}},
        {"cipherparams": {}},
        {"mac": None},
        {"mac": "00" * 32},
    ],
)
async def test_a_damaged_keystore(tmp_path: Path, damage: dict[str, Any]) -> None:
    path = keystore(tmp_path / "key.json")
    content = json.loads(path.read_text())
    content["crypto"] |= damage
    path.write_text(json.dumps(content))
    assert "the keystore does not open" in str(await failure(Account(keystore=path, password=PASSWORD)))


async def test_a_key_of_another_account() -> None:
    error = await failure(Account(private_key=KEY, address="0x" + "12" * 20))
    assert ADDRESS in str(error)
    assert (await open_signer(Account(private_key=KEY, address=ADDRESS.lower()))).address == ADDRESS


async def test_nothing_shows_a_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = keystore(tmp_path / "key.json")
    caplog.handler.addFilter(RedactingFilter())
    for account in (
        Account(private_key="0x" + KEY),
        Account(keystore=path, password=PASSWORD),
        Account(mnemonic=MNEMONIC, index=1),
    ):
        signer = await open_signer(account)
        assert repr(signer) == f"LocalSigner({signer.address})"
        shown = f"{account!r} {signer!r} {account!s}"
        for secret in (KEY, PASSWORD, MNEMONIC):
            assert secret not in shown
            assert secret not in redactor(f"something said {secret} by mistake")
        logging.getLogger("test").error("by mistake: %s", KEY)
    assert KEY not in caplog.text
    assert KEY.upper() not in redactor(KEY.upper())


def test_a_derived_key_is_hidden_too() -> None:
    Accounts.enable_unaudited_hdwallet_features()
    derived = Accounts.from_mnemonic(MNEMONIC, account_path="m/44'/60'/0'/0/7").key
    LocalSigner(bytes(derived), "a test")
    assert bytes(derived).hex() not in redactor(f"0x{bytes(derived).hex()}")


@pytest.mark.parametrize("signature", [b"", b"\x00" * 65, b"\xff" * 65, b"\x01" * 64, b"\x01" * 64 + b"\x07"])
def test_nobodys_signature(signature: bytes) -> None:
    with pytest.raises(ValueError, match="not a signature"):
        signer_of(b"payload", signature)
