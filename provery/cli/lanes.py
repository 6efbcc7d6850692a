"""``provery lane``: what waits to be submitted to an L1, and an operator's orders about it."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer

from provery.cli import equivalents
from provery.cli.options import JsonOption, LimitOption, PrintTemporal, ReasonOption, UnitArgument, order
from provery.cli.output import console, emit, jsonable, say, stamp, table
from provery.cli.session import Session, run
from provery.client import Address, NotFound, ui_link
from provery.client.lanes import lane_name, order_lane
from provery.core.errors import InvalidInput
from provery.core.lane_records import CANCEL, PAUSE, RAISE_CAP, RESUME, RETRY, SKIP, LaneOrder, LaneRow
from provery.core.lane_rules import in_turn

GWEI = 10**9
app = typer.Typer(help="L1 lanes: what waits to be submitted from an account.", no_args_is_help=True)
LaneArgument = Annotated[str, typer.Argument(metavar="LANE", help="CHAIN/SENDER")]


@app.command("list")
def list_(json_: JsonOption = False, print_temporal: PrintTemporal = False) -> None:
    """List lanes.

    JSON: {"lanes": [{"lane", "chain_id", "sender", "paused", "reason", "max_fee_per_gas", "open", "updated_at", "ui"}]}
    """

    async def go(session: Session) -> None:
        lanes = session.ledger().lanes
        found = [_lane(session, row, len(await lanes.open(row.id))) for row in await lanes.lanes()]
        if print_temporal:
            equivalents.show(*equivalents.for_lanes(session.env))
        if json_:
            emit({"lanes": found})
        elif found:
            rows = [
                (f["lane"], f["open"], "paused" if f["paused"] else "", f["reason"], f["ui"]) for f in found
            ]
            console().print(table("", ("lane", "open", "status", "reason", "ui"), rows))
        else:
            say("no lanes")

    run(go)


@app.command()
def show(
    lane: LaneArgument,
    limit: LimitOption = 20,
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Show what is in a lane, and what left it of late.

    JSON: {"lane": {as in `lane list`}, "open": [submission], "settled": [submission]}; a submission is {"unit",
    "ordinal", "call": {"to", "data", "value", "method", "gas"}, "phase", "waits_for", "reason", "want",
    "max_fee_per_gas", "nonce", "entered_at", "settled_at", "gas_used", "gas_price_wei", "fee_wei", "transactions":
    [{"hash", "nonce", "kind", "fate", "gas", "max_fee_per_gas", "max_priority_fee_per_gas", "signed_at", "sent_at",
    "block", "block_hash", "gas_used", "gas_price_wei", "fee_wei"}], "request_key", "lane"}; wei are decimal strings
    """

    async def go(session: Session) -> None:
        from provery.stores.lane_rows import shown

        lanes = session.ledger().lanes
        name = lane_name(lane)
        row = await _row(session, name)
        open_, settled = await lanes.open(name), await lanes.recent(name, limit)
        open_ = in_turn(open_, open_)
        found = _lane(session, row, len(open_))
        if print_temporal:
            equivalents.show(*equivalents.for_lane(session.env, name))
        if json_:
            emit({"lane": found, "open": [shown(s) for s in open_], "settled": [shown(s) for s in settled]})
            return
        state = f"paused: {row.reason}" if row.paused else "open" if open_ else "empty"
        say(f"{found['lane']}  {state}\n{found['ui']}")
        for s in open_:
            if s.holds_up:
                say(f"held up by {s.name}: {s.reason}")
        for title, some in (("open", open_), ("settled", settled)):
            if some:
                console().print(table(f"\n{title}", COLUMNS, [line(jsonable(shown(s))) for s in some]))

    run(go)


COLUMNS = ("unit", "call", "status", "waits for", "nonce", "transaction", "fee gwei", "since", "reason")


def line(s: dict[str, Any]) -> tuple[object, ...]:
    """A submission in a row."""
    newest = s["transactions"][-1] if s["transactions"] else {}
    return (
        s["unit"],
        s["call"]["method"],
        s["phase"],
        s["waits_for"],
        "" if s["nonce"] is None else s["nonce"],
        newest.get("hash", ""),
        f"{int(s['fee_wei']) / GWEI:.6g}" if s["fee_wei"] != "0" else "",
        stamp(s["settled_at"] or s["entered_at"]),
        s["reason"],
    )


