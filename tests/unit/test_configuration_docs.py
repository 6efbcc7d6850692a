"""docs/configuration.md lists every environment variable that the code reads, and none that nothing reads."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from provery.systems.beacon.settings import BeaconSettings, variables
from provery.systems.hotshot.settings import HotShotSettings
from provery.systems.hotshot.settings import variables as hotshot_variables
from provery.systems.queue.settings import QueueSettings
from provery.systems.zkml import settings as zkml_settings
from provery.systems.zkml.http import settings as http_settings
from provery.systems.zkml.onchain.settings import ChainSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/configuration.md"
PACKAGES = ("provery", "workers", "activities", "workflows")
NAME = re.compile(r"[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*")
OURS = re.compile(r"(?:PROVERY|TEMPORAL|OTEL|AWS|CUDA)_[A-Z0-9_]+")
ENVIRONMENTS = {"env", "environ", "environment", "settings"}
"""Names of variables that hold an environment."""
NOT_FOR_PEOPLE = {"PWD", "OLDPWD", "PYTHONPATH"}
"""Of the shell, or handed on to our own children only."""
READ_BY_LIBRARIES = {
    "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "TEMPORAL_API_KEY", "TEMPORAL_PROFILE", "TEMPORAL_TLS_SERVER_NAME",
    "TEMPORAL_TLS_CLIENT_CERT_PATH", "TEMPORAL_TLS_CLIENT_CERT_DATA", "TEMPORAL_TLS_CLIENT_KEY_PATH",
    "TEMPORAL_TLS_CLIENT_KEY_DATA", "TEMPORAL_TLS_SERVER_CA_CERT_PATH", "TEMPORAL_TLS_SERVER_CA_CERT_DATA",
    "TEMPORAL_TLS_DISABLE_HOST_VERIFICATION",
}  # fmt: skip


def sources(*suffixes: str, under: tuple[str, ...] = PACKAGES) -> Iterator[Path]:
    for folder in under:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in suffixes and not {"node_modules", "__pycache__"} & set(path.parts):
                yield path


def is_environment(node: ast.expr) -> bool:
    """``env``, ``os.environ``, ``self.env``, ``deps.env``."""
    return (isinstance(node, ast.Name) and node.id in ENVIRONMENTS) or (
        isinstance(node, ast.Attribute) and node.attr in ENVIRONMENTS
    )


def names_in(tree: ast.AST) -> set[str]:
    """Variables that a module names: by our prefixes anywhere, by any name where an environment is asked for it."""
    found: set[str] = set()
    for node in ast.walk(tree):
        asked: list[ast.expr] = []
        if isinstance(node, ast.Call) and node.args:
            of_settings = isinstance(node.func, ast.Name) and node.func.id == "_named"
            of_environment = isinstance(node.func, ast.Attribute) and is_environment(node.func.value)
            asked = node.args[:1] if of_settings or of_environment else []
        elif isinstance(node, ast.Subscript) and is_environment(node.value):
            asked = [node.slice]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and OURS.fullmatch(node.value):
            asked = [node]
        found |= {
            a.value
            for a in asked
            if isinstance(a, ast.Constant) and isinstance(a.value, str) and NAME.fullmatch(a.value)
        }
    return found


def inherited() -> set[str]:
    """What prover children are given of the worker's environment."""
    tree = ast.parse((ROOT / "provery/provers/child.py").read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(t) for t in node.targets] == ["_KEEP"]:
            return set(ast.literal_eval(node.value))
    raise AssertionError("provery/provers/child.py has no _KEEP")


