"""What a fault cost, counted from what was left behind: ledger, table, Redis events and /proc. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from provery.core.errors import Retry, error_classes

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What is known of the jobs of one case when all is over."""

    audits: Mapping[str, Record]
    """What the ledger has of each job's unit, by job id."""
    rows: Mapping[str, Record]
    """Rows of the job table."""
    changes: Sequence[Record] = ()
    """Every write of those rows, in order: ``{id, was, now}``; a trigger of the database writes them down."""
    events: Sequence[Record] = ()
    """The queue's events since the case began: ``{event, jobId, at}``."""
    left: Sequence[str] = ()
    """BullMQ ids that Redis still holds."""
    orphans: Sequence[int] = ()
    """Processes that were left behind."""
    deliveries: Mapping[str, str] = field(default_factory=dict)
    """Job id by BullMQ id."""


@dataclass(frozen=True)
class Counts:
    """The four numbers that must be 0, and the reason for each that is not."""

    recomputed: int = 0
    lost: int = 0
    duplicated: int = 0
    orphans: int = 0
    why: tuple[str, ...] = field(default=(), compare=False)

    @property
    def clean(self) -> bool:
        return not (self.recomputed or self.lost or self.duplicated or self.orphans)


def count(evidence: Evidence) -> Counts:
    """Count what must not happen."""
    recomputed = [line for id, audit in evidence.audits.items() for line in _recomputed(id, audit)]
    lost = [line for id in evidence.audits for line in _lost(id, evidence)]
    lost += [f"Redis still holds job {id}" for id in evidence.left]
    duplicated = [line for id, audit in evidence.audits.items() for line in _duplicated(id, audit, evidence)]
    ended = Counter(e["jobId"] for e in evidence.events if e["event"] in ("completed", "failed"))
    duplicated += [f"job {id} ended {n} times in Redis" for id, n in ended.items() for _ in range(n - 1)]
    left = [f"process {pid} was left behind" for pid in evidence.orphans]
    why = (*recomputed, *lost, *duplicated, *left)
    return Counts(len(recomputed), len(lost), len(duplicated), len(left), why)


def _piece(row: Record) -> tuple[Any, ...]:
    """What is to be computed once: a stage, or a shard of it, of one generation. Not the memo key, which a wrong input
    would change."""
    return row["stage"], row["shard"], row["generation"]


def _recomputed(id: str, audit: Record) -> list[str]:
    recorded: dict[tuple[Any, ...], float] = {}
    for result in audit["results"]:
        piece = _piece(result)
        recorded[piece] = min(result["recorded_at"], recorded.get(piece, result["recorded_at"]))
    late = [a for a in audit["attempts"] if a["started_at"] > recorded.get(_piece(a), float("inf"))]
    lines = [f"{id}: {a['stage']} began again after its result was recorded" for a in late]
    done = Counter(_piece(a) for a in audit["attempts"] if a["outcome"] == "done" and a not in late)
    return lines + [
        f"{id}: {piece[0]} was computed {n} times" for piece, n in done.items() for _ in range(n - 1)
    ]


def _lost(id: str, evidence: Evidence) -> list[str]:
    row = evidence.rows.get(id)
    if row is None:
        return [f"{id} has no row"]
    back = [c for c in evidence.changes if c["id"] == id and c["was"] == "done" and c["now"] != "done"]
    if back:
        return [f"{id} went back from done to {back[0]['now']}"]
    if row["status"] != "done":
        return [f"{id} is {row['status']}: {row.get('error') or 'no error'}"]
    return [] if row["proof"] else [f"{id} is done without a proof"]


def _duplicated(id: str, audit: Record, evidence: Evidence) -> list[str]:
    results = Counter(map(_piece, audit["results"]))
    lines = [f"{id}: {n} results of {piece[0]}" for piece, n in results.items() for _ in range(n - 1)]
    lines += [f"{id}: submitted again" for _ in audit["submissions"][1:]]
    written = [c for c in evidence.changes if c["id"] == id and c["now"] == "done"]
    return lines + [f"{id}: its result was written again" for _ in written[1:]]


def burned(evidence: Evidence) -> list[str]:
    """Attempts that count against a plan's bound although no prover crashed by itself."""
    bounded = {name for name, kind in error_classes().items() if kind.retry is Retry.BOUNDED}
    return [
        f"{id}: {a['stage']} has burned an attempt: {a['error_kind']}"
        for id, audit in evidence.audits.items()
        for a in audit["attempts"]
        if a["outcome"] == "failed" and a["error_kind"] in bounded
    ]


def recovered(evidence: Evidence, broken: float) -> float | None:
    """When every job had gone on after a fault: its next stage, or step in a lane, began, or it was ended.

    Seconds since the epoch. Jobs that had ended before do not count. None where a job did not go on, or none was left
    to.
    """
    ends = [
        (e["at"], evidence.deliveries.get(e["jobId"])) for e in evidence.events if e["event"] == "completed"
    ]
    firsts = []
    for id, audit in evidence.audits.items():
        mine = [at for at, job in ends if job == id]
        steps = (e["at"] for e in audit.get("steps", ()))
        signs = [at for at in (*(a["started_at"] for a in audit["attempts"]), *steps, *mine) if at > broken]
        if signs:
            firsts.append(min(signs))
        elif not mine:
            return None
    return max(firsts, default=None)
