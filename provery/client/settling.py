"""From works to outcomes, whatever is already running, recorded or half-started.

The ledger says who owns a unit, Temporal says whether the owner lives. One round asks both, starts what nobody
works on, waits for what somebody does, and the next round asks again about the rest: every race (a client that
died between claim and start, a batch that ended, an operator who re-proved) ends in a later round.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError

from provery.client.address import BATCH_PREFIX
from provery.client.batching import owner_of
from provery.client.connection import NotFound, patiently, together
from provery.client.starting import start_batch, start_unit
from provery.core.controls import BatchOutcome
from provery.core.ports import Ledger, UnitRow
from provery.core.types import (
    STAGES,
    ArtifactRef,
    Plan,
    Unit,
    UnitOutcome,
    UnitStatus,
    Work,
)

CLAIM_GRACE_S = 5.0
"""A claim this fresh whose workflow does not run is taken for one that is about to be started by its client."""
_PAUSE_MAX_S = 3.0


@dataclass
class Round:
    """What is known of some works at one moment."""

    recorded: dict[str, UnitRow] = field(default_factory=dict)
    """Ended units by workflow id."""
    mine: list[Work] = field(default_factory=list)
    """Nobody else works on these."""
    attached: dict[str, list[Work]] = field(default_factory=dict)
    """Running owner → the units it works on."""
    later: list[Work] = field(default_factory=list)
    """To be asked again in a moment."""


class Settlement:
    """Claims, starts, attaches and waits.

    Args:
        client: Temporal.
        ledger: Who owns what, and what has ended.
        env: Process environment: queue names.
        grace_s: See ``CLAIM_GRACE_S``.
    """

    def __init__(
        self, client: Client, ledger: Ledger, env: Mapping[str, str], grace_s: float = CLAIM_GRACE_S
    ) -> None:
        self._client, self._ledger, self._env, self._grace_s = client, ledger, env, grace_s

    async def outcomes(
        self,
        works: Sequence[Work],
        *,
        batch: bool,
        tell: Callable[[UnitOutcome], None] = lambda outcome: None,
    ) -> list[UnitOutcome]:
        """Wait until every unit has ended; outcomes in the order of ``works``.

        Args:
            works: Which units.
            batch: Let them share a workflow.
            tell: Called once for each unit as soon as its outcome is known.
        """
        wanted = {w.unit.workflow_id: w for w in works}
        got: dict[str, UnitOutcome] = {}

        async def take(found: Awaitable[dict[str, UnitOutcome]]) -> None:
            for name, outcome in (await found).items():
                got[name] = outcome
                tell(outcome)

        pause = 0.0
        while missing := [w for name, w in wanted.items() if name not in got]:
            await asyncio.sleep(pause)
            pause = min(max(pause * 2, 0.1), _PAUSE_MAX_S)
            await together([take(job) for job in await self._jobs(missing, batch=batch)])
        return [got[w.unit.workflow_id] for w in works]

    async def _jobs(self, works: Sequence[Work], *, batch: bool) -> list[Awaitable[dict[str, UnitOutcome]]]:
        """One round: what has to be awaited for these units' outcomes."""
        owner = owner_of(works) if batch else ""
        now = await self.look(works, owner)
        jobs: list[Awaitable[dict[str, UnitOutcome]]] = [self._recorded(row) for row in now.recorded.values()]
        jobs += [self._outcomes_of(name, group) for name, group in now.attached.items()]
        if owner and now.mine:
            jobs.append(self._run_batch(owner, now.mine))
        else:
            jobs += [self._run_unit(work) for work in now.mine]
        if now.later:
            # A round lasts as long as its slowest unit; those that only wait for their turn go on by themselves.
            jobs.append(self._again(now.later, batch=batch))
        return jobs

    async def _again(self, works: Sequence[Work], *, batch: bool) -> dict[str, UnitOutcome]:
        await asyncio.sleep(min(self._grace_s / 4, _PAUSE_MAX_S))
        return {o.unit: o for o in await self.outcomes(works, batch=batch)}

    async def look(self, works: Sequence[Work], owner: str, *, patient: bool = True) -> Round:
        """Claim the works and find out who works on each.

        Args:
            works: Units of different names.
            owner: Workflow that is to own them; empty for each unit's own.
            patient: Ride out a ledger that does not answer.
        """
        if patient:
            rows = await patiently(lambda: self._ledger.claim(works, owner), "claiming units")
        else:
            rows = await self._ledger.claim(works, owner)
        found, foreign = Round(), dict[str, list[tuple[Work, UnitRow]]]()
        for work, row in zip(works, rows, strict=True):
            same = row.unit.params_sha256 == work.unit.params_sha256
            if row.status.terminal and same:
                found.recorded[work.unit.workflow_id] = row
            elif row.workflow_id == (owner or work.unit.workflow_id) and same:
                found.mine.append(work)
            else:
                foreign.setdefault(row.workflow_id, []).append((work, row))
        alive = await asyncio.gather(*(self._alive(name) for name in foreign))
        for (name, group), lives in zip(foreign.items(), alive, strict=True):
            if lives:
                found.attached[name] = [work for work, _ in group]
                continue
            for work, row in group:
                if await self._take_over(work, row, owner):
                    found.mine.append(work)
                else:
                    found.later.append(work)
        return found

    async def watch(self, row: UnitRow) -> bool:
        """Wait until a unit's owner ends. False: it does not run."""
        if not await self._alive(row.workflow_id):
            return False
        await self._outcomes_of(row.workflow_id, [Work(row.unit, row.plan or Plan(()))])
        return True

    async def _take_over(self, work: Work, row: UnitRow, owner: str) -> bool:
        """Adopt a unit whose owner does not run. False: ask again."""
        if time.time() - row.updated_at < self._grace_s:
            return False
        if row.unit.params_sha256 != work.unit.params_sha256:
            # The same name with other inputs: the abandoned request ends, and the next claim opens the new one.
            await self._conclude(
                row.unit, UnitStatus.CANCELLED, "replaced by a request with other inputs", ""
            )
            return False
        new_owner = owner or work.unit.workflow_id
        return await patiently(
            lambda: self._ledger.adopt(work.unit, row.workflow_id, new_owner), "adopting a unit"
        )

    async def _alive(self, workflow_id: str) -> bool:
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            seen = await patiently(handle.describe, "asking for a unit's owner")
        except NotFound:
            return False
        return seen.status is WorkflowExecutionStatus.RUNNING

    async def _run_unit(self, work: Work) -> dict[str, UnitOutcome]:
        handle = await patiently(lambda: start_unit(self._client, self._env, work), "starting a unit")
        return await self._result(handle, [work.unit])

    async def _run_batch(self, owner: str, works: Sequence[Work]) -> dict[str, UnitOutcome]:
        if not owner.startswith(BATCH_PREFIX):
            return await self._run_unit(works[0])
        handle = await patiently(
            lambda: start_batch(self._client, self._env, owner, works), "starting a batch"
        )
        return await self._result(handle, [w.unit for w in works])

    async def _outcomes_of(self, owner: str, works: Sequence[Work]) -> dict[str, UnitOutcome]:
        """Wait for a workflow that somebody else started."""
        kind: type = BatchOutcome if owner.startswith(BATCH_PREFIX) else UnitOutcome
        handle: WorkflowHandle[object, BatchOutcome | UnitOutcome] = self._client.get_workflow_handle(
            owner, result_type=kind
        )
        found = await self._result(handle, [w.unit for w in works])
        # It may have been proving other inputs under the same name; then only the ledger can tell.
        rows = await asyncio.gather(*(self._row(w.unit) for w in works))
        for work, row in zip(works, rows, strict=True):
            if row is not None and row.unit.params_sha256 != work.unit.params_sha256:
                found.pop(work.unit.workflow_id, None)
        return found

    async def _result(
        self,
        handle: WorkflowHandle[object, BatchOutcome]
        | WorkflowHandle[object, UnitOutcome]
        | WorkflowHandle[object, BatchOutcome | UnitOutcome],
        units: Sequence[Unit],
    ) -> dict[str, UnitOutcome]:
        """Outcomes of ``units`` from a workflow's result; what is missing is asked again."""
        try:
            result = await patiently(handle.result, "waiting for a result")
        except NotFound:
            return {}
        except WorkflowFailureError as failure:
            ends = await asyncio.gather(*(self._ended(handle.id, unit, failure.cause) for unit in units))
            return {end.unit: end for end in ends if end is not None}
        names = {unit.workflow_id for unit in units}
        outcomes = result.outcomes if isinstance(result, BatchOutcome) else (result,)
        return {o.unit: o for o in outcomes if o.unit in names and o.status.terminal}

    async def _ended(self, owner: str, unit: Unit, cause: BaseException) -> UnitOutcome | None:
        """A unit whose workflow did not return: what the ledger has, or else the failure, written down.

        None where the unit has a new owner or its workflow runs again (reset, re-proved): ask again.
        """
        row = await self._row(unit)
        if row is None:
            return None
        if row.status.terminal:
            return next(iter((await self._recorded(row)).values()))
        if row.workflow_id != owner or await self._alive(owner):
            return None
        kind = (
            cause.type or "ApplicationError" if isinstance(cause, ApplicationError) else type(cause).__name__
        )
        status = UnitStatus.CANCELLED if isinstance(cause, CancelledError) else UnitStatus.FAILED
        reason = f"its workflow ended without a result: {cause}"
        await self._conclude(unit, status, reason, kind)
        return UnitOutcome(unit.workflow_id, status, reason, kind)

    async def _conclude(self, unit: Unit, status: UnitStatus, reason: str, kind: str) -> None:
        await patiently(
            lambda: self._ledger.conclude(unit, status, reason=reason, error_kind=kind), "writing down an end"
        )

    async def _row(self, unit: Unit) -> UnitRow | None:
        return await patiently(
            lambda: self._ledger.unit(unit.system, unit.stream, unit.key), "reading a unit"
        )

    async def _recorded(self, row: UnitRow) -> dict[str, UnitOutcome]:
        return {
            row.unit.workflow_id: await patiently(
                lambda: recorded_outcome(self._ledger, row), "reading a result"
            )
        }