@cache
def read_by_the_code() -> frozenset[str]:
    found = {name for path in sources(".py") for name in names_in(ast.parse(path.read_text()))}
    for path in sources(".mjs", ".cjs", ".js", under=(*PACKAGES, "tools")):
        found |= set(re.findall(r"process\.env\.([A-Z0-9_]+)", path.read_text()))
    for path in sources(".go", under=("prover", "provery")):
        if path.name.endswith("_test.go"):
            continue
        found |= set(re.findall(r"os\.(?:Getenv|LookupEnv)\(\"([A-Z0-9_]+)\"", path.read_text()))
    found |= {
        f"PROVERY_QUEUE_{field.upper()}"
        for field, info in QueueSettings.model_fields.items()
        if info.validation_alias is None
    }
    found |= {
        variables("x", field, alone=True)[-1] for field in BeaconSettings.model_fields if field != "stream"
    }
    found |= {
        hotshot_variables("x", field, alone=True)[-1]
        for field in HotShotSettings.model_fields
        if field != "stream"
    }
    found |= {f"PROVERY_ZKML_{field.upper()}" for field in ChainSettings.model_fields if field != "stream"}
    found |= {
        settings.UPSTREAM.get(field) or f"{settings.PREFIX}{field.upper()}"
        for settings, fields in (
            (zkml_settings, zkml_settings.ZkmlSettings.model_fields),
            (http_settings, http_settings.HttpSettings.model_fields),
        )
        for field in fields
    }
    return frozenset((found | inherited()) - NOT_FOR_PEOPLE)


@cache
def documented() -> frozenset[str]:
    return frozenset(name for name in re.findall(r"`([A-Z0-9_]+)`", PAGE.read_text()) if NAME.fullmatch(name))


def test_the_search_finds_what_is_known_to_be_read() -> None:
    assert {
        "PROVERY_HOME", "PROVERY_TASK_QUEUE_PREFIX", "PROVERY_EXTRA_SYSTEMS", "METRICS_PORT", "LOG_LEVEL", "REDIS_URL",
        "WORKER_CONCURRENCY", "PROVERY_QUEUE_LOCK_MS", "AWS_REGION", "PROVERY_CPU_HOUR_COST", "PROVERY_GO_BIN",
    } <= read_by_the_code()  # fmt: skip


@pytest.mark.parametrize("name", sorted(read_by_the_code()))
def test_every_variable_is_documented(name: str) -> None:
    assert name in documented(), f"add {name} to docs/configuration.md, with its default and meaning"


def test_no_variable_is_invented() -> None:
    """What is documented is read by the packages, or named by make, compose, the benchmarks or a library."""
    elsewhere = [
        ROOT / "Makefile",
        ROOT / "deploy/compose/.env.example",
        *sources(".py", ".go", under=("bench", "prover")),
    ]
    text = "\n".join(path.read_text() for path in elsewhere)
    others = documented() - read_by_the_code() - READ_BY_LIBRARIES
    standard = {"TRACEPARENT", "PATH", "ROOT_ACCESS_KEY", "ROOT_SECRET_KEY"}
    assert {name for name in others - standard if not re.search(rf"\b{name}\b", text)} == set()


@pytest.mark.parametrize("field", sorted(set(BeaconSettings.model_fields) - {"stream"}))
def test_the_beacons_defaults_are_the_documented_ones(field: str) -> None:
    default = BeaconSettings.model_fields[field].default
    if default in ("", 0, ()) or not isinstance(default, int | float | tuple):
        return  # "none", or what the chain or the home say
    variable = variables("x", field, alone=True)[-1]
    row = re.search(rf"^\| `{variable}` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    assert row, variable
    shown = ",".join(default) if isinstance(default, tuple) else str(int(default))
    assert row[1].strip("` ") == shown, variable


@pytest.mark.parametrize("field", sorted(QueueSettings.model_fields))
def test_the_queues_defaults_are_the_documented_ones(field: str) -> None:
    info = QueueSettings.model_fields[field]
    if info.validation_alias is not None or info.default == "":
        return  # the upstream names have defaults of their process, and no default is "none"
    variable = f"PROVERY_QUEUE_{field.upper()}"
    row = re.search(rf"^\| `{variable}` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    assert row, variable
    default = info.default
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    assert row[1].strip("` ") == (f"{default:g}" if isinstance(default, float) else shown), variable


def defaults_of_the_network() -> dict[str, str]:
    """Numbers that the prover network's settings fall back to, by variable."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / "provery/provers/sp1/settings.py").read_text())):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_number":
            name, default = (ast.literal_eval(argument) for argument in node.args[1:])
            found[name] = default
    return found


@pytest.mark.parametrize("variable", sorted(defaults_of_the_network()))
def test_the_networks_defaults_are_the_documented_ones(variable: str) -> None:
    row = re.search(rf"^\| `{variable}` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    assert row, variable
    assert row[1].strip("` ") == defaults_of_the_network()[variable]
