"""`provery demo hotshot` and `provery hotshot run`: every epoch proved here and landed once on a real node."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ruamel.yaml import YAML

from provery.core.exits import OK
from provery.local.anvil import MNEMONIC, AnvilServer
from provery.local.config import DEFAULT_FILE
from provery.local.hotshot_network import HotShotNetwork, Shape
from provery.local.process import free_port, port_taken
from tests.faults import processes

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]
FINALIZED_STATE = "0x9fdb54a7"


def topology(home: Path) -> Path:
    """The shipped one with another home, and on free ports."""
    document: dict[str, Any] = YAML(typ="safe").load(DEFAULT_FILE.read_text())
    document["home"] = str(home)
    document["server"] |= {"port": free_port(), "ui_port": free_port()}
    document["redis"]["port"] = free_port()
    document["streams"] = []
    document["metrics_port"] = free_port()
    while any(port_taken("127.0.0.1", document["metrics_port"] + more) for more in (1, 2)):
        document["metrics_port"] = free_port()
    home.mkdir(exist_ok=True)
    file = home / "topology.yaml"
    with file.open("w") as out:
        YAML(typ="safe").dump(document, out)
    return file


def clean() -> dict[str, str]:
    """The environment without anything that would lead elsewhere."""
    ours = ("PROVERY_", "TEMPORAL_", "AWS_", "ESPRESSO_")
    kept = {"PROVERY_PROVER_BIN", "PROVERY_STATEMENT_KEYS"}
    return {n: v for n, v in os.environ.items() if n in kept or not n.startswith(ours)} | {"COLUMNS": "120"}


@asynccontextmanager
async def command(*words: str, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "provery.cli", *words, env=clean() | env,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def ran(*words: str, **env: str) -> tuple[int, str]:
    """Exit status and output of a command."""
    async with command(*words, **env) as process:
        out, _ = await asyncio.wait_for(process.communicate(), 400)
    return process.returncode or 0, out.decode()


async def test_the_demo_lands_every_epoch_once(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    status, out = await ran(
        "demo", "hotshot", "--epochs", "4", "--pace", "2", "--validators", "5", "--timeout", "300",
        "--result", str(result), "--file", str(topology(tmp_path)),
    )  # fmt: skip
    assert status == OK, out[-3_000:]
    found = json.loads(result.read_text())
    assert found["landed"] == {"2": 1, "3": 1, "4": 1, "5": 1}
    assert (found["same"], found["twice"], found["failed"]) == (True, 0, 0)
    assert "4 of 4 epochs landed once" in out
    assert processes.of(tmp_path) == []


@pytest.mark.long
async def test_the_prover_runs_once_and_as_a_daemon(tmp_path: Path) -> None:
    """The commands of docs/hotshot.md, as somebody would give them who comes from the upstream program."""
    file = str(topology(tmp_path / "of the file"))
    shape = Shape(validators=5, pace=1_000.0, epochs=2, stake_changes="amounts")
    network, anvil = HotShotNetwork(tmp_path, shape), AnvilServer(tmp_path)
    async with network, anvil:
        env = {
            "ESPRESSO_STATE_RELAY_SERVER_URL": network.relay_url,
            "ESPRESSO_SEQUENCER_URL": network.sequencer_url,
            "ESPRESSO_SEQUENCER_L1_PROVIDER": anvil.url,
            "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
            "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": "10",
            "PROVERY_HOTSHOT_SCHEME": "groth16",
            "PROVERY_HOTSHOT_CONFIRMATIONS": "1",
            "PROVERY_HOME": str(tmp_path),
        }
        status, out = await ran("hotshot", "run", "--file", file, **env)
        assert (status, "no light-client contract" in out) == (7, True), out[-1_000:]
        env["ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS"] = proxy = await deployed(env)

        other = env | {"PROVERY_HOME": str(tmp_path / "other")}
        status, out = await ran("hotshot", "run", "--file", file, **other)
        assert (status, "with another verifying key" in out) == (7, True), out[-3_000:]
        assert proxy.lower() in out.lower()
        assert await height(anvil, proxy) == 0

        status, out = await ran(
            "hotshot", "run", "--file", file, "--eth-account-index", "7", "--max-gas-price", "36.5", **env
        )
        assert status == OK, out[-3_000:]
        assert await height(anvil, proxy) == 15
        assert MNEMONIC not in out
        status, out = await ran("hotshot", "run", "--file", file, "--eth-account-index", "7", **env)
        assert (status, "nothing is due" in out) == (OK, True), out[-3_000:]

        nowhere = f"http://127.0.0.1:{free_port()}"
        status, out = await ran(
            "hotshot",
            "run",
            "--file",
            file,
            "--relay-server",
            nowhere,
            "--retries",
            "1",
            "--retry-freq",
            "100ms",
            **env,
        )
        assert status not in (OK, None), out[-3_000:]
        assert len(re.findall("no relay server", out)) >= 1
        assert "again in 0.1 s, at most 1 more" in out
    assert processes.of(tmp_path) == []


@pytest.mark.long
async def test_the_daemon_serves_and_follows(tmp_path: Path) -> None:
    file, port = str(topology(tmp_path)), free_port()
    network, anvil = (
        HotShotNetwork(tmp_path, Shape(validators=5, pace=1_000.0, epochs=1)),
        AnvilServer(tmp_path),
    )
    async with network, anvil:
        env = {
            "ESPRESSO_STATE_RELAY_SERVER_URL": network.relay_url,
            "ESPRESSO_SEQUENCER_URL": network.sequencer_url,
            "ESPRESSO_SEQUENCER_L1_PROVIDER": anvil.url,
            "ESPRESSO_SEQUENCER_ETH_MNEMONIC": MNEMONIC,
            "ESPRESSO_SEQUENCER_STAKE_TABLE_CAPACITY": "10",
            "PROVERY_HOTSHOT_SCHEME": "groth16",
            "PROVERY_HOTSHOT_CONFIRMATIONS": "1",
        }
        env["ESPRESSO_SEQUENCER_LIGHT_CLIENT_PROXY_ADDRESS"] = proxy = await deployed(env, "--file", file)
        words = ("hotshot", "run", "-d", "-u", "1s", "-p", str(port), "-s", "10", "--file", file)
        async with command(*words, **env) as daemon:
            async with asyncio.timeout(300):
                while await height(anvil, proxy) != 5:
                    await asyncio.sleep(0.5)
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as http:
                assert (await http.get("/healthcheck")).json() == {"status": "available"}
                assert "app_version" in (await http.get("/version")).json()
                for path in ("/api/lightclient_contract", "/v0/api/lightclient_contract"):
                    assert (await http.get(path)).json() == proxy
                async with asyncio.timeout(60):
                    while 'provery_hotshot_contract_height{stream="mainnet"} 5.0' not in (
                        figures := (await http.get("/metrics")).text
                    ):
                        await asyncio.sleep(1)
                assert 'provery_hotshot_blocks_behind{stream="mainnet"} 0.0' in figures
            daemon.send_signal(signal.SIGINT)
            out_, _ = await asyncio.wait_for(daemon.communicate(), 60)
        assert daemon.returncode == OK, out_.decode()[-3_000:]
    assert processes.of(tmp_path) == []


async def deployed(env: dict[str, str], *words: str) -> str:
    """The address of a light client that the command puts on the chain."""
    status, out = await ran("hotshot", "deploy", "--json", *words, **env)
    assert status == OK, out[-3_000:]
    return str(json.loads(out[out.index("\n{") if not out.startswith("{") else 0 :])["proxy"])


async def height(anvil: AnvilServer, proxy: str) -> int:
    answer = await anvil.call("eth_call", {"to": proxy, "data": FINALIZED_STATE}, "latest")
    return int(answer[2:][64:128], 16)
