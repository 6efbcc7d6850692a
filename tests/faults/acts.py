"""What is done to a rig in a case: jobs are brought to a boundary, something breaks there, and is mended again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Mapping

from provery.core.types import Json
from provery.local.process import answers
from tests.faults import processes
from tests.faults.cases import (
    AGAIN,
    EMPTIED,
    FROZEN,
    IN_PROVE,
    LOCK,
    REDELIVERED,
    RUNNING,
    UP,
    Case,
)
from tests.faults.rig import REVIVAL_S, Rig, until
from tests.faults.seen import DONE_S, Seen, ended

REACH_S = 90.0
BUSY_TICKS = 5
"""Hundredths of a second that a prover must have computed to be in the middle of it."""
AWAY_S = 12.0
"""How long a server is away when a worker starts without it: longer than one attempt to connect may take."""
START_S = 60.0
"""How long a worker may take until it answers at all."""
FROZEN_S = 3.0
"""How much longer than its locks last a holder is frozen."""
Orders = Mapping[str, Mapping[str, Json]]


async def act(rig: Rig, case: Case, orders: Orders, seen: Seen) -> None:
    """Do what the case says. What goes wrong on the way is noted in ``seen``."""
    if case.fault == REDELIVERED and case.boundary == AGAIN:
        await _deliver_again(rig, orders, seen)
        return
    gates = {
        IN_PROVE: ("before-prove", "mid-prove"),
        **dict.fromkeys((RUNNING, LOCK, FROZEN), ("mid-prove",)),
    }
    if not await _reach(rig, gates.get(case.gate, (case.gate,)), orders, seen):
        return
    if case.gate == IN_PROVE:
        await _in_the_middle(rig, seen, gated=case.fault != UP)
    if case.fault == REDELIVERED:
        await {RUNNING: _deliver_twice, LOCK: _lose_lock, FROZEN: _freeze}[case.boundary](rig, orders, seen)
    elif case.drained:
        await _drain(rig, case.drained, seen)
    elif case.late[1]:
        await _start_late(rig, *case.late, seen)
    else:
        await _kill(rig, case, seen)


async def _reach(rig: Rig, gates: tuple[str, ...], orders: Orders, seen: Seen) -> bool:
    """Add the jobs and wait until one stands at the first gate."""
    for gate in gates:
        rig.hold(gate)
    await seen.deliver(rig, orders)
    if not rig.gated or await until(lambda: rig.reached(gates[0]), REACH_S, 0.01):
        return True
    seen.problems.append(f"{gates[0]} was not reached in {REACH_S:.0f} s")
    return False


async def _in_the_middle(rig: Rig, seen: Seen, *, gated: bool) -> None:
    """Let the prove stage begin, and wait until its child has computed for a moment."""
    if gated:
        before = processes.cpu_ticks(processes.provers(rig.home))
        (rig.gates / "hold-before-prove").unlink()
    elif await until(lambda: rig.begun("prove", seen.ids), REACH_S, 0.005):
        before = processes.cpu_ticks(processes.provers(rig.home))
    else:
        seen.problems.append("no prove stage began")
        return

    def computes() -> bool:
        spent = processes.cpu_ticks(processes.provers(rig.home)) - before
        return spent >= BUSY_TICKS or rig.reached("mid-prove")

    if not await until(computes, REACH_S, 0.005) or rig.reached("mid-prove"):
        seen.problems.append("the proof was over before the fault")


async def _kill(rig: Rig, case: Case, seen: Seen) -> None:
    """SIGKILL, and start again as a supervisor would."""
    await rig.kill("temporal" if case.fault == EMPTIED else case.fault)
    seen.broken = time.time()
    rig.release()
    if case.fault == EMPTIED:
        for file in (rig.home / "temporal").iterdir():
            file.unlink()
    await asyncio.sleep(REVIVAL_S)
    seen.orphans += await rig.orphans()
    if case.fault == UP:
        seen.broken = time.time()  # its workers are gone now, and nothing can have begun between
    await rig.mend()


async def _drain(rig: Rig, worker: str, seen: Seen) -> None:
    """SIGTERM. At a gate the stage cannot finish in its grace and is handed back; in mid-prove it can."""
    seen.broken = time.time()
    process = rig.process(worker)
    rig.killed.add(worker)
    await process.stop()
    if process.exit_code != 0:
        seen.problems.append(f"{worker} ended its drain with status {process.exit_code}")
    seen.orphans += await rig.orphans()
    rig.release()
    await rig.mend()


async def _start_late(rig: Rig, worker: str, server: str, seen: Seen) -> None:
    """Start a worker while a server is away: it must wait, say so, and work once the server is there."""
    process = rig.workers[worker]
    await asyncio.gather(rig.kill(worker), rig.kill(server))
    rig.release()
    process.spawn()
    rig.killed.discard(worker)
    restarts = process.restarts
    serves = await until(lambda: _healthy(process.port), START_S, 0.2)
    await asyncio.sleep(AWAY_S / 2)
    if not process.alive or not serves or not await _healthy(process.port):
        seen.problems.append(f"{worker} did not wait for {server}: {process.log_tail()[-400:]}")
    seen.broken = time.time()
    await rig.mend()
    if process.alive:
        await process.wait_ready()
        if process.restarts != restarts:
            seen.problems.append(f"{worker} was started again")


async def _healthy(port: int) -> bool:
    return await answers("127.0.0.1", port, b"GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n", b" 200 ")


async def _deliver_again(rig: Rig, orders: Orders, seen: Seen) -> None:
    """The same jobs once more after they are done."""
    await seen.deliver(rig, orders)
    if not await until(lambda: ended(rig, seen), DONE_S):
        seen.problems.append(f"not done in {DONE_S:.0f} s")
    seen.broken = time.time()
    await seen.deliver(rig, orders)


async def _deliver_twice(rig: Rig, orders: Orders, seen: Seen) -> None:
    """The same jobs once more while they are proved."""
    seen.broken = time.time()
    await seen.deliver(rig, orders)
    await asyncio.sleep(1.0)  # for both to be in hand
    rig.release()


async def _lose_lock(rig: Rig, orders: Orders, seen: Seen) -> None:
    """Take the lock away: the queue's own look for stalled jobs adds the job again."""
    seen.broken = time.time()
    await rig.unlock(list(seen.bull))
    if not await until(lambda: rig.stalled(seen.cursor), REACH_S, 0.1):
        seen.problems.append("the job was not added again")
    rig.release()


async def _freeze(rig: Rig, orders: Orders, seen: Seen) -> None:
    """Stop the holder for longer than its lock lasts; meanwhile the proof is finished."""
    pid = rig.workers["ingress"].pid or 0
    os.kill(pid, signal.SIGSTOP)
    try:
        rig.release()
        if not await until(lambda: rig.unlocked(list(seen.bull)), REACH_S, 0.1):
            seen.problems.append("the lock did not run out")
        await asyncio.sleep(FROZEN_S)
    finally:
        os.kill(pid, signal.SIGCONT)
    seen.broken = time.time()
