"""A live chain, followed by ``provery up``, while what it consists of is killed: ``make live``.

The chain is Lodestar's (``tests/support/lodestar.py``), the prover is the native one with the real circuit, the
schedule is Temporal's. Seconds per slot: ``PROVERY_LIVE_SLOT_S``, 1 by default, which makes a period of 64 seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from provery.core.types import Unit
from provery.local import ROOT
from provery.local.config import DEFAULT_FILE
from provery.local.process import Process, free_port
from provery.local.state import local_environment, read_state
from provery.provers.statement_native import NativeStatements
from provery.stores.ledger import SqlLedger, open_ledger
from tests.support.lodestar import BeaconChain
from tests.support.relay import Relay

LIVE = "PROVERY_LIVE"
SLOT_S = int(os.environ.get("PROVERY_LIVE_SLOT_S", "1"))
PERIODS = 5
KEYS = ROOT / ".provery/circuits"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1_800),
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.skipif(LIVE not in os.environ, reason=f"runs for minutes: set {LIVE}=1, or `make live`"),
]


class Up(Process):
    """``provery up`` with one beacon stream and its schedule."""

    name = "up"
    ready_s = 90.0

    def __init__(self, home: Path, nodes: Sequence[str]) -> None:
        super().__init__(log=home / "up.log")
        self.home = home
        document = YAML(typ="safe").load(DEFAULT_FILE.read_text())
        document["home"] = str(home)
        document["server"] |= {"port": free_port(), "ui_port": free_port()}
        document["redis"]["port"] = free_port()
        document["metrics_port"] = free_port()
        settings = {"CHAIN": "devnet", "RPC_URL": ",".join(nodes), "PROVERY_BEACON_EXPECTED_S": 30}
        document["streams"] = [{"system": "beacon", "stream": "live", "settings": settings}]
        document["schedules"] = [{"stream": "beacon/live", "interval": "5s"}]
        self._file = home / "topology.yaml"
        home.mkdir(parents=True, exist_ok=True)
        with self._file.open("w") as out:
            YAML(typ="safe").dump(document, out)

    def argv(self) -> Sequence[str]:
        """The command."""
        return [sys.executable, "-m", "provery.cli", "up", "--file", str(self._file)]

    def environment(self) -> Mapping[str, str]:
        """Nothing that would lead elsewhere, and keys that are there already."""
        kept = {n: v for n, v in os.environ.items() if not n.startswith(("PROVERY_", "TEMPORAL_", "AWS_"))}
        return kept | {"PROVERY_STATEMENT_KEYS": str(KEYS)}

    async def ready(self) -> bool:
        """Whether all its processes run."""
        state = read_state(self.home)
        return state is not None and bool(state.processes) and all(p.pid for p in state.processes)

    def pid_of(self, name: str) -> int:
        """Process id of one of its processes."""
        state = read_state(self.home)
        assert state is not None
        return next(p.pid for p in state.processes if p.name == name and p.pid)


@dataclass
class Watch:
    """What is seen of the periods from outside."""

    store: Path
    ledger: SqlLedger
    published: dict[int, float] = field(default_factory=dict)

    def look(self) -> None:
        """Note directories that are new."""
        for folder in self.store.glob("[0-9]*"):
            self.published.setdefault(int(folder.name), time.time())

    async def attempts(self, period: int) -> list[dict[str, Any]]:
        """Attempts at a period, from the ledger."""
        audit: Any = await self.ledger.audit(Unit("beacon", "live", str(period)))
        return list(audit["attempts"])

    async def proving(self) -> int | None:
        """The period that is being proved now."""
        newest = max(self.published, default=0)
        for period in range(newest, newest + 4):
            for attempt in await self.attempts(period):
                if attempt["stage"] == "prove" and attempt["ended_at"] is None:
                    return period
        return None

    async def until(self, happened: Callable[[], Awaitable[bool]], seconds: float) -> None:
        """Wait for something, looking at the store meanwhile."""
        deadline = time.monotonic() + seconds
        while not await happened():
            assert time.monotonic() < deadline, f"published so far: {sorted(self.published)}"
            self.look()
            await asyncio.sleep(0.2)
        self.look()


@asynccontextmanager
async def running(home: Path) -> AsyncIterator[tuple[BeaconChain, list[Relay], Up, Watch]]:
    """A chain, two ways to its node, and Provery."""
    native = NativeStatements({"PROVERY_STATEMENT_KEYS": str(KEYS)}, ROOT / ".provery", 1)
    await native.prepare("beacon-step-minimal-5", lambda step, done, total: None)
    await native.close()
    async with AsyncExitStack() as held:
        chain = await held.enter_async_context(BeaconChain(home / "chain", slot_s=SLOT_S))
        relays = [Relay(home, chain.port, name) for name in ("first-node", "second-node")]
        for relay in relays:
            await held.enter_async_context(relay)
        up = await held.enter_async_context(Up(home / "up", [relay.url for relay in relays]))
        ledger = await asyncio.to_thread(open_ledger, local_environment(up.home)["PROVERY_LEDGER_URL"])
        held.push_async_callback(ledger.close)
        yield chain, relays, up, Watch(up.home / "period_store/live", ledger)


async def test_periods_of_a_live_chain_are_proved_once_and_in_time(tmp_path: Path) -> None:
    async with running(tmp_path) as (chain, relays, up, watch):

        async def one_is_proved() -> bool:
            return await watch.proving() is not None

        async def none_is_proved() -> bool:
            return await watch.proving() is None

        patience = 4 * chain.period_s + 60
        for victim in ("worker-cpu-1", "first-node", "temporal", "worker-io-1", "worker-orchestrate-1"):
            await watch.until(one_is_proved, patience)
            proving = await watch.proving()
            await asyncio.sleep(3)
            if victim == "first-node":
                await relays[0].kill()
            else:
                os.kill(up.pid_of(victim), signal.SIGKILL)
            print(f"killed {victim} while {proving} was being proved", flush=True)
            await watch.until(none_is_proved, patience)
            if victim == "first-node":
                await relays[0].start()

        async def enough() -> bool:
            return len(watch.published) >= PERIODS

        await watch.until(enough, patience)
        periods = sorted(watch.published)
        rows = {period: await watch.attempts(period) for period in periods}
        left = {p: chain.genesis + (p + 1) * chain.period_s - watch.published[p] for p in periods}
        manifests = {p: json.loads((watch.store / str(p) / "manifest.json").read_text()) for p in periods}

    proofs = {p: Counter(r["outcome"] for r in rows[p] if r["stage"] == "prove") for p in periods}
    print(json.dumps({p: {"left_s": round(left[p], 1), **proofs[p]} for p in periods}), flush=True)
    assert periods == list(range(periods[0], periods[0] + len(periods)))
    for period in periods:
        assert proofs[period]["done"] == 1, proofs[period]
        assert left[period] > 0
        assert manifests[period]["prover"] == "native"
        done = Counter(row["stage"] for row in rows[period] if row["outcome"] == "done")
        assert set(done.values()) == {1}, done
