"""The spending model over HTTP: what its proof costs, how long a client waits, and the gas of its verification.

Temporal, a worker for each queue and the API as separate processes, on the embedded ledger. Requests go one at a time;
every one asks for other inputs, and then the same again, which the cache answers. Processor time is that of the
prover's child, as the ledger's attempts have it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from bench.dispatch import quantile
from bench.ezkl_bare import PROVERY, measure, prepare
from bench.results import Figures, figure
from bench.stack import Stack, stack
from bench.zkml_gas import verify_gas
from provery.core.access import PROVE, READ, VERIFY
from provery.core.types import Unit

MODELS = Path(__file__).parents[1] / "provery/systems/zkml/vectors/models"
SPENDING = "spending-model"
INGRESS = ("--ingress", "zkml/default")
WORKERS = (
    ("--queue", "orchestrate"),
    ("--queue", "io"),
    ("--queue", "cpu", "--slots", "2"),
    INGRESS,
)
WARM, REQUESTS = 5, 60
READY_S = 300.0
INPUTS = (0.05, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5)
"""Those of the upstream service's document."""


async def run(home: Path) -> Figures:
    """Prove, ask, verify on chain; a wrong answer raises."""
    waited, cached, answers = [], [], []
    async with served(home, [SPENDING]) as (made, http):
        for number in range(WARM + REQUESTS):
            began = time.perf_counter()
            answer = await ask(http, SPENDING, inputs(number))
            waited.append((time.perf_counter() - began) * 1000)
            began = time.perf_counter()
            again = await ask(http, SPENDING, inputs(number))
            cached.append((time.perf_counter() - began) * 1000)
            assert again["proof"]["proof"] == answer["proof"]["proof"]
            answers.append(answer)
        spent = [await cpu_s(made, one) for one in answers[WARM:]]
        gas = {
            scheme: await verify_gas(home / scheme, MODELS / f"{SPENDING}.onnx", scheme) for scheme in SCHEMES
        }
    native, waited, cached = statistics.median(spent), waited[WARM:], cached[WARM:]
    ezkl = (await measure(await prepare(PROVERY), 1, proofs=5)).cpu_per_proof
    return {
        "zkml_native_cpu_s": figure(
            native, "CPU-s", f"PLONK, keys loaded; {REQUESTS} proofs; most {max(spent):.2f}"
        ),
        "zkml_http_p50_ms": figure(
            statistics.median(waited),
            "ms",
            f"POST /prove of new inputs, one at a time, through Temporal; p90 {quantile(waited, 0.9):.0f}",
        ),
        "zkml_cache_p50_ms": figure(
            statistics.median(cached), "ms", f"the same again; p90 {quantile(cached, 0.9):.1f}"
        ),
        "zkml_cpu_ratio_ezkl": figure(
            ezkl / native, "ratio", f"ezkl {ezkl:.2f} CPU-s a proof of the same model, native {native:.3f}"
        ),
        "zkml_verify_gas": figure(
            gas["plonk"], "gas", f"a whole transaction with 12 public values; Groth16 {gas['groth16']}"
        ),
    }


SCHEMES = ("plonk", "groth16")


def inputs(number: int) -> list[float]:
    """Inputs that no other request has."""
    return [*INPUTS[:-1], INPUTS[-1] + number / 4096]


async def ask(http: httpx.AsyncClient, model: str, values: Sequence[float]) -> dict[str, Any]:
    """One documented request; anything but an answer raises."""
    answer = await http.post("/prove", json={"model_id": model, "inputs": list(values), "tag": "bench"})
    if answer.status_code != 200:
        raise AssertionError(f"{answer.status_code} {answer.text[:500]}")
    found: dict[str, Any] = answer.json()
    return found


async def cpu_s(made: Stack, answer: dict[str, Any]) -> float:
    """Processor seconds of the proof of an answer."""
    audit = await made.ledger.audit(Unit("zkml", "default", f"proof-{answer['id']}"))
    found = [one for one in audit["attempts"] if one["stage"] == "prove" and one["outcome"] == "done"]  # type: ignore[union-attr, call-overload, index]
    (attempt,) = found
    return float(attempt["cpu_s"])


@asynccontextmanager
async def served(
    home: Path, models: Sequence[str], *, per_minute: float = 1e6, **env: str
) -> AsyncIterator[tuple[Stack, httpx.AsyncClient]]:
    """The API with some models added, and a client with a key.

    Args:
        home: Directory for everything.
        models: Names of files in ``MODELS``; those with settings beside them have these.
        per_minute: Proofs that the client's key may ask for in a minute.
        env: More variables of the workers.
    """
    place = home / "models"
    await asyncio.to_thread(place.mkdir, parents=True)
    for name in models:
        for file in MODELS.glob(f"{name}.*"):
            if file.suffix == ".onnx":
                shutil.copy(file, place)
    async with stack(home, WORKERS, MODELS_DIR=str(place), **env) as made:
        _, secret = await made.ledger.access.keys.add("bench", (PROVE, VERIFY, READ), per_minute=per_minute)
        url = f"http://127.0.0.1:{made.ports[' '.join(INGRESS)]}"
        headers = {"authorization": f"Bearer {secret}"}
        async with httpx.AsyncClient(base_url=url, timeout=120.0, headers=headers) as http:
            deadline = time.monotonic() + READY_S
            while (await http.get("/health")).status_code != 200:
                if time.monotonic() > deadline:
                    raise TimeoutError(
                        f"models are not ready: {json.dumps((await http.get('/health')).json())}"
                    )
                await asyncio.sleep(0.2)
            yield made, http
