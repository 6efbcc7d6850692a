"""``provery demo zkml``: the inference API with a few models, its page, and the documented request answered."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from provery.core.exits import UNIT_FAILED
from provery.local import ROOT
from provery.local.config import Scalar, Stream, Topology
from provery.local.supervisor import Demo, Listener, Supervisor, up

SYSTEM, STREAM, PORT = "zkml", "demo", 3001
SHIPPED = ROOT / "provery" / "systems" / "zkml" / "vectors" / "models"
MODELS = ("spending-model", "iris-classifier")
INPUTS = (0.05, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5)
"""Of the upstream service's document."""
READY_S = 300.0


async def demo(
    topology: Topology, console: Console, listener: Listener, *, port: int = PORT, once: bool = False
) -> int:
    """Start everything, answer one request, and serve until somebody stops it; the exit status.

    Args:
        topology: Whose servers, queues and ports are used.
        console: Where it is told.
        listener: Told of everything that happens.
        port: Of the API.
        once: End after the request.
    """
    home = topology.home_path / "demo-zkml"
    await asyncio.to_thread(_fill, home / "models")
    settings: dict[str, Scalar] = {"MODELS_DIR": str(home / "models")}
    mine = Stream(system=SYSTEM, stream=STREAM, ingress_port=port, settings=settings)
    # A home of its own: an installation's ledger, artifacts and schedules are none of the demo's business.
    own = topology.model_copy(update={"streams": (mine,), "schedules": (), "home": str(home)})
    os.environ.setdefault("PROVERY_STATEMENT_KEYS", str(topology.home_path / "circuits"))
    return await up(own, demo=ask(console, port), once=once, listener=listener)


def ask(console: Console, port: int) -> Demo:
    """Wait for the models, then ask, verify and ask again; 0 where all of it went well."""

    async def run(supervisor: Supervisor) -> int:
        url = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=url, timeout=60.0, trust_env=False) as http:
            if (missing := await _ready(http)) is not None:
                console.print(f"models are not ready: {missing}", style="red", markup=False)
                return UNIT_FAILED
            asked = {"model_id": MODELS[0], "inputs": INPUTS, "tag": "spending"}
            console.print(f"\nPOST {url}/prove {json.dumps(asked)}", markup=False)
            began = time.perf_counter()
            answer = (await http.post("/prove", json=asked)).raise_for_status().json()
            took = (time.perf_counter() - began) * 1000
            _tell(console, answer, took)
            proof = answer["proof"]
            said = proof["metadata"]
            body = {name: said[name] for name in ("model_hash", "input_hash")}
            check = await http.post(
                "/verify",
                json={**body, "proof": proof["proof"], "expected_output": answer["inference"]["raw_output"]},
            )
            valid = check.raise_for_status().json()["valid"] is True
            console.print(f"POST {url}/verify: valid is {valid}", markup=False)
        console.print(f"\na page for people: {url}/   every unit: {supervisor.temporal.ui_url}", markup=False)
        return 0 if valid else UNIT_FAILED

    return run


def _fill(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in MODELS:
        shutil.copyfile(SHIPPED / f"{name}.onnx", folder / f"{name}.onnx")


async def _ready(http: httpx.AsyncClient) -> dict[str, Any] | None:
    """None once every model is there; else what the API says of those that are not."""
    deadline = time.monotonic() + READY_S
    while True:
        said: dict[str, Any] = (await http.get("/health")).json()
        if said.get("status") == "healthy":
            return None
        if time.monotonic() > deadline:
            return said
        await asyncio.sleep(0.5)


def _tell(console: Console, answer: dict[str, Any], took: float) -> None:
    inference, proof = answer["inference"], answer["proof"]
    console.print(
        f"answered in {took:.0f} ms: {inference['decision']}, raw output {inference['raw_output']}, a proof of"
        f" {proof['metadata']['proof_size']} bytes with hash {proof['proof_hash']}",
        markup=False,
    )
