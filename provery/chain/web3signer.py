"""A remote signer that speaks Web3Signer's eth1 API: the key never comes here.

``GET /api/v1/eth1/publicKeys`` lists public keys; ``POST /api/v1/eth1/sign/{public key}`` with ``{"data": "0x…"}``
answers with the signature of the data's Keccak-256 as text: r, s and v of 27 or 28.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import NoReturn

import httpx
from coincurve import PublicKey
from pydantic_core import from_json

from provery.chain.endpoint import certificates
from provery.chain.signers import account_of, signer_of
from provery.core.errors import ConfigurationError, SinkUnavailable, shorten
from provery.core.lanes import Account
from provery.core.redact import redact, redactor
from provery.core.urls import address_of

TOTAL_S = 30.0
"""Seconds for one request; signers in front of hardware take some."""
BODY_LIMIT = 4 * 2**20
"""Bytes of an answer; a list of ten thousand keys has 1.4 million."""
_LISTED = re.compile(r"(?:0x)?(?:04)?([0-9a-f]{128})", re.IGNORECASE)
_SIGNATURE = re.compile(r'"?0x([0-9a-f]{130})"?', re.IGNORECASE)


class RemoteSigner:
    """One account of a remote signer. Use :meth:`open`.

    Args:
        url: Base URL; user information becomes basic authentication.

    Raises:
        ConfigurationError: the URL is none.
    """

    def __init__(self, url: str) -> None:
        address = address_of(url, "the remote signer")
        redactor.learn_values(address.secrets)
        self.name = address.name
        self._base = address.name + address.path.rstrip("/")
        self._identifier = ""
        self.address = ""
        self._http = httpx.AsyncClient(
            params=list(address.query),
            auth=None if address.user is None else httpx.BasicAuth(address.user, address.password),
            timeout=httpx.Timeout(TOTAL_S, connect=5.0),
            verify=certificates(self.name),
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )

    def __repr__(self) -> str:
        return f"RemoteSigner({self.name}, {self.address})"

    @classmethod
    async def open(cls, account: Account) -> RemoteSigner:
        """Find the account's key among the signer's.

        Raises:
            SinkUnavailable: the signer does not answer.
            ConfigurationError: it does not have the key, or has several and none is chosen.
        """
        signer = cls(account.remote)
        try:
            await signer._choose(account.address)
        except BaseException:
            await signer.close()
            raise
        return signer

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def sign(self, payload: bytes) -> bytes:
        """See :class:`~provery.chain.signers.Signer`."""
        body = json.dumps({"data": "0x" + payload.hex()}).encode()
        text = await self._request("POST", f"/api/v1/eth1/sign/{self._identifier}", body)
        found = _SIGNATURE.fullmatch(text.strip())
        if found is None:
            self._refuse("answered with no signature of 65 bytes", text)
        signature = bytes.fromhex(found[1])
        parity = signature[64] - 27 if signature[64] >= 27 else signature[64]
        if parity > 1:
            self._refuse("answered with a v that is neither 27 nor 28", signature[64])
        signature = signature[:64] + bytes([parity])
        try:
            owner = signer_of(payload, signature)
        except ValueError:
            owner = "nobody"
        if owner != self.address:
            self._refuse("signed as another account, or something else", owner)
        return signature

    async def _choose(self, wanted: str) -> None:
        text = await self._request("GET", "/api/v1/eth1/publicKeys")
        try:
            listed = from_json(text)
            keys = {account_of(_key(item)): item for item in listed}
        except (ValueError, TypeError):
            self._refuse("answered with no list of public keys", text)
        chosen = {a: k for a, k in keys.items() if not wanted or a.lower() == wanted.lower()}
        if len(chosen) != 1:
            self._refuse(
                f"has {len(chosen) if chosen else 'no'} keys of {wanted or 'an account'}",
                ", ".join(sorted(keys)[:10]) or "no keys at all",
                "set the address of one of its accounts",
            )
        self.address, self._identifier = next(iter(chosen.items()))

    async def _request(self, method: str, path: str, body: bytes | None = None) -> str:
        try:
            async with (
                asyncio.timeout(TOTAL_S),
                self._http.stream(
                    method, self._base + path, content=body, headers={"content-type": "application/json"}
                ) as answer,
            ):
                content = bytearray()
                async for chunk in answer.aiter_raw():
                    content += chunk
                    if len(content) > BODY_LIMIT:
                        raise self._away(f"sent more than {BODY_LIMIT} bytes")
        except (TimeoutError, httpx.TimeoutException):
            raise self._away(f"no complete answer within {TOTAL_S:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._away(f"{type(error).__name__}: {redact(error)}") from None
        status = answer.status_code
        if status >= 500 or status == 429:
            raise self._away(f"HTTP {status}")
        if status != httpx.codes.OK:
            self._refuse(
                f"answered HTTP {status}", "", "check its address, its credentials, and that it has the key"
            )
        return content.decode("utf-8", "replace")

    def _away(self, reason: str) -> SinkUnavailable:
        return SinkUnavailable(f"remote signer {self.name}: {reason}", action="it is tried again later")

    def _refuse(self, what: str, value: object, action: str = "check that it is a Web3Signer") -> NoReturn:
        got = shorten(redact(value), 500) if value != "" else None
        raise ConfigurationError(
            f"remote signer {self.name} {what}" + (f", got {got}" if got else ""), action=action
        )


def _key(listed: object) -> PublicKey:
    """A public key as the signer lists it: the point's coordinates, with or without 0x and 04."""
    found = _LISTED.fullmatch(listed) if isinstance(listed, str) else None
    if found is None:
        raise ValueError("not a public key")
    return PublicKey(b"\x04" + bytes.fromhex(found[1]))
