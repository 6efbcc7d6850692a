"""A system whose units have something for the registry of inferences, and nothing to prove: files by unit are given.

It answers the lane's questions as the zkml system does. Stream ``attested``; ``ATTESTED_FILES`` is a folder with a
folder per unit key, whose files become the inputs of its submit stage.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.noop import NoopSystem, noop_work
from provery.core.errors import ProveryError
from provery.core.lanes import Call, Chain, Policy, Standing
from provery.core.ports import Deps, StageContext, StageOutput
from provery.core.types import Stage, Work
from provery.systems.zkml.onchain.lane import Chains
from tests.support.anvil import private_key

STREAM = "default"
STAGES = (Stage.FETCH, Stage.SUBMIT)
SENDER = 3
"""Which of anvil's accounts submits."""


class AttestedSystem(NoopSystem):
    """See the module."""

    name = "attested"

    def __init__(self, deps: Deps) -> None:
        super().__init__(deps)
        self._chains = Chains(deps.env, deps.open_chain)
        self._files = Path(deps.env["ATTESTED_FILES"])

    async def run_stage(
        self, stage: str, contexts: Sequence[StageContext]
    ) -> list[StageOutput | ProveryError]:
        """Bring the unit's files in."""
        outputs: list[StageOutput | ProveryError] = []
        for context in contexts:
            refs = [
                await context.artifacts.put_bytes(path.read_bytes(), name=path.name)
                for path in sorted((self._files / context.unit.key).iterdir())
            ]
            outputs.append(StageOutput(tuple(refs)))
        return outputs

    async def chain(self, stream: str) -> Chain:
        """The account."""
        return await self._chains.chain(stream)

    async def policy(self, stream: str) -> Policy:
        """What the settings say."""
        return await self._chains.policy(stream)

    async def call(self, context: StageContext) -> Call:
        """By the unit's kind."""
        return await self._chains.call(context)

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        """What the registry says."""
        return await self._chains.standing(stream, ordinal, call)

    async def close(self) -> None:
        """Close the accounts."""
        await self._chains.close()


def build(deps: Deps) -> AttestedSystem:
    """The registry's entry."""
    return AttestedSystem(deps)


def attested_work(key: str, files: Path, content: dict[str, bytes], **params: Any) -> Work:
    """A unit with files for its submit stage.

    Args:
        key: Of the unit.
        files: ``ATTESTED_FILES``.
        content: The files by name.
        params: As the zkml system's units have them: ``kind``, ``attest``.
    """
    folder = files / key
    folder.mkdir(parents=True)
    for name, body in content.items():
        (folder / name).write_bytes(body)
    work = noop_work(key, stream=STREAM, params=params, stages=STAGES)
    stages = tuple(replace(s, lane=s.stage is Stage.SUBMIT) for s in work.plan.stages)
    return Work(replace(work.unit, system="attested"), replace(work.plan, stages=stages))


def environment(rpc: str, registry: str, files: Path, **more: str) -> dict[str, str]:
    """Settings of the system."""
    return {
        "PROVERY_EXTRA_SYSTEMS": "attested=tests.support.attested,noop=bench.noop",
        "ATTESTED_FILES": str(files),
        "PROVERY_ZKML_CHAIN_RPC": rpc,
        "PROVERY_ZKML_REGISTRY": registry,
        "PROVERY_ZKML_PRIVATE_KEY": private_key(SENDER),
        "PROVERY_ZKML_CONFIRMATIONS": "2",
        "PROVERY_ZKML_STUCK_AFTER_S": "5",
        **more,
    }
