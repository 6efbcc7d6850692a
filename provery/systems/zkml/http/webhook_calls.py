"""One call of a webhook: to a public address over TLS, signed, without redirects, and never with the answer read."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

import httpx

from provery import __version__
from provery.systems.zkml.http.problems import ApiError

SIGNATURE, TIMESTAMP, DELIVERY = "X-Provery-Signature", "X-Provery-Timestamp", "X-Provery-Delivery"
PORTS = {"http": 80, "https": 443}


class CallFailed(Exception):
    """A webhook was not taken.

    Args:
        reason: Why, for the operator; no secret.
        again: Whether trying again may help.
    """

    def __init__(self, reason: str, *, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


@dataclass(frozen=True)
class Target:
    """A webhook's address, taken apart."""

    scheme: str
    host: str
    port: int
    path: str
    allowed: bool
    """Whether the operator allows it to be private and without TLS."""

    @property
    def authority(self) -> str:
        """Of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"


def key_secret(secret: str, key_id: str) -> str:
    """The secret that webhooks of one API key are signed by: no key's holder can sign for another's."""
    return hmac.new(secret.encode(), f"webhook:{key_id}".encode(), hashlib.sha256).hexdigest()


def signature(secret: str, timestamp: int, body: str) -> str:
    """HMAC-SHA256 over the timestamp, a dot and the body: a call that was heard cannot be repeated later."""
    return "sha256=" + hmac.new(secret.encode(), f"{timestamp}.{body}".encode(), hashlib.sha256).hexdigest()


def target_of(url: str, hosts: frozenset[str]) -> Target:
    """Take a webhook's address apart.

    Args:
        url: As the client gave it.
        hosts: ``host`` or ``host:port`` that may be private and without TLS.

    Raises:
        ApiError: it may not be called.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _refused("is malformed") from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in PORTS or not host or not url.isascii() or any(c <= " " for c in url):
        raise _refused("is malformed; expected https:// and a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise _refused("holds a user, a password or a fragment")
    port = port if port is not None else PORTS[parts.scheme]
    allowed = host in hosts or f"{host}:{port}" in hosts
    if parts.scheme != "https" and not allowed:
        raise _refused("is not https")
    literal = _literal(host)
    if literal is not None and not allowed and not public(literal):
        raise _refused("is no public address")
    return Target(parts.scheme, host, port, _path(parts), allowed)


async def addresses(target: Target) -> list[str]:
    """Addresses that may be connected to: looked up once, so that a name cannot mean another one a moment later.

    Raises:
        CallFailed: the name is unknown, or leads to a private address.
    """
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise CallFailed(f"the host is not found: {error.strerror or error}") from None
    named = list(dict.fromkeys(str(one[4][0]) for one in found))
    if not target.allowed:
        for one in named:
            literal = _literal(one)
            if literal is None or not public(literal):
                raise CallFailed("the host leads to a private address", again=False)
    return named


async def call(target: Target, headers: dict[str, str], body: str, timeout_s: float) -> int:
    """Send; returns the status.

    Raises:
        CallFailed: it was not taken: no answer, or another status than 2xx.
    """
    try:
        async with asyncio.timeout(timeout_s):
            [address, *_] = await addresses(target)
            host = f"[{address}]" if ":" in address else address
            async with (
                httpx.AsyncClient(timeout=timeout_s, trust_env=False, follow_redirects=False) as http,
                http.stream(
                    "POST",
                    f"{target.scheme}://{host}:{target.port}{target.path}",
                    content=body.encode(),
                    headers={
                        **headers,
                        "host": target.authority,
                        "content-type": "application/json",
                        "user-agent": f"provery/{__version__}",
                    },
                    # The certificate has to be the name's, though the connection is to the address.
                    extensions={"sni_hostname": target.host},
                ) as answer,
            ):
                status = answer.status_code
    except TimeoutError:
        raise CallFailed(f"no answer within {timeout_s:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise CallFailed(f"{type(error).__name__}") from None
    if 200 <= status < 300:
        return status
    # 410: the receiver says that it wants no more.
    raise CallFailed(f"status {status}", again=status != 410)


def public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    """Whether an address is one of the open Internet."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None and not public(inner):
            return False
        if address in _NAT64 and not public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None


def _path(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _refused(reason: str) -> ApiError:
    return ApiError("webhook_refused", f"the webhook's address {reason}")
