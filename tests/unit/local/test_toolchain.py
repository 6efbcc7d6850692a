"""Where programs are found, and what is said when they are not."""

from pathlib import Path

import pytest

from provery.core.errors import ConfigurationError
from provery.local import toolchain


@pytest.mark.parametrize("name", ["temporal", "redis-server", "postgres", "initdb", "node", "npm", "go"])
def test_the_wheels_have_it(name: str) -> None:
    assert toolchain.find(name).is_file()


def test_a_variable_names_another_binary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "prover"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PROVERY_PROVER_BIN", str(program))
    assert toolchain.find("provery-prover") == program
    program.chmod(0o644)
    with pytest.raises(ConfigurationError, match="PROVERY_PROVER_BIN names no executable"):
        toolchain.find("provery-prover")


def test_what_is_nowhere_is_an_error_that_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(toolchain, "ROOT", tmp_path)
    monkeypatch.setenv("PROVERY_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"make tools-s3.*PROVERY_VERSITYGW_BIN"):
        toolchain.find("versitygw")


def test_node_itself_rather_than_its_launcher() -> None:
    """A Python launcher that is killed would leave node running."""
    assert toolchain.find("node").read_bytes()[:4] == b"\x7fELF"
