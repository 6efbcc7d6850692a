"""Light-client updates from one node: SSZ where it speaks it, JSON where not, halves where a whole range fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from provery.core.errors import InvalidInput
from provery.core.redact import redact
from provery.systems.beacon import wire
from provery.systems.beacon.health import Health
from provery.systems.beacon.http import JSON, SSZ, Answer, BeaconNode
from provery.systems.beacon.model import Update
from provery.systems.beacon.spec import Chain

PATH = "/eth/v1/beacon/light_client/updates"
BOTH = f"{SSZ};q=1.0,{JSON};q=0.9"
_NOT_ACCEPTABLE = frozenset({406, 415})
_RANGE_FAILED = frozenset({400, 404, 416, 422, 500, 501})
"""Statuses by which nodes refuse a range of which they lack one period. Others say that the node itself is unwell."""
MOST_UPDATES = 16
"""Updates that one request asks for. 128 are allowed (MAX_REQUEST_LIGHT_CLIENT_UPDATES), but an answer is held in
memory, and hostile JSON takes thirty times its size there."""
MOST_REQUESTS = 24
"""Requests for one range: enough to find a few gaps, and a node that refuses everything is soon left alone."""

Check = Callable[[Update], None]
"""Raises InvalidInput for an update that must not be used. Called in a thread, one update at a time."""


@dataclass(frozen=True)
class Found:
    """Result of asking for a range of periods."""

    updates: dict[int, Update]
    """Period → update, ascending."""
    missing: tuple[int, ...] = ()
    """Periods that no node has a usable update of."""
    failures: dict[str, str] = field(default_factory=dict)
    """Node → its last error in this call."""


@dataclass
class Read:
    """What one node gave."""

    updates: dict[int, Update] = field(default_factory=dict)
    lacking: dict[int, str] = field(default_factory=dict)
    """Periods that it refused by themselves → what it said."""
    error: InvalidInput | None = None
    """Why the last unusable update was refused; the usable ones are kept."""
    requests: int = 0


@dataclass
class UpdateReader:
    """Reads updates from one node and checks each."""

    chain: Chain
    node: BeaconNode
    health: Health
    check: Check | None = None

    async def read(self, first: int, count: int) -> Read:
        """Updates of a range, without the periods that the node lacks or that the check refuses.

        Raises:
            SourceUnavailable: the node did not answer properly.
            InvalidInput: its answer is malformed or not what was asked for.
        """
        read = Read()
        await self._read(first, count, read)
        return read

    async def _read(self, first: int, count: int, read: Read) -> None:
        if read.requests >= MOST_REQUESTS:
            return
        read.requests += 1
        answer = await self._ask(first, count)
        if answer.ok:
            # Decoding and a pairing take a tenth of a second, too long for the event loop.
            await asyncio.to_thread(self._take, answer, first, count, read)
            return
        if answer.status not in _RANGE_FAILED:
            reason = f"status {answer.status} {wire.error_text(answer.body)}".strip()
            raise self.node.unavailable(f"{PATH} {_range(first, count)}", reason)
        if count == 1:
            read.lacking[first] = f"status {answer.status} {wire.error_text(answer.body)}".strip()
            return
        half = count // 2
        await self._read(first, half, read)
        await self._read(first + half, count - half, read)

    async def _ask(self, first: int, count: int) -> Answer:
        params = {"start_period": first, "count": count}
        limit = wire.JSON_LIMIT * count + 1024
        if not self.health.plain_json:
            answer = await self.node.get(PATH, accept=BOTH, limit=limit, params=params)
            if answer.status not in _NOT_ACCEPTABLE:
                return answer
            self.health.plain_json = True
        return await self.node.get(PATH, accept=JSON, limit=limit, params=params)

    def _take(self, answer: Answer, first: int, count: int, read: Read) -> None:
        where = f"beacon node {self.node.name}, {_range(first, count)}"
        try:
            updates = self._parse(answer)
        except InvalidInput as error:
            raise InvalidInput(redact(f"{where}: {error}")) from error
        for update in updates:
            period = self.chain.period_of(update.attested.slot)
            if not first <= period < first + count or period in read.updates:
                raise InvalidInput(
                    f"{where}: an update that was not asked for, or twice the same",
                    value=f"period {period}",
                    expected=f"each of {first} to {first + count - 1} at most once",
                    action="ask another node",
                )
            try:
                if self.check is not None:
                    self.check(update)
            except InvalidInput as error:
                read.error = InvalidInput(redact(f"{where}, period {period}: {error}"))
                continue
            read.updates[period] = update

    def _parse(self, answer: Answer) -> list[Update]:
        if answer.content_type == SSZ:
            return wire.read_stream(self.chain, answer.body)
        if answer.content_type == JSON:
            return wire.read_json(self.chain, answer.body)
        raise InvalidInput(
            "an answer of unknown type",
            value=answer.content_type or "no content type",
            expected=f"{SSZ} or {JSON}",
            action="check that the URL is that of a beacon node",
        )


def _range(first: int, count: int) -> str:
    return f"periods {first} to {first + count - 1}" if count > 1 else f"period {first}"


def runs(periods: set[int]) -> list[tuple[int, int]]:
    """Consecutive periods as (first, count), none longer than a request may ask for."""
    found: list[tuple[int, int]] = []
    for period in sorted(periods):
        if found and period == found[-1][0] + found[-1][1] and found[-1][1] < MOST_UPDATES:
            found[-1] = (found[-1][0], found[-1][1] + 1)
        else:
            found.append((period, 1))
    return found
