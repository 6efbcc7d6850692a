"""Cases of the zkml system: a client asks for an inference, something dies, and the client goes on polling."""

from __future__ import annotations

import asyncio
import itertools
import time
from typing import Any

import httpx

from provery.core.types import Unit
from tests.faults import processes
from tests.faults.accounting import Evidence, count
from tests.faults.cases import IN_PROVE, Case
from tests.faults.gates import API
from tests.faults.rig import REVIVAL_S, Rig, until
from tests.faults.seen import DONE_S, Seen

MODEL = "spending-model"
REACH_S = 90.0
READY_S = 180.0
"""How long the API may take to add its model: an SRS, keys, a proof."""
POLL_S = 2
_numbers = itertools.count(1)


class Client:
    """Asks and polls as a patient client does: whatever answers nothing, or 503, is asked again.

    Args:
        rig: Whose API.
    """

    def __init__(self, rig: Rig) -> None:
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{rig.workers[API].port}", timeout=20.0)

    async def ready(self) -> bool:
        """Whether the model is on the list."""
        try:
            return (await self._http.get("/health")).status_code == 200
        except httpx.TransportError:
            return False

    async def ask(self, inputs: list[float]) -> str:
        """Have a request accepted; asking again for the same attaches."""
        found = await self._patiently("POST", "/v1/proofs", json={"model_id": MODEL, "inputs": inputs})
        return str(found["id"])

    async def result(self, id: str) -> tuple[dict[str, Any], float]:
        """Poll until a proof has ended; what was said, and when, in seconds since the epoch."""
        while True:
            found = await self._patiently("GET", f"/v1/proofs/{id}", params={"wait": POLL_S})
            if found["status"] in ("done", "failed", "cancelled"):
                return found, time.time()

    async def verifies(self, proof: dict[str, Any]) -> bool:
        """Whether /verify takes a proof for what its own metadata say."""
        said = proof["metadata"]
        body = {"proof": proof["proof"], "model_hash": said["model_hash"], "input_hash": said["input_hash"]}
        return (await self._patiently("POST", "/verify", json=body))["valid"] is True

    async def close(self) -> None:
        """Close connections."""
        await self._http.aclose()

    async def _patiently(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        deadline = time.monotonic() + DONE_S
        while True:
            try:
                answer = await self._http.request(method, path, **what)
                if answer.status_code < 400:
                    found: dict[str, Any] = answer.json()
                    return found
                if answer.status_code not in (429, 503):
                    raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
            except httpx.TransportError:
                pass
            if time.monotonic() > deadline:
                raise TimeoutError(f"{method} {path}: no answer in {DONE_S:.0f} s")
            await asyncio.sleep(0.2)


async def run(rig: Rig, case: Case) -> Seen:
    """Ask for one inference, break something at the boundary, get the proof."""
    await serve(rig)
    client = Client(rig)
    try:
        return await _run(rig, case, client)
    finally:
        await client.close()


async def serve(rig: Rig) -> None:
    """Have the API serve its model, with a prover child that has the model's key."""
    if not rig.workers[API].alive:
        await rig.workers[API].start()
    client = Client(rig)
    try:
        if not await until(client.ready, READY_S, 0.2):
            raise TimeoutError(f"the API is not ready; see {rig.home / 'logs'}")
        if not processes.provers(rig.home):
            await client.result(await client.ask(inputs()))
    finally:
        await client.close()


def inputs() -> list[float]:
    """Inputs that nobody has asked for."""
    return [next(_numbers) / 1024, 1.0, 0.2, 0.5, 0.95, 1.0, 0.5, 0.5]


async def _run(rig: Rig, case: Case, client: Client) -> Seen:
    seen = Seen([], "-")
    gate = "before-prove" if case.gate == IN_PROVE else case.gate
    rig.hold(gate)
    id = await client.ask(inputs())
    seen.ids = [f"proof-{id}"]
    polling = asyncio.create_task(client.result(id))
    try:
        if not await until(lambda: rig.reached(gate), REACH_S, 0.01):
            seen.problems.append(f"{gate} was not reached in {REACH_S:.0f} s")
        if case.gate == IN_PROVE:
            rig.release()
            await asyncio.sleep(0.02)
        await rig.kill(case.fault)
        seen.broken = time.time()
        rig.release()
        await asyncio.sleep(REVIVAL_S)
        seen.orphans += await rig.orphans()
    finally:
        rig.release()
        await rig.mend()
    try:
        async with asyncio.timeout(DONE_S):
            answer, answered = await polling
            if answered <= seen.broken:  # the proof was there before the fault; it has to be there after it
                answer, answered = await client.result(id)
    except TimeoutError:
        answer, answered = {}, 0.0
        seen.problems.append(f"no answer in {DONE_S:.0f} s")
    proof = answer.get("result", {}).get("proof")
    verified = isinstance(proof, dict) and await client.verifies(proof)
    seen.evidence = await _gather(rig, seen, answer, answered, verified=verified)
    seen.counts = count(seen.evidence)
    for name in rig.collapsed:
        seen.problems.append(f"{name} ended by itself: {rig.process(name).log_tail()[-600:]}")
    return seen


async def _gather(
    rig: Rig, seen: Seen, answer: dict[str, Any], answered: float, *, verified: bool
) -> Evidence:
    """As for jobs: what the client got is the row, and that it got it the event."""
    (key,) = seen.ids
    unit = Unit("zkml", "default", key)
    return Evidence(
        audits={key: await rig.ledger.audit(unit)},
        rows={key: {"status": answer.get("status", "lost"), "proof": verified, "error": answer.get("error")}},
        events=[{"event": "completed", "jobId": key, "at": answered}],
        orphans=seen.orphans or await rig.orphans(),
        deliveries={key: key},
    )
