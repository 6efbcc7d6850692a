"""Which chain a zkml stream attests on, from which account, and what that may cost, from the environment.

A stream's own variables are ``PROVERY_ZKML_<STREAM>_<NAME>``; ``PROVERY_ZKML_<NAME>`` counts for every stream that has
none of its own. Without a chain (``PROVERY_ZKML_CHAIN_RPC``) inferences are proved and not attested.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from provery.core.amounts import WEI_PER_ETHER, WEI_PER_GWEI, wei
from provery.core.errors import ConfigurationError
from provery.core.lanes import Account, Policy
from provery.core.types import check_name

PREFIX = "PROVERY_ZKML_"
SECRET = frozenset({"eth_mnemonic", "private_key", "keystore_password", "remote_signer", "chain_rpc"})
"""Fields whose value is never shown; addresses may have a key in them."""
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_KEY = re.compile(r"0x[0-9a-fA-F]{64}")


class ChainSettings(BaseModel):
    """One stream. Money is in wei, times are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    stream: str
    chain_rpc: tuple[str, ...] = Field((), repr=False)
    """JSON-RPC endpoints, in the order of preference; empty for no chain. Hosted ones carry their key in the path."""
    registry: str = ""
    """Address of the registry of inferences, 0x and 40 hexadecimal digits."""
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

    @field_validator("registry", "signer_address")
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

    @field_validator("chain_rpc", mode="before")
    @classmethod
    def _several(cls, value: object) -> object:
        return tuple(value.replace(",", " ").split()) if isinstance(value, str) else value

    @field_validator("max_gas_price", "max_priority_fee", mode="before")
    @classmethod
    def _gwei(cls, value: object) -> object:
        return wei(value, WEI_PER_GWEI) if isinstance(value, str) else value

    @field_validator("spend_per_day", mode="before")
    @classmethod
    def _ether(cls, value: object) -> object:
        return wei(value, WEI_PER_ETHER) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_signer(self) -> ChainSettings:
        given = [name for name in _SIGNERS if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"expected one way to sign, and there are several: {', '.join(given)}")
        return self

    @property
    def attests(self) -> bool:
        """Whether a chain and a registry are configured."""
        return bool(self.chain_rpc and self.registry)

    @property
    def endpoints(self) -> tuple[str, ...]:
        """The chain's endpoints.

        Raises:
            ConfigurationError: there is no chain.
        """
        if not self.chain_rpc:
            raise ConfigurationError(
                f"no chain of zkml/{self.stream} is configured",
                expected="PROVERY_ZKML_CHAIN_RPC with JSON-RPC endpoints",
                action="set it, or ask for no attestation",
            )
        return self.chain_rpc

    @property
    def contract(self) -> str:
        """Address of the registry.

        Raises:
            ConfigurationError: none is configured.
        """
        if not self.registry:
            raise ConfigurationError(
                f"no registry of inferences of zkml/{self.stream} is configured",
                expected="PROVERY_ZKML_REGISTRY with its address",
                action="set it; `provery zkml deploy` makes one",
            )
        return self.registry

    @property
    def account(self) -> Account:
        """How to sign.

        Raises:
            ConfigurationError: nothing says how.
        """
        if not any(getattr(self, name) for name in _SIGNERS):
            raise ConfigurationError(
                f"nothing says how zkml/{self.stream} signs",
                expected=f"{PREFIX}ETH_MNEMONIC, _PRIVATE_KEY, _KEYSTORE or _REMOTE_SIGNER",
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
        """What a call may cost, and when it counts as done. Attestations land in any order."""
        return Policy(
            max_fee_per_gas=self.max_gas_price,
            max_priority_fee_per_gas=self.max_priority_fee,
            spend_per_day=self.spend_per_day,
            confirmations=self.confirmations,
            watch_s=self.watch_s,
            stuck_after_s=self.stuck_after_s,
            bump_percent=self.bump_percent,
            gas_margin_percent=self.gas_margin_percent,
        )

    @classmethod
    def load(cls, stream: str, env: Mapping[str, str]) -> ChainSettings:
        """Settings of a stream.

        Raises:
            ConfigurationError: a value is malformed.
        """
        given: dict[str, str] = {}
        said: dict[str, str] = {}
        for field in cls.model_fields:
            for variable in variables(stream, field) if field != "stream" else ():
                if env.get(variable, "").strip():
                    given[field], said[field] = env[variable].strip(), variable
                    break
        try:
            return cls.model_validate({**given, "stream": check_name(stream, "stream")})
        except ValidationError as error:
            raise _named(error, given, said) from None


_SIGNERS = ("eth_mnemonic", "private_key", "keystore", "remote_signer")


def variables(stream: str, field: str) -> tuple[str, str]:
    """Variables of a field, the first that is set counts: the stream's own, and every stream's."""
    name = field.upper()
    return f"{PREFIX}{stream.upper().replace('-', '_')}_{name}", f"{PREFIX}{name}"


def _named(error: ValidationError, given: Mapping[str, str], said: Mapping[str, str]) -> ConfigurationError:
    """The first problem by the name of its variable; a secret's value stays out of it, and out of the cause."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    return ConfigurationError(
        f"{said.get(field, field) or 'settings'}: {first['msg'].removeprefix('Value error, ')}",
        value=None if field in SECRET else given.get(field),
        action="correct the environment variable",
    )
