"""What lanes count. Labels are bounded: an account on a chain, a stream."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from provery.core.lane_records import Change, Kind, Phase, Submission, Transaction, Wait

SEEN_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
"""Seconds."""
_EVENTS = {"reorganised": "reorged", "displaced": "displaced"}


class LaneMetrics:
    """Counters, gauges and times of the lanes that this process drives."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ["lane", "stream"]
        more: Any = {"labelnames": labels, "registry": registry}
        self._counters = {
            "landed": Counter("provery_lane_landed", "Calls that landed.", **more),
            "reverted": Counter("provery_lane_reverted", "Calls that a contract refused.", **more),
            "signed": Counter("provery_lane_signed", "Transactions signed at a fresh nonce.", **more),
            "bumped": Counter("provery_lane_bumped", "Transactions replaced for a higher fee.", **more),
            "cancelled": Counter("provery_lane_cancels", "Transactions to oneself.", **more),
            "resent": Counter("provery_lane_resent", "Sent again, as no node had it.", **more),
            "reorged": Counter("provery_lane_reorged", "Out of their blocks again.", **more),
            "undone": Counter("provery_lane_undone", "Landings that a reorganisation undid.", **more),
            "displaced": Counter("provery_lane_displaced", "Nonces that were used outside.", **more),
            "spent": Counter("provery_lane_spent_wei", "Fees of what has landed or reverted.", **more),
        }
        self._settled = Counter(
            "provery_lane_settled", "Submissions that ended, by how.", [*labels, "how"], registry=registry
        )
        self._pending = Gauge(
            "provery_lane_pending", "Submissions that are not settled.", ["lane", "phase"], registry=registry
        )
        self._waiting = Gauge(
            "provery_lane_waiting", "Submissions by what they wait for.", ["lane", "for"], registry=registry
        )
        self._seen = Histogram(
            "provery_lane_sign_to_seen_seconds",
            "From signing a transaction until a node has it.",
            ["lane"],
            registry=registry,
            buckets=SEEN_BUCKETS,
        )

    def signed(self, s: Submission, t: Transaction, *, again: bool) -> None:
        """A transaction was signed and kept."""
        name = "cancelled" if t.kind is not Kind.CALL else "bumped" if again else "signed"
        self._counters[name].labels(s.lane, s.stream_id).inc()

    def resent(self, s: Submission) -> None:
        """No node had it any more."""
        self._counters["resent"].labels(s.lane, s.stream_id).inc()

    def undone(self, s: Submission) -> None:
        """What had landed is in no block any more."""
        self._counters["undone"].labels(s.lane, s.stream_id).inc()

    def seen(self, s: Submission, seconds: float) -> None:
        """A node has what was signed."""
        self._seen.labels(s.lane).observe(max(seconds, 0.0))

    def changed(self, s: Submission, change: Change) -> None:
        """Something was found out and written down."""
        labels = (s.lane, s.stream_id)
        if change.event in _EVENTS:
            self._counters[_EVENTS[change.event]].labels(*labels).inc()
        if change.phase is not None and change.phase.settled:
            self._settled.labels(*labels, change.phase.value).inc()
        if change.phase is Phase.LANDED:
            self._counters["landed"].labels(*labels).inc()
        if "reverted" in (change.phase, change.event):
            self._counters["reverted"].labels(*labels).inc()
        paid = sum(t.fee for t in change.transactions if not t.fate.live)
        if paid:
            self._counters["spent"].labels(*labels).inc(paid)

    def standing(self, lane: str, open_: Sequence[Submission]) -> None:
        """How many stand where, at the end of a round."""
        phases, waits = Tally(s.phase for s in open_), Tally(s.waits_for for s in open_)
        for phase in (Phase.WAITING, Phase.SENT, Phase.INCLUDED):
            self._pending.labels(lane, phase.value).set(phases[phase])
        for wait in Wait:
            self._waiting.labels(lane, wait.value).set(waits[wait])
