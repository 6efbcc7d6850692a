"""Addresses of servers: what may be shown of one, and which parts of it may be secret."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from provery.core.errors import ConfigurationError

_SHORT = 12
"""Characters; a longer path segment of a URL may be an access key."""


@dataclass(frozen=True)
class Address:
    """An HTTP server's address, taken apart."""

    name: str
    """Scheme, host and port: what messages, metrics and logs call it. No user, path or query."""
    path: str = field(repr=False)
    """As it was given."""
    query: tuple[tuple[str, str], ...] = field(repr=False)
    user: str | None = field(repr=False)
    """User of basic authentication; None for none."""
    password: str = field(repr=False)
    secrets: frozenset[str] = field(repr=False)
    """Parts that may be secret: passwords, query values, long segments of the path."""


def address_of(url: str, what: str) -> Address:
    """Take a URL apart.

    Args:
        url: http or https.
        what: Whose URL it is, for the error: ``a beacon node``.

    Raises:
        ConfigurationError: it is no http or https URL; the message does not hold it.
    """
    parts = _split(url, what)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    name = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    secrets = {part for part in (parts.password, unquote(parts.password or "")) if part}
    if parts.password is None and parts.username:
        secrets.add(parts.username)
    secrets |= {value for _, value in parse_qsl(parts.query)}
    secrets |= {segment for segment in parts.path.split("/") if len(segment) > _SHORT}
    return Address(
        name=name,
        path=parts.path,
        query=tuple(parse_qsl(parts.query)),
        user=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        secrets=frozenset(secrets),
    )


def _split(url: str, what: str) -> SplitResult:
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{what}'s URL is malformed", action="correct it") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{what}'s URL is malformed", value=parts.scheme, expected="http:// or https:// and a host"
        )
    return parts
