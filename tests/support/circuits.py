"""The membership circuit in a home of a test's own, without compiling it again."""

from __future__ import annotations

from pathlib import Path

from provery.provers.manifest import refs_of
from provery.stores.artifacts import open_store
from provery.stores.ledger import open_ledger
from tests.e2e.provers_support import CACHE, membership, registry


async def give_membership(home: Path) -> str:
    """Register the circuit that the tests share in ``home``'s ledger and file store; returns its version."""
    await membership()
    async with registry(CACHE) as made:
        manifest = dict(await made.manifest("membership"))
    home.mkdir(parents=True, exist_ok=True)
    source = open_store((CACHE / "artifacts").as_uri(), cache=CACHE / "cache", env={})
    target = open_store((home / "artifacts").as_uri(), cache=home / "cache" / "artifacts", env={})
    ledger = open_ledger(f"sqlite:///{home / 'ledger.db'}")
    try:
        for ref in refs_of(manifest).values():
            await target.put_file(await source.local(ref), name=ref.name)
        return await ledger.catalog.add("membership", manifest)
    finally:
        await ledger.close()
        await target.close()
        await source.close()
