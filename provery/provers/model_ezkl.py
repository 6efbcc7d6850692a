"""ezkl as a prover of models: Halo2 with KZG over BN254, in resident children.

ezkl reads its keys from their files at every proof, so a resident child saves the start of an interpreter and keeps the
files in the kernel's cache, no more. A model is compiled by a child of its own, which gives all its memory back.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from provery.core.errors import ConfigurationError, InvalidKey, ProofRejected
from provery.core.models import (
    CALLDATA,
    INSTANCE,
    PROOF,
    Compiled,
    ModelFiles,
    Shown,
)
from provery.core.ports import Progress, Proof
from provery.core.types import Json
from provery.provers.ezkl.instance import parse_instance
from provery.provers.ezkl.operators import REFUSED
from provery.provers.process import Command, Limits
from provery.provers.resident import ResidentPool
from provery.provers.settings import whole
from provery.provers.statement_keys import KeyPolicy

FILES = ("circuit.ezkl", "pk", "settings.json", "srs", "verifier.sol", "vk")
"""What ``compile`` writes."""
_NOWHERE = "http://127.0.0.1:9"
_KEEPS = 512 << 20
"""Resident bytes that an idle child may keep; ezkl's allocator does not give all back after a large model."""


class EzklModels:
    """Proves inferences with ezkl, which the optional extra ``provery[ezkl]`` installs.

    Args:
        env: ``PROVERY_ZKML_EZKL_SRS`` names an SRS file or a folder of them; ``PROVERY_ENV=production`` refuses a
            development SRS unless ``PROVERY_ALLOW_INSECURE_KEYS=1``; ``PROVERY_PROVER_MEMORY_MB`` caps a child where
            the stage does not.
        home: Working directory of the installation.
        slots: Proofs at a time.
    """

    name = "ezkl"

    def __init__(self, env: Mapping[str, str], home: Path, slots: int) -> None:
        self._srs = env.get("PROVERY_ZKML_EZKL_SRS", "")
        self._secure = KeyPolicy.of(env, home).secure
        self._home = (home / "ezkl").absolute()
        self._threads = max(1, len(os.sched_getaffinity(0)) // max(1, slots))
        default = Limits(memory=whole(env, "PROVERY_PROVER_MEMORY_MB", 0) << 20)
        self._compile = ResidentPool(self._command, default=default, max_calls=1)
        self._prove = ResidentPool(self._command, slots=slots, default=default, max_rss=_KEEPS)
        self._verify = ResidentPool(self._command, default=default, max_rss=_KEEPS)

    @staticmethod
    def installed() -> bool:
        """Whether ezkl is there. It is not imported: an import alone takes its memory."""
        return importlib.util.find_spec("ezkl") is not None

    def refuses(self, operators: Sequence[str]) -> str:
        """The first operator that it cannot prove; empty where it may: ``compile`` has the last word."""
        return next((name for name in operators if name.rpartition(".")[2] in REFUSED), "")

    async def compile(self, model: ModelFiles, into: Path, progress: Progress) -> Compiled:
        """Make circuit, keys and verifier contract of ``model.onnx`` and ``calibration.json``.

        Raises:
            InvalidInput: ezkl cannot prove the model, or not within its tolerance.
            InvalidKey: no usable SRS.
            ResourceExhausted: not enough memory here.
            ConfigurationError: ezkl is not installed.
        """
        request: dict[str, Json] = {
            "model": str(_need(model, "model.onnx")),
            "calibration": str(_need(model, "calibration.json")),
            "into": str(into),
            "scale": model.settings.scale,
            "visibility": str(model.settings.visibility),
            "tolerance": model.settings.tolerance,
            "srs": self._srs,
            "cache": "" if self._secure else str(self._home),
        }
        reply = await self._compile.call("compile", request, progress=progress)
        told = reply.result.get("facts")
        facts = {name: str(value) for name, value in told.items()} if isinstance(told, dict) else {}
        return Compiled({name: into / name for name in FILES}, facts, reply.usage)

    async def prove(self, model: ModelFiles, inputs: Path, into: Path, progress: Progress) -> Proof:
        """Prove one inference; the proof is verified by ezkl before this returns.

        Raises:
            InvalidInput: the inputs are malformed, or outside the range of the circuit.
            InvalidKey: a key that production refuses, or one that is not the pinned one.
            ResourceExhausted: not enough memory here.
        """
        self._accept(model)
        request: dict[str, Json] = {
            **_order(model, "circuit.ezkl", "pk", "settings.json", "srs", "vk"),
            "inputs": str(inputs),
            "into": str(into),
        }
        reply = await self._prove.call("prove", request, progress=progress)
        seconds = reply.result.get("seconds")
        times = seconds if isinstance(seconds, dict) else {}
        facts = {name: model.facts[name] for name in ("circuit", "insecure", "verifying_key")}
        facts |= {name: f"{value:.3f}" for name, value in times.items() if isinstance(value, int | float)}
        facts |= {"cpu_s": f"{reply.usage.cpu_s:.3f}", "peak_rss": str(reply.usage.peak_rss)}
        return Proof({name: into / name for name in (PROOF, INSTANCE, CALLDATA)}, facts, reply.usage)

    async def verify(self, model: ModelFiles, proof: Mapping[str, Path]) -> Shown:
        """Check a proof and its public values against the model's pinned verifying key; milliseconds.

        Raises:
            ProofRejected: it does not verify, or is of another model.
            InvalidKey: a key that production refuses, or one that is not the pinned one.
        """
        self._accept(model)
        missing = [name for name in (PROOF, INSTANCE) if name not in proof]
        if missing:
            raise ProofRejected("the proof is incomplete", value=sorted(proof), expected=", ".join(missing))
        size, facts = int(model.facts["proof_size"]), model.facts
        data = _read(proof[PROOF], size)
        if len(data) != size:
            raise ProofRejected("the proof has another length", value=len(data), expected=f"{size} bytes")
        counts = (int(facts["inputs"]), int(facts["outputs"]))
        told = parse_instance(_read(proof[INSTANCE]), model.settings.visibility, data, *counts)
        claimed = {
            "circuit": told.circuit,
            "verifying_key": told.verifying_key,
            "output_scale": str(told.scale),
        }
        for name, value in claimed.items():
            if value != facts[name]:
                raise ProofRejected(f"the proof is of another {name}", value=value, expected=facts[name])
        public: list[Json] = [f"0x{value:064x}" for value in told.public]
        request: dict[str, Json] = {
            **_order(model, "settings.json", "srs", "vk"),
            "proof": str(proof[PROOF]),
            "public": public,
        }
        await self._verify.call("verify", request)
        return told.shown()

    def state(self) -> dict[str, Json]:
        """Slots and running children, for health pages; ``compiling`` are those that add models."""
        return {**self._prove.state(), "compiling": self._compile.state()["pids"]}

    async def close(self) -> None:
        """End the children."""
        for pool in (self._compile, self._prove, self._verify):
            await pool.close()

    def _accept(self, model: ModelFiles) -> None:
        if self._secure and model.facts.get("insecure") != "false":
            raise InvalidKey(
                "the model was compiled with a development SRS, which production refuses",
                value=model.facts.get("verifying_key"),
                action="set PROVERY_ZKML_EZKL_SRS and add the model again (docs/zkml-ezkl.md)",
            )

    def _command(self, _: int) -> Command:
        if not self.installed():
            raise ConfigurationError(
                "the prover ezkl is not installed",
                action="install the extra provery[ezkl] (docs/zkml-ezkl.md), or choose the prover native",
            )
        self._home.mkdir(parents=True, exist_ok=True)
        # ezkl would download a compiler and look for settings in the user's folder: it gets neither.
        proxies = {name: _NOWHERE for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")}
        env = {
            **proxies,
            **{name.lower(): value for name, value in proxies.items()},
            "EZKL_REPO_PATH": str(self._home),
            "HOME": str(self._home),
            "RAYON_NUM_THREADS": str(self._threads),
        }
        return Command("ezkl", (sys.executable, "-I", "-m", "provery.provers.ezkl.child"), env)


def _order(model: ModelFiles, *names: str) -> dict[str, Json]:
    return {
        "files": {name: str(_need(model, name)) for name in names},
        "facts": dict(model.facts),
        "visibility": str(model.settings.visibility),
    }


def _need(model: ModelFiles, name: str) -> Path:
    path = model.files.get(name)
    if path is None:
        raise ConfigurationError(
            f"the model's {name} was not given", value=sorted(model.files), expected=name
        )
    return path


def _read(path: Path, limit: int = 16 << 20) -> bytes:
    """A file's first bytes, one more than allowed at most."""
    with path.open("rb") as file:
        return file.read(limit + 1)
