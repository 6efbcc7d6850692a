"""Another system is one folder and one line of the registry: a copy of the tree gets one, and nothing else changes."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

from tests.architecture.test_import_contracts import copy_of_the_tree, lint

FOLDER = {
    "__init__.py": '''
        """Proves that a number is the sum of two others."""
        from provery.core.ports import Deps
        from provery.systems.sums.system import Sums

        def build(deps: Deps) -> Sums:
            """The system."""
            return Sums()
    ''',
    "model.py": """
        from dataclasses import dataclass

        @dataclass(frozen=True)
        class Sum:
            left: int
            right: int
    """,
    "spec.py": """
        from provery.systems.sums.model import Sum

        def total(terms: Sum) -> int:
            return terms.left + terms.right
    """,
    "system.py": """
        from collections.abc import Sequence

        from provery.core.errors import ProveryError
        from provery.core.ports import StageContext, StageOutput
        from provery.core.types import Plan, Stage, StagePlan, Unit, UnitStatus, Work
        from provery.systems.sums.model import Sum
        from provery.systems.sums.spec import total

        class Sums:
            name = "sums"

            async def run_stage(self, stage: str, contexts: Sequence[StageContext]) -> list[StageOutput | ProveryError]:
                return [StageOutput(facts={"total": str(total(Sum(1, 2)))}) for _ in contexts]

            async def conclude(self, unit: Unit, status: UnitStatus, reason: str, error_kind: str) -> None: ...

            async def discover(self, stream: str, first: int | None, last: int | None) -> list[Work]:
                unit = Unit("sums", stream, "1", {"left": 1, "right": 2}, ordinal=1)
                return [Work(unit, Plan((StagePlan(Stage.PROVE, "cpu"),)))]

            async def close(self) -> None: ...
    """,
}
USE = """
import asyncio
from provery import registry
system = registry.load("sums", {}).build(None)
[work] = asyncio.run(system.discover("small", None, None))
[output] = asyncio.run(system.run_stage("prove", [None]))
print(system.name, work.unit.workflow_id, output.facts["total"])
"""


def fingerprints(tree: Path) -> dict[str, str]:
    return {str(p.relative_to(tree)): hashlib.sha256(p.read_bytes()).hexdigest() for p in tree.rglob("*.py")}


def test_one_folder_and_one_line(tmp_path: Path) -> None:
    tree = copy_of_the_tree(tmp_path)
    before = fingerprints(tree)

    folder = tree / "provery/systems/sums"
    folder.mkdir()
    for name, text in FOLDER.items():
        lines = text.strip("\n").splitlines()
        indent = len(lines[0]) - len(lines[0].lstrip())
        (folder / name).write_text("\n".join(line[indent:] for line in lines) + "\n")
    registry = tree / "provery/registry.py"
    source = registry.read_text()
    line = '    "queue": "provery.systems.queue",\n'
    assert source.count(line) == 1
    registry.write_text(source.replace(line, line + '    "sums": "provery.systems.sums",\n'))

    changed = {name for name, digest in fingerprints(tree).items() if before.get(name) != digest}
    assert changed == {"provery/registry.py"} | {f"provery/systems/sums/{name}" for name in FOLDER}
    contracts = lint(tree)
    assert contracts.returncode == 0, contracts.stdout
    used = subprocess.run(
        [sys.executable, "-c", USE],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert used.stdout == "sums prove/sums/small/1 3\n", used.stderr
