"""Everything that belongs to one stream, built once per process: settings, sources, account, contract, provers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from provery.core.errors import ConfigurationError
from provery.core.lanes import Chain, Contract, OpenChain
from provery.core.ports import Deps, StatementProver
from provery.systems.hotshot import abi
from provery.systems.hotshot.metrics import Figures
from provery.systems.hotshot.model import HotShotConfig
from provery.systems.hotshot.reading import LightClient
from provery.systems.hotshot.relay import Relay
from provery.systems.hotshot.sequencer import Sequencer
from provery.systems.hotshot.settings import HotShotSettings
from provery.systems.hotshot.units import SYSTEM, Place

log = logging.getLogger(__name__)


class Stream:
    """One stream of this process.

    Args:
        settings: Its settings.
        statements: Every prover by name.
        open_chain: Opens accounts; None in a process that has no business with a chain.
    """

    def __init__(
        self,
        settings: HotShotSettings,
        statements: Mapping[str, StatementProver],
        open_chain: OpenChain | None,
    ) -> None:
        self.settings = settings
        self.statements = statements
        self.relay = Relay(settings.relay_server)
        self.sequencer = Sequencer(settings.sequencer_url)
        self.figures = Figures(settings.stream)
        self.compared: set[tuple[str, str]] = set()
        """Verifiers, by address, that are known to be of a key, by digest."""
        self._open_chain = open_chain
        self._opening = asyncio.Lock()
        self._contract: LightClient | None = None
        self._place: Place | None = None
        self._config: HotShotConfig | None = None

    @property
    def id(self) -> str:
        """``hotshot/<stream>``."""
        return f"{SYSTEM}/{self.settings.stream}"

    # ------------------------------------------------------------ the contract

    async def contract(self) -> LightClient:
        """The contract, through the stream's account; refused unless it is a light client of version 2.

        Raises:
            ConfigurationError: address, account or endpoints are wrong.
            ContractError: it cannot be read.
            SinkUnavailable: no endpoint answers.
        """
        async with self._opening:
            if self._contract is None:
                if self._open_chain is None:
                    raise ConfigurationError("this process opens no chains", action="run it in a worker")
                address, account = self.settings.contract, self.settings.account
                endpoints, known = self.settings.l1_provider_url, Contract(abi.ERRORS)
                self._contract = LightClient(await self._open_chain(endpoints, account, known), address)
        await self._contract.validate()
        return self._contract

    async def chain(self) -> Chain:
        """The account that the stream submits from."""
        return (await self.contract()).chain

    async def place(self) -> Place:
        """Which contract the stream's states go to."""
        if self._place is None:
            contract = await self.contract()
            self._place = Place(
                contract.chain.chain_id,
                contract.address,
                await contract.network(),
                self.settings.stake_table_capacity,
            )
        return self._place

    # ------------------------------------------------------------ the network

    async def config(self) -> HotShotConfig:
        """What the sequencer says of its network; asked once.

        Raises:
            SequencerCommunicationError: it does not answer.
        """
        if self._config is None:
            self._config = await self.sequencer.config()
            said = self._config.stake_table_capacity
            if said != self.settings.stake_table_capacity:
                log.warning(
                    "%s: the network's stake table capacity is %d, and %d is configured",
                    self.id,
                    said,
                    self.settings.stake_table_capacity,
                )
        return self._config

    # ------------------------------------------------------------ provers

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

    async def close(self) -> None:
        """Close connections."""
        contract, self._contract = self._contract, None
        await self.relay.close()
        await self.sequencer.close()
        if contract is not None:
            await contract.chain.close()


class Streams:
    """The streams of this process, each built at first use.

    Args:
        env: The process environment.
        statements: Every prover by name.
        open_chain: Opens accounts.
    """

    def __init__(
        self,
        env: Mapping[str, str],
        statements: Mapping[str, StatementProver],
        open_chain: OpenChain | None,
    ) -> None:
        self._env, self._statements, self._open_chain = env, statements, open_chain
        self._streams: dict[str, Stream] = {}

    @classmethod
    def of(cls, deps: Deps) -> Streams:
        """From what the workers inject."""
        return cls(deps.env, deps.statements, deps.open_chain)

    def get(self, name: str) -> Stream:
        """A stream.

        Raises:
            ConfigurationError: its settings are malformed, or it is not configured.
        """
        if name not in self._streams:
            settings = HotShotSettings.load(name, self._env)
            self._streams[name] = Stream(settings, self._statements, self._open_chain)
        return self._streams[name]

    async def close(self) -> None:
        """Close connections."""
        await asyncio.gather(*(stream.close() for stream in self._streams.values()))
