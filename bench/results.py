"""The file of tracked figures: ``bench/results/latest.json``, ``{name: {value, unit, detail}}``."""

from __future__ import annotations

import json
import platform
import subprocess
from pathlib import Path

from workers.queues import cores

Figure = dict[str, float | str]
Figures = dict[str, Figure]

RESULTS = Path(__file__).parent / "results"
LATEST = RESULTS / "latest.json"


def figure(value: float, unit: str, detail: str) -> Figure:
    """One figure, rounded to what a measurement of this kind carries."""
    return {"value": round(value, 3), "unit": unit, "detail": detail}


def write(figures: Figures, path: Path = LATEST) -> None:
    """Merge figures into the file, with the commit and the machine they were taken on."""
    known: dict[str, object] = json.loads(path.read_text()) if path.exists() else {}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()
    stamp = f"commit {commit}, {cores()} cores, {platform.machine()}"
    known |= {name: {**one, "taken_on": stamp} for name, one in figures.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted(known.items())), indent=1) + "\n")
