"""``provery demo hotshot``: a network of validators, an Ethereum node, the contract, and the daemon between them.

It ends when the contract holds the network's last state, and counts what landed in the chain's own events.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from provery.client import ui_base
from provery.core.errors import ConfigurationError, TransientError
from provery.core.exits import UNIT_FAILED
from provery.core.ports import UnitRow
from provery.local.anvil import MNEMONIC, AnvilServer
from provery.local.config import Scalar, Topology
from provery.local.hotshot import SYSTEM, only_hotshot
from provery.local.hotshot_network import HotShotNetwork, Shape
from provery.local.process import free_port
from provery.local.supervisor import Demo, Listener, Supervisor, up
from provery.registry import part
from provery.stores.ledger import open_ledger

STREAM = "demo"
ID = f"{SYSTEM}/{STREAM}"
LOOK_S = 0.5
ROWS = 24
"""Units that the live table shows, the newest; all of them count."""
DEPLOYER, SUBMITTER = 0, 7
"""Accounts of the node: whoever deploys must not share its nonces with a lane."""


@dataclass(frozen=True)
class Options:
    """What the demo does."""

    shape: Shape = field(default_factory=lambda: Shape(epochs=5))
    scheme: str = "groth16"
    timeout_s: float = 900.0
    """Seconds until a contract that is not where the network is counts as a failure."""
    block_time_s: int = 1
    """Between blocks of the Ethereum node."""
    result: Path | None = None
    """File for the figures, as JSON."""


@dataclass
class Result:
    """What came of it."""

    epochs: int
    validators: int
    capacity: int
    scheme: str
    seconds: float = 0.0
    units: int = 0
    landed: dict[int, int] = field(default_factory=dict)
    """Times that each epoch's stake table landed, by the contract's events."""
    states: int = 0
    """States that landed, roots included."""
    twice: int = 0
    """States that landed more than once."""
    same: bool = False
    """Whether the contract's state and stake table are the network's."""
    gas: int = 0
    """Of all submissions."""
    failed: int = 0

    @property
    def ok(self) -> bool:
        """Whether every epoch landed once and the contract is where the network is."""
        once = all(self.landed.get(epoch) == 1 for epoch in range(2, self.epochs + 2))
        return self.same and once and not self.twice and not self.failed


async def demo(topology: Topology, options: Options, console: Console, listener: Listener) -> int:
    """Start everything, and stop it when the contract has caught up; the exit status."""
    home = topology.home_path / "demo-hotshot"
    anvil = AnvilServer(home / "l1", block_time_s=options.block_time_s)
    network = HotShotNetwork(home, options.shape)
    async with anvil, network:
        settings: dict[str, Scalar] = {
            "ESPRESSO_STATE_RELAY_SERVER_URL": network.relay_url,
            "ESPRESSO_SEQUENCER_URL": network.sequencer_url,
            "ESPRESSO_SEQUENCER_L1_PROVIDER": anvil.url,
            "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
            "ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX": SUBMITTER,
            "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": options.shape.capacity,
            "ESPRESSO_STATE_PROVER_RETRY_INTERVAL": "1s",
            "ESPRESSO_STATE_PROVER_MAX_GAS_PRICE_IN_GWEI": "100",
            "PROVERY_HOTSHOT_SCHEME": options.scheme,
            "PROVERY_HOTSHOT_CONFIRMATIONS": "1",
            "PROVERY_HOTSHOT_STREAMS": STREAM,
            "PROVERY_HOTSHOT_PROVERS": "native",
        }
        contract = await _deploy(topology, settings, console)
        settings["ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS"] = contract
        mine = only_hotshot(topology, STREAM, port=free_port(), follow_s=2.0, settings=settings)
        # A home of its own: an installation's ledger, artifacts and schedules are none of the demo's business.
        mine = mine.model_copy(update={"home": str(home)})
        keys = os.environ.get("PROVERY_STATEMENT_KEYS") or str(topology.home_path / "circuits")
        os.environ["PROVERY_STATEMENT_KEYS"] = keys
        show = _follow(options, anvil, network, contract, console)
        return await up(mine, demo=show, once=True, listener=listener)


async def _deploy(topology: Topology, settings: dict[str, Scalar], console: Console) -> str:
    """Have the contract put on the chain by the command that operators use; its address."""
    console.print(
        "the light client goes to the chain; keys of its circuit are made once, which may take a while"
    )
    env = {
        **os.environ,
        **{name: str(value) for name, value in settings.items()},
        "ESPRESSO_SEQUENCER_STATE_PROVER_ACCOUNT_INDEX": str(DEPLOYER),
        "PROVERY_HOME": str(topology.home_path),
    }
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", "hotshot", "deploy", "--stream", STREAM, "--json",
        env=env, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        output, complaint = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if child.returncode:
        raise TransientError(
            f"`provery hotshot deploy` ended with status {child.returncode}",
            action=(complaint or output).decode("utf-8", "replace")[-1_000:],
        )
    done = json.loads(output)
    console.print(f"light client {done['proxy']}, {done['gas']} gas", markup=False)
    return str(done["proxy"])


def _follow(
    options: Options, anvil: AnvilServer, network: HotShotNetwork, contract: str, console: Console
) -> Demo:
    async def run(supervisor: Supervisor) -> int:
        began = time.monotonic()
        shape = options.shape
        result = Result(shape.epochs or 0, shape.validators, shape.capacity, options.scheme)
        chain = _Contract(anvil, contract)
        rows: list[UnitRow] = []
        ledger = open_ledger(supervisor.env["PROVERY_LEDGER_URL"])
        try:
            with Live(console=console, refresh_per_second=4, transient=False) as live:
                while time.monotonic() - began < options.timeout_s:
                    rows = await ledger.units(system=SYSTEM, stream=STREAM, limit=1_000)
                    with contextlib.suppress(TransientError):  # busy: the next look has it
                        status, held = await network.status(), await chain.held()
                        line = f"contract at height {held['height']}, network at {status['height']}"
                        live.update(Group(_table(rows), Text(f"{line} · {time.monotonic() - began:.0f} s")))
                        # The node shows a landing before the lane has seen it confirmed.
                        if _there(status, held, shape) and all(row.status.terminal for row in rows):
                            break
                    await asyncio.sleep(LOOK_S)
        finally:
            await ledger.close()
        if not console.is_terminal:
            console.print()  # Live ends the last line on a terminal only
        await _count(result, rows, network, chain)
        result.seconds = round(time.monotonic() - began, 1)
        return _sum_up(result, options.result, console, supervisor)

    return run


def _there(status: dict[str, Any], held: dict[str, Any], shape: Shape) -> bool:
    """Whether the network has stopped and the contract is where it is."""
    last = shape.epochs is not None and status["epoch"] >= shape.epochs
    return last and bool(held["height"] == status["height"] == _root(shape))


def _root(shape: Shape) -> int:
    epochs = part(SYSTEM, "epochs", os.environ)
    if epochs is None or shape.epochs is None:
        raise ConfigurationError("the demo needs a number of epochs", expected="--epochs")
    return int(epochs.epoch_root_height(shape.epochs, shape.blocks_per_epoch))


class _Contract:
    """The light client as the chain shows it to anybody."""

    def __init__(self, anvil: AnvilServer, address: str) -> None:
        found = part(SYSTEM, "abi", os.environ)
        if found is None:
            raise ConfigurationError("the system lacks a part", value=f"{SYSTEM}.abi")
        self._abi, self._anvil, self._address = found, anvil, address

    async def _read(self, function: Any) -> Any:
        answer = await self._anvil.call("eth_call", {"to": self._address, "data": function.call()}, "latest")
        return function.read(bytes.fromhex(answer[2:]))

    async def held(self) -> dict[str, Any]:
        """State and stake table."""
        state = self._abi.state_of(await self._read(self._abi.FINALIZED_STATE))
        table = self._abi.stake_table_of(await self._read(self._abi.VOTING_STAKE_TABLE))
        return {
            "height": state.height,
            "state": {
                "view": state.view,
                "height": state.height,
                "block_comm_root": hex(state.block_comm_root),
            },
            "stake_table": {
                name: hex(getattr(table, name)) for name in ("bls", "schnorr", "amount", "threshold")
            },
        }

    async def events(self) -> tuple[Counter[int], Counter[int], int]:
        """Landings by epoch, landings by height, and the gas of all their transactions."""
        logs = await self._anvil.call(
            "eth_getLogs", {"address": self._address, "fromBlock": "0x0", "toBlock": "latest"}
        )
        epochs: Counter[int] = Counter()
        heights: Counter[int] = Counter()
        hashes: set[str] = set()
        for log in logs:
            topic = bytes.fromhex(log["topics"][0][2:])
            if topic == self._abi.NEW_EPOCH.topic:
                epochs[int(log["data"], 16)] += 1
            elif topic == self._abi.NEW_STATE.topic:
                heights[int(log["topics"][2], 16)] += 1
                hashes.add(log["transactionHash"])
        gas = 0
        for tx in hashes:
            gas += int((await self._anvil.call("eth_getTransactionReceipt", tx))["gasUsed"], 16)
        return epochs, heights, gas


async def _count(result: Result, rows: list[UnitRow], network: HotShotNetwork, chain: _Contract) -> None:
    status, held = await network.status(), await chain.held()
    epochs, heights, result.gas = await chain.events()
    result.landed = dict(sorted(epochs.items()))
    result.states, result.twice = len(heights), sum(count > 1 for count in heights.values())
    result.units, result.failed = len(rows), sum(row.status.value == "failed" for row in rows)
    result.same = held["state"] == status["state"] and held["stake_table"] == status["next_stake_table"]


def _table(rows: list[UnitRow]) -> Table:
    table = Table(title="light-client states", title_justify="left")
    for heading, width in (("unit", 14), ("height", 7), ("status", 9), ("stage", 8), ("reason", 30)):
        table.add_column(heading, no_wrap=True, overflow="ellipsis", min_width=width)
    newest = sorted(rows, key=lambda row: row.unit.ordinal or 0)[-ROWS:]
    for row in newest:
        style = {"done": "green", "failed": "red", "running": "yellow"}.get(row.status.value, "dim")
        height, status = Text(str(row.unit.ordinal)), Text(row.status.value, style=style)
        table.add_row(Text(row.unit.key), height, status, Text(row.stage), Text(row.reason[:60]))
    return table


def _sum_up(result: Result, path: Path | None, console: Console, supervisor: Supervisor) -> int:
    """Say what came of it, and keep the figures for whoever compares them."""
    once = sum(count == 1 for count in result.landed.values())
    console.print(
        f"{once} of {result.epochs} epochs landed once, {result.states} states in {result.seconds} s, "
        f"{result.gas // max(1, result.states)} gas each",
        markup=False,
    )
    where = "is" if result.same else "is NOT"
    console.print(f"the contract's state {where} the network's", style="" if result.same else "red")
    console.print(f"Temporal UI  {ui_base(supervisor.env)}", markup=False)
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({**vars(result), "ok": result.ok}, indent=1) + "\n", encoding="utf-8")
    return 0 if result.ok else UNIT_FAILED
