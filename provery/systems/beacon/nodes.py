"""Several beacon nodes as one source: failover, health, and what they disagree on.

A node counts as failing when it does not answer, and as much when its answer is malformed, of another chain, of another
period, or does not pass the caller's check; the next node is asked then.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

from provery.core.errors import ConfigurationError, InvalidInput, ProveryError, SourceUnavailable
from provery.core.redact import redact
from provery.systems.beacon import wire
from provery.systems.beacon.agreement import (
    Disagreement,
    Finality,
    compare_committees,
    compare_finality,
    contradictions,
)
from provery.systems.beacon.checks import check_bootstrap
from provery.systems.beacon.containers import committee_root
from provery.systems.beacon.health import Health, order
from provery.systems.beacon.http import JSON, SSZ, BeaconNode, Limits
from provery.systems.beacon.model import Bootstrap, FinalityCheckpoints, Update
from provery.systems.beacon.spec import Chain
from provery.systems.beacon.updates import BOTH, MOST_REQUESTS, Check, Found, Read, UpdateReader, runs

T = TypeVar("T")

SMALL = 64 * 1024
"""Bytes that an answer without updates may have."""
DOUBT_S = 60.0
"""Seconds for which a node that gave another genesis, or none that can be read, is asked for nothing else."""
STALE_EPOCHS = 4
"""Epochs that a node's finality may be behind the others'."""


class BeaconNodes:
    """The nodes of one stream.

    Args:
        chain: The network that they have to be of.
        urls: Base URLs in the order of preference.
        limits: Bounds of each request.
        clock: Seconds, monotonic.
        unix_ms: The time of day in milliseconds.

    Raises:
        ConfigurationError: there is no node, or a URL is malformed.
    """

    def __init__(
        self,
        chain: Chain,
        urls: Sequence[str],
        limits: Limits | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        unix_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        if not urls:
            raise ConfigurationError(
                f"no beacon node of {chain.name} is configured", expected="at least one URL"
            )
        self.chain = chain
        self._clock, self._unix_ms = clock, unix_ms
        self._nodes = [BeaconNode(url, limits) for url in urls]
        for at, node in enumerate(self._nodes):
            if any(other.name == node.name for other in self._nodes[:at]):
                node.name = f"{node.name}#{at + 1}"
        self._health = {node.name: Health(node.name) for node in self._nodes}
        self._foreign: set[str] = set()
        self._compared = 0.0
        self.contradictions: tuple[Disagreement, ...] = ()
        """What the nodes contradicted each other on when finality was last asked for."""

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(node.close() for node in self._nodes))

    @property
    def health(self) -> list[Health]:
        """State of every node, in the configured order."""
        return list(self._health.values())

    # ------------------------------------------------------------ finality

    async def finality(self) -> Finality:
        """Ask every node for its finalised checkpoint and compare.

        Raises:
            SourceUnavailable: no node has a usable answer, or they contradict each other evenly.
        """
        asked = self._usable
        results = await asyncio.gather(*(self._try(node, self._checkpoints) for node in asked))
        pairs = list(zip(asked, results, strict=True))
        answers = {node.name: r for node, r in pairs if not isinstance(r, Exception)}
        failures = {node.name: str(r) for node, r in pairs if isinstance(r, Exception)}
        self.contradictions = tuple(contradictions(answers))
        if not answers:
            raise self._nobody("finality checkpoints", failures)
        found = compare_finality(answers, failures, tolerance=STALE_EPOCHS)
        if found is None:
            raise SourceUnavailable(
                "beacon nodes contradict each other on finality",
                value={name: f"{a.finalized.epoch} {a.finalized.root.hex()}" for name, a in answers.items()},
                expected="one root per epoch",
                action="find out which node is wrong and take it out of the configuration",
            )
        for name in answers:
            self._health[name].stale = name in found.stale
        return found

    async def _checkpoints(self, node: BeaconNode) -> FinalityCheckpoints:
        path = "/eth/v1/beacon/states/head/finality_checkpoints"
        found = wire.read_checkpoints(await self._small(node, path))
        epoch, now = found.finalized.epoch, self.chain.epoch_of(self.chain.slot_at(self._unix_ms()))
        if epoch > now:
            raise InvalidInput(
                "a finalised epoch lies in the future",
                value=epoch,
                expected=f"at most {now} on {self.chain.name}",
                action="check the node's network and this machine's clock",
            )
        return found

    # ------------------------------------------------------------ updates

    async def updates(self, first: int, count: int, check: Check | None = None) -> Found:
        """Updates of ``count`` periods from ``first`` on, from whichever nodes have them.

        A period that a node lacks fails a node's whole range, so such a range is asked for again in halves.

        Args:
            first: First period.
            count: Number of periods.
            check: Called with each update; what it refuses is asked of the next node.
        """
        wanted = set(range(first, first + count))
        updates: dict[int, Update] = {}
        failures: dict[str, str] = {}
        for node in self._order():
            if not wanted:
                break
            for start, size in runs(wanted):
                result = await self._try(node, partial(self._read, start, size, check))
                if isinstance(result, Exception):
                    failures[node.name] = str(result)
                    break
                updates |= result.updates
                if result.lacking:
                    failures[node.name] = f"beacon node {node.name} lacks {result.lacking}"
                if result.error is not None:
                    failures[node.name] = str(result.error)
                    self._health[node.name].failed(self._clock(), result.error)
                if result.requests >= MOST_REQUESTS:
                    break
            wanted -= updates.keys()
            if wanted:
                failures.setdefault(node.name, f"beacon node {node.name} left out {_listed(wanted)}")
        return Found(dict(sorted(updates.items())), tuple(sorted(wanted)), failures)

    async def compare(self, period: int, check: Check | None = None) -> Disagreement | None:
        """Ask every node for one period's update; report different next committees.

        Args:
            period: The period.
            check: Updates that it refuses do not count.

        Raises:
            SourceUnavailable: no node has a usable update.
        """
        asked = self._usable
        results = await asyncio.gather(
            *(self._try(node, partial(self._read, period, 1, check)) for node in asked)
        )
        roots, failures = {}, {}
        for node, result in zip(asked, results, strict=True):
            if isinstance(result, Exception):
                failures[node.name] = str(result)
            elif period in result.updates:
                roots[node.name] = committee_root(result.updates[period].next_committee)
        if not roots:
            raise self._nobody(f"an update of period {period}", failures)
        return compare_committees(period, roots)

    async def _read(self, first: int, count: int, check: Check | None, node: BeaconNode) -> Read:
        return await UpdateReader(self.chain, node, self._health[node.name], check).read(first, count)

    # ------------------------------------------------------------ the chain itself

    async def bootstrap(self, root: bytes) -> Bootstrap:
        """Header and sync committee of a trusted block, from the first node that can prove them.

        Args:
            root: Root of the trusted block, 32 bytes.

        Raises:
            SourceUnavailable: no node has a usable bootstrap.
        """
        failures: dict[str, str] = {}
        for node in self._order():
            result = await self._try(node, partial(self._bootstrap, root))
            if not isinstance(result, Exception):
                return result
            failures[node.name] = str(result)
        raise self._nobody(f"a bootstrap of block {root.hex()}", failures)

    async def _bootstrap(self, root: bytes, node: BeaconNode) -> Bootstrap:
        path = f"/eth/v1/beacon/light_client/bootstrap/0x{root.hex()}"
        answer = await node.get(path, accept=BOTH, limit=wire.JSON_LIMIT)
        if not answer.ok:
            raise node.unavailable(path, f"status {answer.status} {wire.error_text(answer.body)}".strip())
        if answer.content_type == SSZ:
            found = wire.read_bootstrap(self.chain, answer.version, answer.body)
        else:
            found = wire.read_bootstrap_json(self.chain, answer.body)
        check_bootstrap(self.chain, found, root)
        return found

    @property
    def doubtful(self) -> bool:
        """Whether it is time to ask again a node that was passed over as one of another chain."""
        return bool(self._foreign) and self._clock() - self._compared > DOUBT_S

    async def check_genesis(self) -> dict[str, str]:
        """Ask every node which chain it is of. A node of another one is asked for nothing else until the next check.

        Returns:
            Nodes of another chain, or without an answer → why.
        """
        results = await asyncio.gather(*(self._try(node, self._genesis) for node in self._nodes))
        pairs = list(zip(self._nodes, results, strict=True))
        self._compared = self._clock()
        self._foreign = {node.name for node, r in pairs if isinstance(r, InvalidInput)}
        return {node.name: str(r) for node, r in pairs if isinstance(r, Exception)}

    async def _genesis(self, node: BeaconNode) -> None:
        data = wire.read_data(await self._small(node, "/eth/v1/beacon/genesis"))
        root, wanted = data.get("genesis_validators_root"), "0x" + self.chain.genesis_validators_root.hex()
        if root != wanted:
            raise InvalidInput(
                f"beacon node {node.name} is of another chain than {self.chain.name}",
                value=root,
                expected=f"genesis validators root {wanted}",
                action="correct the stream's chain or the node's URL",
            )

    # ------------------------------------------------------------ asking

    @property
    def _usable(self) -> list[BeaconNode]:
        return [node for node in self._nodes if node.name not in self._foreign]

    def _order(self) -> list[BeaconNode]:
        return order(self._usable, lambda node: self._health[node.name], self._clock())

    async def _small(self, node: BeaconNode, path: str) -> bytes:
        answer = await node.get(path, accept=JSON, limit=SMALL)
        if not answer.ok:
            raise node.unavailable(path, f"status {answer.status} {wire.error_text(answer.body)}".strip())
        return answer.body

    async def _try(self, node: BeaconNode, work: Callable[[BeaconNode], Awaitable[T]]) -> T | ProveryError:
        health, began = self._health[node.name], self._clock()
        try:
            result = await work(node)
        except SourceUnavailable as error:
            health.failed(self._clock(), error)
            return error
        except InvalidInput as error:
            text = str(error) if node.name in str(error) else f"beacon node {node.name}: {error}"
            named = InvalidInput(redact(text))
            health.failed(self._clock(), named)
            return named
        health.succeeded(self._clock(), self._clock() - began)
        return result

    def _nobody(self, what: str, failures: dict[str, str]) -> SourceUnavailable:
        return SourceUnavailable(
            f"no beacon node of {self.chain.name} gave {what}: " + " | ".join(failures.values()),
            action="check the nodes; it is tried again later",
        )


def _listed(periods: set[int]) -> str:
    return "period " + ", ".join(map(str, sorted(periods)[:8]))
