"""The zkml side of lanes: an account per stream, what its operator allows, and what the registry says of a call."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from provery.core.errors import ConfigurationError
from provery.core.lanes import Call, Chain, Contract, OpenChain, Policy, Standing
from provery.core.ports import StageContext
from provery.core.proving import input_named
from provery.systems.zkml.contracts import VERIFIER_CODE
from provery.systems.zkml.model import Answer
from provery.systems.zkml.onchain import abi
from provery.systems.zkml.onchain import calls as onchain
from provery.systems.zkml.onchain.settings import ChainSettings

ANSWER = "answer.json"
"""Artifact of a proved inference."""


class Chains:
    """The chains of this process's streams, each opened at first use.

    A :class:`~provery.core.lanes.Submits`: the system hands its questions on.

    Args:
        env: The process environment.
        open_chain: Opens accounts; None in a process that has no business with a chain.
    """

    def __init__(self, env: Mapping[str, str], open_chain: OpenChain | None) -> None:
        self._env, self._open_chain = env, open_chain
        self._settings: dict[str, ChainSettings] = {}
        self._chains: dict[str, Chain] = {}
        self._opening = asyncio.Lock()

    def settings(self, stream: str) -> ChainSettings:
        """Settings of a stream.

        Raises:
            ConfigurationError: a value is malformed.
        """
        if stream not in self._settings:
            self._settings[stream] = ChainSettings.load(stream, self._env)
        return self._settings[stream]

    async def chain(self, stream: str) -> Chain:
        """The account that a stream submits from, once its registry is known to be one.

        Raises:
            ConfigurationError: chain, account or registry are not configured, or there is no registry.
            SinkUnavailable: no endpoint answers.
        """
        async with self._opening:
            if stream not in self._chains:
                if self._open_chain is None:
                    raise ConfigurationError("this process opens no chains", action="run it in a worker")
                settings = self.settings(stream)
                endpoints, registry, account = settings.endpoints, settings.contract, settings.account
                chain = await self._open_chain(endpoints, account, Contract(abi.ERRORS))
                try:
                    await onchain.check(chain, registry)
                except BaseException:
                    await chain.close()
                    raise
                self._chains[stream] = chain
            return self._chains[stream]

    async def policy(self, stream: str) -> Policy:
        """What the stream's operator allows."""
        return self.settings(stream).policy

    async def call(self, context: StageContext) -> Call:
        """The call of a unit: a model's verifier deployed, or an inference attested.

        Of a model ``verifier.bin`` counts among the stage's inputs, of an inference ``answer.json``.

        Raises:
            ConfigurationError: no registry is configured.
            InvalidInput: the unit has nothing for the chain.
        """
        registry = self.settings(context.unit.stream).contract
        if context.unit.params.get("kind") == "model":
            code = await context.artifacts.read(input_named(context, VERIFIER_CODE))
            return onchain.deploy_call(registry, code)
        answer = Answer.read(await context.artifacts.read(input_named(context, ANSWER)))
        return onchain.attesting_call(registry, str(context.unit.params.get("attest", "")), answer)

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        """What the registry says of a call now."""
        return await onchain.standing(await self.chain(stream), call)

    def verifier(self, stream: str, creation: bytes) -> str:
        """Address of a model's verifier, before it is deployed; empty where the stream has no registry."""
        settings = self.settings(stream)
        return onchain.verifier_address(settings.contract, creation) if settings.attests else ""

    async def close(self) -> None:
        """Close connections."""
        chains, self._chains = self._chains, {}
        await asyncio.gather(*(chain.close() for chain in chains.values()))
