"""The beacon system: every sync-committee period of a chain proved, checked and published."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from provery.core.errors import ConfigurationError, InvalidInput, ProofRejected, ProveryError
from provery.core.ports import Deps, Ledger, StageContext, StageOutput
from provery.core.types import Json, Stage, Unit, UnitStatus, Work
from provery.systems.beacon import discovery, fetching, publishing, stages
from provery.systems.beacon.status import Record
from provery.systems.beacon.streams import Stream, Streams

log = logging.getLogger(__name__)
_Work = Callable[[Stream, StageContext], Awaitable[StageOutput]]
_STAGES: dict[str, _Work] = {
    Stage.FETCH: fetching.fetch,
    Stage.WITNESS: stages.witness,
    Stage.PROVE: stages.prove,
    Stage.COMPRESS: stages.compress,
    Stage.VERIFY: stages.verify,
    Stage.SUBMIT: publishing.submit,
}


class BeaconSystem:
    """Proves sync-committee periods.

    Args:
        streams: The streams of this process.
        ledger: What is known of units.
    """

    name = discovery.SYSTEM

    def __init__(self, streams: Streams, ledger: Ledger) -> None:
        self._streams, self._ledger = streams, ledger

    @classmethod
    def from_deps(cls, deps: Deps) -> BeaconSystem:
        """The system, from what the workers inject."""
        return cls(Streams.of(deps), deps.ledger)

    async def run_stage(
        self, stage: str, contexts: Sequence[StageContext]
    ) -> list[StageOutput | ProveryError]:
        """Run one stage for one or many periods; each gets its own output or error."""
        work = _STAGES.get(stage)
        if work is None:
            raise ConfigurationError("a period has no such stage", value=stage, expected=", ".join(_STAGES))
        return [await self._one(work, context) for context in contexts]

    async def _one(self, work: _Work, context: StageContext) -> StageOutput | ProveryError:
        try:
            return await work(self._streams.get(context.unit.stream), context)
        except ProveryError as error:
            return error

    async def conclude(self, unit: Unit, status: UnitStatus, reason: str, error_kind: str) -> None:
        """Count a period that ended without a proof; nothing of it is published."""
        if status is not UnitStatus.FAILED:
            return
        try:
            stream = self._streams.get(unit.stream)
        except ConfigurationError as error:  # it is configured no more: there is nothing to count it in
            log.warning("period %s ended as failed: %s", unit.key, error)
            return
        rejected = int(error_kind == ProofRejected.__name__)

        def ended(record: Record) -> Record:
            return replace(
                record,
                last_run=time.time(),
                last_run_status=1.0,
                failed=record.failed + 1,
                rejected=record.rejected + rejected,
            )

        await asyncio.to_thread(stream.status.change, ended)
        await stream.show()

    async def discover(self, stream: str, first: int | None, last: int | None) -> list[Work]:
        """The periods that are due."""
        return await discovery.discover(self._streams.get(stream), self._ledger, first, last)

    async def close(self) -> None:
        """Close connections. Provers belong to the worker."""
        await self._streams.close()


async def work_for(stream: str, request: dict[str, Json], deps: Deps) -> Work:
    """The unit of a period that was asked for by hand: ``{"period": 1602}``.

    Raises:
        InvalidInput: the request names no period, or one that the chain has none of.
    """
    period = request.get("period")
    if isinstance(period, str) and period.isascii() and period.isdigit() and len(period) <= 12:
        period = int(period)
    if set(request) != {"period"} or isinstance(period, bool) or not isinstance(period, int) or period < 0:
        said = json.dumps(request, sort_keys=True)
        raise InvalidInput("not a request for a period", value=said, expected='{"period": 1602}')
    streams = Streams.of(deps)
    try:
        found = streams.get(stream)
        return await discovery.work_of(found, period, discovery.Keys(found))
    finally:
        await streams.close()
