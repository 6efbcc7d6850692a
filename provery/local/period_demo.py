"""``provery up --demo``, second part: a sync-committee period of mainnet, proved here, with its progress."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from provery.client import Address, Provery, connect
from provery.core.errors import ProveryError, TransientError
from provery.core.exits import UNIT_FAILED
from provery.core.ports import Progress
from provery.core.types import UnitOutcome, UnitStatus
from provery.local.config import Scalar, Stream, Topology
from provery.local.process import free_port
from provery.local.progress import bar
from provery.local.recorded import CHECKPOINT, PERIOD, recorded_node
from provery.local.supervisor import Demo, Supervisor
from provery.provers.statement_native import NativeStatements
from provery.stores.ledger import open_ledger

NAME = "recorded"
CIRCUIT = "beacon-step-mainnet-6"
ID = f"beacon/{NAME}"
LOOK_S = 0.5
LONGEST_S = 3_600.0
"""Seconds; a proof takes less than a minute, on a slow and busy machine several."""


def with_recorded(topology: Topology) -> Topology:
    """The topology with the demo's stream: mainnet, from recorded answers of a node.

    Every setting that could lead out of the demo is given here: a shell that is set up for a stream of its own must not
    have the demo write into that stream's period store, or pay a prover.
    """
    settings: dict[str, Scalar] = {
        "CHAIN": "mainnet",
        "RPC_URL": f"http://127.0.0.1:{free_port()}",
        "EPOCHS_PER_PERIOD": 256,
        "OUTPUT_DIR": str(topology.home_path / "period_store" / NAME),
        "PROMETHEUS_FILE": str(topology.home_path / "metrics" / f"beacon-{NAME}.prom"),
        "PROVERY_BEACON_STREAMS": NAME,
        "PROVERY_BEACON_CHECKPOINT": CHECKPOINT,
        "PROVERY_BEACON_PROVERS": "native",
        "PROVERY_BEACON_PROVE_QUEUE": "cpu",
    }
    own = next(
        (stream for stream in topology.streams if stream.id == ID), Stream(system="beacon", stream=NAME)
    )
    others = tuple(stream for stream in topology.streams if stream.id != ID)
    stream = own.model_copy(update={"settings": {**settings, **own.settings}})
    return topology.model_copy(update={"streams": (*others, stream)})


def period(console: Console) -> Demo:
    """The demo for ``supervisor.up``: its status is 0 when the period was proved, verified and published."""

    async def run(supervisor: Supervisor) -> int:
        stream = next(s for s in supervisor.topology.streams if s.id == ID)
        env = {**os.environ, **supervisor.env, **stream.env}
        began = time.monotonic()
        with recorded_node(env["RPC_URL"]):
            console.print(f"\nSync-committee period {PERIOD} of Ethereum mainnet: 512 keys, one signature")
            await _keys(env, supervisor, console)
            outcome = await prove(env, console)
        return sum_up(outcome, console, env, time.monotonic() - began)

    return run


def in_turn(*demos: Demo) -> Demo:
    """One after the other, until one fails; the status is the last one's."""

    async def run(supervisor: Supervisor) -> int:
        for demo in demos:
            if status := await demo(supervisor):
                return status
        return 0

    return run


async def _keys(env: Mapping[str, str], supervisor: Supervisor, console: Console) -> None:
    """Make development keys of the circuit, once per installation."""
    prover = NativeStatements(env, supervisor.home, 1)
    try:
        with bar(f"keys of {CIRCUIT}, once", console) as move:
            await prover.prepare(CIRCUIT, move)
    finally:
        await prover.close()


async def prove(env: Mapping[str, str], console: Console) -> UnitOutcome:
    """Ask for the period as an operator would, and follow it to its end.

    Args:
        env: Environment of the topology and of the demo's stream.
        console: Where the progress goes.

    Raises:
        TransientError: ``provery prove`` failed; the message has its output.
    """
    await _ask(env, console)
    ledger = open_ledger(env["PROVERY_LEDGER_URL"])
    try:
        engine = Provery(await connect(env), ledger, env)
        return await follow(engine, Address.parse(f"{ID}/{PERIOD}"), f"period {PERIOD}", console)
    finally:
        await ledger.close()


async def _ask(env: Mapping[str, str], console: Console) -> None:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", "prove", ID, "--set", f"period={PERIOD}", "--no-wait", "--json",
        env=dict(env), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, complaint = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise TransientError(
            f"`provery prove` ended with status {child.returncode}",
            action=(complaint or output).decode("utf-8", "replace")[-1_000:],
        )
    (started,) = json.loads(output)["units"]
    if started["outcome"] is not None:
        console.print(f"period {PERIOD} had been proved before: nothing is computed again", markup=False)


async def follow(
    engine: Provery, unit: Address, title: str, console: Console, *, longest_s: float = LONGEST_S
) -> UnitOutcome:
    """Show how far a unit is until it has ended, however it does.

    Args:
        engine: Where it runs.
        unit: The unit.
        title: What to call it.
        console: Where the progress goes.
        longest_s: Seconds after which nobody waits any more; the unit itself goes on.
    """
    end = asyncio.create_task(engine.wait(unit))
    try:
        async with asyncio.timeout(longest_s):
            with bar(title, console) as move:
                while not end.done():
                    await _look(engine, unit, move)
                    await asyncio.wait([end], timeout=LOOK_S)
            return await end
    except TimeoutError:
        return UnitOutcome(unit.workflow_id, UnitStatus.RUNNING, f"no proof within {longest_s:g} s")
    finally:
        end.cancel()


async def _look(engine: Provery, unit: Address, move: Progress) -> None:
    """Show what the unit's workers said last; nothing while Temporal does not answer."""
    try:
        pulse = await engine.pulse(unit)
    except ProveryError:
        return
    if pulse is not None and pulse.stage:
        move(", ".join(filter(None, (pulse.stage, pulse.step))), pulse.done, 1.0)


def sum_up(outcome: UnitOutcome, console: Console, env: Mapping[str, str], elapsed: float) -> int:
    """Say how it ended and where the result is; the demo's status."""
    if outcome.status is not UnitStatus.DONE:
        console.print(f"period {PERIOD} ended {outcome.status}: {outcome.reason}", style="red", markup=False)
        return UNIT_FAILED
    facts, where = outcome.facts, Path(env["OUTPUT_DIR"]) / str(PERIOD)
    console.print(f"period {PERIOD} proved, verified and published in {elapsed:.1f} s: {where}", markup=False)
    console.print(f"header {facts['attested_header_root']}, next committee {facts['next_keys_root']}")
    return 0
