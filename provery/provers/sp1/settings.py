"""What an operator can set for the prover network, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from urllib.parse import urlsplit

from provery.core.errors import ConfigurationError, InvalidKey
from provery.provers.sp1.proto import types_pb2

UNIT = 10**18
"""Smallest units in one PROVE, the network's token."""
RPC = {
    "auction": "https://rpc.mainnet.succinct.xyz",
    "reserved": "https://rpc.production.succinct.xyz",
    "hosted": "https://rpc.production.succinct.xyz",
}
STRATEGIES = {
    "auction": types_pb2.AUCTION,
    "reserved": types_pb2.RESERVED,
    "hosted": types_pb2.HOSTED,
}


@dataclass(frozen=True)
class Settings:
    """Settings; times in seconds, amounts of money in PROVE."""

    rpc_url: str
    strategy: str
    both: bool
    """Ask for a compressed proof first, which the next period continues; else for a Groth16 proof alone."""
    release: str
    """Of SP1, such as ``v5.0.0``."""
    cycle_limit: int
    gas_limit: int
    """Prover gas units."""
    max_cost: Decimal
    """For one proof."""
    max_daily: Decimal
    """For all proofs of a stream within 24 hours."""
    deadline_s: int
    grace_s: int
    """How long after its deadline a request is still waited for."""
    auction_s: int
    """A request that no prover has taken after this long is cancelled."""
    poll_s: float
    look_s: float
    """How long the network may take to list a request that it has accepted."""
    settle_s: float
    """A request that is not listed after this long, and whose nonce is used, was never accepted."""
    compress_uploads: bool
    artifact_v: int

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Settings:
        """Read the ``PROVERY_SP1_*`` variables.

        Raises:
            ConfigurationError: one is not what it has to be.
        """
        strategy = _one_of(env.get("PROVERY_SP1_STRATEGY"), "PROVERY_SP1_STRATEGY", tuple(RPC))
        modes = ("compressed,groth16", "groth16")
        return cls(
            rpc_url=_url(env.get("PROVERY_SP1_RPC_URL") or env.get("NETWORK_RPC_URL") or RPC[strategy]),
            strategy=strategy,
            both=_one_of(env.get("PROVERY_SP1_PROOFS"), "PROVERY_SP1_PROOFS", modes) == modes[0],
            release=env.get("PROVERY_SP1_VERSION") or "v5.0.0",
            cycle_limit=int(_number(env, "PROVERY_SP1_CYCLE_LIMIT", "100000000")),
            gas_limit=max(int(_number(env, "PROVERY_SP1_GAS_LIMIT", "1000000000")), 1),
            max_cost=_number(env, "PROVERY_SP1_MAX_COST", "2"),
            max_daily=_number(env, "PROVERY_SP1_MAX_COST_PER_DAY", "10"),
            deadline_s=int(_number(env, "PROVERY_SP1_DEADLINE_S", "14400")),
            grace_s=int(_number(env, "PROVERY_SP1_GRACE_S", "600")),
            auction_s=int(_number(env, "PROVERY_SP1_AUCTION_S", "60")),
            poll_s=float(_number(env, "PROVERY_SP1_POLL_S", "2")),
            look_s=float(_number(env, "PROVERY_SP1_LOOK_S", "10")),
            settle_s=float(_number(env, "PROVERY_SP1_SETTLE_S", "120")),
            compress_uploads=_one_of(env.get("PROVERY_SP1_UPLOADS"), "PROVERY_SP1_UPLOADS", ("zstd", "plain"))
            == "zstd",
            artifact_v=int(_number(env, "PROVERY_SP1_ARTIFACT_V", "27")),
        )


@dataclass(frozen=True)
class Program:
    """The program that is proved, as files that are opaque here."""

    vk_hash: bytes
    """Its name in the network (SP1's ``vk.hash_bytes()``), 32 bytes."""
    vk: Path
    """Verifying key in bincode: ``zk_vk_raw.bin``."""
    elf: Path | None
    """Needed only where the network does not know the program yet."""

    @classmethod
    def read(cls, env: Mapping[str, str]) -> Program:
        """Read ``PROVERY_SP1_VK_HASH``, ``PROVERY_SP1_VK`` and ``PROVERY_SP1_ELF``.

        Raises:
            InvalidKey: hash or key are missing.
        """
        text = env.get("PROVERY_SP1_VK_HASH", "").strip().removeprefix("0x")
        try:
            vk_hash = bytes.fromhex(text)
        except ValueError:
            vk_hash = b""
        if len(vk_hash) != 32:
            raise InvalidKey(
                "the program's name in the prover network is not known",
                value=text,
                expected="32 bytes in hexadecimal (vk.hash_bytes() of SP1)",
                action="set PROVERY_SP1_VK_HASH",
            )
        vk = Path(env.get("PROVERY_SP1_VK", ""))
        if not vk.is_file():
            raise InvalidKey(
                "the program's verifying key is not there",
                value=vk,
                expected="SP1's verifying key in bincode, such as zk_vk_raw.bin",
                action="set PROVERY_SP1_VK",
            )
        return cls(vk_hash, vk, Path(env["PROVERY_SP1_ELF"]) if env.get("PROVERY_SP1_ELF") else None)


def prove(amount: int) -> Decimal:
    """Smallest units as PROVE."""
    return Decimal(amount) / UNIT


def units(amount: Decimal) -> int:
    """PROVE as smallest units, rounded down."""
    return int(amount * UNIT)


def _one_of(text: str | None, name: str, choices: tuple[str, ...]) -> str:
    """A choice; the first is the default."""
    found = (text or choices[0]).replace(" ", "").lower()
    if found not in choices:
        raise ConfigurationError(f"{name} is unknown", value=text, expected=" or ".join(choices))
    return found


def _number(env: Mapping[str, str], name: str, default: str) -> Decimal:
    text = env.get(name, "").strip() or default
    try:
        found = Decimal(text)
    except InvalidOperation:
        found = Decimal("NaN")
    if not found.is_finite() or not 0 <= found < UNIT:
        raise ConfigurationError(f"{name} is not a number", value=text, expected="0 or more")
    return found


def _url(text: str) -> str:
    """``scheme://host:port`` of an address that has nothing else."""
    try:
        parts = urlsplit(text)
        plain = (parts.username, parts.password, parts.query) == (None, None, "")
        if parts.scheme in ("https", "http") and parts.hostname and parts.path in ("", "/") and plain:
            port = parts.port or (443 if parts.scheme == "https" else 80)
            return f"{parts.scheme}://{parts.hostname}:{port}"
    except ValueError:
        pass
    raise ConfigurationError(
        "PROVERY_SP1_RPC_URL is not the address of a prover network",
        value=text.rpartition("@")[2].partition("?")[0],
        expected="https://host, or http://host:port without TLS",
    )
