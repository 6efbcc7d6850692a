"""Settings of the HTTP API, from the environment: the upstream service's names, and ``PROVERY_ZKML_…`` for the rest."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from provery.core.errors import ConfigurationError

PREFIX = "PROVERY_ZKML_"
UPSTREAM = {
    "cache_dir": "CACHE_DIR",
    "concurrent": "MAX_CONCURRENT_PROOFS",
    "timeout_ms": "PROOF_TIMEOUT_MS",
}
"""Field → the upstream service's name of it."""
_UNSET_CONCURRENT = 2
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class HttpSettings(BaseModel):
    """One installation: every field is ``PROVERY_ZKML_<FIELD>``, or its upstream name."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    cache_dir: str = ""
    """Folder of finished answers; empty for ``cache/zkml`` in the installation's home."""
    cache_mb: int = Field(1_024, ge=0, le=1_048_576)
    """Bytes of that folder at most, MiB; 0 keeps nothing on disk."""
    cache_memory_mb: int = Field(64, ge=0, le=65_536)
    """Of answers kept in memory, MiB."""
    concurrent: int = Field(0, ge=0, le=1_024)
    """Proofs at a time in the whole installation, for figures and estimates; 0: two."""
    timeout_ms: int = Field(30_000, ge=1, le=3_600_000)
    """How long /prove waits for a proof."""
    model_timeouts: str = ""
    """Other waits by model: ``name=milliseconds``, comma-separated."""
    queue_limit: int = Field(64, ge=1, le=100_000)
    """Proofs that may be under way at a time, those being made included; more are refused."""
    caller_limit: int = Field(0, ge=0, le=100_000)
    """Of these, how many one caller may have on one replica; 0: three quarters."""
    max_body_mb: int = Field(8, ge=1, le=256)
    """Of a request, MiB."""
    max_values: int = Field(1_000_000, ge=1)
    """Numbers in a request."""
    body_s: float = Field(20.0, gt=0, allow_inf_nan=False)
    """Seconds that a client may take to send a request's body."""
    poll_max_s: float = Field(60.0, gt=0, le=600, allow_inf_nan=False)
    """Longest long poll."""
    streams_max: int = Field(256, ge=1)
    """Event streams at a time in one replica."""
    stream_max_s: float = Field(3_600.0, gt=0, allow_inf_nan=False)
    """Longest event stream; a client connects again."""
    heartbeat_s: float = Field(15.0, gt=0, allow_inf_nan=False)
    """Seconds between signs of life in an event stream."""
    verify_concurrent: int = Field(2, ge=1, le=256)
    """Verifications at a time in one replica; eight times as many wait, more are refused."""
    anonymous: bool = True
    """Whether proofs may be asked for without a key."""
    anonymous_per_minute: float = Field(10.0, ge=0, allow_inf_nan=False)
    """Proofs that one address may ask for in a minute without a key."""
    key_per_minute: float = Field(600.0, ge=0, allow_inf_nan=False)
    """Proofs that a key may ask for in a minute where the key itself says nothing."""
    trusted_proxies: str = ""
    """Networks whose ``X-Forwarded-For`` or ``X-Real-IP`` names the client, comma-separated."""
    webhook_secret: SecretStr = SecretStr("")
    """Secret that webhooks are signed by, through each key's own; empty: no webhooks."""
    webhook_hosts: str = ""
    """``host`` or ``host:port`` of webhooks that may be private or without TLS, comma-separated."""
    webhook_attempts: int = Field(8, ge=1, le=100)
    """Calls of one webhook at most."""
    webhook_timeout_s: float = Field(10.0, gt=0, le=120, allow_inf_nan=False)
    """Seconds that one call may take."""
    drain_s: float = Field(25.0, ge=0, allow_inf_nan=False)
    """Seconds that a stopping replica lets requests end."""

    @classmethod
    def load(cls, env: Mapping[str, str]) -> HttpSettings:
        """From the environment.

        Raises:
            ConfigurationError: a value is malformed; the message names the variable.
        """
        found: dict[str, Any] = {}
        names: dict[str, str] = {}
        for field in cls.model_fields:
            for name in (f"{PREFIX}{field.upper()}", UPSTREAM.get(field, "")):
                if name and env.get(name, "").strip():
                    found[field], names[field] = env[name].strip(), name
                    break
        try:
            settings = cls.model_validate(found)
        except ValidationError as error:
            first = error.errors()[0]
            field = str(first["loc"][0])
            shown = None if field == "webhook_secret" else found.get(field)
            raise ConfigurationError(
                f"{names[field]} is malformed", value=shown, expected=first["msg"]
            ) from None
        _ = settings.proxies, settings.timeouts, settings.hosts
        return settings

    @property
    def proxies(self) -> tuple[Network, ...]:
        """Networks of proxies that are believed."""
        try:
            return tuple(ipaddress.ip_network(part, strict=False) for part in _parts(self.trusted_proxies))
        except ValueError as error:
            raise ConfigurationError(
                f"{PREFIX}TRUSTED_PROXIES is malformed", value=self.trusted_proxies, expected=str(error)
            ) from None

    @property
    def timeouts(self) -> dict[str, int]:
        """Milliseconds that /prove waits, by model."""
        found = {}
        for part in _parts(self.model_timeouts):
            name, _, value = part.partition("=")
            if not name or not value.isdigit() or not 1 <= int(value) <= 3_600_000:
                raise ConfigurationError(
                    f"{PREFIX}MODEL_TIMEOUTS is malformed", value=part, expected="model=milliseconds"
                )
            found[name] = int(value)
        return found

    @property
    def hosts(self) -> frozenset[str]:
        """Hosts of webhooks that need neither TLS nor a public address."""
        return frozenset(part.lower() for part in _parts(self.webhook_hosts))

    @property
    def slots(self) -> int:
        """Proofs at a time, for estimates."""
        return self.concurrent or _UNSET_CONCURRENT

    @property
    def per_caller(self) -> int:
        """Proofs that one caller may have under way."""
        return min(self.caller_limit or max(1, self.queue_limit * 3 // 4), self.queue_limit)

    def cache_folder(self, home: Path) -> Path:
        """Where finished answers are kept."""
        return Path(self.cache_dir) if self.cache_dir else home / "cache" / "zkml"


def variables() -> tuple[str, ...]:
    """Every environment variable that is read."""
    fields = HttpSettings.model_fields
    return (*(f"{PREFIX}{field.upper()}" for field in fields), *UPSTREAM.values())


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
