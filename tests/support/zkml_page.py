"""A server with the page and the part of the HTTP API that the page uses, for tests in a browser.

It answers in the documented shapes and its proofs are checked for what they are: bytes that this server gave out for
these hashes and outputs. Nothing is proved.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import prod
from typing import Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from provery.api.app import create_app
from provery.chain.signers import keccak256
from provery.systems.zkml.page import page_routes

STAGES = ("witness", "prove", "verify")
STEPS = 4
KEY = "a-secret-that-nobody-may-see"


@dataclass(frozen=True)
class Model:
    """A model as /models tells it; ``stage_s`` is how long a stage of its proofs takes."""

    id: str
    name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    stage_s: float = 0.1
    fails: bool = False
    example: tuple[float, ...] = ()

    @property
    def hash(self) -> str:
        return hexed(keccak256(self.id.encode()))

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "input_shape": list(self.input_shape),
            "output_shape": list(self.output_shape),
            "version": hashlib.sha256(self.id.encode()).hexdigest(),
            "model_hash": self.hash,
            "prover": "native",
            "visibility": "public",
        }


MODELS = {
    model.id: model
    for model in (
        Model("spending-model", "Spending Model", (1, 8), (1, 3)),
        Model("digits", "Digits", (1, 1, 8, 8), (1, 10)),
        Model("slow", "Slow", (1, 2), (1, 3), stage_s=30),
        Model("failing", "Failing", (2, 2), (1, 3), fails=True),
    )
}


@dataclass
class Proof:
    """A proof under way or made, and what was told of it so far."""

    id: str
    model: Model
    inputs: list[float]
    bytes: str = field(default_factory=lambda: hexed(secrets.token_bytes(584)))
    status: str = "running"
    code: str = ""
    error: str = ""
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None

    @property
    def outputs(self) -> list[float]:
        mean = sum(self.inputs) / len(self.inputs)
        return [round(mean * (index + 1) % 1, 6) for index in range(prod(self.model.output_shape))]

    @property
    def claim(self) -> dict[str, Any]:
        return {
            "proof": self.bytes,
            "model_hash": self.model.hash,
            "input_hash": floats_hash(self.inputs),
            "expected_output": self.outputs,
            "program_io": hexed(json.dumps(self.inputs).encode()),
        }

    def tell(self, event: str, **data: Any) -> None:
        self.told.append((event, {"id": self.id, **data}))
        self.news.set()
        self.news = asyncio.Event()

    async def make(self) -> None:
        for stage in STAGES:
            self.tell("stage", stage=stage, status="running")
            for step in range(STEPS):
                self.tell("progress", stage=stage, step=f"step {step + 1}", progress=step / STEPS)
                await asyncio.sleep(self.model.stage_s / STEPS)
            if self.model.fails and stage == "prove":
                return self.end(
                    "failed", "proof_failed", "the proof could not be made (ProverCrashed); ask again"
                )
        self.end("done")

    def end(self, status: str, code: str = "", error: str = "") -> None:
        self.status, self.code, self.error = status, code, error
        self.told.append(("end", self.document()))
        self.news.set()

    def document(self) -> dict[str, Any]:
        """How it stands, as ``/v1/proofs/{id}`` says."""
        told: dict[str, Any] = {"id": self.id, "status": self.status, "stages": [*STAGES, "submit"]}
        if self.status == "done":
            return {**told, "success": True, "model_id": self.model.id, "result": self.result()}
        if self.status != "running":
            return {**told, "success": False, "error": self.error, "code": self.code}
        now: dict[str, Any] = next((data for _, data in reversed(self.told) if "step" in data), {})
        return {**told, **now}

    def result(self) -> dict[str, Any]:
        raw = self.outputs
        best = max(range(len(raw)), key=raw.__getitem__)
        metadata = {
            "model_hash": self.model.hash,
            "input_hash": floats_hash(self.inputs),
            "output_hash": floats_hash(raw),
            "proof_size": 584,
            "generation_time": 210,
            "prover_version": "0.1.0",
            "prover": "native",
            "scheme": "plonk",
        }
        return {
            "proof": {
                "proof": self.bytes,
                "proof_hash": hexed(keccak256(bytes.fromhex(self.bytes[2:]))),
                "program_io": hexed(json.dumps(self.inputs).encode()),
                "metadata": metadata,
                "tag": "inference",
                "timestamp": 1_703_894_400_000,
            },
            "inference": {
                "output": best,
                "raw_output": raw,
                "decision": "approve" if best else "reject",
                "confidence": 87,
            },
            "inputs": self.inputs,
        }


class Proofs:
    """The server's state."""

    def __init__(self) -> None:
        self.known: dict[str, Proof] = {}
        self.requests: list[dict[str, Any]] = []

    def app(self) -> FastAPI:
        app = create_app([page_routes()])

        @app.middleware("http")
        async def authorised(request: Request, call: Any) -> Response:
            given = request.headers.get("authorization")
            if given not in (None, f"Bearer {KEY}"):
                return refused(401, "unauthorized", "the API key is unknown or revoked")
            answer: Response = await call(request)
            return answer

        app.add_api_route("/models", self.models)
        app.add_api_route("/v1/proofs", self.start, methods=["POST"])
        app.add_api_route("/v1/proofs/{id}", self.show)
        app.add_api_route("/v1/proofs/{id}", self.cancel, methods=["DELETE"])
        app.add_api_route("/v1/proofs/{id}/events", self.events)
        app.add_api_route("/verify", self.verify, methods=["POST"])
        return app

    async def models(self) -> dict[str, Any]:
        return {"models": [model.document() for model in MODELS.values()]}

    async def start(self, body: dict[str, Any]) -> Response:
        if unknown := body.keys() - {"model_id", "inputs", "tag", "attest", "webhook"}:
            return refused(400, "invalid_request", f"{min(unknown)}: Extra inputs are not permitted")
        model = MODELS.get(body["model_id"])
        if model is None:
            return refused(404, "model_not_found", f"Model not found: {body['model_id']}")
        inputs = [float(value) for value in body["inputs"]]
        if len(inputs) != prod(model.input_shape):
            return refused(400, "wrong_shape", f"inputs has {len(inputs)} numbers")
        worst = max(inputs, key=abs)
        if abs(worst) > 4096:
            return refused(
                400, "invalid_input", f"inputs[{inputs.index(worst)}] is outside the model's range"
            )
        id = hashlib.sha256(json.dumps([model.id, inputs]).encode()).hexdigest()
        proof = self.known.get(id)
        if proof is None or proof.status in ("failed", "cancelled"):
            proof = self.known[id] = Proof(id, model, inputs)
            proof.task = asyncio.create_task(proof.make())
        self.requests.append(body)
        return JSONResponse(proof.document(), 202)

    async def show(self, id: str, wait: float = 0) -> Response:
        proof = self.known.get(id)
        if proof is None:
            return refused(404, "proof_not_found", "no such proof")
        if proof.task is not None and wait:
            await asyncio.wait([proof.task], timeout=wait)
        return JSONResponse(proof.document())

    async def cancel(self, id: str) -> Response:
        proof = self.known[id]
        if proof.status != "running":
            return refused(409, "already_ended", "the proof has ended and cannot be cancelled")
        if proof.task is not None:
            proof.task.cancel()
        proof.end("cancelled", "cancelled", "the proof was cancelled")
        return JSONResponse({"id": id, "status": "cancelled", "withdrawn": True})

    async def events(self, id: str, request: Request) -> Response:
        proof = self.known.get(id)
        if proof is None:
            return refused(404, "proof_not_found", "no such proof")
        seen = int(request.headers.get("last-event-id", "0"))
        return StreamingResponse(lines(proof, seen), media_type="text/event-stream")

    async def verify(self, body: dict[str, Any]) -> dict[str, Any]:
        valid = any(proof.claim == body for proof in self.known.values() if proof.status == "done")
        reason = {} if valid else {"error": "the proof does not verify"}
        return {"valid": valid, "verification_time_ms": 4, **reason}


@asynccontextmanager
async def serving(proofs: Proofs) -> AsyncIterator[str]:
    """Listen on a free port; gives the address."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(proofs.app(), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    server.capture_signals = suppress  # type: ignore[method-assign, assignment]
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        tasks = [proof.task for proof in proofs.known.values() if proof.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        server.should_exit = server.force_exit = True
        await running


async def lines(proof: Proof, seen: int) -> AsyncIterator[str]:
    """Events after number ``seen``, as they come."""
    yield "retry: 2000\n\n"
    while True:
        news = proof.news
        for event, data in proof.told[seen:]:
            seen += 1
            yield f"id: {seen}\nevent: {event}\ndata: {json.dumps(data)}\n\n"
            if event == "end":
                return
        await news.wait()


def hexed(value: bytes) -> str:
    return "0x" + value.hex()


def floats_hash(values: list[float]) -> str:
    return hexed(keccak256(struct.pack(f"<{len(values)}d", *values)))


def refused(status: int, code: str, error: str) -> Response:
    return JSONResponse({"success": False, "error": error, "code": code}, status)
