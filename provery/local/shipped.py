"""Circuits that systems ship with: registered at the first start, so that their jobs can be proved at once."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from pathlib import Path

from provery import registry
from provery.provers.circuits import CircuitRegistry
from provery.stores.artifacts import open_store
from provery.stores.ledger import open_ledger


async def register_shipped(env: Mapping[str, str], only: Collection[str] | None = None) -> dict[str, str]:
    """Compile, and make a development key for, every shipped circuit whose source is not registered as it is.

    Args:
        env: Settings of the installation: where ledger and artifacts are.
        only: Systems whose circuits are wanted; None for all.

    Returns:
        Version by circuit name.
    """
    home = Path(env["PROVERY_HOME"])
    ledger = await asyncio.to_thread(open_ledger, env["PROVERY_LEDGER_URL"])
    store = open_store(env["PROVERY_ARTIFACTS_URL"], cache=home / "cache" / "artifacts", env=env)
    versions: dict[str, str] = {}
    try:
        circuits = CircuitRegistry(ledger.catalog, store, env, home)
        for system in registry.systems(env) if only is None else only:
            shipped: Mapping[str, Path] = getattr(registry.load(system, env), "CIRCUITS", {})
            for name, source in shipped.items():
                versions[name] = str((await circuits.add_source(name, source))["version"])
    finally:
        await store.close()
        await ledger.close()
    return versions
