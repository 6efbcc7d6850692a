"""Figures of a hotshot stream. Every series is there from the first moment: what is missing cannot be alerted on."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge

from provery.systems.hotshot.advance import Held
from provery.systems.hotshot.model import LightClientState

NAN = float("nan")


def gauge(name: str, text: str, registry: CollectorRegistry) -> Gauge:
    """A gauge by stream."""
    return Gauge(name, text, ("stream",), registry=registry)


class Figures:
    """The figures of one stream in one process.

    Args:
        stream: Its name, a label.
    """

    def __init__(self, stream: str) -> None:
        self.registry = found = CollectorRegistry()
        self._stream, self._height = stream, -1
        self._contract_height = gauge(
            "provery_hotshot_contract_height", "Height of the state that the contract holds", found
        )
        self._contract_view = gauge(
            "provery_hotshot_contract_view", "View of the state that the contract holds", found
        )
        self._contract_epoch = gauge(
            "provery_hotshot_contract_epoch",
            "Epoch whose stake table the contract knows; 0 before epochs",
            found,
        )
        self._moved = gauge(
            "provery_hotshot_contract_moved_timestamp_seconds",
            "When the contract was first seen where it is",
            found,
        )
        self._relay_height = gauge(
            "provery_hotshot_relay_height", "Height of the newest state with enough signatures", found
        )
        self._behind = gauge(
            "provery_hotshot_blocks_behind",
            "Blocks from the contract's state to the newest signed one",
            found,
        )
        self._looked = gauge(
            "provery_hotshot_last_look_timestamp_seconds",
            "When contract and relay servers were last read",
            found,
        )
        self._due = gauge("provery_hotshot_due_units", "States that the last look found due", found)
        self._balance = gauge("provery_hotshot_sender_balance_wei", "What the submitting account has", found)
        self._gas_price = gauge(
            "provery_hotshot_gas_price_wei", "Base fee and usual tip of the next block, per gas", found
        )
        self._gas_cap = gauge(
            "provery_hotshot_gas_price_cap_wei", "What the operator allows per gas; +Inf for no cap", found
        )
        self._dropped = Counter(
            "provery_hotshot_signatures_dropped_total",
            "Signatures that were left out: invalid, or of an unknown validator",
            ("stream", "reason"),
            registry=found,
        )
        self._failures = Counter(
            "provery_hotshot_failures_total",
            "Failed looks and units that ended without landing, by class of error",
            ("stream", "kind"),
            registry=found,
        )
        for reason in ("invalid", "unknown"):
            self._dropped.labels(stream, reason)
        for one in (
            self._contract_height, self._contract_view, self._contract_epoch, self._moved, self._relay_height,
            self._behind, self._looked, self._due, self._balance, self._gas_price, self._gas_cap,
        ):  # fmt: skip
            one.labels(stream).set(NAN)

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
