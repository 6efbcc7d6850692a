"""The hotshot system: every epoch's root, and the newest state, proved and landed in the light-client contract."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Sequence

from prometheus_client import CollectorRegistry

from provery.core.errors import ConfigurationError, InvalidInput, ProveryError
from provery.core.lanes import Call, Chain, Policy, Standing
from provery.core.ports import ArtifactStore, Deps, Ledger, StageContext, StageOutput
from provery.core.types import Json, Stage, Unit, UnitStatus, Work
from provery.systems.hotshot import advance, discovery, stages
from provery.systems.hotshot.metrics import register
from provery.systems.hotshot.streams import Stream, Streams
from provery.systems.hotshot.units import SYSTEM

log = logging.getLogger(__name__)
_Work = Callable[[Stream, StageContext], Awaitable[StageOutput]]


async def _submit(stream: Stream, context: StageContext) -> StageOutput:
    """States go through the account's lane, which asks for the call: nothing else may submit them."""
    raise ConfigurationError(
        "a state is submitted through its lane", value=context.unit.key, expected="a plan that names one"
    )


_STAGES: dict[str, _Work] = {
    Stage.FETCH: stages.fetch,
    Stage.WITNESS: stages.witness,
    Stage.PROVE: stages.prove,
    Stage.COMPRESS: stages.compress,
    Stage.VERIFY: stages.verify,
    Stage.SUBMIT: _submit,
}


class HotShotSystem:
    """Proves light-client states. Also a :class:`~provery.core.lanes.Submits`.

    Args:
        streams: The streams of this process.
        ledger: What is known of units.
        artifacts: Keeps what a relay server forgets.
    """

    name = SYSTEM

    def __init__(self, streams: Streams, ledger: Ledger, artifacts: ArtifactStore) -> None:
        self._streams, self._ledger, self._artifacts = streams, ledger, artifacts

    @classmethod
    def from_deps(cls, deps: Deps) -> HotShotSystem:
        """The system, from what the workers inject."""
        if isinstance(deps.metrics, CollectorRegistry):
            register(deps.metrics)
        return cls(Streams.of(deps), deps.ledger, deps.artifacts)

    async def run_stage(
        self, stage: str, contexts: Sequence[StageContext]
    ) -> list[StageOutput | ProveryError]:
        """Run one stage for one or many states; each gets its own output or error."""
        work = _STAGES.get(stage)
        if work is None:
            raise ConfigurationError("a state has no such stage", value=stage, expected=", ".join(_STAGES))
        return [await self._one(work, context) for context in contexts]

    async def _one(self, work: _Work, context: StageContext) -> StageOutput | ProveryError:
        try:
            return await work(self._streams.get(context.unit.stream), context)
        except ProveryError as error:
            return error

    async def conclude(self, unit: Unit, status: UnitStatus, reason: str, error_kind: str) -> None:
        """Count a state that ended without landing; the contract learns nothing of it."""
        if status is not UnitStatus.FAILED:
            return
        try:
            self._streams.get(unit.stream).figures.failed(error_kind)
        except ConfigurationError as error:  # it is configured no more: there is nothing to count it in
            log.warning("%s ended as failed: %s", unit.key, error)

    async def discover(self, stream: str, first: int | None, last: int | None) -> list[Work]:
        """The states that are due."""
        found = self._streams.get(stream)
        try:
            return await discovery.discover(found, self._ledger, self._artifacts, first, last)
        except ProveryError as error:
            found.figures.failed(error.kind)
            raise

    # ------------------------------------------------------------ the lane

    async def chain(self, stream: str) -> Chain:
        """The account that the stream submits from."""
        return await self._streams.get(stream).chain()

    async def policy(self, stream: str) -> Policy:
        """What the stream's operator allows."""
        return self._streams.get(stream).settings.policy

    async def call(self, context: StageContext) -> Call:
        """The call of a verified proof."""
        return await stages.call(self._streams.get(context.unit.stream), context)

    async def standing(self, stream: str, ordinal: int | None, call: Call) -> Standing:
        """What the contract says of a call now."""
        contract = await self._streams.get(stream).contract()
        state, next_stake = stages.submitted(call.data)
        return advance.standing(await contract.held(), state, next_stake, contract.chain.sender)

    async def close(self) -> None:
        """Close connections. Provers belong to the worker."""
        await self._streams.close()


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The unit of an epoch's root that was asked for by hand: ``{"epoch": 3}``.

    Raises:
        InvalidInput: the request names no epoch.
    """
    epoch = discovery.requested(request)
    if epoch is None:
        said = json.dumps(request, sort_keys=True)
        raise InvalidInput("not a request for an epoch", value=said, expected='{"epoch": 3}')
    streams = Streams.of(deps)
    try:
        return await discovery.epoch_work(streams.get(stream), epoch)
    finally:
        await streams.close()


async def due(stream: str, deps: Deps) -> list[Work]:
    """What a look would find now."""
    system = HotShotSystem.from_deps(deps)
    try:
        return await system.discover(stream, None, None)
    finally:
        await system.close()
