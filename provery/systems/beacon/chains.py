"""The public chains, and any other from its own configuration. Pure.

Sources: ``metadata/config.yaml`` of eth-clients/mainnet and eth-clients/sepolia, ``{mainnet,chiado}/config.yaml`` of
gnosischain/configs; genesis times and validators roots as ``/eth/v1/beacon/genesis`` of these chains gives them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise

from provery.core.errors import ConfigurationError
from provery.core.types import Json
from provery.systems.beacon.model import Fork
from provery.systems.beacon.spec import FAR_FUTURE, PRESETS, BlobLimit, Chain, ForkPoint

_UINT64_DIGITS = 20


def _points(suffix: str, epochs: Iterable[int]) -> tuple[ForkPoint, ...]:
    """Forks in order; ``suffix`` is what a version has after its first byte."""
    rest = bytes.fromhex(suffix)
    return tuple(
        ForkPoint(Fork(number), bytes([number]) + rest, epoch) for number, epoch in enumerate(epochs)
    )


def _sepolia() -> tuple[ForkPoint, ...]:
    epochs = (0, 50, 100, 56_832, 132_608, 222_464, 272_640, 353_024)
    return tuple(
        ForkPoint(Fork(number), bytes.fromhex(f"900000{69 + number}"), epoch)
        for number, epoch in enumerate(epochs)
    )


MAINNET = Chain(
    name="mainnet",
    preset=PRESETS["mainnet"],
    genesis_validators_root=bytes.fromhex("4b363db94e286120d76eb905340fdd4e54bfe9f06bf33ff6cf5ad27f511bfe95"),
    genesis_time=1_606_824_023,
    slot_ms=12_000,
    forks=_points("000000", (0, 74_240, 144_896, 194_048, 269_568, 364_032, 411_392)),
    blob_schedule=(BlobLimit(412_672, 15), BlobLimit(419_072, 21)),
)
SEPOLIA = Chain(
    name="sepolia",
    preset=PRESETS["mainnet"],
    genesis_validators_root=bytes.fromhex("d8ea171f3c94aea21ebc42a1ed61052acf3f9209c00e4efbaaddac09ed9b8078"),
    genesis_time=1_655_733_600,
    slot_ms=12_000,
    forks=_sepolia(),
    blob_schedule=(BlobLimit(274_176, 15), BlobLimit(275_712, 21)),
)
GNOSIS = Chain(
    name="gnosis",
    preset=PRESETS["gnosis"],
    genesis_validators_root=bytes.fromhex("f5dcb5564e829aab27264b9becd5dfaa017085611224cb3036f573368dbb9d47"),
    genesis_time=1_638_993_340,
    slot_ms=5_000,
    forks=_points("000064", (0, 512, 385_536, 648_704, 889_856, 1_337_856, 1_714_688)),
    max_blobs_electra=2,
)
CHIADO = Chain(
    name="chiado",
    preset=PRESETS["gnosis"],
    genesis_validators_root=bytes.fromhex("9d642dac73058fbf39c0ae41ab1e34e4d889043cb199851ded7095bc99eb4c1e"),
    genesis_time=1_665_396_300,
    slot_ms=5_000,
    forks=_points("00006f", (0, 90, 180, 244_224, 516_608, 948_224, 1_353_216)),
    max_blobs_electra=2,
)
CHAINS: Mapping[str, Chain] = {chain.name: chain for chain in (MAINNET, SEPOLIA, GNOSIS, CHIADO)}


def chain_from_config(name: str, config: Mapping[str, Json], genesis: Mapping[str, Json]) -> Chain:
    """A chain, from what a trusted node says of itself: a development network, say.

    Forks that the configuration does not name, or that it never schedules, are left out.

    Args:
        name: What to call it.
        config: ``data`` of ``/eth/v1/config/spec``: upper-case names, decimal or 0x strings.
        genesis: ``data`` of ``/eth/v1/beacon/genesis``.

    Raises:
        ConfigurationError: something is missing or malformed.
    """
    preset = PRESETS.get(str(config.get("PRESET_BASE")))
    if preset is None:
        raise ConfigurationError(
            f"chain {name} has an unknown preset",
            value=config.get("PRESET_BASE"),
            expected=", ".join(PRESETS),
        )
    forks = [ForkPoint(Fork.PHASE0, _bytes(genesis, "genesis_fork_version", 4), 0)]
    for fork in list(Fork)[1:]:
        epoch = _number(config, f"{fork.name}_FORK_EPOCH", FAR_FUTURE)
        if epoch != FAR_FUTURE:
            forks.append(ForkPoint(fork, _bytes(config, f"{fork.name}_FORK_VERSION", 4), epoch))
    if any(b.epoch < a.epoch for a, b in pairwise(forks)):
        raise ConfigurationError(f"forks of chain {name} are out of order", value=[p.epoch for p in forks])
    schedule = config.get("BLOB_SCHEDULE")
    entries = [entry for entry in schedule if isinstance(entry, dict)] if isinstance(schedule, list) else []
    return Chain(
        name=name,
        preset=preset,
        genesis_validators_root=_bytes(genesis, "genesis_validators_root", 32),
        genesis_time=_number(genesis, "genesis_time"),
        slot_ms=_number(config, "SLOT_DURATION_MS", 0) or 1000 * _number(config, "SECONDS_PER_SLOT"),
        forks=tuple(forks),
        max_blobs_electra=_number(config, "MAX_BLOBS_PER_BLOCK_ELECTRA", 9),
        blob_schedule=tuple(
            sorted(
                (BlobLimit(_number(e, "EPOCH"), _number(e, "MAX_BLOBS_PER_BLOCK")) for e in entries),
                key=lambda limit: limit.epoch,
            )
        ),
    )


def _number(values: Mapping[str, Json], key: str, default: int | None = None) -> int:
    value = values.get(key)
    if value is None and default is not None:
        return default
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdigit() and len(text) <= _UINT64_DIGITS):
        raise ConfigurationError(
            f"{key} of the chain's configuration is not a number", value=value, expected="uint64"
        )
    return int(text)


def _bytes(values: Mapping[str, Json], key: str, size: int) -> bytes:
    value = values.get(key)
    try:
        data = bytes.fromhex(value[2:]) if isinstance(value, str) and value.startswith("0x") else b""
    except ValueError:
        data = b""
    if len(data) != size:
        raise ConfigurationError(
            f"{key} of the chain's configuration is malformed",
            value=value,
            expected=f"0x and {size} bytes in hex",
        )
    return data
