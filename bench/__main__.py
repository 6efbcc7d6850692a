"""``python -m bench [NAME...]``: run benchmarks in turn; merge their figures into results/latest.json."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from bench.results import write

NAMES = ("dispatch", "queue_jobs", "groth16_figures", "memory")
LONG = ("beacon_circuits", "hotshot_circuits", "lane", "ezkl_bare", "zkml", "zkml_load")
"""Run only when named: minutes, and for the circuits gigabytes of memory and disk."""


def main(names: list[str]) -> int:
    """Run, print, record; 2 for an unknown name."""
    unknown = [name for name in names if name not in NAMES + LONG]
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}; expected {', '.join(NAMES + LONG)}\n")
        return 2
    for name in names or NAMES:
        with tempfile.TemporaryDirectory(prefix=f"provery-bench-{name}-") as home:
            figures = asyncio.run(import_module(f"bench.{name}").run(Path(home)))
        write(figures)
        sys.stdout.write(json.dumps({name: figures}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
