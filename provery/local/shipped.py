"""Circuits that systems ship with: registered at the first start, so that their jobs can be proved at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from provery import registry
from provery.core.errors import UnknownCircuit
from provery.provers.circuits import CircuitRegistry
from provery.stores.artifacts import open_store
from provery.stores.ledger import open_ledger


async def register_shipped(env: Mapping[str, str], tell: Callable[[str], None]) -> list[str]:
    """Compile, and set up for development, every shipped circuit that is not registered; returns their names.

    Args:
        env: Where ledger and artifacts are.
        tell: Told before each, since compiling takes some seconds.
    """
    home = Path(env["PROVERY_HOME"])
    ledger = open_ledger(env["PROVERY_LEDGER_URL"])
    made = []
    try:
        store = open_store(env["PROVERY_ARTIFACTS_URL"], cache=home / "cache" / "artifacts", env=env)
        circuits = CircuitRegistry(ledger.catalog, store, env=env, home=home)
        for system in registry.systems(env):
            shipped: Mapping[str, Path] = getattr(registry.load(system, env), "CIRCUITS", {})
            for name, source in shipped.items():
                try:
                    await circuits.manifest(name)
                except UnknownCircuit:
                    tell(f"compiling circuit {name} and making an INSECURE development key")
                    await circuits.add_source(name, source)
                    made.append(name)
    finally:
        await ledger.close()
    return made
