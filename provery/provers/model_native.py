"""Inferences proved by the native program: a quantised graph becomes a circuit, proved by PLONK or Groth16.

Children are resident, one per slot, and keep what proofs of the latest models take: a proof of a small model takes a
tenth of a second, and reading its key as long again. Compiling, which may take gigabytes, is for a child of its own;
verifying takes milliseconds and a child that stays.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from provery.core.errors import InvalidInput, InvalidKey, ProofRejected, ProverCrashed
from provery.core.models import (
    CALLDATA,
    INSTANCE,
    NATIVE_OPERATORS,
    PROOF,
    Compiled,
    ModelFiles,
    Shown,
    Visibility,
)
from provery.core.ports import Progress, Proof
from provery.core.types import Json
from provery.provers import native_instance as instance
from provery.provers.process import Command, Limits, limits
from provery.provers.resident import Reply, ResidentPool
from provery.provers.settings import whole
from provery.provers.statement_keys import SRS_HINT, KeyPolicy
from provery.provers.tools import Tools

GRAPH, VK, CONTRACT = "graph.json", "vk", "verifier.sol"
_FAMILY = "zkml"
_MODEL_BITS = 253
"""Of the graph's SHA-256, as a field element."""
_KEPT = 1 << 30
"""Bytes that a child keeps for proofs to come."""
_HINT = "`provery zkml add` the model again, or let all workers share one PROVERY_STATEMENT_KEYS"


log = logging.getLogger(__name__)


