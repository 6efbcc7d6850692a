"""Records of the core to rows of the ledger and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from sqlalchemy import RowMapping

from provery.core.errors import clip
from provery.core.ports import Attempt, AttemptEnd, UnitRow
from provery.core.redact import redact
from provery.core.types import ArtifactRef, Json, Plan, Stage, StagePlan, StageResult, Unit, UnitStatus

Row = RowMapping | Mapping[str, Any]
_REF_FIELDS = frozenset(f.name for f in fields(ArtifactRef))
_PLAN_FIELDS = frozenset(f.name for f in fields(Plan))
_STAGE_FIELDS = frozenset(f.name for f in fields(StagePlan))


def unit_id(unit: Unit) -> str:
    """Primary key of a unit."""
    return f"{unit.system}/{unit.stream}/{unit.key}"


def clean(text: str) -> str:
    """Text that any database takes: no NUL, no lone surrogates, bounded, no secrets."""
    encoded = redact(clip(text)).encode("utf-8", "backslashreplace").decode()
    return encoded.replace("\x00", "\\x00")


def dump(value: object) -> str:
    """Compact JSON."""
    return json.dumps(value, separators=(",", ":"))


def unit_row(unit: Unit, plan: Plan, owner: str, now: float) -> dict[str, Any]:
    """A new, running unit."""
    return {
        "id": unit_id(unit),
        "system": unit.system,
        "stream": unit.stream,
        "key": unit.key,
        "params": dump(unit.params),
        "params_sha256": unit.params_sha256,
        "ordinal": unit.ordinal,
        "title": clean(unit.title),
        "status": UnitStatus.RUNNING.value,
        "workflow_id": owner,
        "reason": "",
        "error_kind": "",
        "stage": "",
        "generation": max((s.generation for s in plan.stages), default=0),
        "plan": dump({**vars(plan), "stages": [vars(stage) for stage in plan.stages]}),
        "created_at": now,
        "updated_at": now,
    }


def attempt_row(attempt: Attempt, params_sha256: str) -> dict[str, Any]:
    """A new, open attempt."""
    return {
        "id": attempt.id,
        "memo_key": attempt.memo_key,
        "unit_id": unit_id(attempt.unit),
        "params_sha256": params_sha256,
        "stage": str(attempt.stage),
        "shard": attempt.shard,
        "generation": attempt.generation,
        "number": attempt.number,
        "workflow_id": attempt.workflow_id,
        "run_id": attempt.run_id,
        "activity_id": attempt.activity_id,
        "queue": attempt.queue,
        "worker": clean(attempt.worker),
        "host": attempt.host,
        "prover": attempt.prover,
        "device": attempt.device,
        "started_at": attempt.started_at,
        "outcome": "",
        "error_kind": "",
        "error": "",
        "cpu_s": 0.0,
        "peak_rss": 0,
        "cost": 0.0,
        "note": "",
    }


def end_row(end: AttemptEnd) -> dict[str, Any]:
    """What closes an attempt; names differ from the columns', as SQLAlchemy wants of an update's parameters."""
    return {
        "b_id": end.id,
        "b_ended_at": end.ended_at,
        "b_outcome": end.outcome,
        "b_error_kind": end.error_kind,
        "b_error": clean(end.error) if end.error else "",
        "b_exit_code": end.exit_code,
        "b_signal": end.signal,
        "b_cpu_s": end.cpu_s,
        "b_peak_rss": end.peak_rss,
        "b_cost": end.cost,
    }


def result_row(result: StageResult, attempt_id: str, attempt: Row, now: float) -> dict[str, Any]:
    """A result of an attempt; ``attempt`` may be empty where its row was lost."""
    return {
        "memo_key": result.memo_key,
        "unit_id": attempt.get("unit_id", ""),
        "params_sha256": attempt.get("params_sha256", ""),
        "stage": str(result.stage),
        "shard": attempt.get("shard"),
        "generation": attempt.get("generation", 0),
        "attempt_id": attempt_id,
        "outputs": dump([vars(ref) for ref in result.outputs]),
        "facts": dump(result.facts),
        "shards": result.shards,
        "seconds": result.seconds,
        "prover": result.prover,
        "host": result.host,
        "recorded_at": now,
    }


def result_of(row: Row) -> StageResult:
    """A recorded result."""
    return StageResult(
        stage=Stage(row["stage"]),
        memo_key=row["memo_key"],
        outputs=tuple(ArtifactRef(**_known(ref, _REF_FIELDS)) for ref in json.loads(row["outputs"])),
        facts=json.loads(row["facts"]),
        shards=row["shards"],
        seconds=row["seconds"],
        prover=row["prover"],
        host=row["host"],
        attempt=row["attempt_id"],
    )


def unit_of(row: Row) -> UnitRow:
    """A recorded unit."""
    return UnitRow(
        unit=Unit(
            system=row["system"],
            stream=row["stream"],
            key=row["key"],
            params=json.loads(row["params"]),
            ordinal=row["ordinal"],
            title=row["title"],
        ),
        status=UnitStatus(row["status"]),
        workflow_id=row["workflow_id"],
        reason=row["reason"],
        error_kind=row["error_kind"],
        stage=row["stage"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        generation=row["generation"],
        plan=plan_of(row["plan"]),
    )


def plan_of(text: str) -> Plan | None:
    """A recorded plan. Fields that this version does not know are left out, so that old rows stay readable."""
    raw = json.loads(text) if text else None
    if not raw or not raw.get("stages"):
        return None
    stages = tuple(
        StagePlan(
            **{
                **_known(stage, _STAGE_FIELDS, tuple_of=("fallback_provers",)),
                "stage": Stage(stage["stage"]),
            }
        )
        for stage in raw["stages"]
    )
    return Plan(**{**_known(raw, _PLAN_FIELDS), "stages": stages})


def submission_of(row: Row) -> dict[str, Json]:
    """A recorded outward call, its intent and its receipt if there is one."""
    return {
        "request_key": row["request_key"],
        "unit": row["unit_id"],
        "destination": row["destination"],
        "detail": json.loads(row["detail"]),
        "intended_at": row["intended_at"],
        "receipt": None if row["receipt"] is None else json.loads(row["receipt"]),
        "received_at": row["received_at"],
        "cost": row["cost"],
    }


def _known(raw: Mapping[str, Any], names: frozenset[str], tuple_of: tuple[str, ...] = ()) -> dict[str, Any]:
    convert: Callable[[str, Any], Any] = lambda name, value: tuple(value) if name in tuple_of else value  # noqa: E731
    return {name: convert(name, value) for name, value in raw.items() if name in names}
