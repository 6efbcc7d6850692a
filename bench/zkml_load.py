"""The API under load: 1, 4 and 16 clients, against bare ezkl children; fairness between two keys; overload.

``zkml_load_ratio_*``: proofs a minute by the ezkl prover through HTTP and Temporal, over what as many bare ezkl
children as there are cores make of the same model without either, in the same run on the same machine. The children
use the circuit that ezkl itself chooses; ``zkml_load_ratio_tuned_*`` compares with children that use the circuit that
Provery chooses, a tenth of the work, where the cost of everything else shows. Each part takes
``PROVERY_BENCH_LOAD_S`` seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from collections import Counter
from pathlib import Path

import httpx

from bench.ezkl_bare import DEFAULT, PROVERY, SCALE, measure, prepare
from bench.results import Figures, figure
from bench.zkml import SPENDING, ask, inputs, served
from provery.core.access import PROVE

SECONDS = float(os.environ.get("PROVERY_BENCH_LOAD_S", "60"))
CLIENTS = (1, 4, 16)
_numbers = itertools.count(10_000)


async def run(home: Path) -> Figures:
    """Load the API in every way; a response of 500 or above, or a time-out, raises."""
    figures: Figures = {}
    ezkl = {"PROVERY_ZKML_PROVER": "ezkl", "PROVERY_ZKML_SCALE": str(SCALE), "PROVERY_ZKML_TOLERANCE": "1"}
    bare = {
        (kind, n): (await measure(await prepare(kind), n, seconds=SECONDS)).per_minute
        for kind in (PROVERY, DEFAULT)
        for n in (1, 2)
    }
    async with served(home / "ezkl", [SPENDING], PROOF_TIMEOUT_MS="600000", **ezkl) as (_, http):
        for clients in CLIENTS:
            made, _ = await load([http] * clients, SECONDS)
            per_minute = sum(made) * 60 / SECONDS
            # One client cannot keep two cores busy: it is measured against one bare child with both.
            children = min(clients, 2)
            for kind, name in ((DEFAULT, "zkml_load_ratio"), (PROVERY, "zkml_load_ratio_tuned")):
                against = bare[kind, children]
                figures[f"{name}_{clients}"] = figure(
                    per_minute / against,
                    "ratio",
                    f"{per_minute:.1f} proofs a minute, {children} bare ezkl children {against:.1f}",
                )
    async with served(home / "native", [SPENDING], PROVERY_ZKML_QUEUE_LIMIT="32") as (stack, http):
        others = []
        for name in ("left", "right"):
            _, secret = await stack.ledger.access.keys.add(name, (PROVE,), per_minute=1e6)
            url, header = str(http.base_url), {"authorization": f"Bearer {secret}"}
            others.append(httpx.AsyncClient(base_url=url, timeout=120.0, headers=header))
        made, _ = await load([others[0]] * 12 + [others[1]] * 4, SECONDS)
        shares = sum(made[:12]), sum(made[12:])
        refused, waited = await overload(http)
        for one in others:
            await one.aclose()
    figures["zkml_fair_share"] = figure(
        shares[0] / sum(shares),
        "share",
        f"of a key with 12 clients beside an equal one with 4: {shares[0]} and {shares[1]}",
    )
    figures["zkml_overload_429"] = figure(
        refused["429"] / refused.total(),
        "share",
        f"of 400 requests at once: {dict(refused)}; the slowest answer took {waited:.1f} s",
    )
    return figures


async def load(clients: list[httpx.AsyncClient], seconds: float) -> tuple[list[int], list[float]]:
    """Every client asks one after the other until the time is over; how many answers each got, and the waits."""
    end, waits = time.perf_counter() + seconds, []

    async def one(http: httpx.AsyncClient) -> int:
        got = 0
        while time.perf_counter() < end:
            began = time.perf_counter()
            await ask(http, SPENDING, inputs(next(_numbers)))
            waits.append(time.perf_counter() - began)
            got += time.perf_counter() < end
        return got

    made = await asyncio.gather(*(one(http) for http in clients))
    return list(made), [statistics.median(waits)]


async def overload(http: httpx.AsyncClient) -> tuple[Counter[str], float]:
    """400 requests at once: how many ended how, and how long the slowest took."""
    slowest = 0.0

    async def one() -> str:
        nonlocal slowest
        began = time.perf_counter()
        answer = await http.post(
            "/prove", json={"model_id": SPENDING, "inputs": inputs(next(_numbers)), "tag": "load"}
        )
        slowest = max(slowest, time.perf_counter() - began)
        assert answer.status_code in (200, 429), answer.text
        assert answer.status_code == 200 or int(answer.headers["retry-after"]) >= 1
        return str(answer.status_code)

    async with httpx.AsyncClient(
        base_url=str(http.base_url),
        timeout=120.0,
        headers=http.headers,
        limits=httpx.Limits(max_connections=400),
    ) as wide:
        http = wide
        return Counter(await asyncio.gather(*(one() for _ in range(400)))), slowest
