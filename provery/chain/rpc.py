"""Several JSON-RPC endpoints of one chain as one: preference, failover, memory of what failed, and whom to trust.

A node that lags is not asked twice: whatever depends on how far the chain is comes with the node's own head, in the
same request, and does not count where that head is behind (:mod:`provery.chain.heads`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import TypeVar

from provery.chain import metrics
from provery.chain.endpoint import Answer, Ask, Endpoint, EndpointDown, Failure, Limits
from provery.chain.heads import Heads
from provery.chain.shapes import Malformed, quantity
from provery.core.errors import ConfigurationError, SinkUnavailable

FIRST_REST_S = 1.0
LONGEST_REST_S = 60.0
"""Seconds that an endpoint is left alone after failures: doubled each time, up to this."""
STRAGGLER_S = 3.0
"""Seconds that the others get once one endpoint has answered a question that goes to all."""

_HEAD = Ask("eth_blockNumber")

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """What one endpoint that is up to date answered."""

    endpoint: Endpoint
    head: int
    answers: list[Answer]


class _Member:
    """An endpoint with its record."""

    def __init__(self, endpoint: Endpoint, clock: Callable[[], float]) -> None:
        self.endpoint = endpoint
        self._clock = clock
        self._failures = 0
        self.rests_until = 0.0
        self.checked = False
        """Whether it is known to be of the right chain since it last failed."""

    @property
    def resting(self) -> bool:
        return self._clock() < self.rests_until

    def succeeded(self) -> None:
        self._failures = 0
        self.rests_until = 0.0

    def failed(self, error: EndpointDown) -> EndpointDown:
        rest = min(FIRST_REST_S * 2.0**self._failures, LONGEST_REST_S)
        self._failures = min(self._failures + 1, 16)
        self.rests_until = self._clock() + max(rest, error.rest_s)
        self.checked = False
        return error


class Rpc:
    """JSON-RPC endpoints of one chain. Use :meth:`connect`.

    Args:
        urls: In order of preference.
        limits: Bounds of each request.
        clock: Seconds, monotonic.

    Raises:
        ConfigurationError: there is no URL, or one is malformed.
    """

    def __init__(
        self, urls: Sequence[str], limits: Limits | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if not urls:
            raise ConfigurationError(
                "no JSON-RPC endpoint is set", expected="one or several http:// or https:// URLs"
            )
        self._members = [_Member(Endpoint(url, limits), clock) for url in urls]
        self.heads = Heads(clock)
        self.chain_id = 0

    async def connect(self) -> None:
        """Learn the chain's id, from every endpoint that answers.

        Raises:
            ConfigurationError: the endpoints are of different chains; the message names them.
            SinkUnavailable: none answers.
        """
        found = await _most([(member, self._id_of(member)) for member in self._members])
        ids: list[tuple[str, int]] = []
        reasons: list[EndpointDown] = []
        for member, one in zip(self._members, found, strict=True):
            if isinstance(one, int):
                member.checked = True
                ids.append((member.endpoint.name, one))
            else:
                reasons.append(one if member.resting else member.failed(one))
        if not ids:
            raise _nobody(reasons)
        if len({number for _, number in ids}) > 1:
            raise ConfigurationError(
                "the JSON-RPC endpoints are of different chains",
                value=", ".join(f"{name}: {number}" for name, number in ids),
                expected="one chain id",
                action="take the wrong one out of the setting",
            )
        self.chain_id = ids[0][1]

    async def close(self) -> None:
        """Close the connections."""
        await asyncio.gather(*(member.endpoint.close() for member in self._members))

    async def first(
        self,
        asks: Sequence[Ask],
        read: Callable[[Said], T],
        *,
        final: Callable[[Failure], bool] = lambda _: False,
        fresh: bool = True,
    ) -> T:
        """What the first endpoint says that gives usable answers.

        Args:
            asks: Calls of methods, in one batch.
            read: Makes something of the answers; where it raises ``Malformed``, the next endpoint is asked.
            final: Whether an error is an answer; the next endpoint is asked otherwise.
            fresh: Whether the endpoint has to be up to date.

        Raises:
            SinkUnavailable: no endpoint gives any; says why of each.
            ConfigurationError: the only endpoints that answer are of another chain.
        """
        reasons: list[EndpointDown] = []
        for member in self._order():
            try:
                said = await self._ask(member, asks, fresh=fresh)
                bad = next((a for a in said.answers if isinstance(a, Failure) and not final(a)), None)
                if bad is None:
                    return self._read(member, said, read)
                reasons.append(EndpointDown(f"{member.endpoint.name}: {bad}"))
            except EndpointDown as error:
                reasons.append(error)
        raise _nobody(reasons)

    async def every(self, asks: Sequence[Ask], read: Callable[[Said], T]) -> list[T]:
        """What the endpoints that are up to date say, in order of preference, at least one; errors count as silence.

        Once one has answered, the others get ``STRAGGLER_S`` seconds.

        Raises:
            SinkUnavailable: none answers, or all that do are behind.
            ConfigurationError: the only endpoints that answer are of another chain.
        """
        members = [m for m in self._members if not m.resting] or list(self._members)
        results = await _most([(member, self._ask(member, asks, fresh=True)) for member in members])
        found: list[T] = []
        reasons: list[EndpointDown] = []
        for member, said in zip(members, results, strict=True):
            name = member.endpoint.name
            if isinstance(said, EndpointDown):
                reasons.append(said)
            elif not self.heads.current(said.head):  # as a later answer has shown
                reasons.append(self._behind(said.endpoint, said.head))
            elif failure := next((a for a in said.answers if isinstance(a, Failure)), None):
                reasons.append(EndpointDown(f"{name}: {failure}"))
            else:
                try:
                    found.append(self._read(member, said, read))
                except EndpointDown as error:
                    reasons.append(error)
        if not found:
            raise _nobody(reasons)
        return found

    async def again(self, said: Said, asks: Sequence[Ask], read: Callable[[Said], T]) -> T:
        """Ask the endpoint that gave an answer for more.

        Raises:
            SinkUnavailable: it does not give a usable answer.
        """
        member = next(m for m in self._members if m.endpoint is said.endpoint)
        try:
            return self._read(member, await self._ask(member, asks, fresh=False), read)
        except EndpointDown as error:
            raise _nobody([error]) from None

    # ------------------------------------------------------------------ one endpoint

    def _order(self) -> list[_Member]:
        """Those that are not resting in order of preference, then the others, the most rested first."""
        awake = [m for m in self._members if not m.resting]
        return awake + sorted((m for m in self._members if m.resting), key=lambda m: m.rests_until)

    async def _ask(self, member: _Member, asks: Sequence[Ask], *, fresh: bool) -> Said:
        endpoint = member.endpoint
        outcome = "failed"
        try:
            if not member.checked:
                await self._check(member)
            answers = await endpoint.ask([_HEAD, *asks] if fresh else asks)
            if not fresh:
                outcome = "answered"
                member.succeeded()
                return Said(endpoint, 0, answers)
            head = self._number(endpoint, answers[0])
            member.succeeded()
            metrics.HEAD.labels(str(self.chain_id), endpoint.name).set(head)
            if not self.heads.note(endpoint.name, head):
                outcome = "behind"
                raise self._behind(endpoint, head)
            outcome = "answered"
            return Said(endpoint, head, answers[1:])
        except EndpointDown as error:
            if outcome == "failed":
                member.failed(error)
            raise
        finally:
            metrics.REQUESTS.labels(str(self.chain_id), endpoint.name, outcome).inc()

    def _read(self, member: _Member, said: Said, read: Callable[[Said], T]) -> T:
        try:
            return read(said)
        except Malformed as error:
            raise member.failed(EndpointDown(f"{member.endpoint.name}: {error}")) from None

    def _behind(self, endpoint: Endpoint, head: int) -> EndpointDown:
        return EndpointDown(f"{endpoint.name}: at block {head}, behind {self.heads.highest}")

    async def _check(self, member: _Member) -> None:
        """An endpoint that was away may have come back as another chain's."""
        number = await self._id_of(member)
        if number != self.chain_id:
            raise EndpointDown(
                f"{member.endpoint.name}: of chain {number}, not {self.chain_id}",
                rest_s=LONGEST_REST_S,
                foreign=True,
            )
        member.checked = True

    async def _id_of(self, member: _Member) -> int:
        (answer,) = await member.endpoint.ask([Ask("eth_chainId")])
        return self._number(member.endpoint, answer)

    def _number(self, endpoint: Endpoint, answer: Answer) -> int:
        if isinstance(answer, Failure):
            raise EndpointDown(f"{endpoint.name}: {answer}")
        try:
            return quantity(answer.value, bits=64)
        except Malformed as error:
            raise EndpointDown(f"{endpoint.name}: {error}") from None


