"""Faults of the prover network: a real server made from its protocol, which counts what it would charge for."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

from provery.core.errors import ProveryError, SpendingCapReached
from provery.core.ports import Proof
from provery.provers.sp1.proto import types_pb2
from tests.faults.cases import LIMIT_S, NETWORK, NETWORK_BOUNDARIES, Case, Row
from tests.support.sp1_network import Lost, Network
from tests.support.sp1_rig import Rig, rig

PERIOD = 1601
ASSIGNED = (types_pb2.ASSIGNED, types_pb2.EXECUTED)
FULFILLED = (types_pb2.FULFILLED, types_pb2.EXECUTED)
Act = Callable[[Rig], Awaitable[float]]
"""Breaks something; returns when, Unix seconds."""


async def run(case: Case) -> Row:
    """Prove a period while the fault of this boundary happens, and count the requests that are paid."""
    act, settings = _ACTS[case.boundary]
    with tempfile.TemporaryDirectory(prefix="provery-faults-") as folder:
        async with rig(Path(folder), None, **settings) as net:
            broken = await act(net)
            made = await _proved(net, broken)
            return _judged(case, net, made, broken)


def _judged(case: Case, net: Rig, made: Proof | None, broken: float) -> Row:
    ended_well = case.boundary != "unfulfillable"
    lost = int((made is not None) != ended_well)
    after = round(time.time() - broken, 2)
    problems = []
    if net.network.paid != 1:
        problems.append(f"{net.network.paid} paid requests, expected 1")
    if lost:
        problems.append("no proof" if ended_well else "a proof of a request that nobody fulfilled")
    if not after <= LIMIT_S:
        problems.append(f"work went on after {after:.1f} s; expected within {LIMIT_S:.0f} s")
    return Row(
        case.fault,
        case.boundary,
        max(len(set(net.network.bodies)) - 1, 0),
        lost,
        abs(net.network.paid - 1),
        0,
        after,
        after,
        tuple(problems),
    )


async def _proved(net: Rig, broken: float) -> Proof | None:
    """Attempt after attempt, as the engine does it; None where the network's last word is no."""
    for _ in range(3 if net.network.ends is _nobody else 200):
        try:
            return await net.prove(PERIOD)
        except ProveryError:
            if time.time() > broken + LIMIT_S:
                return None
            await asyncio.sleep(0.05)
    return None


async def _killed(net: Rig, hook: str) -> float:
    """SIGKILL of the proving process, by the network, at the very moment that is meant."""
    at = [0.0]

    async def kill(network: Network, body: types_pb2.RequestProofRequestBody) -> None:
        setattr(network, hook, None)
        at[0] = time.time()
        victim.send_signal(signal.SIGKILL)
        await victim.wait()
        if hook == "arriving":
            raise Lost

    setattr(net.network, hook, kill)
    victim = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.sp1_child", str(net.folder), str(PERIOD)),
        env={**os.environ, **net.env},
        cwd=Path(__file__).parents[2],
    )
    await victim.wait()
    if not at[0]:
        raise AssertionError("the process ended before it was killed")
    return at[0]


async def _lost(net: Rig) -> float:
    async def lose(network: Network, body: types_pb2.RequestProofRequestBody) -> None:
        network.answering = None
        raise Lost

    net.network.answering = lose
    return time.time()


async def _late(net: Rig) -> float:
    net.network.ends = lambda request, age: FULFILLED if age > 3 else ASSIGNED
    return time.time()


def _nobody(request: Any, age: float) -> Any:
    return (types_pb2.UNFULFILLABLE, types_pb2.EXECUTED)


async def _unfulfillable(net: Rig) -> float:
    net.network.ends = _nobody
    return time.time()


async def _dear(net: Rig) -> float:
    """Above the cap for some attempts; then it falls."""
    fair, net.network.price = net.network.price, 10**10
    for _ in range(3):
        try:
            await net.prove(PERIOD)
        except SpendingCapReached:
            continue
    if net.network.bodies:
        raise AssertionError("something was requested at a price above the cap")
    net.network.price = fair
    return time.time()


async def _corrupt(net: Rig) -> float:
    served: list[int] = []

    def corrupt(proof: bytes) -> bytes:
        served.append(1)
        return proof[:-100] if len(served) < 5 else proof  # past one attempt's patience

    net.network.serves = corrupt
    return time.time()


async def planted() -> list[str]:
    """A request whose record is lost, and which is therefore made again, must be counted; returns what was not."""
    with tempfile.TemporaryDirectory(prefix="provery-faults-") as folder:
        async with rig(Path(folder)) as net:
            await net.prove(PERIOD, request_key="recorded elsewhere")
            made = await net.prove(PERIOD)
            row = _judged(Case(NETWORK, "planted"), net, made, time.time())
    return [] if row.duplicated == 1 and row.problems else ["a second paid request"]


_ACTS: dict[str, tuple[Act, dict[str, str]]] = {
    "killed before the request": (partial(_killed, hook="arriving"), {}),
    "killed between request and record": (partial(_killed, hook="answering"), {}),
    "answer lost": (_lost, {}),
    "fulfilled after the deadline": (
        _late,
        {"PROVERY_SP1_DEADLINE_S": "1", "PROVERY_SP1_GRACE_S": "0"},
    ),
    "unfulfillable": (_unfulfillable, {}),
    "price above the cap": (_dear, {}),
    "fetched proof corrupt": (_corrupt, {}),
}
assert set(_ACTS) == set(NETWORK_BOUNDARIES)
