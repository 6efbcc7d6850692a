"""Provers over child processes: ``native`` (default), ``snarkjs`` and ``rapidsnark`` agree on every proof."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from provery.core.errors import ConfigurationError
from provery.core.ports import CircomProver
from provery.provers.circom import Device, PoolSettings
from provery.provers.native import NativeProver
from provery.provers.process import Limits
from provery.provers.rapidsnark import RapidsnarkProver
from provery.provers.settings import whole
from provery.provers.snarkjs import SnarkjsProver
from provery.provers.tools import Tools

__all__ = ["Device", "available", "build_provers"]

_NEEDS = {"native": ("native",), "snarkjs": ("node", "modules"), "rapidsnark": ("rapidsnark", "native")}


def build_provers(
    env: Mapping[str, str], slots: int, home: Path, *, devices: Sequence[Device] = ()
) -> dict[str, CircomProver]:
    """Every prover by name. None starts a child before its first call; one that is not installed says so then.

    Args:
        env: ``PROVERY_PROVER_MEMORY_MB`` caps a child's memory where the stage does not,
            ``PROVERY_CHILD_MAX_CALLS`` and ``PROVERY_CHILD_MAX_RSS_MB`` say when a resident child is replaced.
        slots: Children per prover.
        home: Working directory of the installation.
        devices: One per slot, where slots have devices.
    """
    tools = Tools.find(env, home)
    settings = PoolSettings(
        slots=slots,
        devices=tuple(devices),
        default=Limits(memory=whole(env, "PROVERY_PROVER_MEMORY_MB", 0) << 20),
        max_calls=whole(env, "PROVERY_CHILD_MAX_CALLS", 100_000),
        max_rss=whole(env, "PROVERY_CHILD_MAX_RSS_MB", 0) << 20,
    )
    native = NativeProver(tools, settings, home / "cache" / "wasm")
    return {
        "native": native,
        "snarkjs": SnarkjsProver(tools, settings),
        "rapidsnark": RapidsnarkProver(tools, settings, native),
    }


def available(env: Mapping[str, str], home: Path) -> dict[str, str]:
    """Why each prover cannot be used on this machine, by name; empty where it can."""
    tools = Tools.find(env, home)
    found: dict[str, str] = {}
    for name, needs in _NEEDS.items():
        try:
            tools.need(*needs)
            found[name] = ""
        except ConfigurationError as error:
            found[name] = str(error)
    return found
