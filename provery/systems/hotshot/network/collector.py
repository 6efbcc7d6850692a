"""What a relay server does: it collects signatures of states until enough stake has signed one."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from provery.systems.hotshot import schnorr, spec
from provery.systems.hotshot.model import Bundle, LightClientState, SchnorrKey, Signature, StakeTableState
from provery.systems.hotshot.network.chain import Chain
from provery.systems.hotshot.wire import SignatureRequest

MOST_STATES = 64
"""States that signatures are collected for at a time; the oldest gives way."""
BAD_REQUEST, UNAUTHORIZED = 400, 401


class Refused(Exception):
    """A signature that is not taken.

    Args:
        status: HTTP status.
        message: Why.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass
class _Collected:
    weight: int = 0
    signatures: dict[SchnorrKey, Signature] = field(default_factory=dict)


class Collector:
    """The relay server of a chain, without HTTP.

    Args:
        chain: Its validators' signatures are collected when somebody asks for the latest state; those of others come
            by :meth:`submit`.
    """

    def __init__(self, chain: Chain) -> None:
        self._chain = chain
        self._latest: Bundle | None = None
        self._pending: dict[tuple[LightClientState, StakeTableState], _Collected] = {}
        self._lock = threading.Lock()

    def submit(self, request: SignatureRequest) -> None:
        """Take one signature. One of a state that is not newer than the latest is ignored.

        Raises:
            Refused: the key is not in the stake table, the signature is invalid or there already, or its
                state is of an epoch that nobody knows yet.
        """
        state = request.state
        with self._lock:
            if self._latest is not None and state.height <= self._latest.state.height:
                return
        epoch = self._chain.epoch(state.height)
        if epoch > self._chain.epoch(self._chain.height) + 1:
            raise Refused(BAD_REQUEST, f"The stake table of epoch {epoch} is not known.")
        table = self._chain.validators.table(epoch)
        stakes = {entry.schnorr: entry.stake for entry in table}
        if request.key not in stakes:
            raise Refused(UNAUTHORIZED, "The posted key is not found in the stake table.")
        if not schnorr.verify(request.key, spec.message_v2(state, request.next_stake), request.signature):
            raise Refused(BAD_REQUEST, "The posted signature is not valid.")
        with self._lock:
            collected = self._pending.setdefault((state, request.next_stake), _Collected())
            if request.key in collected.signatures:
                raise Refused(BAD_REQUEST, "A signature of this key is already posted.")
            collected.signatures[request.key] = request.signature
            collected.weight += stakes[request.key]
            if collected.weight >= spec.threshold(table):
                self._finish(
                    Bundle(state, request.next_stake, tuple(collected.signatures.items()), collected.weight)
                )
            while len(self._pending) > MOST_STATES:
                del self._pending[next(iter(self._pending))]

    def bundle(self) -> Bundle | None:
        """The latest state that enough stake has signed; None where there is none yet."""
        faults = self._chain.faults
        height = self._chain.height - faults.relay_lag
        if height > 0:
            voted = self._chain.vote(height, weak=faults.weak_bundles)
            weight, ready = self._chain.claimed_weight(voted), self._chain.ready(voted) or faults.weak_bundles
            with self._lock:
                latest = self._latest
                # A lagging relay says the older state again: that is the fault.
                if ready and (latest is None or faults.relay_lag or height >= latest.state.height):
                    self._finish(Bundle(voted.state, voted.next_stake, voted.signatures, weight))
        with self._lock:
            return self._latest

    def _finish(self, bundle: Bundle) -> None:
        self._latest = bundle
        height = bundle.state.height
        self._pending = {key: value for key, value in self._pending.items() if key[0].height > height}
