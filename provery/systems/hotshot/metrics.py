"""Figures of a hotshot stream. Every series is there from the first moment: what is missing cannot be alerted on."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge

from provery.systems.hotshot.advance import Held
from provery.systems.hotshot.model import LightClientState

NAN = float("nan")


class Figures:
    """The figures of one stream in one process.

    Args:
        stream: Its name, a label.
    """

    def __init__(self, stream: str) -> None:
        self.registry = CollectorRegistry()
        self._stream = stream
        self._contract_height = self._gauge("contract_height", "Height of the state that the contract holds")
        self._contract_view = self._gauge("contract_view", "View of the state that the contract holds")
        self._contract_epoch = self._gauge(
            "contract_epoch", "Epoch whose stake table the contract takes signatures of; 0 before epochs"
        )
        self._relay_height = self._gauge("relay_height", "Height of the newest state with enough signatures")
        self._behind = self._gauge(
            "blocks_behind", "Blocks from the contract's state to the newest signed one"
        )
        self._looked = self._gauge(
            "last_look_timestamp_seconds", "When contract and relay server were last read"
        )
        self._moved = self._gauge(
            "contract_moved_timestamp_seconds", "When the contract was first seen at its height"
        )
        self._due = self._gauge("due_units", "States that the last look found due")
        self._balance = self._gauge("sender_balance_wei", "What the submitting account has")
        self._gas_price = self._gauge("gas_price_wei", "Base fee and usual tip of the next block, per gas")
        self._gas_cap = self._gauge("gas_price_cap_wei", "What the operator allows per gas; +Inf for no cap")
        self._dropped = Counter(
            "provery_hotshot_signatures_dropped",
            "Signatures that were left out, by reason",
            ("stream", "reason"),
            registry=self.registry,
        )
        self._failures = Counter(
            "provery_hotshot_failures", "Failed looks and ended units, by kind of error",
            ("stream", "kind"), registry=self.registry,
        )  # fmt: skip
        for reason in ("invalid", "unknown"):
            self._dropped.labels(stream, reason)
        self._height = -1

    def _gauge(self, name: str, text: str) -> Gauge:
        found = Gauge(f"provery_hotshot_{name}", text, ("stream",), registry=self.registry)
        found.labels(self._stream).set(NAN)
        return found

    def looked(self, held: Held, newest: LightClientState | None) -> None:
        """Contract and relay servers were read."""
        stream, now = self._stream, time.time()
        self._looked.labels(stream).set(now)
        self._contract_height.labels(stream).set(held.finalized.height)
        self._contract_view.labels(stream).set(held.finalized.view)
        self._contract_epoch.labels(stream).set(held.epoch or 0)
        if held.finalized.height != self._height:
            self._height = held.finalized.height
            self._moved.labels(stream).set(now)
        if newest is not None:
            self._relay_height.labels(stream).set(newest.height)
            self._behind.labels(stream).set(max(0, newest.height - held.finalized.height))

    def money(self, balance: int, gas_price: int, cap: int | None) -> None:
        """The account and the chain's fees were read; all in wei."""
        self._balance.labels(self._stream).set(balance)
        self._gas_price.labels(self._stream).set(gas_price)
        self._gas_cap.labels(self._stream).set(float("inf") if cap is None else cap)

    def due(self, units: int) -> None:
        """A look found so many units due."""
        self._due.labels(self._stream).set(units)

    def dropped(self, invalid: int, unknown: int) -> None:
        """Signatures were left out."""
        self._dropped.labels(self._stream, "invalid").inc(invalid)
        self._dropped.labels(self._stream, "unknown").inc(unknown)

    def failed(self, kind: str) -> None:
        """A look failed, or a unit ended without landing."""
        self._failures.labels(self._stream, kind).inc()