def _nobody(reasons: Sequence[EndpointDown]) -> SinkUnavailable | ConfigurationError:
    said = "; ".join(str(reason) for reason in reasons)
    if reasons and all(reason.foreign for reason in reasons):
        return ConfigurationError(
            f"the JSON-RPC endpoints are of another chain than before: {said}",
            action="correct the setting, or start again if the chain is another on purpose",
        )
    return SinkUnavailable(
        f"no JSON-RPC endpoint of the chain answers as it should: {said}", action="it is tried again later"
    )


async def _most(questions: Sequence[tuple[_Member, Coroutine[object, object, T]]]) -> list[T | EndpointDown]:
    """Ask at once; wait for all, or from the first success on for a little. In the order of the questions."""
    tasks = [asyncio.create_task(question) for _, question in questions]
    pending = set(tasks)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            if pending and any(task.exception() is None for task in done):
                await asyncio.wait(pending, timeout=STRAGGLER_S)
                break
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    found: list[T | EndpointDown] = []
    for (member, _), result in zip(questions, results, strict=True):
        if isinstance(result, asyncio.CancelledError):
            slow = f"{member.endpoint.name}: slower than another endpoint by {STRAGGLER_S:g} s"
            found.append(member.failed(EndpointDown(slow)))
        elif isinstance(result, BaseException) and not isinstance(result, EndpointDown):
            raise result
        else:
            found.append(result)
    return found
