"""Open the artifact store that an address names."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from provery.core.errors import ConfigurationError
from provery.core.redact import redact
from provery.stores.cache import Cache
from provery.stores.files import FileStore
from provery.stores.s3 import S3Store
from provery.stores.s3_client import connect

DEFAULT_CACHE_MB = 20_480
_OPTIONS = {
    "file": {"fsync": "0 or 1"},
    "s3": {
        "cache_mb": "MiB of local copies",
        "endpoint": "URL",
        "region": "name",
        "addressing": "path or virtual",
    },
}


def open_store(url: str, *, cache: Path, env: Mapping[str, str]) -> FileStore | S3Store:
    """The store at ``file:///directory`` or ``s3://bucket/prefix``; no request is made yet.

    Args:
        url: Address, with options as a query: ``?fsync=1``; ``?cache_mb=20480&endpoint=…&region=…``.
        cache: Directory for local copies of a remote store's artifacts.
        env: The process environment; S3 reads AWS_* from it.

    Raises:
        ConfigurationError: if the address or an option cannot be understood.
    """
    parts = urlsplit(url)
    options = _options(url, parts.scheme, parts.query)
    path = unquote(parts.path)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost") or not path.startswith("/"):
            raise _refuse(url, "a file store's address has three slashes and an absolute path")
        return FileStore(Path(path), fsync=_boolean(url, options.get("fsync", "0")))
    if not parts.netloc or "@" in parts.netloc or ":" in parts.netloc:
        raise _refuse(
            url, "an S3 store's address is s3://bucket/prefix; credentials come from AWS_* variables"
        )
    client = connect(
        env,
        endpoint=options.get("endpoint", ""),
        region=options.get("region", ""),
        virtual=options.get("addressing") == "virtual",
    )
    cap = int(options.get("cache_mb", DEFAULT_CACHE_MB)) * 2**20
    return S3Store(client, parts.netloc, path.strip("/"), Cache(cache, cap))


def _options(url: str, scheme: str, query: str) -> dict[str, str]:
    if scheme not in _OPTIONS:
        raise _refuse(url, "file:///directory or s3://bucket/prefix")
    known = _OPTIONS[scheme]
    options = dict(parse_qsl(query, keep_blank_values=True))
    for name, value in options.items():
        if name not in known:
            raise _refuse(url, f"known options are {', '.join(known)}")
        if name == "cache_mb" and not value.isdecimal():
            raise _refuse(url, "cache_mb is a whole number of MiB")
        if name == "addressing" and value not in ("path", "virtual"):
            raise _refuse(url, "addressing is path or virtual")
    return options


def _boolean(url: str, value: str) -> bool:
    if value not in ("0", "1"):
        raise _refuse(url, "fsync is 0 or 1")
    return value == "1"


def _refuse(url: str, expected: str) -> ConfigurationError:
    return ConfigurationError(
        "not an artifact store's address",
        value=redact(url),
        expected=expected,
        action="correct it in the settings",
    )
