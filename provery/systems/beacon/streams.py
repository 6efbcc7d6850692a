"""Everything that belongs to one stream, built once per process: settings, chain, nodes, period store, status."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from provery.core.errors import ConfigurationError, InvalidInput, ProveryError, SourceUnavailable
from provery.core.ports import Deps, StatementProver
from provery.core.types import Json
from provery.systems.beacon.agreement import Disagreement
from provery.systems.beacon.chaindata import read_chain_data
from provery.systems.beacon.chains import CHAINS, chain_from_config
from provery.systems.beacon.http import Limits, public_name
from provery.systems.beacon.inspection import Inspector
from provery.systems.beacon.metrics import StreamCollector, write_textfile
from provery.systems.beacon.nodes import BeaconNodes
from provery.systems.beacon.risk import Risk, assess, next_boundary
from provery.systems.beacon.settings import BeaconSettings
from provery.systems.beacon.spec import Chain
from provery.systems.beacon.status import Status
from provery.systems.beacon.store import PeriodStore

log = logging.getLogger(__name__)
AGAIN_S = 600.0
"""Seconds after which a risk that stands is logged again."""


class Stream:
    """One stream of this process.

    Args:
        settings: Its settings.
        statements: Every prover by name.
        limits: Bounds of each request to a node.
    """

    def __init__(
        self,
        settings: BeaconSettings,
        statements: Mapping[str, StatementProver],
        limits: Limits | None = None,
    ) -> None:
        self.settings = settings
        self.statements = statements
        self.store = PeriodStore(settings.output_dir)
        self.status = Status(self.store)
        self.collector = StreamCollector(settings.stream, settings.chain, self.store, self.status, self.risk)
        self._limits = limits
        self._chain = CHAINS.get(settings.chain)
        self._chain_data: tuple[dict[str, Json], dict[str, Json]] | None = None
        self._nodes: BeaconNodes | None = None
        self._inspector: Inspector | None = None
        self._reading, self._making = asyncio.Lock(), asyncio.Lock()
        self._told: tuple[int, float] | None = None

    @property
    def id(self) -> str:
        """``beacon/<stream>``."""
        return f"beacon/{self.settings.stream}"

    # ------------------------------------------------------------ the chain

    async def chain(self, *, again: bool = False) -> Chain:
        """The network; a development chain is asked for at its nodes.

        Args:
            again: Ask a development chain's nodes once more: it may have been started anew.

        Raises:
            ConfigurationError: a setting contradicts the chain.
            SourceUnavailable: no node of a development chain tells what it is.
        """
        async with self._reading:
            if self._chain is None or (again and self.settings.chain not in CHAINS):
                await self._read_chain()
            chain = self._chain
        if chain is None:
            raise SourceUnavailable(f"the chain of {self.id} is not known")
        epochs = self.settings.epochs_per_period
        if epochs and epochs != chain.preset.epochs_per_period:
            raise ConfigurationError(
                f"EPOCHS_PER_PERIOD is not that of {chain.name}",
                value=epochs,
                expected=str(chain.preset.epochs_per_period),
                action="leave it out, or correct CHAIN",
            )
        return chain

    async def _read_chain(self) -> None:
        data = await self._ask_chain()
        found = chain_from_config(self.settings.chain, *data)
        wanted, root = self.settings.genesis_root, "0x" + found.genesis_validators_root.hex()
        if wanted and wanted != root:
            raise ConfigurationError(
                f"the nodes of {self.id} are of another chain", value=root, expected=wanted
            )
        if self._chain != found:
            self._chain, self._chain_data = found, data
            await self._drop()

    async def _ask_chain(self) -> tuple[dict[str, Json], dict[str, Json]]:
        failures = []
        for url in self._urls():
            try:
                return await read_chain_data(url, self._limits)
            except (SourceUnavailable, InvalidInput) as error:
                failures.append(f"{public_name(url)}: {error}")
        raise SourceUnavailable(f"no node of {self.id} says which chain it is: " + " | ".join(failures))

    def chain_document(self) -> dict[str, Json] | None:
        """What a development chain's node said; None for chains that are built in."""
        if self._chain_data is None:
            return None
        config, genesis = self._chain_data
        return {"name": self.settings.chain, "config": config, "genesis": genesis}

    # ------------------------------------------------------------ parts

    def _urls(self) -> tuple[str, ...]:
        if not self.settings.rpc_url:
            raise ConfigurationError(
                f"no beacon node of {self.id} is configured",
                expected="RPC_URL with one or more URLs",
                action="set it, or the stream's own variable; see docs/beacon.md",
            )
        return self.settings.rpc_url

    async def nodes(self) -> BeaconNodes:
        """The nodes of the stream.

        Raises:
            ConfigurationError: none is configured, or a URL is malformed.
            SourceUnavailable: the chain is not known yet.
        """
        chain = await self.chain()
        async with self._making:
            if self._nodes is None:
                made = BeaconNodes(chain, self._urls(), self._limits)
                await made.check_genesis()
                self._nodes = made
            elif self._nodes.doubtful:
                await self._nodes.check_genesis()
            return self._nodes

    async def inspector(self) -> Inspector:
        """Tells whether stored periods hold."""
        if self._inspector is None:
            self._inspector = Inspector(
                self.store, await self.chain(), self.statements, self.settings.provers
            )
        return self._inspector

    def prover(self, name: str) -> StatementProver:
        """A prover.

        Raises:
            ConfigurationError: there is none of that name.
        """
        found = self.statements.get(name)
        if found is None:
            raise ConfigurationError(
                f"no prover of {self.id} has that name",
                value=name,
                expected=", ".join(sorted(self.statements)) or "none is installed",
                action="correct the stream's PROVERS",
            )
        return found

    # ------------------------------------------------------------ alarms and figures

    def risk(self) -> Risk | None:
        """What is at risk now; None while the chain is not known."""
        if self._chain is None:
            return None
        now = time.time()
        period, _ = next_boundary(self._chain, now)
        try:
            proved = self.store.has_proof(period) and period not in self.status.read().invalid
        except ProveryError as error:
            log.warning("the period store of %s cannot be looked at: %s", self.id, error)
            proved = False
        return assess(self._chain, now, self.settings.expected_s, proved=proved)

    async def disagreed(self, found: Iterable[Disagreement]) -> None:
        """Nodes contradict each other: log it and count it."""
        for one in found:
            log.error("%s: %s", self.id, one)
            await asyncio.to_thread(self.status.count, disagreements=1)

    async def show(self) -> None:
        """Write the textfile, and say so where a period is at risk."""
        risk = await asyncio.to_thread(self.risk)
        if risk is not None and risk.at_risk and self._tell(risk.period):
            log.error("%s: period at risk: %s", self.id, risk)
        try:
            await asyncio.to_thread(write_textfile, self.settings.prometheus_file, self.collector)
        except OSError as error:  # figures are no reason to fail a stage
            log.error("%s: %s cannot be written: %s", self.id, self.settings.prometheus_file, error)

    def _tell(self, period: int) -> bool:
        """Whether it is time to say again that a period is at risk."""
        last, now = self._told, time.monotonic()
        if last is not None and last[0] == period and now - last[1] < AGAIN_S:
            return False
        self._told = (period, now)
        return True

    async def _drop(self) -> None:
        nodes, self._nodes, self._inspector = self._nodes, None, None
        if nodes is not None:
            await nodes.close()

    async def close(self) -> None:
        """Close connections."""
        await self._drop()


class Streams:
    """The streams of this process, each built at first use.

    Args:
        env: The process environment.
        home: Working directory of the installation.
        statements: Every prover by name.
        limits: Bounds of each request to a node.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        home: Path,
        statements: Mapping[str, StatementProver],
        limits: Limits | None = None,
    ) -> None:
        self._env, self._home, self._statements, self._limits = env, home, statements, limits
        self._streams: dict[str, Stream] = {}

    @classmethod
    def of(cls, deps: Deps) -> Streams:
        """From what the workers inject."""
        return cls(deps.env, deps.home, deps.statements)

    def get(self, name: str) -> Stream:
        """A stream.

        Raises:
            ConfigurationError: its settings are malformed, or it is not configured.
        """
        if name not in self._streams:
            settings = BeaconSettings.load(name, self._env, self._home)
            self._streams[name] = Stream(settings, self._statements, self._limits)
        return self._streams[name]

    async def close(self) -> None:
        """Close connections."""
        await asyncio.gather(*(stream.close() for stream in self._streams.values()))
