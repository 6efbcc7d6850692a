"""Figures of hotshot streams: what stages and looks count, by the worker that runs them, and what a listener reads.

The series of a listener are there from the first moment: what is missing cannot be alerted on.
"""

from __future__ import annotations

import time
from weakref import WeakSet

from prometheus_client import CollectorRegistry, Counter, Gauge

from provery.systems.hotshot.advance import Held
from provery.systems.hotshot.model import LightClientState


def gauge(name: str, text: str) -> Gauge:
    """A gauge by stream."""
    return Gauge(name, text, ("stream",), registry=None)


CONTRACT_HEIGHT = gauge("provery_hotshot_contract_height", "Height of the state that the contract holds")
CONTRACT_VIEW = gauge("provery_hotshot_contract_view", "View of the state that the contract holds")
CONTRACT_EPOCH = gauge(
    "provery_hotshot_contract_epoch", "Epoch whose stake table the contract knows; 0 before epochs"
)
MOVED = gauge(
    "provery_hotshot_contract_moved_timestamp_seconds", "When the contract was first seen where it is"
)
RELAY_HEIGHT = gauge("provery_hotshot_relay_height", "Height of the newest state with enough signatures")
BEHIND = gauge("provery_hotshot_blocks_behind", "Blocks from the contract's state to the newest signed one")
LOOKED = gauge(
    "provery_hotshot_last_look_timestamp_seconds", "When contract and relay servers were last read"
)
GAS_PRICE = gauge("provery_hotshot_gas_price_wei", "Base fee and usual tip of the next block, per gas")
GAS_CAP = gauge("provery_hotshot_gas_price_cap_wei", "What the operator allows per gas; +Inf for no cap")
DUE = gauge("provery_hotshot_due_units", "States that the last look found due")
DROPPED = Counter(
    "provery_hotshot_signatures_dropped_total",
    "Signatures that were left out: invalid, or of an unknown validator",
    ("stream", "reason"),
    registry=None,
)
FAILURES = Counter(
    "provery_hotshot_failures_total",
    "Failed looks and units that ended without landing, by class of error",
    ("stream", "kind"),
    registry=None,
)
_LISTENERS = (
    CONTRACT_HEIGHT, CONTRACT_VIEW, CONTRACT_EPOCH, MOVED, RELAY_HEIGHT, BEHIND, LOOKED, GAS_PRICE, GAS_CAP,
)  # fmt: skip
_registered: WeakSet[CollectorRegistry] = WeakSet()


def register(registry: CollectorRegistry) -> None:
    """Show these metrics in a process's registry; once is enough, and more does nothing."""
    if registry not in _registered:
        _registered.add(registry)
        for metric in (*_LISTENERS, DUE, DROPPED, FAILURES):
            registry.register(metric)


class Figures:
    """The figures of one stream in one process.

    Args:
        stream: Its name, a label.
    """

    def __init__(self, stream: str) -> None:
        self._stream, self._height = stream, -1

    def listen(self) -> None:
        """Have every series of a listener, before anything was read."""
        for metric in _LISTENERS:
            metric.labels(self._stream).set(float("nan"))
        for reason in ("invalid", "unknown"):
            DROPPED.labels(self._stream, reason)

    def read(self, held: Held, newest: LightClientState | None) -> None:
        """Contract and relay servers were read."""
        stream, now = self._stream, time.time()
        LOOKED.labels(stream).set(now)
        CONTRACT_HEIGHT.labels(stream).set(held.finalized.height)
        CONTRACT_VIEW.labels(stream).set(held.finalized.view)
        CONTRACT_EPOCH.labels(stream).set(held.epoch or 0)
        if held.finalized.height != self._height:
            self._height = held.finalized.height
            MOVED.labels(stream).set(now)
        if newest is not None:
            RELAY_HEIGHT.labels(stream).set(newest.height)
            BEHIND.labels(stream).set(max(0, newest.height - held.finalized.height))

    def gas(self, price: int, cap: int | None) -> None:
        """The chain's fees were read; wei per gas."""
        GAS_PRICE.labels(self._stream).set(price)
        GAS_CAP.labels(self._stream).set(float("inf") if cap is None else cap)

    def due(self, units: int) -> None:
        """A look found so many units due."""
        DUE.labels(self._stream).set(units)

    def dropped(self, invalid: int, unknown: int) -> None:
        """Signatures were left out."""
        DROPPED.labels(self._stream, "invalid").inc(invalid)
        DROPPED.labels(self._stream, "unknown").inc(unknown)

    def failed(self, kind: str) -> None:
        """A look failed, or a unit ended without landing."""
        FAILURES.labels(self._stream, kind).inc()