@app.command()
def pause(
    lane: LaneArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Let nothing further go; what is sent is followed.

    JSON: {"lane", "unit", "order", "said", "ui"}
    """
    _to_lane(PAUSE, lane, reason, json_, print_temporal)


@app.command()
def resume(
    lane: LaneArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Let a paused lane go on.

    JSON: as for `lane pause`.
    """
    _to_lane(RESUME, lane, reason, json_, print_temporal)


@app.command("raise-cap")
def raise_cap(
    target: Annotated[str, typer.Argument(metavar="LANE|UNIT", help="CHAIN/SENDER or SYSTEM/STREAM/KEY")],
    gwei: Annotated[str, typer.Option(help="The new cap, in gwei per gas.")],
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Allow a higher fee than the stream's policy, for all that is in a lane or for one unit.

    JSON: as for `lane pause`.
    """
    cap = str(wei(gwei))
    if target.count("/") == 2 and not target.startswith("lane/"):
        _to_unit(RAISE_CAP, target, reason, json_, print_temporal, cap)
    else:
        _to_lane(RAISE_CAP, target, reason, json_, print_temporal, cap)


@app.command()
def skip(
    unit: UnitArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Take a unit of which nothing is signed out of its lane; it ends as skipped.

    JSON: as for `lane pause`.
    """
    _to_unit(SKIP, unit, reason, json_, print_temporal)


@app.command()
def cancel(
    unit: UnitArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Take a unit out of its lane; a transaction that is sent is replaced by one to oneself. What lands is done.

    Where the cap leaves no room, the replacement exceeds it by the 10 % that nodes demand, once.

    JSON: as for `lane pause`.
    """
    _to_unit(CANCEL, unit, reason, json_, print_temporal)


@app.command()
def retry(
    unit: UnitArgument,
    reason: ReasonOption = "",
    json_: JsonOption = False,
    print_temporal: PrintTemporal = False,
) -> None:
    """Try a unit again that is parked in its lane.

    JSON: as for `lane pause`.
    """
    _to_unit(RETRY, unit, reason, json_, print_temporal)


def wei(gwei: str) -> int:
    """Gwei as wei, exactly.

    Raises:
        InvalidInput: it is no positive number of at most 9 decimal places.
    """
    try:
        value = Decimal(gwei) * GWEI
    except InvalidOperation:
        value = Decimal(0)
    if not value.is_finite() or value <= 0 or value != value.to_integral_value() or value > 10**24:
        raise InvalidInput("not a fee", value=gwei, expected="gwei per gas, such as 25 or 0.5")
    return int(value)


def _to_lane(name: str, lane: str, reason: str, json_: bool, print_temporal: bool, max_fee: str = "") -> None:
    given = LaneOrder(name, lane_name(lane), max_fee=max_fee, reason=reason, by=order(reason).by)

    async def go(session: Session) -> None:
        await _row(session, given.lane)
        await _give(session, given, json_, print_temporal)

    run(go)


def _to_unit(name: str, unit: str, reason: str, json_: bool, print_temporal: bool, max_fee: str = "") -> None:
    address = Address.parse(unit)

    async def go(session: Session) -> None:
        found = await session.ledger().lanes.of_unit(str(address))
        if not found:
            raise NotFound(
                "the unit is in no lane",
                value=str(address),
                action=f"`provery show {address}` tells where it is",
            )
        given = LaneOrder(name, found[-1].lane, str(address), max_fee, reason, order(reason).by)
        await _give(session, given, json_, print_temporal)

    run(go)


async def _give(session: Session, given: LaneOrder, json_: bool, print_temporal: bool) -> None:
    if print_temporal:
        equivalents.show(*equivalents.for_lane_order(session.env, given))
    said = await order_lane(await session.client(), session.env, given)
    lane, link = given.lane.removeprefix("lane/"), ui_link(session.env, given.lane)
    if json_:
        emit({"lane": lane, "unit": given.unit, "order": given.name, "said": said, "ui": link})
    else:
        say(f"{given.unit or lane}: {said}")


async def _row(session: Session, lane: str) -> LaneRow:
    row = await session.ledger().lanes.row(lane)
    if row is None:
        raise NotFound("no such lane", value=lane.removeprefix("lane/"), action="`provery lane list`")
    return row


def _lane(session: Session, row: LaneRow, open_: int) -> dict[str, Any]:
    return {
        "lane": row.id.removeprefix("lane/"),
        "chain_id": row.chain_id,
        "sender": row.sender,
        "paused": row.paused,
        "reason": row.reason,
        "max_fee_per_gas": None if row.max_fee is None else str(row.max_fee),
        "open": open_,
        "updated_at": stamp(row.updated_at),
        "ui": ui_link(session.env, row.id),
    }
