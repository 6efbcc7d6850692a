"""``provery up --demo``, second part: a sync-committee period of mainnet, proved here, with its progress."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from provery.client import connect
from provery.core.errors import TransientError
from provery.core.types import UnitOutcome, UnitStatus
from provery.local.config import Stream, Topology
from provery.local.demo import UNPROVED
from provery.local.process import free_port
from provery.local.progress import bar
from provery.local.recorded import CHECKPOINT, PERIOD, recorded_node
from provery.local.supervisor import Demo, Supervisor
from provery.provers.statement_native import NativeStatements

NAME = "recorded"
CIRCUIT = "beacon-step-mainnet-6"
LOOK_S = 0.5


def with_recorded(topology: Topology) -> Topology:
    """The topology with the demo's stream: mainnet, from recorded answers of a node."""
    if any(stream.id == f"beacon/{NAME}" for stream in topology.streams):
        return topology
    settings = {
        "CHAIN": "mainnet",
        "RPC_URL": f"http://127.0.0.1:{free_port()}",
        "PROVERY_BEACON_CHECKPOINT": CHECKPOINT,
    }
    stream = Stream(system="beacon", stream=NAME, settings=dict(settings))
    return topology.model_copy(update={"streams": (*topology.streams, stream)})


def period(console: Console) -> Demo:
    """The demo for ``supervisor.up``: its status is 0 when the period was proved, verified and published."""

    async def run(supervisor: Supervisor) -> int:
        stream = next(s for s in supervisor.topology.streams if s.id == f"beacon/{NAME}")
        env = {**os.environ, **supervisor.env, **stream.env}
        began = time.monotonic()
        with recorded_node(stream.env["RPC_URL"]):
            console.print(f"\nSync-committee period {PERIOD} of Ethereum mainnet: 512 keys, one signature")
            await _keys(env, supervisor, console)
            outcome = await _prove(await connect(env), env, console)
        return _sum_up(outcome, console, supervisor, time.monotonic() - began)

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


async def _prove(client: Client, env: Mapping[str, str], console: Console) -> UnitOutcome:
    """Ask for the period as an operator would, and follow it."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", "prove", f"beacon/{NAME}", "--set", f"period={PERIOD}",
        "--no-wait", "--json",
        env=dict(env), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, complaint = await child.communicate()
    if child.returncode:
        raise TransientError(
            f"`provery prove` ended with status {child.returncode}", action=complaint.decode()[-1_000:]
        )
    (started,) = json.loads(output)["units"]
    if (known := started["outcome"]) is not None:
        console.print(f"period {PERIOD} had been proved before: nothing is computed again", markup=False)
        return UnitOutcome(started["unit"], UnitStatus(known["status"]), facts=known["facts"])
    handle: WorkflowHandle[Any, UnitOutcome] = client.get_workflow_handle(
        started["workflow_id"], result_type=UnitOutcome
    )
    with bar(f"period {PERIOD}", console) as move:
        while True:
            seen = await handle.describe()
            if seen.status is not WorkflowExecutionStatus.RUNNING:
                return await handle.result()
            for activity in seen.raw_description.pending_activities:
                beats = await client.data_converter.decode(activity.heartbeat_details.payloads)
                beat = beats[0] if beats else {}
                name = activity.activity_type.name
                step = f"{name}, {beat['step']}" if beat.get("step") else name
                move(step, float(beat.get("done", 0)), float(beat.get("total", 0)))
            await asyncio.sleep(LOOK_S)


def _sum_up(outcome: UnitOutcome, console: Console, supervisor: Supervisor, elapsed: float) -> int:
    if outcome.status is not UnitStatus.DONE:
        console.print(f"period {PERIOD} ended {outcome.status}: {outcome.reason}", style="red", markup=False)
        return UNPROVED
    facts = outcome.facts
    where = supervisor.home / "period_store" / NAME / str(PERIOD)
    console.print(f"period {PERIOD} proved, verified and published in {elapsed:.1f} s: {where}", markup=False)
    console.print(f"header {facts.get('header_root', '')}, next committee {facts.get('next_root', '')}")
    return 0
