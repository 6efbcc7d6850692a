"""What commands work with: settings, and connections that are opened when first needed.

Database and S3 libraries are imported when first needed as well: they take most of a second, and shell completion
waits for it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

from temporalio.client import Client

from provery.client import Provery, connect
from provery.core.redact import redactor
from provery.local.state import local_environment
from provery.local.toolchain import home as default_home

if TYPE_CHECKING:
    from provery.core.ports import StatementProver
    from provery.provers.circuits import CircuitRegistry
    from provery.provers.statement_native import NativeStatements
    from provery.stores.files import FileStore
    from provery.stores.ledger import SqlLedger
    from provery.stores.s3 import S3Store

T = TypeVar("T")


class Session:
    """One command's connections.

    Settings come from the environment; where it names no server, a running ``provery up`` of the same home is used.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self.home = default_home(env)
        self.env: Mapping[str, str] = {**local_environment(self.home), **env}
        redactor.learn(self.env)
        self._client: Client | None = None
        self._ledger: SqlLedger | None = None
        self._store: FileStore | S3Store | None = None
        self._statements: dict[str, StatementProver] | None = None
        self._native: NativeStatements | None = None

    @property
    def ledger_url(self) -> str:
        """Where the ledger is."""
        return self.env.get("PROVERY_LEDGER_URL") or f"sqlite:///{self.home / 'ledger.db'}"

    @property
    def artifacts_url(self) -> str:
        """Where artifacts are."""
        return self.env.get("PROVERY_ARTIFACTS_URL") or (self.home / "artifacts").as_uri()

    async def client(self) -> Client:
        """Temporal."""
        if self._client is None:
            self._client = await connect(self.env)
        return self._client

    def ledger(self) -> SqlLedger:
        """The ledger."""
        if self._ledger is None:
            from provery.stores.ledger import open_ledger

            self.home.mkdir(parents=True, exist_ok=True)
            self._ledger = open_ledger(self.ledger_url)
        return self._ledger

    def store(self) -> FileStore | S3Store:
        """The artifact store."""
        if self._store is None:
            from provery.stores.artifacts import open_store

            self._store = open_store(
                self.artifacts_url, cache=self.home / "cache" / "artifacts", env=self.env
            )
        return self._store

    def circuits(self) -> CircuitRegistry:
        """The circuit registry."""
        from provery.provers.circuits import CircuitRegistry

        return CircuitRegistry(self.ledger().catalog, self.store(), env=self.env, home=self.home)

    def statements(self) -> dict[str, StatementProver]:
        """The provers of statements."""
        if self._statements is None:
            from provery.provers.statements import build_statement_provers

            self._statements = build_statement_provers(self.env, self.home, self.ledger(), 1)
        return self._statements

    def native(self) -> NativeStatements:
        """The native prover of statements, for work on its keys."""
        if self._native is None:
            from provery.provers.statement_native import NativeStatements

            self._native = NativeStatements(self.env, self.home, 1)
        return self._native

    async def engine(self) -> Provery:
        """The engine's client."""
        return Provery(await self.client(), self.ledger(), self.env)

    async def close(self) -> None:
        """Close what was opened."""
        if self._native is not None:
            await self._native.close()
        for prover in (self._statements or {}).values():
            await prover.close()
        if self._store is not None:
            await self._store.close()
        if self._ledger is not None:
            await self._ledger.close()


def run(command: Callable[[Session], Awaitable[T]]) -> T:
    """Run a command's coroutine with a session."""

    async def main() -> T:
        session = Session(os.environ)
        try:
            return await command(session)
        finally:
            await session.close()

    return asyncio.run(main())
