"""What has landed is looked at again for a while: a reorganisation may be deeper than anybody waits.

What is undone goes again as it is: the bytes that were signed, at the nonce that they have. Its unit stays done, and
nothing is proved again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from activities.lane_desk import PATIENCE_S, Desk
from provery.core.lane_ledger import LaneLedger
from provery.core.lane_records import Submission, Transaction
from provery.core.lane_rules import landing
from provery.core.lanes import Submits

log = logging.getLogger(__name__)
LOOK_S = 5.0
"""How often at most landings are looked at, and only where a new block came."""
MOST = 64
"""Landings that are looked at, the newest; in one request."""


async def watched(
    ledger: LaneLedger, systems: Callable[[str], Submits], lane: str, now: float
) -> list[Submission]:
    """What landed so short a time ago that it is looked at again, the newest first."""
    found: list[Submission] = []
    spans: dict[str, float] = {}
    for s in await ledger.landed(lane, MOST):
        if s.stream_id not in spans:
            try:
                spans[s.stream_id] = (await systems(s.system).policy(s.stream)).watch_s
            except Exception:  # a stream that is configured no more: nobody knows its chain
                spans[s.stream_id] = 0.0
        if now - (s.settled_at or 0.0) < spans[s.stream_id]:
            found.append(s)
    return found


async def holds(desk: Desk, nonce: int) -> bool:
    """Whether a landing that is still looked at has a nonce, so that nothing else may take it."""
    for s in await watched(desk.ledger, desk.systems, desk.row.id, desk.clock()):
        done = landing(s)
        if done is not None and done.nonce == nonce:
            desk.watch.last.pop(desk.row.id, None)  # the next round looks at once
            return True
    return False


async def look_again(desk: Desk) -> bool:
    """Put back what has landed and is in no block any more, or in another one; whether there was any.

    A node that lags says the same as a reorganisation: it counts once a later block repeats it, or after 15 s.
    """
    lane, now, watch = desk.row.id, desk.clock(), desk.watch
    at, block_hash = watch.last.get(lane, (float("-inf"), ""))
    if 0 <= now - at < LOOK_S or (desk.head.hash == block_hash and lane not in watch.doubts):
        return False
    found = [(s, t) for s in await watched(desk.ledger, desk.systems, lane, now) if (t := landing(s))]
    blocks = await desk.chain.blocks_of([t.hash for _, t in found]) if found else {}
    watch.last[lane] = (now, desk.head.hash)
    watch.doubts.discard(lane)
    reopened = False
    for s, t in sorted(found, key=lambda one: one[1].nonce):
        why = "" if blocks.get(t.hash) == t.block_hash else await _gone(desk, t)
        if not why:
            desk.sightings.forget(s.request_key)
            continue
        passed, seconds = desk.sightings.since(s.request_key, "gone", desk.head, now)
        if passed == 0 and seconds < PATIENCE_S:
            watch.doubts.add(lane)
            continue
        log.error("%s: %s had landed, and was undone: %s", lane, s.name, why)
        await desk.reopen(s, why)
        reopened = True
    return reopened


async def _gone(desk: Desk, t: Transaction) -> str:
    """Why a landing counts no more; empty where it does, or where no node can tell."""
    receipt = await desk.chain.receipt(t.hash)
    if receipt is not None:
        if receipt.succeeded and receipt.block.hash == t.block_hash:
            return ""
        return f"it had landed in block {t.block}, which is gone; it is in block {receipt.block.number} now"
    said = f"it had landed in block {t.block}, which is gone"
    if await desk.chain.nonce() <= t.nonce:
        return f"{said}: the same transaction goes again"
    taken = await desk.chain.taken(t.nonce)
    if taken is None or taken.hash == t.hash:
        return ""
    return f"{said}, and {taken.hash} has its nonce"
