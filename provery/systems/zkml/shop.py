"""What stages and routes of this system share in one process: models, their files, provers, and places to prove."""

from __future__ import annotations

from collections.abc import Mapping

from provery.core.contracts import CompileContracts
from provery.core.errors import ConfigurationError, InvalidInput
from provery.core.models import ModelProver, ModelRegistry, ModelVersion
from provery.core.ports import ArtifactStore, Deps
from provery.systems.zkml.files import Kept
from provery.systems.zkml.onchain.lane import Chains
from provery.systems.zkml.quantised.graph import Graph
from provery.systems.zkml.quantised.graph import read as read_graph
from provery.systems.zkml.settings import ZkmlSettings
from provery.systems.zkml.slots import Slots

GRAPH = "graph.json"
_KEPT = 64
"""Versions and graphs that stay in memory; a graph of a small model takes kilobytes."""


class Shop:
    """Built once per process.

    Args:
        settings: Of the installation.
        artifacts: Where models and proofs are kept.
        registry: Models that were added.
        provers: By name.
        chains: Where inferences are attested.
        compile_contracts: Compiles verifier contracts.
    """

    def __init__(
        self,
        settings: ZkmlSettings,
        artifacts: ArtifactStore,
        registry: ModelRegistry,
        provers: Mapping[str, ModelProver],
        chains: Chains,
        compile_contracts: CompileContracts | None = None,
    ) -> None:
        self.settings, self.artifacts, self.registry = settings, artifacts, registry
        self.chains, self.compile_contracts = chains, compile_contracts
        self.slots = Slots(settings.max_concurrent_proofs)
        self._provers = provers
        self._versions: Kept[ModelVersion] = Kept(self._find, _KEPT)
        self._graphs: Kept[Graph] = Kept(self._read, _KEPT)

    @classmethod
    def of(cls, deps: Deps) -> Shop:
        """From what the workers inject.

        Raises:
            ConfigurationError: the ledger keeps no models, or a setting is wrong.
        """
        if deps.registry is None:
            raise ConfigurationError("zkml needs a ledger that keeps models", action="upgrade the ledger")
        return cls(
            ZkmlSettings.load(deps.env),
            deps.artifacts,
            deps.registry,
            deps.models,
            Chains(deps.env, deps.open_chain),
            deps.compile_contracts,
        )

    async def version(self, model: str, version: str) -> ModelVersion:
        """A version that was added; it never changes.

        Raises:
            InvalidInput: there is none.
        """
        return await self._versions.get(f"{model}/{version}")

    async def graph(self, version: ModelVersion) -> Graph | None:
        """The quantised graph of a version; None where its prover quantises by rules of its own."""
        if GRAPH not in version.files:
            return None
        return await self._graphs.get(f"{version.model}/{version.version}")

    def prover(self, version: ModelVersion) -> ModelProver:
        """The prover of a version.

        Raises:
            ConfigurationError: it is not installed here.
        """
        return self.named(version.settings.prover)

    def named(self, name: str) -> ModelProver:
        """A prover by its name.

        Raises:
            ConfigurationError: it is not installed here.
        """
        found = self._provers.get(name)
        if found is None:
            action = "install the extra: provery[ezkl]" if name == "ezkl" else ""
            raise ConfigurationError(
                "no such prover of models here", value=name, expected=", ".join(self._provers), action=action
            )
        return found

    async def _find(self, key: str) -> ModelVersion:
        model, _, version = key.rpartition("/")
        found = await self.registry.get(model, version)
        if found is None:
            raise InvalidInput(
                "no such version of a model", value=key, action="`provery zkml list` shows them"
            )
        return found

    async def _read(self, key: str) -> Graph:
        version = await self._versions.get(key)
        return read_graph(await self.artifacts.read(version.files[GRAPH]))
