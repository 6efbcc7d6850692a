"""Stand-ins for tests of the client and the CLI: a ledger in memory, and workflows with the engine's names."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from provery.core.controls import (
        FOLLOW_STREAM,
        PROVE_BATCH,
        PROVE_UNIT,
        BatchInput,
        BatchOutcome,
        FollowInput,
        Order,
        ProveInput,
        StageProgress,
        UnitProgress,
    )
    from provery.core.ports import UnitRow
    from provery.core.types import (
        ArtifactRef,
        Json,
        Plan,
        Stage,
        StagePlan,
        Unit,
        UnitOutcome,
        UnitStatus,
        Work,
    )


def work(key: str, *, express: bool = False, **params: Json) -> Work:
    """A unit of the stream ``queue/prove``; ``mode`` says what its stand-in does."""
    plan = Plan(
        (
            StagePlan(Stage.FETCH, "io"),
            StagePlan(Stage.PROVE, "cpu", prover="native"),
            StagePlan(Stage.SUBMIT, "io"),
        ),
        express=express,
    )
    return Work(
        Unit("queue", "prove", key, params={"nested": [{"a": 1}], **params}, title=f"job {key}"), plan
    )


class MemoryLedger:
    """The part of the ledger that clients use, as its port describes it."""

    def __init__(self) -> None:
        self.rows: dict[str, UnitRow] = {}
        self.claims = 0
        self.audits: dict[str, dict[str, Json]] = {}

    async def claim(
        self, works: Sequence[Work], workflow_id: str = "", *, reopen: bool = True
    ) -> list[UnitRow]:
        self.claims += 1
        found = []
        for w in works:
            name = w.unit.workflow_id
            row, now = self.rows.get(name), time.time()
            fresh = UnitRow(
                w.unit,
                UnitStatus.RUNNING,
                workflow_id or name,
                created_at=now,
                updated_at=now,
                plan=w.plan,
            )
            if row is None:
                row = fresh
            elif reopen and row.status.terminal:
                other = row.unit.params_sha256 != w.unit.params_sha256
                if other or row.status in (UnitStatus.FAILED, UnitStatus.CANCELLED):
                    row = fresh
            self.rows[name] = row
            found.append(row)
        return found

    async def adopt(self, unit: Unit, owner: str, new_owner: str) -> bool:
        row = self.rows[unit.workflow_id]
        if row.status.terminal or row.workflow_id != owner:
            return False
        self.rows[unit.workflow_id] = replace(row, workflow_id=new_owner, updated_at=time.time())
        return True

    async def unit(self, system: str, stream: str, key: str) -> UnitRow | None:
        return self.rows.get(f"prove/{system}/{stream}/{key}")

    async def units(
        self,
        *,
        system: str = "",
        stream: str = "",
        status: str = "",
        limit: int = 50,
        before: float | None = None,
    ) -> list[UnitRow]:
        rows = [
            r
            for r in reversed(self.rows.values())
            if (not system or r.unit.system == system)
            and (not stream or r.unit.stream == stream)
            and (not status or r.status == status)
        ]
        return rows[:limit]

    async def audit(self, unit: Unit) -> dict[str, Json]:
        return self.audits.get(unit.workflow_id, {})

    async def conclude(self, unit: Unit, status: UnitStatus, *, reason: str = "", **more: Any) -> UnitStatus:
        row = self.rows[unit.workflow_id]
        if row.status is not UnitStatus.DONE:
            kind = str(more.get("error_kind", ""))
            self.rows[unit.workflow_id] = replace(row, status=status, reason=reason, error_kind=kind)
        return self.rows[unit.workflow_id].status

    def done(self, w: Work, results: Sequence[Mapping[str, Json]] = ()) -> None:
        """Record that a unit ended well."""
        self.rows[w.unit.workflow_id] = UnitRow(
            w.unit, UnitStatus.DONE, w.unit.workflow_id, plan=w.plan, created_at=1.0, updated_at=2.0
        )
        self.audits[w.unit.workflow_id] = {"results": [dict(r) for r in results]}

    def age(self, seconds: float) -> None:
        """Make every row older."""
        for name, row in self.rows.items():
            self.rows[name] = replace(row, updated_at=row.updated_at - seconds)


PROOF = ArtifactRef("file:///proof", "ab" * 32, 7, "proof.json")


def _outcome(unit: Unit) -> UnitOutcome:
    return UnitOutcome(unit.workflow_id, UnitStatus.DONE, outputs=(PROOF,), facts={"by": unit.key})


@workflow.defn(name=PROVE_UNIT)
class StandInUnit:
    """``mode`` hold: wait for an order; fail: fail; else: done."""

    @workflow.init
    def __init__(self, given: ProveInput) -> None:
        self.given, self.orders, self.end = given, list[str](), ""

    @workflow.run
    async def run(self, given: ProveInput) -> UnitOutcome:
        unit = given.work.unit
        if unit.params.get("mode") == "fail":
            raise ApplicationError("no such circuit", type="UnknownCircuit", non_retryable=True)
        if unit.params.get("mode") == "hold":
            await workflow.wait_condition(lambda: bool(self.end))
            await workflow.wait_condition(workflow.all_handlers_finished)
            if self.end != "done":
                return UnitOutcome(unit.workflow_id, UnitStatus(self.end), "by order")
        return _outcome(unit)

    @workflow.query
    def progress(self) -> UnitProgress:
        rows = tuple(
            StageProgress(s.stage.value, "waiting", s.queue, s.prover) for s in self.given.work.plan.stages
        )
        return UnitProgress(
            self.given.work.unit, "running", "fetch", rows, notes=tuple(self.orders), facts={"a": "b"}
        )

    @workflow.update
    async def pause(self, order: Order) -> None:
        self.orders.append(f"pause {order.reason}")

    @workflow.update
    async def resume(self, order: Order) -> None:
        self.end = "done"

    @workflow.update
    async def cancel(self, order: Order) -> None:
        self.end = "cancelled"

    @workflow.update
    async def skip(self, order: Order) -> None:
        self.end = "skipped"

    @workflow.update
    async def move(self, order: Order) -> None:
        raise ApplicationError(f"no queue {order.queue}", type="ConfigurationError", non_retryable=True)


@workflow.defn(name=PROVE_BATCH)
class StandInBatch:
    """Done at once, unless a unit holds."""

    def __init__(self) -> None:
        self.go = False

    @workflow.run
    async def run(self, given: BatchInput) -> BatchOutcome:
        if any(w.unit.params.get("mode") == "hold" for w in given.works):
            await workflow.wait_condition(lambda: self.go)
        return BatchOutcome(tuple(_outcome(w.unit) for w in given.works))

    @workflow.signal
    async def release(self) -> None:
        self.go = True


@workflow.defn(name=FOLLOW_STREAM)
class StandInFollow:
    """Nothing is ever due."""

    @workflow.run
    async def run(self, given: FollowInput) -> dict[str, str]:
        return {"first": str(given.first), "last": str(given.last)}
