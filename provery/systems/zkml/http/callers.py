"""Who asks: keys and their scopes, and addresses behind proxies that are believed."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass

from fastapi import Request

from provery.core.access import ADMIN, PROVE, READ, VERIFY, ApiKey, ApiKeys
from provery.systems.zkml.http.problems import ApiError
from provery.systems.zkml.http.settings import HttpSettings, Network

ANONYMOUS = (PROVE, VERIFY, READ)
_BEARER = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_V6_HOST = 64
"""Bits of an IPv6 address that one client holds: its network's."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request, and what they may."""

    who: str
    """``key:<id>`` or ``ip:<address>``."""
    scopes: tuple[str, ...]
    key: ApiKey | None
    per_minute: float
    """Proofs that they may ask for in a minute."""

    @property
    def admin(self) -> bool:
        """Whether other callers' requests are theirs to see."""
        return ADMIN in self.scopes

    @property
    def weight(self) -> float:
        """Share of the workers."""
        return self.key.weight if self.key is not None else 1.0

    @property
    def fairness(self) -> str:
        """What takes turns with others: at most 64 bytes."""
        return self.key.id if self.key is not None else self.who[:64]

    def sees(self, askers: Sequence[str]) -> bool:
        """Whether a proof that these asked for is theirs to see: what was asked for without a key is anybody's."""
        if self.admin or self.who in askers:
            return True
        return self.key is None and any(who.startswith("ip:") for who in askers)


class Callers:
    """Tells who sent a request.

    Args:
        settings: Of the API.
        keys: Of the installation.
    """

    def __init__(self, settings: HttpSettings, keys: ApiKeys) -> None:
        self._settings, self._keys = settings, keys
        self._proxies = settings.proxies

    async def of(self, request: Request, *scopes: str) -> Caller:
        """Who sent a request; one of the scopes is needed.

        Raises:
            ApiError: the key is unknown, revoked or lacks the scopes, or there is none and it is needed.
        """
        secret = _secret(request)
        if secret is not None:
            key = await self._keys.find(secret)
            if key is None or key.revoked_at is not None:
                raise _unauthorized("the API key is unknown or revoked")
            caller = Caller(f"key:{key.id}", key.scopes, key, key.per_minute or self._settings.key_per_minute)
        elif self._settings.anonymous:
            caller = Caller(self.address(request), ANONYMOUS, None, self._settings.anonymous_per_minute)
        else:
            raise _unauthorized("an API key is needed")
        request.state.trail.who = caller.who
        if not caller.admin and not set(scopes) & set(caller.scopes):
            raise ApiError("forbidden", f"the key lacks the scope {' or '.join(scopes)}")
        return caller

    async def keyed(self, request: Request, *scopes: str) -> Caller:
        """As :meth:`of`, for what needs a key in any case.

        Raises:
            ApiError: also where there is no key.
        """
        if _secret(request) is None:
            raise _unauthorized("an API key is needed")
        return await self.of(request, *scopes)

    def address(self, request: Request) -> str:
        """``ip:<address>`` of the client: what proxies that are believed say, else who connected."""
        peer = request.client.host if request.client is not None else ""
        found = _address(peer)
        if found is None:
            return "ip:unknown"
        if _among(found, self._proxies):
            told = ",".join(request.headers.getlist("x-forwarded-for")) or request.headers.get(
                "x-real-ip", ""
            )
            # From the right: what is left of the last believed proxy's word, a client may have made up.
            for part in reversed(told.split(",")[-32:]):
                named = _address(part.strip())
                if named is None:
                    break
                found = named
                if not _among(named, self._proxies):
                    break
        if isinstance(found, ipaddress.IPv6Address):
            return f"ip:{ipaddress.ip_network((found, _V6_HOST), strict=False)}"
        return f"ip:{found}"


def _secret(request: Request) -> str | None:
    """The key that was sent; None for none.

    Raises:
        ApiError: an authorisation that is not by bearer.
    """
    given = request.headers.get("authorization")
    if given is not None:
        found = _BEARER.fullmatch(given)
        if found is None:
            raise _unauthorized("the Authorization header is not understood; expected Bearer and a key")
        return found[1]
    return request.headers.get("x-api-key")


def _unauthorized(message: str) -> ApiError:
    return ApiError("unauthorized", message, headers={"www-authenticate": "Bearer"})


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return mapped or found


def _among(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Sequence[Network]) -> bool:
    return any(address in network for network in networks)
