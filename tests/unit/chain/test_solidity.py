"""The Solidity compiler: the same code for the same sources, and errors that say what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from provery import registry
from provery.chain.solidity import SETTINGS, Solidity, read_sources
from provery.cli.main import app
from provery.core.errors import ConfigurationError, InvalidInput
from provery.local import ROOT
from provery.local.toolchain import evm_modules, find
from provery.systems.hotshot import contracts

HEAD = "// SPDX-License-Identifier: Apache-2.0\npragma solidity ^0.8.28;\n"


def solidity(modules: Path | None = None) -> Solidity:
    return Solidity(find("node"), modules or evm_modules())


async def test_sources_import_one_another_and_interfaces_are_left_out() -> None:
    base = HEAD + "interface I { function f() external; }\nabstract contract A is I {}"
    made = await solidity().compile(
        {
            "A.sol": base,
            "B.sol": HEAD + 'import {A} from "./A.sol";\ncontract B is A { function f() external {} }',
        }
    )

    assert list(made.contracts) == ["B"]
    assert made.contracts["B"].size < len(made.contracts["B"].creation)
    assert made.compiler.startswith("0.8.37+")
    assert made.warnings == ()


async def test_what_does_not_compile_is_quoted() -> None:
    with pytest.raises(InvalidInput, match=r"does not compile: .*Expected identifier.*"):
        await solidity().compile({"A.sol": HEAD + "contract {"})
    twice = HEAD + "contract A { uint256 public a; }"
    with pytest.raises(InvalidInput, match="two contracts have one name"):
        await solidity().compile({"A.sol": twice, "B.sol": twice})


async def test_a_missing_compiler_is_a_matter_of_set_up(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"not installed.*make setup"):
        await solidity(tmp_path).compile({"A.sol": HEAD})
    (tmp_path / "solc").mkdir()
    with pytest.raises(ConfigurationError, match="ended with status"):
        await solidity(tmp_path).compile({"A.sol": HEAD})
    with pytest.raises(ConfigurationError, match="there are no contracts"):
        read_sources(tmp_path)


def test_forge_has_the_same_settings() -> None:
    lines = (ROOT / "tests/contracts/foundry.toml").read_text().splitlines()
    given = dict(line.split(" = ", 1) for line in lines if " = " in line)

    assert SETTINGS["optimizer"] == {"enabled": True, "runs": int(given["optimizer_runs"])}
    assert given["optimizer"] == "true"
    assert f'"{SETTINGS["evmVersion"]}"' == given["evm_version"]
    assert SETTINGS["metadata"] == {"bytecodeHash": json.loads(given["bytecode_hash"]), "appendCBOR": False}
    assert given["cbor_metadata"] == "false"


def test_a_changed_source_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "compiled.json").write_text(contracts.COMPILED.read_text())
    for source in contracts.FOLDER.glob("*.sol"):
        (tmp_path / source.name).write_text(source.read_text())
    only = {"hotshot": registry.SYSTEMS["hotshot"]}  # one compilation a build
    monkeypatch.setattr(registry, "SYSTEMS", only)
    monkeypatch.setattr(contracts, "FOLDER", tmp_path)
    monkeypatch.setattr(contracts, "COMPILED", tmp_path / "compiled.json")

    def build(*words: str) -> tuple[int, dict[str, Any]]:
        result = CliRunner().invoke(app, ["contracts", "build", *words, "--json"])
        return result.exit_code, json.loads(result.stdout)

    assert build("--check")[0] == 0
    proxy = tmp_path / "Proxy.sol"
    proxy.write_text(proxy.read_text().replace("data.length == 0", "data.length == 1"))
    code, said = build("--check")
    assert (code, said["error"]["kind"]) == (7, "ConfigurationError")
    code, said = build()
    assert (code, said["changed"]) == (0, [str(tmp_path / "compiled.json")])
    assert build("--check")[0] == 0
