"""What people see of a lane: markdown for the Temporal UI."""

from __future__ import annotations

from collections.abc import Sequence

from provery.core.details import LIMIT, NBSP, clip_bytes, code, plain, row
from provery.core.lane_controls import LaneView

GWEI = 10**9
WAITS = {
    "turn": "for its turn",
    "early": "for another call to land first",
    "fees": "for lower fees, or a higher cap",
    "spend": "for its stream's budget",
    "funds": "for money",
    "block": "for a block",
    "confirmations": "for confirmations",
    "node": "for a node",
    "operator": "for an operator",
}


def markdown(view: LaneView, notes: Sequence[str]) -> str:
    """The lane's current details: state, what is in it and why it waits, what happened of late."""
    _, chain_id, sender = view.lane.split("/")
    state = f"paused: {plain(view.reason)}" if view.paused else "open" if view.open else "empty"
    cap = f", cap raised to {int(view.max_fee) / GWEI:g} gwei" if view.max_fee else ""
    lines = [f"**{code(sender)} on chain {plain(chain_id)}** — {state}{cap}", ""]
    for line in view.lines:
        if line.holds_up:
            lines += [f"**Held up** by {plain(line.unit.removeprefix('prove/'))}: {plain(line.reason)}", ""]
    if view.lines:
        headings = ["unit", "call", "state", "waits", "nonce", "transaction", "reason"]
        lines += [row(headings), "|" + "---|" * len(headings)]
        for line in view.lines:
            cells = [
                plain(line.unit.removeprefix("prove/")),
                plain(line.method),
                line.phase,
                WAITS.get(line.waits_for, plain(line.waits_for)),
                "" if line.nonce is None else str(line.nonce),
                code(line.hash[:18] + "…") if line.hash else "",
            ]
            lines.append(row([cell.replace(" ", NBSP) for cell in cells] + [plain(line.reason[:160])]))
        if view.open > len(view.lines):
            lines.append(row([f"… {view.open - len(view.lines)} more", "", "", "", "", "", ""]))
        lines += [""]
    lines.append(
        f"`provery lane show {chain_id}/{sender}` shows all of it, `provery lane pause`, `raise-cap`, `skip`, `cancel` "
        "and `retry` give orders."
    )
    if notes:
        lines += ["", "Notes:", "", *(f"- {plain(note)}" for note in notes)]
    return clip_bytes("\n".join(lines), LIMIT)
