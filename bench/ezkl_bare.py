"""Bare ezkl: child processes that do nothing but prove, what Provery's throughput and CPU time are compared with.

``python -m bench ezkl_bare`` measures; other benchmarks call :func:`prepare` and :func:`measure`. Two circuits of the
spending model: ``default``, with every setting as ezkl 23 chooses it, and ``provery``, with those that Provery's
prover chooses. ``python -m bench.ezkl_bare setup|prove …`` are the children.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.results import Figure, Figures, figure
from provery.core.models import ModelFiles, ModelSettings, Visibility
from provery.local import toolchain
from provery.provers.model_ezkl import EzklModels
from workers.queues import cores

MODEL = toolchain.ROOT / "provery" / "systems" / "zkml" / "vectors" / "models" / "spending-model.onnx"
SCALE = 12
PROOFS = 5
SECONDS = 30.0
DEFAULT, PROVERY = "default", "provery"


@dataclass(frozen=True)
class Proved:
    """What some processes side by side proved."""

    proofs: int
    wall_s: float
    """From the moment all were ready to the end of the last proof."""
    cpu_s: float
    """Of all processes while they proved."""
    seconds: tuple[float, ...]
    """Of each proof, witness included."""
    peak_rss: int
    """Of the largest process, bytes."""

    @property
    def per_minute(self) -> float:
        """Proofs a minute."""
        return 60 * self.proofs / self.wall_s

    @property
    def cpu_per_proof(self) -> float:
        """CPU seconds a proof."""
        return self.cpu_s / self.proofs


async def prepare(kind: str, scale: int = SCALE, visibility: Visibility = Visibility.PUBLIC) -> Path:
    """A folder with circuit and keys of the spending model, made once and kept under ``.provery/bench/ezkl``.

    Args:
        kind: ``default`` or ``provery``.
        scale: Bits of fraction of inputs and weights.
        visibility: Of the inputs, of kind ``provery``.
    """
    folder = toolchain.home() / "bench" / "ezkl" / f"{kind}-{visibility}-{scale}"
    if (folder / "done").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(7)
    rows = [[draw.uniform(-1, 1) for _ in range(8)] for _ in range(20)]
    (folder / "calibration.json").write_text(json.dumps({"rows": rows}))
    if kind == DEFAULT:
        child = await _start("setup", str(folder), str(scale))
        _result(await child.communicate())
    else:
        prover = EzklModels({}, folder.parent, 1)
        settings = ModelSettings(prover="ezkl", scale=scale, visibility=visibility)
        files = {"model.onnx": MODEL, "calibration.json": folder / "calibration.json"}
        try:
            await prover.compile(ModelFiles(settings, files), folder, lambda step, done, total: None)
        finally:
            await prover.close()
    salt = [0.5] * 16 if visibility is Visibility.COMMITMENT else []
    (folder / "input.json").write_text(json.dumps({"input_data": [salt + rows[0]]}))
    (folder / "done").touch()
    return folder


async def measure(folder: Path, processes: int, *, proofs: int = 0, seconds: float = 0.0) -> Proved:
    """Prove in some processes side by side that share this machine's cores evenly.

    Args:
        folder: Of :func:`prepare`, or any with what an ezkl model's ``compile`` writes and an ``input.json``.
        processes: How many.
        proofs: Of each process; or
        seconds: no process begins a proof later than this.
    """
    threads = max(1, cores() // processes)
    children = [
        await _start("prove", str(folder), str(index), str(proofs), str(seconds), threads=threads)
        for index in range(processes)
    ]
    for child in children:
        assert child.stdout is not None
        await child.stdout.readline()
    begun = time.monotonic()
    told = [_result(one) for one in await asyncio.gather(*(child.communicate(b"go\n") for child in children))]
    wall = time.monotonic() - begun
    every = tuple(s for one in told for s in one["seconds"])
    cpu, rss = sum(one["cpu_s"] for one in told), max(one["peak_rss"] for one in told)
    return Proved(len(every), wall, cpu, every, rss)


async def run(home: Path) -> Figures:
    """Both circuits, alone and with a process for each core; then what hiding the inputs costs."""
    figures: Figures = {}
    for kind in (DEFAULT, PROVERY):
        folder = await prepare(kind)
        alone = await measure(folder, 1, proofs=PROOFS)
        figures[f"zkml_ezkl_{kind}_cpu_s"] = _cpu(alone, folder)
        figures[f"zkml_ezkl_{kind}_s"] = figure(
            statistics.median(alone.seconds), "s", f"a proof, median of {PROOFS}, all cores"
        )
        loaded = await measure(folder, cores(), seconds=SECONDS)
        figures[f"zkml_ezkl_{kind}_per_minute"] = figure(
            loaded.per_minute, "1/min", f"{cores()} processes of one thread, {loaded.proofs} proofs"
        )
    for visibility in (Visibility.HASHED, Visibility.COMMITMENT):
        folder = await prepare(PROVERY, visibility=visibility)
        figures[f"zkml_ezkl_{visibility}_cpu_s"] = _cpu(await measure(folder, 1, proofs=PROOFS), folder)
    return figures


def _cpu(alone: Proved, folder: Path) -> Figure:
    settings = json.loads((folder / "settings.json").read_text())["run_args"]
    key, proof = (folder / "pk").stat().st_size, json.loads((folder / "proof-0.json").read_text())["proof"]
    return figure(
        alone.cpu_per_proof,
        "CPU-s",
        f"a proof of spending-model at scale {SCALE}: 2^{settings['logrows']} rows,"
        f" decomposition {settings['decomp_base']}^{settings['decomp_legs']}, {alone.peak_rss / 2**20:.0f} MiB,"
        f" proving key {key / 1e6:.1f} MB, proof {len(proof)} bytes",
    )


async def _start(*arguments: str, threads: int = 0) -> asyncio.subprocess.Process:
    environment = {**os.environ, **({"RAYON_NUM_THREADS": str(threads)} if threads else {})}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bench.ezkl_bare",
        *arguments,
        cwd=toolchain.ROOT,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


def _result(said: tuple[bytes, bytes | None]) -> dict[str, Any]:
    """The last line that a child wrote."""
    lines = said[0].splitlines()
    if not lines:
        raise RuntimeError("bare ezkl ended without a result; see above")
    found: dict[str, Any] = json.loads(lines[-1])
    return found


# ------------------------------------------------------------------ children


def _setup(folder: Path, scale: int) -> dict[str, Any]:
    import ezkl

    rows = json.loads((folder / "calibration.json").read_text())["rows"]
    data = folder / "rows.json"
    data.write_text(json.dumps({"input_data": [[x for row in rows for x in row]]}))
    arguments: Any = ezkl.PyRunArgs()
    arguments.input_visibility, arguments.output_visibility = "public", "public"
    arguments.param_visibility = "fixed"
    settings, circuit, srs = folder / "settings.json", folder / "circuit.ezkl", folder / "srs"
    ezkl.gen_settings(MODEL, settings, arguments)
    ezkl.calibrate_settings(str(data), MODEL, settings, "resources", 2.0, [scale], [1, 10], None)
    ezkl.compile_circuit(MODEL, circuit, settings)
    ezkl.gen_srs(srs, json.loads(settings.read_text())["run_args"]["logrows"])
    ezkl.setup(circuit, folder / "vk", folder / "pk", srs, None, False)
    return {}


def _prove(folder: Path, index: int, proofs: int, seconds: float, say: Any) -> dict[str, Any]:
    import ezkl

    witness, proof = folder / f"witness-{index}.json", folder / f"proof-{index}.json"
    circuit, srs = folder / "circuit.ezkl", folder / "srs"
    say({"ready": True})
    sys.stdin.readline()
    begun, cpu = time.monotonic(), time.process_time()
    took: list[float] = []
    while len(took) < proofs if proofs else time.monotonic() - begun < seconds:
        start = time.monotonic()
        ezkl.gen_witness(str(folder / "input.json"), circuit, witness, folder / "vk", srs)
        ezkl.prove(witness, circuit, folder / "pk", proof, srs)
        took.append(time.monotonic() - start)
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"seconds": took, "cpu_s": time.process_time() - cpu, "peak_rss": rss}


def main(arguments: Sequence[str]) -> None:
    """Of a child."""
    out = os.dup(1)
    os.dup2(2, 1)  # ezkl prints

    def say(message: dict[str, Any]) -> None:
        os.write(out, json.dumps(message).encode() + b"\n")

    folder = Path(arguments[1])
    if arguments[0] == "setup":
        say(_setup(folder, int(arguments[2])))
    else:
        say(_prove(folder, int(arguments[2]), int(arguments[3]), float(arguments[4]), say))
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
