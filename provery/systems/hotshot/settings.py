"""Settings of one hotshot stream, from the environment.

A stream's own variables are ``PROVERY_HOTSHOT_<STREAM>_<NAME>``. Where one stream is all there is, the names of the
upstream state prover count too, and ``PROVERY_HOTSHOT_<NAME>`` for what it did not have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from provery.core.amounts import WEI_PER_ETHER, WEI_PER_GWEI, seconds, wei
from provery.core.errors import ConfigurationError
from provery.core.lanes import Account, Policy
from provery.core.queues import CPU, CPU_LARGE, GPU, IO
from provery.core.types import check_name

STREAMS = "PROVERY_HOTSHOT_STREAMS"
PREFIX = "PROVERY_HOTSHOT_"
UPSTREAM = {
    "relay_server": "ESPRESSO_STATE_RELAY_SERVER_URL",
    "update_interval": "ESPRESSO_STATE_PROVER_UPDATE_INTERVAL",
    "retry_interval": "ESPRESSO_STATE_PROVER_RETRY_INTERVAL",
    "retries": "ESPRESSO_STATE_PROVER_ONESHOT_RETRIES",
    "l1_provider_url": "ESPRESSO_SEQUENCER_L1_PROVIDER",
    "light_client_address": "ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS",
    "eth_mnemonic": "ESPRESSO_SEQUENCER_ETH_MNEMONIC",
    "eth_account_index": "ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX",
    "sequencer_url": "ESPRESSO_SEQUENCER_URL",
    "port": "ESPRESSO_PROVER_SERVICE_PORT",
    "stake_table_capacity": "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY",
    "max_gas_price": "ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI",
}
"""Field → the upstream state prover's name of it."""
CAPACITIES = (10, 100, 200)
"""Stake-table capacities that there is a circuit for."""
SCHEMES = ("plonk", "groth16")
SECRET = frozenset(
    {"eth_mnemonic", "private_key", "keystore_password", "remote_signer",
     "relay_server", "sequencer_url", "l1_provider_url"}
)  # fmt: skip
"""Fields whose value is never shown; addresses may have a key in them."""
_LISTS = ("relay_server", "sequencer_url", "l1_provider_url", "provers")
"""Fields of several values, separated by commas."""
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY = re.compile(r"0x[0-9a-fA-F]{64}")


