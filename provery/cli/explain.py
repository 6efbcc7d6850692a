"""``provery explain``: the whole audit trail of one unit."""

from __future__ import annotations

from typing import Any

from provery.cli import equivalents
from provery.cli.options import JsonOption, PrintTemporal, UnitArgument
from provery.cli.output import console, emit, jsonable, say, stamp, table, unit_object
from provery.cli.session import Session, run
from provery.cli.units import look
from provery.client import Address, NotFound

GWEI = 10**9
ATTEMPT_COLUMNS = (
    "stage",
    "shard",
    "try",
    "status",
    "prover",
    "where",
    "started",
    "wall s",
    "CPU s",
    "RSS MiB",
    "cost",
)


def explain(unit: UnitArgument, json_: JsonOption = False, print_temporal: PrintTemporal = False) -> None:
    """Tell everything recorded of a unit: who computed what, where, when, at what cost, with which key.

    JSON: {"unit": {as in `list`, and "params", "params_sha256", "plan"}, "attempts": [{"stage", "shard", "number",
    "generation", "worker", "host", "queue", "prover", "device", "started_at", "ended_at", "outcome", "error_kind",
    "error", "exit_code", "signal", "cpu_s", "peak_rss", "cost", "workflow_id", "run_id", …}], "results": [{"stage",
    "shard", "memo_key", "outputs": [artifact], "facts", "seconds", …}], "submissions": […],
    "lane": [{as in `lane show`}], "events": […],
    "costs": {"total", "computing", "submissions", "cpu_s", "wall_s", "peak_rss", "attempts": {outcome: count}},
    "verifying_keys": {stage: digest}, "run": {…} | null, "progress": {…} | null, "ui"}; times are seconds since the
    epoch, sizes bytes
    """
    address = Address.parse(unit)

    async def go(session: Session) -> None:
        seen = await look(session, address)
        row = seen.view.row
        if row is None:
            raise NotFound("the ledger does not know the unit", value=str(address))
        audit = jsonable(await session.ledger().audit(row.unit))
        if print_temporal and row.workflow_id:
            equivalents.show(*equivalents.for_history(session.env, row.workflow_id, row.run_id))
        attempts = _rows(audit, "attempts")
        found: dict[str, Any] = {
            **{k: v for k, v in audit.items() if k != "unit"},
            "unit": {
                **unit_object(row),
                "params": jsonable(row.unit.params),
                "params_sha256": row.unit.params_sha256,
                "plan": jsonable(row.plan),
            },
            "attempts": attempts,
            "results": _rows(audit, "results"),
            "submissions": _rows(audit, "submissions"),
            "lane": _rows(audit, "lane"),
            "events": _rows(audit, "events"),
            "verifying_keys": {s.stage.value: s.verifying_key for s in row.plan.stages if s.verifying_key}
            if row.plan
            else {},
            **{k: v for k, v in seen.json(session, address).items() if k in ("run", "progress", "ui")},
        }
        if json_:
            emit(found)
        else:
            console().print(seen.rendered(session, address))
            _tell(found)

    run(go)


def _tell(found: dict[str, Any]) -> None:
    unit, attempts = found["unit"], found["attempts"]
    say(f"\ninputs  params SHA-256 {unit['params_sha256']}")
    for stage, digest in found["verifying_keys"].items():
        say(f"        {stage} is pinned to verifying key {digest}")
    if attempts:
        console().print(table("\nattempts", ATTEMPT_COLUMNS, [_attempt(a) for a in attempts]))
        for bad in (a for a in attempts if a.get("error")):
            say(
                f"  {bad.get('stage')} try {bad.get('number')}: {bad.get('error_kind')}: {bad.get('error')}",
                style="red",
            )
    results = [
        (r.get("stage"), r.get("shard"), o.get("name"), o.get("size"), o.get("sha256"), o.get("uri"))
        for r in found["results"]
        for o in r.get("outputs") or []
    ]
    if results:
        console().print(table("\nartifacts", ("stage", "shard", "name", "bytes", "sha256", "uri"), results))
    facts = [(r.get("stage"), k, v) for r in found["results"] for k, v in (r.get("facts") or {}).items()]
    if facts:
        console().print(table("\nfacts", ("stage", "fact", "value"), facts))
    for submission in found["lane"]:
        _print_submission(submission)
    for title in ("submissions", "events"):
        if found[title]:
            columns = list(found[title][0])
            rows = [[str(row.get(c, "")) for c in columns] for row in found[title]]
            console().print(table(f"\n{title}", columns, rows))
    costs = found.get("costs") or {}
    tried = ", ".join(f"{n} {outcome}" for outcome, n in (costs.get("attempts") or {}).items()) or "none"
    say(
        f"\nattempts: {tried}; {_number(costs.get('wall_s')):.2f} s of work, "
        f"{_number(costs.get('cpu_s')):.2f} CPU-seconds, peak {_number(costs.get('peak_rss')) / 2**20:.0f} MiB, "
        f"cost {_number(costs.get('total')):.6g}"
    )


def _print_submission(s: dict[str, Any]) -> None:
    """A call through a lane, and each transaction that was signed for it."""
    call = s["call"]
    say(
        f"\nlane {s['lane'].removeprefix('lane/')}: {call['method'] or call['data'][:10]} of {call['to']}: {s['phase']}"
        + (f", {s['reason']}" if s["reason"] else "")
        + f"; cost {int(s['fee_wei']) / GWEI:.9g} gwei"
    )
    rows = [
        (
            t["nonce"],
            t["kind"],
            t["fate"],
            f"{int(t['max_fee_per_gas']) / GWEI:.6g} + {int(t['max_priority_fee_per_gas']) / GWEI:.6g}",
            t["gas"] if t["gas_used"] is None else f"{t['gas_used']} of {t['gas']}",
            f"{int(t['fee_wei']) / GWEI:.9g}",
            stamp(t["signed_at"]),
            stamp(t["sent_at"]),
            "" if t["block"] is None else t["block"],
            t["hash"],
        )
        for t in s["transactions"]
    ]
    if rows:
        heads = (
            "nonce",
            "kind",
            "status",
            "gwei at most",
            "gas",
            "fee gwei",
            "signed",
            "sent",
            "block",
            "hash",
        )
        console().print(table("", heads, rows))


def _attempt(a: dict[str, Any]) -> tuple[object, ...]:
    wall = _wall(a)
    return (
        a.get("stage"),
        a.get("shard"),
        a.get("number"),
        a.get("outcome") or "running",
        a.get("prover"),
        " ".join(filter(None, [a.get("host"), a.get("device"), f"({a.get('worker')})"])),
        stamp(_number(a.get("started_at"))),
        "" if wall is None else f"{wall:.3f}",
        f"{_number(a.get('cpu_s')):.3f}",
        f"{_number(a.get('peak_rss')) / 2**20:.0f}",
        f"{_number(a.get('cost')):.6g}",
    )


def _wall(a: dict[str, Any]) -> float | None:
    return _number(a["ended_at"]) - _number(a.get("started_at")) if a.get("ended_at") else None


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _rows(audit: dict[str, Any], name: str) -> list[dict[str, Any]]:
    found = audit.get(name)
    return [r for r in found if isinstance(r, dict)] if isinstance(found, list) else []
