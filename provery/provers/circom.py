"""What the three provers share: the prover port over a pool of resident children that speak one protocol."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from provery.core.errors import ProofRejected, ProverCrashed, ProveryError, shorten
from provery.core.ports import CircuitFiles, ItemResult, Progress, ProveItem, Usage, VerifyItem, WitnessItem
from provery.core.redact import redact
from provery.core.types import Json
from provery.provers.failures import error_of_reply
from provery.provers.process import NO_LIMITS, Command, Limits
from provery.provers.resident import Reply, ResidentPool

_INLINE = 65_536
"""Bytes of inputs sent in the request itself; the program reads lines of up to 64 MiB."""


@dataclass(frozen=True)
class Device:
    """What a slot's child computes on."""

    env: Mapping[str, str]
    """``CUDA_VISIBLE_DEVICES`` and the like."""
    label: str
    """For the record of the attempt."""


@dataclass(frozen=True)
class PoolSettings:
    """How a prover's children are kept; read from the environment by ``build_provers``."""

    slots: int = 1
    devices: tuple[Device, ...] = ()
    """One per slot, where slots have devices."""
    default: Limits = NO_LIMITS
    max_calls: int = 0
    max_rss: int = 0
    """Bytes."""

    def pool(self, make: Callable[[], Command]) -> ResidentPool:
        """A pool whose children run ``make()``, each on its slot's device."""

        def command(slot: int) -> Command:
            made = make()
            if slot >= len(self.devices):
                return made
            device = self.devices[slot]
            return replace(made, env={**made.env, **device.env}, device=device.label)

        return ResidentPool(
            command, slots=self.slots, default=self.default, max_calls=self.max_calls, max_rss=self.max_rss
        )


class ResidentProver:
    """The prover port over a pool."""

    name = ""

    def __init__(self, pool: ResidentPool) -> None:
        self.pool = pool

    async def witness(
        self, circuit: CircuitFiles, items: Sequence[WitnessItem], progress: Progress
    ) -> list[ItemResult]:
        """Compute witnesses."""
        asked = await asyncio.to_thread(lambda: [_witness_item(item) for item in items])
        request: dict[str, Json] = {
            "wasm": str(circuit.wasm),
            "wasm_sha256": circuit.wasm_sha256,
            "items": list(asked),
        }
        try:
            return await self._call("witness", request, circuit, progress)
        finally:
            for item in asked:
                if "input_path" in item:
                    with contextlib.suppress(OSError):
                        os.unlink(str(item["input_path"]))

    async def prove(
        self, circuit: CircuitFiles, items: Sequence[ProveItem], progress: Progress
    ) -> list[ItemResult]:
        """Make proofs; each is verified before it is written."""
        request: dict[str, Json] = {
            "zkey": str(circuit.zkey),
            "zkey_sha256": circuit.zkey_sha256,
            "items": [
                {"wtns": str(item.wtns), "proof": str(item.proof), "public": str(item.public)}
                for item in items
            ],
        }
        return await self._call("prove", request, circuit, progress)

    async def verify(self, circuit: CircuitFiles, items: Sequence[VerifyItem]) -> list[ItemResult]:
        """Check proofs."""
        request: dict[str, Json] = {
            "vkey": str(circuit.vkey),
            "vkey_sha256": circuit.vkey_sha256,
            "items": [{"proof": str(item.proof), "public": str(item.public)} for item in items],
        }
        return await self._call("verify", request, circuit, None)

    async def warm(self) -> Mapping[str, Json]:
        """Start the children now instead of at their first call."""
        return await self.pool.warm()

    async def close(self) -> None:
        """End the children."""
        await self.pool.close()

    async def _call(
        self, op: str, request: dict[str, Json], circuit: CircuitFiles, progress: Progress | None
    ) -> list[ItemResult]:
        items = request["items"]
        count = len(items) if isinstance(items, list) else 0
        if not count:
            return []
        reply = await self.pool.call(op, request, holds=circuit.version, progress=progress)
        return results(self.name, reply, count)


def _witness_item(item: WitnessItem) -> dict[str, Json]:
    """An item of a witness request; large inputs go through a file, because request lines are bounded."""
    data = json.dumps(dict(item.inputs), allow_nan=False)
    if len(data) <= _INLINE:
        return {"input": dict(item.inputs), "out": str(item.out)}
    path = item.out.with_name(f"{item.out.name}.input.json")
    path.write_text(data)
    return {"input_path": str(path), "out": str(item.out)}


def results(name: str, reply: Reply, count: int) -> list[ItemResult]:
    """The item results of a reply.

    Raises:
        ProverCrashed: if there is not exactly one per item.
    """
    items = reply.result.get("items")
    if not isinstance(items, list) or len(items) != count:
        got = len(items) if isinstance(items, list) else items
        raise ProverCrashed(f"{name} did not answer for every item", value=got, expected=f"{count} items")
    return [_result(name, item, reply.usage, count) for item in items]


def _result(name: str, item: Json, whole: Usage, count: int) -> ItemResult:
    if not isinstance(item, dict):
        raise ProverCrashed(f"{name} broke the protocol", value=item, expected="an object per item")

    def seconds(key: str, otherwise: float) -> float:
        value = item.get(key)
        return float(value) if isinstance(value, int | float) and value >= 0 else otherwise

    # Memory is the child's: the items of a call share it. Time is each item's own, or an equal part of the call's.
    usage = replace(
        whole, cpu_s=seconds("cpu_s", whole.cpu_s / count), wall_s=seconds("wall_s", whole.wall_s / count)
    )
    error: ProveryError | None = None
    if item.get("ok") is not True:
        error = error_of_reply(name, item.get("error"))
    elif item.get("valid") is False:
        why = redact(shorten(str(item.get("reason", "")), 500))
        error = ProofRejected(f"{name}: the proof does not verify: {why}")
    detail = {key: value for key, value in item.items() if key not in ("ok", "error", "cpu_s", "wall_s")}
    return ItemResult(error, usage, detail)
