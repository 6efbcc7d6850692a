"""Records of lanes to rows of the ledger and back. Wei are decimal digits: a column of integers would lose some."""

from __future__ import annotations

import json
from typing import Any

from provery.core.lane_records import Fate, Kind, LaneRow, Phase, Submission, Transaction, Wait
from provery.core.lanes import Call
from provery.core.types import Json
from provery.stores.rows import Row, clean, dump


def submission_row(s: Submission) -> dict[str, Any]:
    """A submission without its transactions."""
    return {
        "request_key": s.request_key,
        "lane": s.lane,
        "unit_id": s.name,
        "system": s.system,
        "stream": s.stream,
        "key": s.key,
        "ordinal": s.ordinal,
        "call": call_text(s.call),
        "entered_by": s.entered_by,
        "entered_at": s.entered_at,
        "phase": s.phase.value,
        "waits_for": s.waits_for.value,
        "reason": clean(s.reason),
        "want": s.want,
        "max_fee": digits(s.max_fee),
        "nonce": s.nonce,
        "tries": s.tries,
        "settled_at": s.settled_at,
        "told": s.told,
    }


def submission_of(row: Row, transactions: tuple[Transaction, ...] = ()) -> Submission:
    """A recorded submission."""
    return Submission(
        request_key=row["request_key"],
        lane=row["lane"],
        system=row["system"],
        stream=row["stream"],
        key=row["key"],
        call=call_of(row["call"]),
        entered_by=row["entered_by"],
        entered_at=row["entered_at"],
        ordinal=row["ordinal"],
        phase=Phase(row["phase"]),
        waits_for=Wait(row["waits_for"]),
        reason=row["reason"],
        want=row["want"],
        max_fee=number(row["max_fee"]),
        nonce=row["nonce"],
        tries=row["tries"],
        settled_at=row["settled_at"],
        told=bool(row["told"]),
        transactions=transactions,
    )


def transaction_row(t: Transaction, lane: str) -> dict[str, Any]:
    """A signed transaction."""
    return {
        "hash": t.hash,
        "request_key": t.request_key,
        "lane": lane,
        "nonce": t.nonce,
        "kind": t.kind.value,
        "raw": t.raw,
        "gas": t.gas,
        "max_fee": digits(t.max_fee),
        "max_priority_fee": digits(t.max_priority_fee),
        "signed_at": t.signed_at,
        "sent_at": t.sent_at,
        "fate": t.fate.value,
        "block": t.block,
        "block_hash": t.block_hash,
        "gas_used": t.gas_used,
        "gas_price": digits(t.gas_price),
    }


def transaction_of(row: Row) -> Transaction:
    """A recorded transaction."""
    return Transaction(
        hash=row["hash"],
        request_key=row["request_key"],
        nonce=row["nonce"],
        kind=Kind(row["kind"]),
        gas=row["gas"],
        max_fee=int(row["max_fee"]),
        max_priority_fee=int(row["max_priority_fee"]),
        signed_at=row["signed_at"],
        raw=row["raw"],
        sent_at=row["sent_at"],
        fate=Fate(row["fate"]),
        block=row["block"],
        block_hash=row["block_hash"],
        gas_used=row["gas_used"],
        gas_price=number(row["gas_price"]),
    )


def lane_of(row: Row) -> LaneRow:
    """A recorded lane."""
    return LaneRow(
        id=row["id"],
        chain_id=row["chain_id"],
        sender=row["sender"],
        paused=bool(row["paused"]),
        reason=row["reason"],
        max_fee=number(row["max_fee"]),
        updated_at=row["updated_at"],
    )


def call_text(call: Call) -> str:
    """A call as JSON."""
    return dump({**vars(call), "value": str(call.value)})


def call_of(text: str) -> Call:
    """A recorded call."""
    raw = json.loads(text)
    return Call(raw["to"], raw["data"], int(raw["value"]), raw["method"], raw["gas"])


def shown(s: Submission) -> dict[str, Json]:
    """A submission as ``provery explain`` and ``provery lane show`` print it; raw transactions are left out."""
    landed = [t for t in s.transactions if t.fate in (Fate.LANDED, Fate.REVERTED) and t.kind is not Kind.FILL]
    last = landed[-1] if landed else None
    return {
        "request_key": s.request_key,
        "lane": s.lane,
        "unit": s.name,
        "ordinal": s.ordinal,
        "call": {**vars(s.call), "value": str(s.call.value)},
        "phase": s.phase.value,
        "waits_for": "" if s.phase.settled else s.waits_for.value,
        "reason": s.reason,
        "want": s.want,
        "max_fee_per_gas": digits(s.max_fee) or None,
        "nonce": s.nonce,
        "entered_at": s.entered_at,
        "settled_at": s.settled_at,
        "gas_used": last.gas_used if last is not None else None,
        "gas_price_wei": str(last.gas_price) if last is not None else None,
        "fee_wei": str(s.fee),
        "transactions": [_shown(t) for t in s.transactions],
    }


def _shown(t: Transaction) -> Json:
    return {
        "hash": t.hash,
        "nonce": t.nonce,
        "kind": t.kind.value,
        "fate": t.fate.value,
        "gas": t.gas,
        "max_fee_per_gas": str(t.max_fee),
        "max_priority_fee_per_gas": str(t.max_priority_fee),
        "signed_at": t.signed_at,
        "sent_at": t.sent_at,
        "block": t.block,
        "block_hash": t.block_hash,
        "gas_used": t.gas_used,
        "gas_price_wei": digits(t.gas_price) or None,
        "fee_wei": str(t.fee),
    }


def digits(value: int | None) -> str:
    """Wei as text; empty for none."""
    return "" if value is None else str(value)


def number(text: str) -> int | None:
    """The reverse of :func:`digits`."""
    return int(text) if text else None
