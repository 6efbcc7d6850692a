"""``provery circuits …`` on the circuits of statements, over the real program."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provery.cli.failures import EXIT_CODES
from provery.cli.main import app
from provery.provers.tools import ROOT, Tools

PROGRAM = str(Tools.find({}, ROOT / ".provery").native)
Run = Callable[..., Any]


@pytest.fixture
def cli(tmp_path: Path) -> Run:
    def invoke(*args: str, code: int = 0, text: bool = False, **env: str) -> Any:
        settings = {"PROVERY_HOME": str(tmp_path), "PROVERY_PROVER_BIN": PROGRAM, **env}
        options = [] if text else ["--json"]
        result = CliRunner().invoke(app, ["circuits", *args, *options], env=settings)
        assert result.exit_code == code, result.output
        return result.output if text else json.loads(result.stdout)

    return invoke


def test_keys_are_made_shown_and_exported(cli: Run, tmp_path: Path) -> None:
    listed = {c["name"]: c for c in cli("list")["statements"]}
    assert set(listed) >= {"self-test", "beacon-step-mainnet-6", "beacon-step-minimal-5"}
    assert listed["self-test"]["key"] == ""
    made = cli("setup", "self-test")
    assert made["made"] is True
    assert cli("setup", "self-test")["made"] is False
    key = made["keys"]["setup_id"]
    (shown,) = [c for c in cli("list")["statements"] if c["name"] == "self-test"]
    assert (shown["key"], shown["kind"], shown["insecure"]) == (key, "development", True)
    assert "development (INSECURE)" in cli("list", text=True)
    assert cli("audit", "self-test")["keys"]["setup_id"] == key
    files = cli("export-verifier", "self-test", str(tmp_path / "out"))["files"]
    assert [Path(f["path"]).name for f in files] == [
        "verifier.sol",
        "verifying_key.bin",
        "verifying_key.json",
    ]
    assert json.loads((tmp_path / "out" / "verifying_key.json").read_text())["setup"]["insecure"] is True
    assert "INSECURE" in cli("export-verifier", "self-test", str(tmp_path / "out"), text=True)


def test_the_audit_names_the_damaged_file(cli: Run, tmp_path: Path) -> None:
    cli("setup", "self-test")
    (path,) = (tmp_path / "circuits").glob("*/*/pk")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    failed = cli("audit", "self-test", code=4)["error"]
    assert failed["kind"] == "InvalidKey"
    assert str(path) in failed["message"]
    assert 4 in EXIT_CODES


def test_a_ceremony_from_its_start_to_keys_for_production(cli: Run, tmp_path: Path) -> None:
    production = {"PROVERY_ENV": "production"}
    folder = str(tmp_path / "ceremony")
    assert cli("setup", "self-test", code=4, **production)["error"]["kind"] == "InvalidKey"
    assert cli("ceremony", "init", "self-test", folder)["ceremony"]["phase"] == 1
    assert cli("ceremony", "seal", folder, "--beacon", "5a" * 32, code=4)["error"]["kind"] == "InvalidInput"
    sealed: dict[str, Any] = {}
    for phase in (1, 2):
        for name in ("anna", "ben"):
            cli("ceremony", "contribute", folder, "--name", name)
        assert len(cli("ceremony", "verify", folder)["ceremony"]["contributions"]) == 2 * phase
        sealed = cli("ceremony", "seal", folder, "--beacon", "5a" * 32)
        assert sealed["ceremony"]["phase"] == phase + 1
    assert sealed["keys"]["setup"]["insecure"] is False
    key = sealed["keys"]["setup_id"]
    (shown,) = [c for c in cli("list", **production)["statements"] if c["name"] == "self-test"]
    assert (shown["key"], shown["kind"], shown["insecure"]) == (key, "ceremony", False)
    assert cli("use", "self-test", key)["keys"]["setup_id"] == key
    assert cli("use", "self-test", "0" * 64, code=4)["error"]["kind"] == "InvalidKey"


def test_a_circuit_nobody_knows(cli: Run) -> None:
    assert cli("setup", "nothing", code=5)["error"]["kind"] == "UnknownCircuit"


def test_the_list_goes_without_the_program(cli: Run, tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nowhere")
    assert cli("list", PROVERY_PROVER_BIN=nowhere) == {"circuits": [], "statements": []}
    assert "make setup" in cli("list", text=True, PROVERY_PROVER_BIN=nowhere)