class HotShotSettings(BaseModel):
    """One stream. Money is in wei, times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    stream: str
    relay_server: tuple[str, ...] = Field(("http://localhost:8083",), min_length=1)
    """Where validators leave their signatures; the highest state of several counts."""
    sequencer_url: tuple[str, ...] = Field(("http://localhost:24000",), min_length=1)
    """Where stake tables and state certificates are asked for, in the order of preference."""
    l1_provider_url: tuple[str, ...] = Field(("http://localhost:8545",), min_length=1, repr=False)
    """JSON-RPC endpoints of the L1, in the order of preference; hosted ones carry their key in the path."""
    light_client_address: str = ""
    """The light-client contract's proxy, 0x and 40 hexadecimal digits."""
    update_interval: float = 600.0
    """Between looks that found nothing wrong."""
    retry_interval: float = 2.0
    """After a look that failed."""
    retries: int = Field(10, ge=0)
    """How often a look that failed is repeated before it counts as failed."""
    port: int | None = Field(None, ge=1, le=65_535)
    """Of the service's HTTP API, where it is started by itself."""
    stake_table_capacity: int = 200
    max_gas_price: int | None = None
    """Wei per gas above which nothing is sent; given in gwei."""
    max_priority_fee: int | None = None
    """Wei per gas of the tip at most; given in gwei."""
    spend_per_day: int | None = None
    """Wei of fees in 24 hours at most; given in ether."""
    confirmations: int = Field(12, ge=1, le=10_000)
    """2.4 minutes of Ethereum's blocks, whose reorganisations are of a block or two; a deeper one's are sent again."""
    watch_s: float = Field(1_200.0, ge=0, allow_inf_nan=False)
    """How long what has landed is looked at again; Ethereum finalises within two epochs, 13 minutes."""
    stuck_after_s: float = Field(60.0, gt=0, allow_inf_nan=False)
    bump_percent: int = Field(12, ge=10, le=1_000)
    gas_margin_percent: int = Field(20, ge=0, le=1_000)
    eth_mnemonic: str = Field("", repr=False)
    """BIP-39 words."""
    eth_account_index: int = Field(0, ge=0, lt=2**31)
    private_key: str = Field("", repr=False)
    keystore: Path | None = None
    keystore_password: str = Field("", repr=False)
    remote_signer: str = Field("", repr=False)
    """Address of a remote signer that speaks Web3Signer's API."""
    signer_address: str = ""
    """Which of the remote signer's accounts."""
    scheme: str = "plonk"
    """``plonk``, over a universal reference string, or ``groth16``, with keys of this circuit's own."""
    provers: tuple[str, ...] = ("native",)
    """Provers in order; each goes on where the one before has used up its attempts or its memory."""
    prove_queue: str = CPU
    memory_mb: int = Field(0, ge=0)
    """Memory cap of a prover's process, MiB; 0: the worker's default."""
    timeout_s: float = Field(3_600.0, gt=0, allow_inf_nan=False)
    """One attempt at proving."""
    attempts: int = Field(2, ge=1)
    """Failures of a prover before the next one takes over."""

    @field_validator("light_client_address", "signer_address")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not _ADDRESS.fullmatch(value):
            raise ValueError("expected 0x and 40 hexadecimal digits")
        return value.lower()

    @field_validator("private_key")
    @classmethod
    def _private(cls, value: str) -> str:
        if value and not _KEY.fullmatch(value):
            raise ValueError("expected 0x and 64 hexadecimal digits")
        return value

    @field_validator("stake_table_capacity")
    @classmethod
    def _capacity(cls, value: int) -> int:
        if value not in CAPACITIES:
            raise ValueError(
                f"expected one of {', '.join(map(str, CAPACITIES))}: there is a circuit for these"
            )
        return value

    @field_validator("scheme")
    @classmethod
    def _scheme(cls, value: str) -> str:
        if value not in SCHEMES:
            raise ValueError(f"expected one of {', '.join(SCHEMES)}")
        return value

    @field_validator("prove_queue")
    @classmethod
    def _queue(cls, value: str) -> str:
        if value not in (IO, CPU, CPU_LARGE, GPU):
            raise ValueError(f"expected one of {IO}, {CPU}, {CPU_LARGE}, {GPU}")
        return value

    @field_validator("provers")
    @classmethod
    def _provers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or len(set(value)) != len(value):
            raise ValueError("expected one or more names, each once")
        return value

    @field_validator("update_interval", "retry_interval", mode="before")
    @classmethod
    def _span(cls, value: object) -> object:
        return seconds(value) if isinstance(value, str) else value

    @field_validator("max_gas_price", "max_priority_fee", mode="before")
    @classmethod
    def _gwei(cls, value: object) -> object:
        return wei(value, WEI_PER_GWEI) if isinstance(value, str) else value

    @field_validator("spend_per_day", mode="before")
    @classmethod
    def _ether(cls, value: object) -> object:
        return wei(value, WEI_PER_ETHER) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_signer(self) -> HotShotSettings:
        ways = {"eth_mnemonic": self.eth_mnemonic, "private_key": self.private_key,
                "keystore": self.keystore, "remote_signer": self.remote_signer}  # fmt: skip
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            raise ValueError(f"expected one way to sign, and there are several: {', '.join(given)}")
        return self

    @property
    def circuit(self) -> str:
        """Name of the native circuit."""
        name = f"hotshot-state-{self.stake_table_capacity}"
        return f"{name}-plonk" if self.scheme == "plonk" else name

    @property
    def account(self) -> Account:
        """How to sign.

        Raises:
            ConfigurationError: nothing says how.
        """
        if not (self.eth_mnemonic or self.private_key or self.keystore or self.remote_signer):
            raise ConfigurationError(
                f"nothing says how hotshot/{self.stream} signs",
                expected=f"{UPSTREAM['eth_mnemonic']}, or {PREFIX}PRIVATE_KEY, _KEYSTORE or _REMOTE_SIGNER",
                action="set one of them",
            )
        return Account(
            private_key=self.private_key,
            keystore=self.keystore,
            password=self.keystore_password,
            mnemonic=self.eth_mnemonic,
            index=self.eth_account_index,
            remote=self.remote_signer,
            address=self.signer_address,
        )

    @property
    def policy(self) -> Policy:
        """What a call may cost, and when it counts as done. States land in the order of their heights."""
        return Policy(
            max_fee_per_gas=self.max_gas_price,
            max_priority_fee_per_gas=self.max_priority_fee,
            spend_per_day=self.spend_per_day,
            confirmations=self.confirmations,
            watch_s=self.watch_s,
            stuck_after_s=self.stuck_after_s,
            bump_percent=self.bump_percent,
            gas_margin_percent=self.gas_margin_percent,
            ordered=True,
        )

    @property
    def contract(self) -> str:
        """Address of the contract.

        Raises:
            ConfigurationError: none is configured.
        """
        if not self.light_client_address:
            raise ConfigurationError(
                f"no light-client contract of hotshot/{self.stream} is configured",
                expected=f"{UPSTREAM['light_client_address']} with the address of its proxy",
                action="set it; `provery hotshot deploy` makes one",
            )
        return self.light_client_address

    @classmethod
    def load(cls, stream: str, env: Mapping[str, str]) -> HotShotSettings:
        """Settings of a stream.

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
            for variable in variables(stream, field, alone=len(names) < 2) if field != "stream" else ():
                if env.get(variable, "").strip():
                    given[field], said[field] = env[variable].strip(), variable
                    break
        for field in _LISTS:
            if field in given:
                given[field] = tuple(part for part in str(given[field]).replace(",", " ").split() if part)
        try:
            return cls.model_validate({**given, "stream": check_name(stream, "stream")})
        except ValidationError as error:
            raise _named(error, given, said) from None


def configured(env: Mapping[str, str]) -> list[str]:
    """The streams that ``PROVERY_HOTSHOT_STREAMS`` names; empty where it is not set."""
    return [name.strip() for name in env.get("PROVERY_HOTSHOT_STREAMS", "").split(",") if name.strip()]


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


def _named(
    error: ValidationError, given: Mapping[str, object], said: Mapping[str, str]
) -> ConfigurationError:
    """The first problem by the name of its variable; a secret's value stays out of it, and out of the cause."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    return ConfigurationError(
        f"{said.get(field, field) or 'settings'}: {first['msg'].removeprefix('Value error, ')}",
        value=None if field in SECRET else given.get(field),
        action="correct the environment variable",
    )
