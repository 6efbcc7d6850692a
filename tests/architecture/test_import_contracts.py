"""Every import contract in pyproject.toml refuses a violation planted in a copy of the tree."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("provery", "workflows", "activities", "workers")
CONFIG: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["name"]: contract for contract in CONFIG["tool"]["importlinter"]["contracts"]}

LAYERS = "layers"
WORKFLOWS = "workflows import only core, temporalio and the standard library"
INDEPENDENT = "systems are independent of one another"
REGISTRY = "only the registry names systems"
PURE = "core and the pure modules of systems do no I/O"
ARITHMETIC = {"py_arkworks_bls12381", "remerkleable"}
"""Libraries that only compute: pure code may use them, workflows may not."""

# (contract, file that gets the line, the line, other files that must exist for it)
PLANTS = [
    (LAYERS, "provery/core/planted.py", "import provery.registry", ()),
    (LAYERS, "provery/provers/planted.py", "import provery.stores", ()),
    (LAYERS, "provery/client.py", "import workflows", ()),
    (LAYERS, "activities/planted.py", "import workers", ()),
    (LAYERS, "activities/planted.py", "import workflows", ()),
    (WORKFLOWS, "workflows/planted.py", "import provery.stores", ()),
    (WORKFLOWS, "workflows/planted.py", "import provery.registry", ()),
    (WORKFLOWS, "workflows/planted.py", "import httpx", ()),
    (INDEPENDENT, "provery/systems/planted/wire.py", "import provery.systems.other", ()),
    (REGISTRY, "activities/planted.py", "import provery.systems.planted", ()),
    (REGISTRY, "provery/client.py", "from provery.systems import planted", ()),
    (PURE, "provery/core/planted.py", "import httpx", ()),
    (PURE, "provery/systems/planted/spec.py", "import sqlalchemy", ()),
    (
        PURE,
        "provery/systems/planted/witness.py",
        "import provery.systems.planted.source",
        ("source", "import boto3"),
    ),
    (PURE, "provery/systems/planted/model.py", "import redis", ()),
]


def copy_of_the_tree(to: Path) -> Path:
    """Copy the Python sources and the contracts, with stand-ins for packages that do not exist yet."""
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, to / package, ignore=lambda d, names: [n for n in names if not keep(Path(d) / n)]
        )
    shutil.copy(ROOT / "pyproject.toml", to)
    stand_ins = ("client", "provers", "stores", "systems", "systems/planted", "systems/other")
    for name in stand_ins:
        package_init, module = to / "provery" / name / "__init__.py", to / f"provery/{name}.py"
        if not package_init.exists() and not module.exists():
            package_init.parent.mkdir(parents=True, exist_ok=True)
            package_init.touch()
    return to


def keep(path: Path) -> bool:
    """Python sources only: vectors, circuits and caches make no import."""
    return path.suffix == ".py" or (
        path.is_dir() and path.name not in {"__pycache__", "vectors", "node_modules"}
    )


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_tree_keeps_every_contract(tmp_path: Path) -> None:
    result = lint(copy_of_the_tree(tmp_path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in result.stdout


@pytest.mark.parametrize(("contract", "file", "line", "helper"), PLANTS, ids=lambda value: str(value)[:40])
def test_a_planted_violation_is_named(
    tmp_path: Path, contract: str, file: str, line: str, helper: tuple[str, ...]
) -> None:
    tree = copy_of_the_tree(tmp_path)
    planted = tree / file
    if not planted.parent.joinpath("__init__.py").exists():
        planted.parent.joinpath("__init__.py").touch()
    if helper:
        planted.with_name(f"{helper[0]}.py").write_text(helper[1] + "\n")
    if planted.name == "client.py" and planted.with_suffix("").is_dir():
        planted = planted.with_suffix("") / "planted.py"
    with planted.open("a") as stream:
        stream.write(f"\n{line}\n")

    result = lint(tree)

    assert result.returncode == 1, result.stdout + result.stderr
    assert re.search(rf"^{re.escape(contract)} BROKEN\b", result.stdout, re.MULTILINE), result.stdout


def test_every_contract_has_a_planted_violation() -> None:
    assert {contract for contract, *_ in PLANTS} == set(CONTRACTS)


@pytest.mark.parametrize("contract", [WORKFLOWS, PURE])
def test_a_new_dependency_joins_the_forbidden_lists(contract: str) -> None:
    """A runtime dependency added to pyproject.toml must be forbidden to workflows and to pure code as well."""
    module_of = {
        "psycopg": "psycopg",
        "ruamel.yaml": "ruamel",
        "pydantic-settings": "pydantic_settings",
        "eth-remerkleable": "remerkleable",
        "grpcio": "grpc",
        "protobuf": "google",
        "pycryptodome": "Crypto",
    }
    names = [re.split(r"[\[<>=~! ]", requirement)[0] for requirement in CONFIG["project"]["dependencies"]]
    modules = {
        module_of.get(name, "opentelemetry" if name.startswith("opentelemetry") else name.replace("-", "_"))
        for name in names
    }
    free = {"temporalio"} | (ARITHMETIC if contract == PURE else set())
    assert modules - free <= set(CONTRACTS[contract]["forbidden_modules"])
