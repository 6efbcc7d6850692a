"""Groth16 provers side by side: runs ``bench/groth16/compare.py`` with this checkout's tools, keys made once.

Circuits and keys stay in ``.provery/bench/groth16``. rapidsnark takes part where there is a C compiler to link it.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import statistics
import sys
from pathlib import Path
from typing import Any

from bench.results import Figures, figure
from provery.local import toolchain

HERE = Path(__file__).parent / "groth16"


async def run(home: Path) -> Figures:
    """Measure all circuits."""
    work = toolchain.home() / "bench" / "groth16"
    out = home / "figures.json"
    arguments = [
        "--prover",
        str(toolchain.find("provery-prover")),
        "--node-modules",
        str(toolchain.node_modules()),
    ]
    if (rapid := await rapidsnark()) is not None:
        arguments += ["--rapidsnark", str(rapid)]
    await call(sys.executable, str(HERE / "compare.py"), *arguments, "--work", str(work), "--out", str(out))
    return {name: _short(one) for name, one in _read(out).items()}


async def rapidsnark() -> Path | None:
    """Link the rapidsnark program; None without a C compiler."""
    if shutil.which("cc") is None and shutil.which("gcc") is None:
        return None
    await call("make", "rapidsnark", cwd=toolchain.ROOT)
    return toolchain.ROOT / ".provery" / "bin" / "rapidsnark-prove"


async def call(*argv: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Run a program to its end.

    Raises:
        RuntimeError: it failed.
    """
    process = await asyncio.create_subprocess_exec(*argv, cwd=cwd, env=env)
    if await process.wait() != 0:
        raise RuntimeError(f"{argv[0]} {argv[1]} ended with status {process.returncode}")


def _read(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _short(one: dict[str, Any]) -> dict[str, float | str]:
    """One figure with the medians behind it instead of every round."""
    rounds = one["detail"]["rounds"]
    provers = [name for name, row in rounds[0].items() if isinstance(row, dict)]
    medians = {name: statistics.median(row[name]["cpu_s"] for row in rounds) for name in provers}
    behind = ", ".join(f"{name} {seconds:.4g} CPU-s" for name, seconds in medians.items())
    ratios = ", ".join(f"{ratio:.2f}" for ratio in one["detail"]["ratios"])
    return figure(one["value"], "ratio", f"{behind}; paired ratios {ratios}")
