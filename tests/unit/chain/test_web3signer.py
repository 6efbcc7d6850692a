"""A remote signer: found, asked, and believed only as far as its signatures go."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from coincurve import PrivateKey

from provery.chain import open_chain, transactions, web3signer
from provery.chain.account import open_signer
from provery.chain.signers import LocalSigner, account_of
from provery.core.errors import ConfigurationError, SinkUnavailable
from provery.core.lanes import Account, Contract, Sent, Unsigned
from provery.core.redact import redactor
from tests.support.anvil import GWEI, Anvil, address, private_key
from tests.support.web3signer import Sign, Web3Signer, signed

KEYS = [bytes.fromhex(private_key(index)[2:]) for index in range(3)]
PLAIN = Unsigned(0, address(5), "0x", 1, 21_000, 10 * GWEI, GWEI)


@pytest.fixture
def server() -> Iterator[Web3Signer]:
    with Web3Signer(*KEYS).serving() as running:
        yield running


def account(server: Web3Signer, index: int = 1) -> Account:
    return Account(remote=server.url, address=address(index))


async def test_the_same_transaction_as_with_the_key_itself(server: Web3Signer) -> None:
    for dynamic in (True, False):
        transaction = replace(PLAIN, dynamic=dynamic)
        remote = await open_signer(account(server))
        assert remote.address == address(1)
        ours = await transactions.sign(transaction, 31_337, remote)
        assert ours == await transactions.sign(transaction, 31_337, LocalSigner(KEYS[1], "a test"))
        await remote.close()


@pytest.mark.e2e
async def test_it_lands(server: Web3Signer, tmp_path: Path) -> None:
    async with Anvil(tmp_path) as anvil:
        chain = await open_chain([anvil.url], account(server, 2), Contract())
        assert chain.sender == address(2)
        signed_here = await chain.sign(PLAIN)
        assert await chain.send(signed_here) is Sent.ACCEPTED
        await anvil.mine()
        receipt = await chain.receipt(signed_here.hash)
        assert receipt is not None
        assert receipt.succeeded
        await chain.close()


async def test_the_only_account_needs_no_name() -> None:
    with Web3Signer(KEYS[0]).serving() as server:
        signer = await open_signer(Account(remote=server.url))
        assert signer.address == address(0)
        await signer.close()


async def test_keys_are_found_in_the_forms_of_versions(server: Web3Signer) -> None:
    bare = [key.removeprefix("0x") for key in server.keys]
    for listed in (bare, ["0x04" + key for key in bare], [key.upper() for key in bare]):
        server.listed = listed
        signer = await open_signer(account(server))
        assert signer.address == address(1)
        await signer.close()


async def test_an_account_that_it_does_not_have(server: Web3Signer) -> None:
    with pytest.raises(ConfigurationError) as caught:
        await open_signer(account(server, 7))
    assert address(7) in str(caught.value)
    assert address(0) in str(caught.value)
    with pytest.raises(ConfigurationError, match="set the address of one of its accounts"):
        await open_signer(Account(remote=server.url))
    server.listed = []
    with pytest.raises(ConfigurationError, match="no keys at all"):
        await open_signer(Account(remote=server.url))


@pytest.mark.parametrize("listed", [None, 5, {"a": 1}, ["0x12"], [5], ["0x" + "ff" * 64], "0x" + "11" * 64])
async def test_a_list_that_is_none(server: Web3Signer, listed: object) -> None:
    server.listed = listed
    with pytest.raises(ConfigurationError, match="no list of public keys"):
        await open_signer(account(server))


def high_s(key: PrivateKey, data: bytes) -> str:
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    raw = bytes.fromhex(signed(key, data)[2:])
    flipped = (order - int.from_bytes(raw[32:64])).to_bytes(32)
    return "0x" + (raw[:32] + flipped + bytes([55 - raw[64]])).hex()


@pytest.mark.parametrize(
    "sign",
    [
        high_s,
        lambda key, data: f'"{signed(key, data)}"\n',
        lambda key, data: signed(key, data)[:-2] + f"{int(signed(key, data)[-2:], 16) - 27:02x}",
    ],
)
async def test_signatures_in_other_forms(server: Web3Signer, sign: Sign) -> None:
    signer = await open_signer(account(server))
    server.sign = sign
    assert await transactions.sign(PLAIN, 1, signer) == await transactions.sign(
        PLAIN, 1, LocalSigner(KEYS[1], "x")
    )
    await signer.close()


@pytest.mark.parametrize(
    "sign",
    [
        lambda key, data: signed(PrivateKey(KEYS[0]), data),
        lambda key, data: signed(key, data + b"!"),
        lambda key, data: "0x" + "00" * 65,
        lambda key, data: "0x" + "ff" * 64 + "1b",
        lambda key, data: signed(key, data)[:-2] + "1e",
        lambda key, data: signed(key, data)[:-2],
        lambda key, data: "",
        lambda key, data: "<html>",
        lambda key, data: "{}",
    ],
)
async def test_signatures_that_are_not_ours(server: Web3Signer, sign: Sign) -> None:
    signer = await open_signer(account(server))
    server.sign = sign
    with pytest.raises(ConfigurationError, match="remote signer http://127"):
        await signer.sign(b"payload")
    await signer.close()


@pytest.mark.parametrize("status", [500, 502, 503, 429])
async def test_a_signer_in_trouble_is_asked_again_later(server: Web3Signer, status: int) -> None:
    signer = await open_signer(account(server))
    server.status = status
    with pytest.raises(SinkUnavailable, match=f"HTTP {status}"):
        await signer.sign(b"payload")
    server.status = 0
    assert len(await signer.sign(b"payload")) == 65
    await signer.close()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 302])
async def test_a_signer_that_refuses_is_a_matter_for_the_operator(server: Web3Signer, status: int) -> None:
    signer = await open_signer(account(server))
    server.status = status
    with pytest.raises(ConfigurationError, match=f"HTTP {status}"):
        await signer.sign(b"payload")
    await signer.close()


async def test_a_key_that_was_taken_away(server: Web3Signer) -> None:
    signer = await open_signer(account(server))
    server.keys.clear()
    with pytest.raises(ConfigurationError, match="HTTP 404"):
        await signer.sign(b"payload")
    await signer.close()


async def test_nobody_is_there(monkeypatch: pytest.MonkeyPatch, server: Web3Signer) -> None:
    with pytest.raises(SinkUnavailable, match="ConnectError"):
        await open_signer(Account(remote="http://127.0.0.1:1", address=address(0)))
    monkeypatch.setattr(web3signer, "BODY_LIMIT", 100)
    with pytest.raises(SinkUnavailable, match="more than 100 bytes"):
        await open_signer(account(server))
    with pytest.raises(ConfigurationError, match="the remote signer's URL is malformed"):
        await open_signer(Account(remote="signer:9000"))


async def test_credentials_are_sent_and_never_shown(server: Web3Signer) -> None:
    url = server.url.replace("http://", "http://lane:s3cretword@")
    signer = await open_signer(Account(remote=url, address=address(0)))
    await signer.sign(b"payload")
    assert all(authorization.startswith("Basic ") for _, authorization in server.asked)
    server.status = 401
    with pytest.raises(ConfigurationError) as caught:
        await signer.sign(b"payload")
    assert "s3cretword" not in f"{caught.value} {signer!r} {Account(remote=url)!r}"
    assert "s3cretword" not in redactor("by mistake s3cretword")
    await signer.close()


def test_addresses_of_public_keys() -> None:
    assert [account_of(PrivateKey(key).public_key) for key in KEYS] == [address(0), address(1), address(2)]