class NativeModels:
    """Proves inferences with circuits that ``provery-prover`` makes of graphs.

    Args:
        env: ``PROVERY_STATEMENT_KEYS`` says where keys are, ``PROVERY_ENV=production`` refuses insecure ones unless
            ``PROVERY_ALLOW_INSECURE_KEYS=1``, ``PROVERY_PROVER_MEMORY_MB`` caps a child where the stage does not.
        home: Working directory of the installation.
        slots: Proofs at a time.
    """

    name = "native"

    def __init__(self, env: Mapping[str, str], home: Path, slots: int) -> None:
        self._tools = Tools.find(env, home)
        self._policy = KeyPolicy.of(env, home)
        self._cap = cap = whole(env, "PROVERY_PROVER_MEMORY_MB", 0) << 20
        self._threads = max(1, len(os.sched_getaffinity(0)) // max(1, slots))
        self._compile = ResidentPool(self._command, default=Limits(memory=cap), max_calls=1)
        self._prove = ResidentPool(self._command, slots=slots, default=Limits(memory=cap))
        self._verify = ResidentPool(self._command, default=Limits(timeout_s=60, memory=cap))

    def refuses(self, operators: Sequence[str]) -> str:
        """The first operator that graphs are not made of."""
        return next((operator for operator in operators if operator not in NATIVE_OPERATORS), "")

    async def compile(self, model: ModelFiles, into: Path, progress: Progress) -> Compiled:
        """Make the circuit of ``graph.json``, its keys and its verifier contract.

        The key of a PLONK circuit follows from the circuit and the SRS in use. Outside production, a development SRS is
        made where there is none, and the keys of a Groth16 circuit are development keys.
        """
        graph = _file(model, GRAPH)
        text = await asyncio.to_thread(graph.read_bytes)
        facts = _facts_of(text, model)
        request = self._document(facts, graph) | {"keys": str(self._policy.directory)}
        setup = request | {"secure": self._policy.secure}
        reply = await self._call(self._compile, "circuit_setup", setup, progress)
        made = _result(reply)
        facts |= {
            "circuit": str(made.get("circuit", "")),
            "circuit_id": str(made.get("circuit_id", "")),
            "verifying_key": str(made.get("setup_id", "")),
            "constraints": str(made.get("constraints", "")),
            **_provenance(made.get("setup")),
        }
        with tempfile.TemporaryDirectory(dir=into) as folder:
            export = request | {
                "circuit_id": facts["circuit_id"],
                "setup": facts["verifying_key"],
                "out": folder,
            }
            await self._call(self._verify, "circuit_export", export, progress)
            (Path(folder) / "verifier.sol").rename(into / CONTRACT)
            (Path(folder) / "verifying_key.bin").rename(into / VK)
        return Compiled({VK: into / VK, CONTRACT: into / CONTRACT}, facts, reply.usage)

    async def prove(self, model: ModelFiles, inputs: Path, into: Path, progress: Progress) -> Proof:
        """Prove one inference; the program verifies the proof before it gives it out.

        Raises:
            InvalidInput: the inputs are malformed or out of range.
            InvalidKey: the model's key is not here, or is refused.
            ResourceExhausted: not enough memory here.
        """
        shape = instance.Shape.of(model)
        proof, public = into / PROOF, into / "public.json"
        request: dict[str, Json] = {
            **self._request(model, shape),
            "graph": str(_file(model, GRAPH)),
            "keys": str(self._policy.directory),
            "setup": shape.verifying_key,
            "secure": self._policy.secure,
            "input": str(inputs),
            "proof": str(proof),
            "public": str(public),
            "threads": self._threads,
        }
        try:
            reply = await self._call(
                self._prove, "circuit_prove", request, progress, holds=shape.verifying_key
            )
        except InvalidKey:
            if not await self._derived(model, shape, progress):
                raise
            reply = await self._call(
                self._prove, "circuit_prove", request, progress, holds=shape.verifying_key
            )
        made = _result(reply)
        values = made.get("public")
        words = instance.words_of(values if isinstance(values, dict) else {}, shape)

        def write() -> None:
            public.unlink()
            (into / INSTANCE).write_bytes(instance.write_instance(words, shape))
            data = instance.call_data(shape.scheme, proof.read_bytes(), words)
            (into / CALLDATA).write_bytes(data)

        await asyncio.to_thread(write)
        facts = {"verifying_key": shape.verifying_key, "circuit": shape.circuit, "scheme": shape.scheme}
        return Proof({name: into / name for name in (PROOF, INSTANCE, CALLDATA)}, facts, reply.usage)

    async def _derived(self, model: ModelFiles, shape: instance.Shape, progress: Progress) -> bool:
        """Make a PLONK key that another worker has made before: it follows from the graph and the SRS.

        False where it does not, or the SRS is not here either.
        """
        srs = model.facts.get("srs", "")
        if shape.scheme != "plonk" or not srs:
            return False
        request: dict[str, Json] = {
            **self._document({**model.facts, "scheme": shape.scheme}, _file(model, GRAPH)),
            "keys": str(self._policy.directory),
            "secure": self._policy.secure,
            "srs": srs,
        }
        try:
            made = _result(await self._call(self._compile, "circuit_setup", request, progress))
        except InvalidKey as error:
            log.warning("the key of %s cannot be made here: %s", shape.circuit, error)
            return False
        return made.get("setup_id") == shape.verifying_key

    async def verify(self, model: ModelFiles, proof: Mapping[str, Path]) -> Shown:
        """Check a proof with the file ``vk`` alone, whose digest the model's facts pin.

        Raises:
            ProofRejected: it does not verify, or is of another model.
            InvalidKey: the file is not the model's key, or an insecure key is refused.
        """
        shape = instance.Shape.of(model)
        if self._policy.secure and model.facts.get("insecure") != "false":
            raise InvalidKey(
                "the model has an insecure key, which production refuses",
                value=shape.verifying_key,
                action=SRS_HINT.format(name=shape.circuit),
            )
        missing = [name for name in (PROOF, INSTANCE) if name not in proof]
        if missing:
            raise ProofRejected("the proof is incomplete", value=sorted(proof), expected=", ".join(missing))
        key = _file(model, VK)
        text = await asyncio.to_thread(_bounded, proof[INSTANCE])
        words = instance.read_instance(text, shape)
        if await asyncio.to_thread(_digest, key) != shape.verifying_key:
            raise InvalidKey(
                "the verifying key is not the model's",
                value=str(key),
                expected=shape.verifying_key,
                action=_HINT,
            )
        public: dict[str, Json] = {"circuit": shape.circuit, "circuit_id": shape.circuit_id}
        if shape.scheme != "groth16":
            public["scheme"] = shape.scheme
        public["verifying_key"] = shape.verifying_key
        public["public"] = dict(sorted(instance.values_of(words, shape).items()))
        with tempfile.TemporaryDirectory() as folder:
            stated = Path(folder) / "public.json"
            await asyncio.to_thread(stated.write_text, json.dumps(public))
            request: dict[str, Json] = {
                **self._request(model, shape),
                "verifying_key": str(key),
                "proof": str(proof[PROOF]),
                "public": str(stated),
            }
            await self._call(self._verify, "circuit_verify", request, _silent)
        return instance.read_words(words, shape)

    async def close(self) -> None:
        """End the children."""
        await asyncio.gather(self._compile.close(), self._prove.close(), self._verify.close())

    def _document(self, facts: Mapping[str, str], graph: Path) -> dict[str, Json]:
        return {
            "family": _FAMILY,
            "graph": str(graph),
            "graph_sha256": facts["graph_sha256"],
            "scheme": facts["scheme"],
        }

    def _request(self, model: ModelFiles, shape: instance.Shape) -> dict[str, Json]:
        return {
            "family": _FAMILY,
            "graph_sha256": model.facts.get("graph_sha256", ""),
            "scheme": shape.scheme,
            "circuit": shape.circuit,
            "circuit_id": shape.circuit_id,
        }

    async def _call(
        self, pool: ResidentPool, op: str, request: Mapping[str, Json], progress: Progress, holds: str = ""
    ) -> Reply:
        try:
            return await pool.call(op, request, holds=holds, progress=progress)
        except InvalidKey as error:
            if error.action:
                raise
            hint = SRS_HINT.format(name="NAME") if self._policy.secure else _HINT
            raise InvalidKey(str(error), action=hint) from None

    def _command(self, _: int) -> Command:
        self._tools.need("native")
        cap = limits.get().memory or self._cap
        env = {"GOMEMLIMIT": str(cap * 9 // 10)} if cap else {}
        program = (str(self._tools.native), "serve", "--statement-bytes", str(cap // 2 if cap else _KEPT))
        return Command("the native prover", program, env)


def _facts_of(text: bytes, model: ModelFiles) -> dict[str, str]:
    """What a graph says of its public values; the program reads it strictly."""
    try:
        graph = json.loads(text)
        inputs, outputs = (_elements(graph[name]) for name in ("input_shape", "output_shape"))
        visibility, scale = Visibility(graph["visibility"]), int(graph["scale"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InvalidInput("graph.json is not a quantised graph", value=str(error)) from None
    wanted = model.settings
    if visibility is not wanted.visibility or scale != wanted.scale:
        raise InvalidInput(
            "graph.json was made with other settings",
            value=f"scale {scale}, {visibility}",
            expected=f"scale {wanted.scale}, {wanted.visibility}",
        )
    if wanted.scheme not in ("plonk", "groth16"):
        raise InvalidInput("no such scheme", value=wanted.scheme, expected="plonk or groth16")
    digest = hashlib.sha256(text).hexdigest()
    return {
        "graph_sha256": digest,
        "graph_commitment": instance.word(int(digest, 16) % (1 << _MODEL_BITS)),
        "scheme": wanted.scheme,
        "visibility": str(visibility),
        "scale": str(scale),
        "inputs": str(inputs),
        "outputs": str(outputs),
    }


def _elements(shape: object) -> int:
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n < 1 << 20 for n in shape):
        raise ValueError(f"no shape: {shape}"[:200])
    count = 1
    for n in shape:
        count *= n
    return count


def _provenance(setup: Json) -> dict[str, str]:
    told = setup if isinstance(setup, dict) else {}
    return {
        "setup": str(told.get("kind", "")),
        "insecure": "false" if told.get("insecure") is False else "true",
        **({"srs": str(told["srs"])} if told.get("srs") else {}),
    }


def _file(model: ModelFiles, name: str) -> Path:
    if name not in model.files:
        raise InvalidInput("the model lacks a file", value=sorted(model.files), expected=name)
    return model.files[name]


def _bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(instance.SIZE_LIMIT + 1)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _result(reply: Reply) -> Mapping[str, Json]:
    found = reply.result.get("result")
    if not isinstance(found, dict):
        raise ProverCrashed("the native prover gave no result", value=found, expected="an object")
    return found


def _silent(step: str, done: float, total: float) -> None:
    """For callers that show nothing."""
