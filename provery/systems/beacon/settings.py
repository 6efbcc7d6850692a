"""Settings of one beacon stream, from the environment.

A stream's own variables are ``PROVERY_BEACON_<STREAM>_<NAME>``. Where one stream is all there is, the names of the
upstream daemon count too, and ``PROVERY_BEACON_<NAME>`` for what it did not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from provery.core.errors import ConfigurationError
from provery.core.queues import CPU, CPU_LARGE, GPU, IO
from provery.core.types import check_name
from provery.systems.beacon.chains import CHAINS

STREAMS = "PROVERY_BEACON_STREAMS"
PREFIX = "PROVERY_BEACON_"
DEVNET = "devnet"
"""A chain that is read from its own node."""
UPSTREAM = {
    "rpc_url": "RPC_URL",
    "chain": "CHAIN",
    "epochs_per_period": "EPOCHS_PER_PERIOD",
    "check_interval_ms": "CHECK_INTERVAL_MS",
    "output_dir": "OUTPUT_DIR",
    "prometheus_file": "PROMETHEUS_FILE",
}
"""Field → the upstream daemon's name of it."""
REMOTE = frozenset({"sp1-network"})
"""Provers that compute elsewhere: here they only wait."""
RECURSIVE = frozenset({"sp1-network", "command"})
"""Provers whose proof of a period continues that of the period before."""


class BeaconSettings(BaseModel):
    """One stream."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stream: str
    rpc_url: tuple[str, ...] = ()
    """Beacon nodes, in the order of preference."""
    chain: str = "mainnet"
    epochs_per_period: int = Field(0, ge=0)
    """0: the chain's own. A number that is not the chain's is refused."""
    check_interval_ms: int = Field(600_000, ge=1_000)
    """Time between looks of a schedule that is made without an interval."""
    output_dir: Path
    prometheus_file: Path
    provers: tuple[str, ...] = ("native",)
    """Provers in order; each goes on where the one before has used up its attempts or its memory."""
    expected_s: float = Field(600.0, gt=0, allow_inf_nan=False)
    """How long a period takes from its discovery to its publication; later than that is at risk."""
    first_period: int = Field(0, ge=0)
    """First period to have a proof of; 0: the first that was ever looked at."""
    checkpoint: str = ""
    """Root of a trusted block, 0x and 64 hex digits; committees of later periods are followed from it."""
    genesis_root: str = ""
    """Genesis validators root that a development chain must have; empty: whatever its node says."""
    prove_queue: str = ""
    """Queue of prove and compress; empty: io where the first prover waits for others, else cpu."""
    memory_mb: int = Field(0, ge=0)
    """Memory cap of a prover's process; 0: the worker's default."""
    timeout_s: float = Field(7_200.0, gt=0, allow_inf_nan=False)
    """One attempt at proving."""
    attempts: int = Field(2, ge=1)
    """Failures of a prover before the next one takes over."""
    spending_cap: str = ""
    """The most that one proof may cost, in the unit of the prover that is paid."""

    @field_validator("prove_queue")
    @classmethod
    def _queue(cls, value: str) -> str:
        if value not in ("", IO, CPU, CPU_LARGE, GPU):
            raise ValueError(f"expected one of {IO}, {CPU}, {CPU_LARGE}, {GPU}")
        return value

    @field_validator("chain")
    @classmethod
    def _chain(cls, value: str) -> str:
        if value not in CHAINS and value != DEVNET:
            raise ValueError(f"expected one of {', '.join(CHAINS)}, {DEVNET}")
        return value

    @field_validator("provers")
    @classmethod
    def _provers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("expected one or more names, each once")
        return value

    @field_validator("checkpoint", "genesis_root")
    @classmethod
    def _root(cls, value: str) -> str:
        if value and (not value.startswith("0x") or len(value) != 66 or not _is_hex(value[2:])):
            raise ValueError("expected 0x and 64 hexadecimal digits")
        return value.lower()

    @field_validator("spending_cap")
    @classmethod
    def _cap(cls, value: str) -> str:
        if value and not (value.isascii() and value.replace(".", "", 1).isdigit()):
            raise ValueError("expected a decimal number")
        return value

    @property
    def queue(self) -> str:
        """Queue of prove and compress."""
        return self.prove_queue or (IO if self.provers[0] in REMOTE else CPU)

    @property
    def recursive(self) -> bool:
        """Whether a prover of the stream continues the proof of the period before."""
        return any(prover in RECURSIVE for prover in self.provers)

    @classmethod
    def load(cls, stream: str, env: Mapping[str, str], home: Path) -> BeaconSettings:
        """Settings of a stream.

        Args:
            stream: Its name.
            env: The process environment.
            home: Where the period store and the metrics go unless they are told otherwise.

        Raises:
            ConfigurationError: a value is malformed, or the stream is not among those that are configured.
        """
        names = configured(env)
        if names and stream not in names:
            raise ConfigurationError(
                f"{STREAMS} has no such stream", value=stream, expected=", ".join(names), action="add it"
            )
        given: dict[str, object] = {}
        said: dict[str, str] = {}
        for field in cls.model_fields:
            if field == "stream":
                continue
            for variable in variables(stream, field, alone=len(names) < 2):
                if env.get(variable, "").strip():
                    given[field], said[field] = env[variable].strip(), variable
                    break
        for field in ("rpc_url", "provers"):
            if field in given:
                given[field] = tuple(part for part in str(given[field]).replace(",", " ").split() if part)
        given.setdefault("chain", stream if stream in CHAINS else "mainnet")
        given.setdefault("output_dir", home / "period_store" / stream)
        given.setdefault("prometheus_file", home / "metrics" / f"beacon-{stream}.prom")
        try:
            made = cls.model_validate({**given, "stream": check_name(stream, "stream")})
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            variable = said.get(str(first["loc"][0]), str(first["loc"][0]))
            raise ConfigurationError(
                f"{variable}: {first['msg'].removeprefix('Value error, ')}",
                value=first["input"],
                action="correct the environment variable",
            ) from error
        return made.model_copy(
            update={
                "output_dir": made.output_dir.expanduser().absolute(),
                "prometheus_file": made.prometheus_file.expanduser().absolute(),
            }
        )


def configured(env: Mapping[str, str]) -> list[str]:
    """The streams that ``PROVERY_BEACON_STREAMS`` names; empty where it is not set."""
    return [name.strip() for name in env.get("PROVERY_BEACON_STREAMS", "").split(",") if name.strip()]


def variables(stream: str, field: str, *, alone: bool) -> list[str]:
    """Variables of a field, the first that is set counts.

    Args:
        stream: Name of the stream.
        field: Name of the field.
        alone: Whether no other stream is configured: only then do names without the stream's count.
    """
    upstream = UPSTREAM.get(field)
    own = f"{PREFIX}{stream.upper().replace('-', '_')}_{upstream or field.upper()}"
    return [own, upstream or f"{PREFIX}{field.upper()}"] if alone else [own]


def _is_hex(text: str) -> bool:
    return all(digit in "0123456789abcdefABCDEF" for digit in text)