async def recorded_outcome(ledger: Ledger, row: UnitRow) -> UnitOutcome:
    """The outcome of an ended unit from the ledger alone."""
    outputs: tuple[ArtifactRef, ...] = ()
    facts: dict[str, str] = {}
    if row.status is UnitStatus.DONE:
        audit = await ledger.audit(row.unit)
        outputs, facts = final_outputs(audit.get("results"), row.unit.params_sha256)
    return UnitOutcome(
        row.unit.workflow_id, row.status, row.reason, row.error_kind, row.stage, outputs=outputs, facts=facts
    )


def final_outputs(results: object, params_sha256: str = "") -> tuple[tuple[ArtifactRef, ...], dict[str, str]]:
    """The last stage's outputs and every stage's facts, from an audit's results for these inputs."""
    rows = [r for r in results if isinstance(r, dict)] if isinstance(results, list) else []
    rows = [r for r in rows if not params_sha256 or r.get("params_sha256", params_sha256) == params_sha256]
    rows.sort(key=lambda r: (int(r.get("generation") or 0), _order(str(r.get("stage")))))
    outputs: tuple[ArtifactRef, ...] = ()
    facts: dict[str, str] = {}
    for row in rows:
        outputs = tuple(
            ArtifactRef(str(o["uri"]), str(o["sha256"]), int(o["size"]), str(o.get("name", "")))
            for o in row.get("outputs") or []
        )
        facts |= {str(k): str(v) for k, v in (row.get("facts") or {}).items()}
    return outputs, facts


def _order(stage: str) -> int:
    names = [s.value for s in STAGES]
    return names.index(stage) if stage in names else -1
